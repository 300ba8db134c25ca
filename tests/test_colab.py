"""Colab's first cell: where it stops, what it runs, and that it does nothing elsewhere. Colab itself is not here."""

import contextlib
import os
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest

from tools import badges, colab
from tools.series import ROOT

FITS = (3, 12), "x86_64", ("glibc", "2.35"), 60.0


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, (3, 12), ""),
        (0, (3, 11), "ttnn needs Python 3.12, and this runtime has 3.11."),
        (1, "aarch64", "ttnn has a build for x86_64 only, and this runtime is aarch64"),
        (2, ("glibc", "2.31"), "ttnn needs glibc 2.34 or newer, and this runtime has glibc 2.31."),
        (2, ("glibc", "2.100"), ""),
        (2, ("", ""), "and this runtime has another C library."),
        (3, 5.2, "about 8 GB of disk are needed, and 5 GB are free."),
    ],
)
def test_a_runtime_that_does_not_suffice_is_named(place, value, said):
    found = colab.problem(*(value if n == place else fits for n, fits in enumerate(FITS)))
    assert found == said or (said and said in found)


def test_the_wheel_of_the_lock_is_the_one_that_is_asked_for():
    python, libc = "".join(map(str, colab.PYTHON)), "_".join(map(str, colab.GLIBC))
    wheel = f"ttnn-0.81.1-cp{python}-cp{python}-manylinux_{libc}_{colab.MACHINE}.whl"
    assert wheel in (ROOT / "uv.lock").read_text()


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A folder with notebooks, the process's own place and import path kept."""
    (tmp_path / "course" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(colab, "problem", lambda *_: "")
    return tmp_path / "course"


def runner(asked, fails=lambda step: False):
    def run(step, cwd):
        asked.append(" ".join(step))
        return SimpleNamespace(returncode=int(fails(step)))

    return run


def test_installs_once_asks_for_a_restart_and_then_goes_to_the_notebooks(course):
    asked = []
    with pytest.raises(SystemExit, match="Installed. Now choose Runtime, Restart session"):
        colab.begin(course, runner(asked), modules={"numpy": None})
    assert "uv export --quiet --frozen --no-dev" in asked[2] and asked[3].endswith("--requirement colab.txt")
    assert not any("apt-get" in step for step in asked)
    colab.begin(course, runner(asked), modules={"numpy": None})
    assert len(asked) == 4 and os.getcwd() == str(course / "notebooks") and sys.path[0] == str(course)


def test_a_step_that_fails_is_named_and_begun_again(course):
    asked = []
    with pytest.raises(SystemExit, match="Installing stopped at: .*-m pip install --quiet uv. Run this cell again."):
        colab.begin(course, runner(asked, lambda step: step[0] != "apt-get"), modules={})
    assert asked[1] == "apt-get install --quiet --quiet libatomic1" and not (course / ".installed").exists()
    colab.begin(course, runner(asked), modules={})


def test_a_small_runtime_stops_before_anything_is_installed(course, monkeypatch):
    monkeypatch.setattr(colab, "problem", lambda *_: "no.")
    with pytest.raises(SystemExit, match="no."):
        colab.begin(course, runner([]).__get__, modules={})
    assert not (course / ".installed").exists()


def cell(address: str) -> str:
    return badges.CELL.format(address=address)


def test_the_cell_stops_with_one_sentence_where_the_project_cannot_be_fetched(tmp_path):
    command = [sys.executable, "-I", "-S", "-c", cell(f"file://{tmp_path}/none")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = ended.stderr.splitlines()[-1]
    assert ended.returncode == 1 and said.endswith("/none could not be fetched. Run this cell again.")


def test_the_cell_does_nothing_where_the_helpers_are(tmp_path):
    with contextlib.chdir(tmp_path):
        exec(cell("file:///none"), {})
    assert list(tmp_path.iterdir()) == []


def test_badges_are_put_renewed_and_removed(toy, tmp_path):
    path = toy("01_toy", "print(1)")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Toy\n\n**Notebook 01**", id="head"))
    nbformat.write(notebook, path)
    badges.main(["--remove"], path.parent)
    bare = path.read_bytes()
    badges.main(["anna/other"], path.parent)
    badges.main(["anna/course"], path.parent)
    head, first, second = nbformat.read(path, as_version=4).cells[:3]
    assert head.source.count("colab-badge") == 1 and "anna/course/blob/main/notebooks/01_toy.ipynb)" in head.source
    assert first.source == cell("https://github.com/anna/course") and second.metadata.tags == ["parameters"]
    badges.main(["--remove"], path.parent)
    assert path.read_bytes() == bare
    for wrong in ([], ["anna"], ["anna/course", "--remove"]):
        with pytest.raises(SystemExit, match="badges: "):
            badges.main(wrong, path.parent)
