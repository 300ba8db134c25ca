"""tools/series.py on toy notebooks: what passes, what fails, and what it says then."""

import json
import os

import pytest

from tools import series


def run(toy_path, capsys, *arguments):
    """Runs the series in the toy's folder; returns what was printed and what it ended with."""
    out = toy_path.parent.parent / "runs"
    try:
        series.main(list(arguments), toy_path.parent, out)
        ending = None
    except SystemExit as end:
        ending = str(end)
    return out, capsys.readouterr().out, ending


def test_executes_and_times(toy, capsys):
    path = toy("01_toy", "import time\ntime.sleep(0.5)", "print('on', SYSTEM)")
    out, printed, ending = run(path, capsys, "--system", "n150")
    assert ending is None
    assert "on n150" in (out / "01_toy.ipynb").read_text()
    page = (out / "01_toy.html").read_text()
    assert "# Parameters" not in page, "papermill's own cell"
    assert "on n150" in page and str(out) not in page and "require.min.js" not in page
    assert [f"[{number}]:" in page for number in range(1, 5)] == [True, True, True, False], (
        "numbered as in the notebook"
    )
    cells = json.loads((out / "times.json").read_text())["notebooks"][0]["cells"]
    assert (cells[0]["cell"], cells[0]["name"]) == (2, "import time") and cells[0]["seconds"] >= 0.5
    assert printed.index("import time") < printed.index("print('on'")


WRITES = """
import numpy
from helpers import video
frames = numpy.random.default_rng(0).integers(0, 255, (7, 32, 48, 3), numpy.uint8)
_ = video.write(f"{OUT}/clip.mp4", frames)
"""


def test_videos_are_left_beside_the_notebooks_and_named_at_the_end(toy, capsys):
    toy("01_still", "print('OUT' in globals())")
    path = toy("02_film", ('SYSTEM = "galaxy"\nOUT = "nowhere"', "parameters"), WRITES, parameters=False)
    runs = path.parent.parent / "runs"
    runs.mkdir()
    (runs / "old.mp4").write_bytes(b"of another run")
    os.utime(runs / "old.mp4", (1, 1))
    out, printed, ending = run(path, capsys)
    assert ending is None and (out / "clip.mp4").read_bytes()[4:8] == b"ftyp"
    assert str(out) in (out / "02_film.ipynb").read_text() and str(out) not in (out / "02_film.html").read_text()
    end = printed.splitlines()[-2:]
    assert end[0] == "videos, for any browser:"
    file, _, size = end[1].strip().partition(" ")
    assert (file, size.strip()) == (os.path.relpath(out / "clip.mp4"), "7 frames of 32 x 48, 0.6 s")
    assert "False" in (out / "01_still.ipynb").read_text()  # OUT goes only to those that take it


def test_widgets_leave_their_static_form(toy, capsys):
    both = (
        "import ipywidgets\nfrom IPython.display import display\nwidget = ipywidgets.IntSlider()\n"
        "live = widget._repr_mimebundle_()\ndisplay({**live, 'text/html': '<b>as text</b>'}, raw=True)"
    )
    out, _, ending = run(toy("01_toy", both, "widget"), capsys)
    left = (out / "01_toy.ipynb").read_text() + (out / "01_toy.html").read_text()
    assert ending is None and "<b>as text</b>" in left and "widget-view" not in left and "widget-state" not in left


def test_without_videos_nothing_is_said_of_them(toy, capsys):
    assert "videos" not in run(toy("01_toy", "print(1)"), capsys)[1]


def test_an_error_shown_on_purpose_is_no_failure(toy, capsys):
    out, _, ending = run(toy("01_toy", ("1 / 0", "raises-exception"), "print('went on')"), capsys)
    assert ending is None
    assert "went on" in (out / "01_toy.html").read_text()
    assert "An Exception was encountered" not in (out / "01_toy.ipynb").read_text()


def test_failure_names_notebook_cell_and_error_and_the_next_one_still_runs(toy, capsys):
    toy("02_next", "print('next')")
    path = toy("01_toy", ("1 / 0", "raises-exception"), "\nwidth = 1 // 0\nprint(width)", "never = 1")
    out, _, ending = run(path, capsys)
    assert ending == "\nFAILED 01_toy, cell [3] `width = 1 // 0`: ZeroDivisionError: integer division or modulo by zero"
    assert "ZeroDivisionError" in (out / "01_toy.html").read_text()
    assert (out / "02_next.html").exists()


def test_long_errors_are_cut(toy, capsys):
    _, _, ending = run(toy("01_toy", "raise ValueError('first\\n' + 'x' * 1000)"), capsys)
    assert "ValueError: first xxx" in ending and ending.endswith("xxx ...") and len(ending) < 400


def test_dead_kernel(toy, capsys):
    _, _, ending = run(toy("01_toy", "import os", "os._exit(1)"), capsys)
    assert ending == "\nFAILED 01_toy, cell [3] `os._exit(1)`: the kernel died"


def test_endless_cell(toy, capsys, monkeypatch):
    monkeypatch.setattr(series, "CELL_TIMEOUT", 2)
    _, _, ending = run(toy("01_toy", "while True: pass"), capsys)
    assert ending == "\nFAILED 01_toy, cell [2] `while True: pass`: took longer than 2 s"


@pytest.mark.timeout(60)
def test_kernel_that_will_not_exit_is_ended(toy, capsys):
    deaf = "import atexit, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"
    assert run(toy("01_toy", deaf, "atexit.register(time.sleep, 1000)"), capsys)[2] is None


@pytest.mark.parametrize("cells", [["print(1)"], ['SYSTEM = "galaxy"'], [("n = 1", "parameters")]])
def test_without_a_parameters_cell_that_sets_system(toy, capsys, cells):
    _, _, ending = run(toy("01_toy", *cells, parameters=False), capsys)
    assert ending == "\nFAILED 01_toy, no cell tagged `parameters` sets SYSTEM"


def test_unknown_system_and_unknown_notebook(toy, capsys, tmp_path):
    path = toy("01_toy")
    assert run(path, capsys, "--system", "n151")[2].startswith("There is no system 'n151'; there are: n150, ")
    assert run(path, capsys, "--only", "07")[2] == "There is no notebook 07; there are: 01."
    with pytest.raises(SystemExit, match="There is no notebook to run; there are: none yet"):
        series.choose("", tmp_path / "empty")


def test_only_chooses_by_number_or_name(toy):
    first, second = toy("01_toy"), toy("02_toy")
    assert series.choose("", first.parent) == [first, second]
    assert series.choose("02", first.parent) == series.choose("02_toy", first.parent) == [second]
