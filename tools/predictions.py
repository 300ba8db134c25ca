"""Writes into each instructor's page what the predictions would answer on other systems: `python -m tools.predictions`.

Runs the notebooks on each of SYSTEMS, some five minutes each; what they say on a Galaxy is taken from the stored ones.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat

from tools.series import ROOT, choose, code_cells, execute
from tools.slow import put

SYSTEMS = ("n300", "t3000", "quietbox2")
STORED = "galaxy"
BEGIN, END = "<!-- predictions: tools/predictions.py -->", "<!-- so far -->"
PLACE = "## On other systems\n"  # behind it, where there are no marks yet
UNGUESSED = " You made no prediction."
PREDICT, ASKED = re.compile(r"(\w+) = predict\("), re.compile(r"Your turn: (.*)\? Put your guess")


def said(cell) -> str:
    """What a cell prints, on one line"""
    return " ".join("".join(output.get("text", "") for output in cell.outputs).split())


def questions(notebook) -> dict[str, str]:
    """Name of each prediction -> its question, as the cell asks it"""
    asking = [(PREDICT.search(cell.source), ASKED.search(said(cell))) for cell in code_cells(notebook)]
    return {name[1]: asked[1] for name, asked in asking if name and asked}


def answers(notebook) -> dict[str, tuple[str, str]]:
    """Name of each prediction -> its question, and what its reveal says where nobody has guessed"""
    found = {}
    for name, question in questions(notebook).items():
        for cell in code_cells(notebook):
            if f"{name}.reveal(" in cell.source:
                _, asked, rest = said(cell).partition(f"{question}: ")
                found[name] = question, rest.partition(UNGUESSED)[0] if asked else "-"
    return found


def part(by_system: dict[str, dict[str, tuple[str, str]]]) -> str:
    """The table of a page. by_system: system -> answers, the stored ones first. A question of its own stands beside."""
    rows = [f"| prediction | {' | '.join(by_system)} |", "|---" * (len(by_system) + 1) + "|"]
    for name, (question, _) in by_system[STORED].items():
        cells = [found.get(name, (question, "-")) for found in by_system.values()]
        texts = [answer if own == question else f"{answer}: {own}" for own, answer in cells]
        rows.append(f"| {question} | {' | '.join(texts)} |")
    return "\n".join([BEGIN, "", *rows, "", END])


def main(arguments=None, folder: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.predictions", description=__doc__)
    parser.add_argument("--only", default="", help="one notebook, as 01")
    options = parser.parse_args(arguments)
    for path in choose(options.only, folder / "notebooks"):
        found = {STORED: answers(nbformat.read(path, as_version=4))}
        for system in SYSTEMS:
            out = folder / "runs" / "predictions" / system
            out.mkdir(parents=True, exist_ok=True)
            failure = execute(path, out, system)["failure"]
            if failure:
                print(f"{path.stem} on {system}: {failure}", file=sys.stderr)
                return 1
            found[system] = answers(nbformat.read(out / path.name, as_version=4))
        page = folder / "lessons" / f"{path.stem}.md"
        before = page.read_text()
        page.write_text(put(before, part(found), before.index(PLACE) + len(PLACE)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
