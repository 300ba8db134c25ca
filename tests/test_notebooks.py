"""The committed notebooks are what `make notebooks` makes of them, and keep the rules for notebooks."""

import ast
import dis
import re
import types

import nbformat
import pytest

from helpers.words import WIDTH
from tools import notebooks
from tools.series import ROOT, code_cells, first_line, tags, takes

COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST = 15  # lines of one cell
WIDEST_CODE, WIDEST_TEXT = 95, WIDTH  # columns
MACHINE = re.compile(r"(?<![\w.~])/(home|root|Users|work|tmp|mnt|opt|workspace)/\w|[A-Z]:\\\\?\w")


def texts(cell) -> list[str]:
    """Everything in a cell that reads as text: pictures are left out."""
    found = [cell.source]
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        found += [str(data[kind]) for kind in data if kind.startswith("text/") or kind == "image/svg+xml"]
        found += [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    return found


def problems(path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    found = []
    if notebook.metadata.get("source_sha256") != notebooks.source_hash(notebook):
        found.append("outputs belong to other sources")
    if path.stat().st_size > notebooks.LARGEST:
        found.append("too large")
    if not takes(notebook, "SYSTEM"):
        found.append("no parameters cell sets SYSTEM")
    for n, cell in enumerate(code_cells(notebook), 1):
        found += [f"[{n}] {problem}: {first_line(cell)}" for problem in cell_problems(cell)]
    if any(MACHINE.search(text) for cell in notebook.cells for text in texts(cell)):
        found.append("path of a machine")
    return found


def cell_problems(cell) -> list[str]:
    error = any(output.output_type == "error" for output in cell.outputs)
    checks = {
        "not executed": cell.execution_count is None,
        "error": error and "raises-exception" not in tags(cell),
        f"more than {LONGEST} lines": len(cell.source.splitlines()) > LONGEST,
        f"code wider than {WIDEST_CODE}": any(len(line) > WIDEST_CODE for line in cell.source.splitlines()),
        f"prints lines wider than {WIDEST_TEXT}": any(len(line) > WIDEST_TEXT for line in shown(cell)),
        "an assert that does not say what it found": bare_assert(cell.source),
    }
    return [problem for problem, holds in checks.items() if holds]


def shown(cell) -> list[str]:
    """The lines of text that a reader sees below a cell; a value that has a picture shows that."""
    texts = [output.text for output in cell.outputs if output.output_type == "stream"]
    texts += [output.data["text/plain"] for output in cell.outputs if set(output.get("data", {})) == {"text/plain"}]
    return [line for text in texts for line in text.splitlines()]


def bare_assert(source: str) -> bool:
    return any(isinstance(node, ast.Assert) and node.msg is None for node in ast.walk(ast.parse(source)))


# --- any order ---------------------------------------------------------------------------------------

# A cell that reads a name reads another thing once a later cell has given the name to something else. What this does
# not see: a thing that changes while its name stays, such as a list that grows, a model that is set otherwise, or
# numbers drawn one after the other. tests/test_budgets.py runs the quick cells again and meets some of these.


def names(source: str) -> tuple[set[str], set[str]]:
    """(written, read) of a cell, at its top; what it writes before it reads it is its own. From the compiled code."""
    written, read = set(), set()
    code = compile(source, "cell", "exec")
    for one in dis.get_instructions(code):
        if one.opname == "STORE_NAME":
            written.add(one.argval)
        elif one.opname in ("LOAD_NAME", "LOAD_GLOBAL") and one.argval not in written:
            read.add(one.argval)
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    while inner:  # functions see the cell's names when they are called, which may be in any cell
        body = inner.pop()
        read |= {one.argval for one in dis.get_instructions(body) if one.opname == "LOAD_GLOBAL"} - written
        inner += [constant for constant in body.co_consts if isinstance(constant, types.CodeType)]
    return written, read


def used_twice(cells: list[str]) -> list[str]:
    """Names that two cells write and a third reads, or one of the two before it writes."""
    each = [names(source) for source in cells]
    found = []
    for name in sorted(set().union(*(read for _, read in each))):
        writers = [n for n, (written, _) in enumerate(each, 1) if name in written]
        readers = [n for n, (_, read) in enumerate(each, 1) if name in read]
        if len(writers) > 1:
            found.append(f"{name} is written in cells {writers} and read in {readers}")
    return found


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_no_name_stands_for_two_things(path):
    assert used_twice([cell.source for cell in code_cells(nbformat.read(path, as_version=4))]) == []


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["x = 1", "print(x)", "y = 2"], 0),
        (["x = 1", "print(x)", "x = 2"], 1),
        (["x = 1", "x = x + 1"], 1),  # the second cell, run again, counts on
        (["for n in range(3):\n    print(n)", "for n in 'ab':\n    print(n)"], 0),
        (["n = 3", "def f():\n    return n", "n = 4"], 1),  # f() means another n
        (["n = 3", "def f(n):\n    return n", "n = 4"], 0),
        (["n = 3", "print([n for n in 'ab'])", "n = 4"], 0),
        (["def f():\n    return ...\n\n\nf = check.f(f)", "f()"], 0),
        (["try:\n    go()\nexcept ValueError as error:\n    print(error)"] * 2, 0),
    ],
)
def test_names_for_two_things_are_found(cells, expected):
    assert len(used_twice(cells)) == expected


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_notebook(path):
    assert problems(path) == [], "`make notebooks` refreshes outputs and hash"


# --- the checks above see what is wrong ------------------------------------------------------------


def refreshed(path, change=None):
    assert notebooks.refresh(path) is None
    notebook = nbformat.read(path, as_version=4)
    if change:
        change(notebook)
        nbformat.write(notebook, path)
    return problems(path)


