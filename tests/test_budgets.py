"""The whole series, notebook by notebook, each on its own system: it runs, within its time, and prints what is stored.

(All of them on a Galaxy: `make series`, which the weekly run calls.)

budgets.json holds what was measured on two cores, in seconds: "notebook" for the whole, "cell" for any one
cell, and by its id a cell that takes longer than that. Three times as much is allowed, for slower and busier
machines.

Then, in the same kernel, quick cells run again from the last to the first (tests/again.py).

Cells tagged `nbval-check-output` must print today what was committed; the others show pictures, or digits that
depend on the CPU. Each notebook is a group of its own, so that two workers share the series.
"""

import copy
import json
import os
import re
from pathlib import Path

import nbformat
import pytest

from tools import notebooks, series

BUDGETS = json.loads(Path(__file__).with_name("budgets.json").read_text())
ALLOWED = 3
AGAIN = "again-first", "again-last"  # ids of the two cells that tests/again.py is called from
# Each in a group of its own for the workers; the longest first, or it would run alone in the end.
PATHS = [
    pytest.param(path, id=path.stem, marks=pytest.mark.xdist_group(path.stem))
    for path in sorted(
        (series.ROOT / "notebooks").glob("*.ipynb"),
        key=lambda path: -BUDGETS.get(path.stem, {"notebook": 0})["notebook"],
    )
]


def over_budget(result: dict, budgets: dict) -> list[str]:
    """Says what took too long, or that nobody has said yet how long it may take."""
    name = result["notebook"]
    if name not in budgets:
        slowest = max(row["seconds"] for row in result["cells"])
        measured = json.dumps({name: {"notebook": result["seconds"], "cell": slowest}})
        return [f"{name} has no budget in tests/budgets.json; measured now: {measured}"]
    budget = budgets[name]
    found = []
    if result["seconds"] > ALLOWED * budget["notebook"]:
        found.append(f"{name} took {result['seconds']} s, {ALLOWED} x {budget['notebook']} s are allowed")
    for row in result["cells"]:
        seconds = budget.get(row["id"], budget["cell"])
        if row["seconds"] > ALLOWED * seconds:
            found.append(f"{name} [{row['cell']}] `{row['name']}` took {row['seconds']} s, budget {seconds} s")
    gone = set(budget) - {"notebook", "cell"} - {row["id"] for row in result["cells"]}
    return found + [f"{name} has no cell {cell} any more, but a budget for it" for cell in sorted(gone)]


def default_system(notebook) -> str:
    """What a notebook's own parameters cell says."""
    source = next(cell.source for cell in notebook.cells if "parameters" in series.tags(cell))
    return re.search(r'^SYSTEM = "(\w+)"', source, re.MULTILINE)[1]


def copy_of(path: Path, folder: Path) -> Path:
    """The notebook with both cells, in a folder beside which `models` lies as it does beside the original."""
    notebook = nbformat.read(path, as_version=4)
    here = f"import sys as _sys\n\n_sys.path.append({str(Path(__file__).parent)!r})\nimport again as _again\n\n"
    watch = nbformat.v4.new_code_cell(f"{here}_ran = _again.watch()", id=AGAIN[0])
    rerun = nbformat.v4.new_code_cell("_again.again(_ran)", id=AGAIN[1])
    notebook.cells = [watch, *notebook.cells, rerun]
    there = folder / "notebooks" / path.name
    there.parent.mkdir()
    os.symlink(series.ROOT / "models", folder / "models")
    nbformat.write(notebook, there)
    return there


def found_in(executed: Path) -> dict:
    """What the last cell said: {"failed": [...], "predictions": [...], "cells": number run again}"""
    notebook = nbformat.read(executed, as_version=4)
    said = next(cell for cell in notebook.cells if cell.id == AGAIN[1]).outputs[-1].text
    return json.loads(said.splitlines()[-1])


def printed(notebook) -> dict[str, list[str]]:
    """By cell, for the cells that are compared: what they print, and the names of what they show."""
    cells = [cell for cell in notebooks.tidy(notebook).cells if "nbval-check-output" in series.tags(cell)]
    return {cell.id: [text(output) for output in cell.outputs] for cell in cells}


def text(output) -> str:
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return output.text if output.output_type == "stream" else output.data.get("text/plain", "")


