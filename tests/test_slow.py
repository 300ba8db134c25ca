"""The instructor's list of slow cells: from measured seconds, and never of cells that are gone."""

import json

import nbformat
import pytest

from tools import slow
from tools.series import ROOT, first_line


@pytest.fixture
def folder(tmp_path):
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell("# A toy\n\n## 1. The way"),
        v4.new_code_cell("quick()", id="a"),
        v4.new_markdown_cell("### Exercise\n\n## 2. The | loop"),
        v4.new_code_cell("train(1)\nmore()", id="b"),
    ]
    for name in ("notebooks", "lessons", "runs"):
        (tmp_path / name).mkdir()
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / "notebooks" / "01_toy.ipynb")
    (tmp_path / "lessons" / "01_toy.md").write_text("# Lesson\n\nText.\n\n## Run sheet\n\n| a |\n")
    return tmp_path


def written(folder, *rows, failure=None) -> int:
    cells = [{"cell": n, "id": i, "seconds": s, "name": name} for n, (i, s, name) in enumerate(rows, 1)]
    row = {"notebook": "01_toy", "seconds": 41.4, "failure": failure, "cells": cells}
    times = folder / "runs" / "times.json"
    times.write_text(json.dumps({"system": "t3000", "notebooks": [row]}))
    return slow.main(times, folder)


def test_slow_cells_stand_before_the_run_sheet_and_are_replaced(folder):
    page = folder / "lessons" / "01_toy.md"
    assert written(folder, ("b", 12.6, "train(1)"), ("a", 2.9, "quick()")) == 0
    once = page.read_text()
    assert "41 s on t3000" in once and "| 2. The / loop | `train(1)` | 13 |" in once and "quick" not in once
    assert once.index("train(1)") < once.index("## Run sheet") and once.startswith("# Lesson\n\nText.\n\n<!--")
    assert written(folder, ("b", 12.6, "train(1)"), ("a", 2.9, "quick()")) == 0 and page.read_text() == once
    assert written(folder, ("a", 2.9, "quick()")) == 0
    assert "None takes 3 s." in page.read_text() and "train" not in page.read_text()


def test_what_has_changed_or_failed_is_refused(folder, capsys):
    with pytest.raises(ValueError, match="01_toy has no cell `train\\(0\\)` any more"):
        written(folder, ("b", 12.6, "train(0)"))
    assert written(folder, ("b", 12.6, "train(1)"), failure="cell [2]") == 1
    assert "01_toy did not run to the end" in capsys.readouterr().err
    assert slow.main(folder / "nowhere.json", folder) == 1
    assert "<!--" not in (folder / "lessons" / "01_toy.md").read_text()


def test_the_lessons_name_cells_that_are_there():
    for page in sorted((ROOT / "lessons").glob("0[1-9]*.md")):
        text = page.read_text()
        listed = text[text.index(slow.BEGIN) : text.index(slow.END)]
        notebook = nbformat.read(ROOT / "notebooks" / f"{page.stem}.ipynb", as_version=4)
        names = {first_line(cell).replace("|", "/") for cell in notebook.cells if cell.cell_type == "code"}
        for line in listed.splitlines():
            if line.startswith("| ") and "`" in line:
                assert line.split("`")[1] in names, f"{page.name}: {line}"