def print_path(notebook):
    notebook.cells[1].outputs[0].text = "saved to /home/someone/video.mp4"


def show_error(notebook):
    notebook.cells[1].outputs.append(nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (None, []),
        (lambda nb: nb.cells[1].update(source="print(2)"), ["outputs belong to other sources"]),
        (lambda nb: nb.cells.append(nbformat.v4.new_markdown_cell("prose may change")), []),
        (lambda nb: nb.cells[0].metadata.pop("tags"), ["no parameters cell sets SYSTEM"]),
        (lambda nb: nb.cells[1].update(execution_count=None), ["[2] not executed: print(1)"]),
        (lambda nb: nb.metadata.update(padding="x" * notebooks.LARGEST), ["too large"]),
        (show_error, ["[2] error: print(1)"]),
        (print_path, ["path of a machine"]),
    ],
)
def test_problems(toy, change, expected):
    assert refreshed(toy("01_toy", "print(1)"), change) == expected


def test_long_cell(toy):
    assert refreshed(toy("01_toy", "\n".join(["x = 1"] * 15))) == []
    assert refreshed(toy("01_toy", "\n".join(["x = 1"] * 16))) == ["[2] more than 15 lines: x = 1"]


def test_what_does_not_fit_or_does_not_say(toy):
    wide_code, wide_text = f"code wider than {WIDEST_CODE}", f"prints lines wider than {WIDEST_TEXT}"
    bare = "an assert that does not say what it found"
    cells = {
        "x = '" + 89 * "y" + "'": None,
        "x = '" + 90 * "y" + "'": wide_code,
        "print('x' * 85)": None,
        "print('x' * 86)": wide_text,
        "'x' * 84": wide_text,  # with its quotes
        "assert 1 < 2, '1 is not less'": None,
        "assert 1 < 2": bare,
    }
    wanted = [f"[{n}] {problem}: {cell}" for n, (cell, problem) in enumerate(cells.items(), 2) if problem]
    assert refreshed(toy("01_toy", *cells)) == wanted


@pytest.mark.parametrize("text", ["a/home/b", "helpers/work/x", "https://example.org/home/x", "~/root/x", "1/2"])
def test_what_is_no_path_of_a_machine(text):
    assert not MACHINE.search(text)


# --- make notebooks --------------------------------------------------------------------------------


def test_second_refresh_changes_nothing(toy):
    path = toy("01_toy", "for n in range(3):\n    print(n, flush=True)", "import helpers", "{'a': 1}")
    notebooks.refresh(path)
    first = path.read_bytes()
    notebooks.refresh(path)
    assert path.read_bytes() == first
    assert b'"0\\n",' in first and b"timestamp" not in first and b"iopub" not in first


def test_cells_without_ids_get_the_same_ones_every_time(toy):
    path = toy("01_toy", "x = 1")
    path.write_text(re.sub(r'\n *"id": "[^"]*",', "", path.read_text()))
    assert '"id"' not in path.read_text()
    assert [c.id for c in notebooks.read(path).cells] == [c.id for c in notebooks.read(path).cells]


def test_widgets_leave_their_static_picture(toy):
    slider = "import ipywidgets\nipywidgets.IntSlider()"
    both = (
        "from IPython.display import display\nwidget = ipywidgets.IntSlider()\n"
        "live = widget._repr_mimebundle_()\ndisplay({**live, 'text/html': 'still'}, raw=True)"
    )
    path = toy("01_toy", slider, both)
    assert notebooks.refresh(path) is None
    cells = nbformat.read(path, as_version=4).cells
    assert cells[1].outputs == []
    assert cells[2].outputs[0].data["text/html"] == "still"
    assert "widget-view" not in path.read_text() and "widget-state" not in path.read_text()


def test_of_two_forms_of_a_picture_the_smaller_one_stays(toy):
    picture = "import numpy\nfrom PIL import Image\nImage.fromarray({})"
    noise = picture.format("numpy.random.default_rng(0).integers(0, 255, (64, 64, 3), numpy.uint8)")
    path = toy("01_toy", noise, picture.format("numpy.eye(256, dtype=numpy.uint8)"))
    assert notebooks.refresh(path) is None
    kinds = [set(cell.outputs[0].data) for cell in nbformat.read(path, as_version=4).cells[1:]]
    assert kinds == [{"text/plain", "image/jpeg"}, {"text/plain", "image/png"}]


def test_tracebacks_name_files_without_the_checkout(toy):
    path = toy("01_toy", (f"raise ValueError('{ROOT}/helpers/x.py')", "raises-exception"))
    source = path.read_text()
    assert notebooks.refresh(path) is None
    assert str(ROOT) in source
    output = nbformat.read(path, as_version=4).cells[1].outputs[0]
    assert output.evalue == "helpers/x.py" and str(ROOT) not in "".join(output.traceback)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("x = 1\n1 / 0", "cell [2] `x = 1`: ZeroDivisionError: division by zero"),
        ("print('x' * 1_100_000)", "bytes, and at most 1000000 are committed"),
    ],
)
def test_refuses(toy, cell, expected):
    path = toy("01_toy", cell)
    before = path.read_bytes()
    assert expected in notebooks.refresh(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
    with pytest.raises(SystemExit, match="1"):
        notebooks.main([], path.parent)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_most_printed_values_are_held_against_todays_helpers(path):
    """tests/test_budgets.py compares the cells tagged so; pictures and digits that depend on the CPU are left out."""
    cells = [cell for cell in code_cells(nbformat.read(path, as_version=4)) if cell.outputs]
    compared = [cell for cell in cells if "nbval-check-output" in tags(cell)]
    assert len(compared) >= len(cells) / 2