def differences(stored, today) -> list[str]:
    """One line for each compared cell that prints something else today, or has not run."""
    was, now = printed(stored), printed(today)
    return [f"cell {cell} prints {now.get(cell)}, stored is {was[cell]}" for cell in was if was[cell] != now.get(cell)]


@pytest.mark.timeout(1800)  # what is too slow is said by the budget
@pytest.mark.parametrize("path", PATHS)
def test_series_runs_within_its_budget(path, tmp_path, record_property):
    stored = nbformat.read(path, as_version=4)
    (result,) = series.run([copy_of(path, tmp_path)], tmp_path, default_system(stored))
    record_property("time per notebook and its slowest cells", series.table([result], slowest=5))
    assert result["failure"] is None
    assert over_budget(result, BUDGETS) == []
    assert differences(stored, nbformat.read(tmp_path / path.name, as_version=4)) == []
    found = found_in(tmp_path / path.name)
    assert found["failed"] == [] and found["cells"] >= 10
    assert found["predictions"] == []


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        (lambda cells: None, 0),
        (lambda cells: cells[1].outputs[0].update(text="2\n"), 1),
        (lambda cells: cells[1].outputs.clear(), 1),
        (lambda cells: cells.pop(1), 1),
        (lambda cells: cells[2].outputs[0].data.update({"text/plain": "'c'"}), 1),
        (lambda cells: cells[2].outputs[0].data.update({"image/png": "other pixels"}), 0),
        (lambda cells: cells[3].outputs[0].update(text="0.2\n"), 0),  # is not compared
    ],
)
def test_differences(change, differing):
    v4, check = nbformat.v4, {"tags": ["nbval-check-output"]}
    shown = v4.new_output("execute_result", {"text/plain": "'b'", "image/png": "pixels"})
    stored = v4.new_notebook(cells=[
        v4.new_markdown_cell("a text"),
        v4.new_code_cell("print(1)", metadata=check, outputs=[v4.new_output("stream", text="1\n")]),
        v4.new_code_cell("'b'", metadata=check, outputs=[shown]),
        v4.new_code_cell("print(0.1)", outputs=[v4.new_output("stream", text="0.1\n")]),
    ])  # fmt: skip
    today = copy.deepcopy(stored)
    change(today.cells)
    assert len(differences(stored, today)) == differing


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"notebook": 2.0, "cell": 1.0}, []),
        ({"notebook": 2.0, "cell": 0.2, "slow": 1.0}, []),
        ({"notebook": 1.0, "cell": 1.0}, ["01_toy took 4.0 s, 3 x 1.0 s are allowed"]),
        ({"notebook": 2.0, "cell": 0.2}, ["01_toy [2] `train()` took 3.0 s, budget 0.2 s"]),
        (
            {"notebook": 2.0, "cell": 1.0, "old": 1.0},
            ["01_toy has no cell old any more, but a budget for it"],
        ),
    ],
)
def test_over_budget(budget, expected):
    cells = [
        {"cell": 2, "id": "slow", "seconds": 3.0, "name": "train()"},
        {"cell": 1, "id": "quick", "seconds": 0.1, "name": "x = 1"},
    ]
    result = {"notebook": "01_toy", "seconds": 4.0, "cells": cells}
    assert over_budget(result, {"01_toy": budget}) == expected
    assert "has no budget" in over_budget(result, {})[0]


def test_what_does_not_run_again_and_what_predictions_leave_open_is_found(toy, tmp_path):
    reveal = "from helpers.exercises import predict\n\nguess = predict('GB', 3)\nguess.reveal(4, mistakes={{{}}})"
    path = toy(
        "01_toy",
        "n = 1",
        "assert n == 1, f'n is {n}'",
        "n = 2",
        reveal.format("3: 'Too few.', 4: 'Right.'"),
        "other = predict('kB', 3)\nother.reveal(4)",
    )
    (tmp_path / "again").mkdir()
    (result,) = series.run([copy_of(path, tmp_path / "again")], tmp_path, "galaxy")
    found = found_in(tmp_path / path.name)
    assert result["failure"] is None and found["cells"] >= 4
    assert found["failed"] == ["assert n == 1, f'n is {n}': AssertionError: n is 2"]
    assert found["predictions"] == ["GB: 4 is answered by another sentence, or right", "kB: names no mistake"]
