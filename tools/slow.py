"""Writes into each instructor's page which cells make learners wait, from the seconds of the last `make series`.

    .venv/bin/python -m tools.slow          # after `make series`; reads runs/times.json

Only cells of SLOW seconds and more; the seconds are those of the machine that ran the series.
"""

import json
import re
import sys
from pathlib import Path

import nbformat

from tools.series import ROOT, code_cells, first_line

SLOW = 3.0  # seconds
BEGIN, END = "<!-- slow cells: tools/slow.py -->", "<!-- until here -->"
PLACE = "\n## Run sheet"  # in front of it, where there are no marks yet


def sections(notebook) -> dict[str, str]:
    """Id of each code cell -> the section that it stands in, "2. Four ways to place a tensor"."""
    found, section = {}, "the beginning"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^## (.+)$", cell.source, re.MULTILINE)
            section = headings[-1] if headings else section
        else:
            found[cell.id] = section
    return found


def part(notebook, result: dict, system: str) -> str:
    """What a page says of one notebook. result: its row in times.json.

    Raises ValueError where the notebook has been changed since: a slow cell that it does not have.
    """
    names, where = {cell.id: first_line(cell) for cell in code_cells(notebook)}, sections(notebook)
    slow = [row for row in result["cells"] if row["seconds"] >= SLOW]
    if gone := [row["name"] for row in slow if names.get(row["id"]) != row["name"]]:
        raise ValueError(f"{result['notebook']} has no cell `{gone[0]}` any more. Run `make series` again.")
    rows = [
        f"| {where[row['id']].replace('|', '/')} | `{row['name'].replace('|', '/')}` | {row['seconds']:.0f} |"
        for row in slow
    ]
    total = f"All cells together took {result['seconds']:.0f} s on {system}, on two cores."
    table = ["| section | the cell that begins with | seconds |", "|---|---|---|", *rows] if rows else []
    said = "These make people wait; begin them before you talk." if rows else f"None takes {SLOW:.0f} s."
    return "\n".join([BEGIN, "", f"*Slow cells.* {total} {said}", "", *table, *[""] * bool(rows), END])


def put(page: str, text: str, at: int) -> str:
    """The page with that text, between its first and last line, in place of the one it had; or at this place."""
    begin, *_, end = text.splitlines()
    if begin in page:
        return page[: page.index(begin)] + text + page[page.index(end) + len(end) :]
    return f"{page[:at]}\n{text}\n{page[at:]}"


def main(times: Path = ROOT / "runs" / "times.json", folder: Path = ROOT) -> int:
    if not times.is_file():
        print(f"There is no {times}. `make series` writes it.", file=sys.stderr)
        return 1
    found = json.loads(times.read_text())
    if failed := [result["notebook"] for result in found["notebooks"] if result["failure"]]:
        print(f"{', '.join(failed)} did not run to the end. Mend that first.", file=sys.stderr)
        return 1
    for result in found["notebooks"]:
        notebook = nbformat.read(folder / "notebooks" / f"{result['notebook']}.ipynb", as_version=4)
        page = folder / "lessons" / f"{result['notebook']}.md"
        before = page.read_text()
        page.write_text(put(before, part(notebook, result, found["system"]), before.index(PLACE)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
