"""make foreign: what it would take for a program to be called wrong, and the table that it writes."""

import re
import struct
from subprocess import CompletedProcess

import pytest

from tools.foreign import __main__ as foreign
from tools.foreign import mnist
from tools.foreign.programs import MARK, PROGRAMS, Driver, Row, Suite, Tutorial
from tools.foreign.pytest_sample import spread


def said(stdout="", stderr="", code=0):
    return CompletedProcess([], code, stdout, stderr)


PART = Driver("a part", "t3000", "mochi", "decoder", "pcc", 0.999)


@pytest.mark.parametrize(
    ("ended", "ok", "found"),
    [
        (said(f'noise\n{MARK}{{"pcc": 0.9995, "seconds": 3}}\n'), True, "PCC 0.99950 of diffusers (0.999 asked)"),
        (said(f'{MARK}{{"pcc": 0.998, "seconds": 3}}\n'), False, "PCC 0.99800 of diffusers (0.999 asked)"),
        (said(f'{MARK}{{"pcc": 0.9995}}\n', "RuntimeError: at the end\n", 1), False, "RuntimeError: at the end"),
        (said("no result\n"), False, "no result"),
        (said(), False, "it said nothing"),
    ],
)
def test_a_part_is_as_right_as_asked(ended, ok, found, tmp_path):
    assert PART.judge(ended, tmp_path) == (ok, found)


CASES = {
    "test_a[1]": "",
    "test_a[2]": "",
    "test_b[1]": "<failure/>",
    "test_c": "<skipped/>",
}


@pytest.mark.parametrize(
    ("known", "ok", "found"),
    [
        ({"test_b": "asks for a hub"}, True, "2 of 4 pass; 1 they skip themselves; test_b: asks for a hub"),
        ({}, False, "2 of 4 pass; 1 they skip themselves; failed: test_b[1]"),
        (
            {"test_b": "x", "test_a": "y"},
            False,
            "2 of 4 pass; 1 they skip themselves; test_b: x; test_a: y; no longer failing: test_a",
        ),
    ],
)
def test_what_fails_in_their_tests_is_known_or_not(known, ok, found, tmp_path):
    cases = "".join(f'<testcase name="{name}">{inner}</testcase>' for name, inner in CASES.items())
    (tmp_path / "found.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert Suite("tests", "n150", (), known=known).judge(said(), tmp_path) == (ok, found)


def test_no_tests_at_all_are_not_right(tmp_path):
    assert Suite("tests", "n150", ()).judge(said("", "ImportError: no x\n"), tmp_path) == (False, "ImportError: no x")
    (tmp_path / "found.xml").write_text("<testsuites/>")
    assert not Suite("tests", "n150", ()).judge(said(), tmp_path)[0]


def test_a_tutorial_runs_or_says_why_not(tmp_path):
    runs, needs = Tutorial("a.py"), Tutorial("b.py", refused="urlopen error", why="downloads its data set")
    assert runs.judge(said("hello"), tmp_path) == (True, "runs to its end")
    assert runs.judge(said("", "ValueError: no\n", 1), tmp_path) == (False, "ValueError: no")
    assert needs.judge(said("", "urlopen error -2", 1), tmp_path) == (True, "downloads its data set")
    assert needs.judge(said("all is well"), tmp_path) == (False, "all is well")  # then the table should say so


def test_the_table_takes_its_place_and_no_more(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{foreign.BEGIN}\nold\n{foreign.END}\nafter\n")
    foreign.write(readme, foreign.table([Row(PART, True, r"PCC 0.99950 \1", 12.4)], "79925a3f"))
    text = readme.read_text()
    assert text.startswith(f"before\n{foreign.BEGIN}\nOf tenstorrent/tt-metal@79925a3f")
    assert text.endswith(f"| a part | t3000 | PCC 0.99950 \\1 | 12 |\n{foreign.END}\nafter\n") and "old" not in text
    readme.write_text("no place")
    with pytest.raises(ValueError, match="has no place for the table"):
        foreign.write(readme, "")


def test_the_readmes_table_has_a_row_for_each_program():
    text = foreign.README.read_text()
    rows = re.findall(r"^\| (.*?) \| (\w+) \| .* \| \d+ \|$", text, flags=re.MULTILINE)
    assert rows == [(program.name, program.system) for program in PROGRAMS]


def test_the_weekly_run_is_of_the_commit_in_the_table():
    weekly = (foreign.ROOT / ".github" / "workflows" / "weekly.yml").read_text()
    (commit,) = re.findall(r"tenstorrent/tt-metal@(\w+), unmodified", foreign.README.read_text())
    assert re.findall(r"ref: (\w+)", weekly)[0].startswith(commit)


def test_a_folder_that_is_no_checkout_is_named(tmp_path, capsys):
    assert foreign.main([str(tmp_path)]) == 2
    (tmp_path / "models" / "tt_dit").mkdir(parents=True)
    assert foreign.main([str(tmp_path)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "has no models/tt_dit. Name a checkout of tenstorrent/tt-metal" in first
    assert "git knows no commit of" in second


def test_a_sample_is_spread_over_all_cases():
    assert spread(list("abcdefg"), 3) == ["a", "d", "g"] and spread(list("abc"), 0) == ["a", "b", "c"]


def test_digits_at_random_in_the_format_of_mnist(tmp_path):
    mnist.write(tmp_path)
    images = (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").read_bytes()
    assert struct.unpack(">4i", images[:16]) == (2051, mnist.COUNT, 28, 28)
    assert len(images) == 16 + mnist.COUNT * 28 * 28 and len(set(images[16:])) > 200
    labels = (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").read_bytes()
    assert struct.unpack(">2i", labels[:8]) == (2049, mnist.COUNT) and set(labels[8:]) <= set(range(10))
