"""The whole series, end to end, within its time.

budgets.json holds what was measured on two cores, in seconds: "notebook" for the whole, "cell" for any one
cell, and by its id a cell that takes longer than that. Three times as much is allowed, for slower and busier
machines.
"""

import json
from pathlib import Path

import pytest

from tools import series

BUDGETS = json.loads(Path(__file__).with_name("budgets.json").read_text())
ALLOWED = 3


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


@pytest.mark.timeout(3600)
def test_series_runs_within_its_budget(tmp_path, record_property):
    folder = series.ROOT / "notebooks"
    if not list(folder.glob("*.ipynb")):
        pytest.skip("no notebook yet")
    results = series.run(series.choose("", folder), tmp_path, "galaxy")
    record_property("time per notebook and its slowest cells", series.table(results, slowest=5))
    assert [f"{r['notebook']}, {r['failure']}" for r in results if r["failure"]] == []
    assert [line for r in results for line in over_budget(r, BUDGETS)] == []


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
