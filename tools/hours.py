"""How long a learner sits at each notebook, worked out from what is in it.

    .venv/bin/python -m tools.hours          # a table, one line for each notebook

Words are read at 200 a minute, those of comments too, a line of code in 4 seconds, and a prediction takes a minute. An
exercise takes as long as its difficulty says; one that may be left for later is not counted. Cells take what
tests/budgets.json has. The sum, to the next five minutes, is what the notebook, its lesson and README state, and what
its sections add up to; a test holds them to it.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from tools.series import ROOT, choose

WORDS_A_MINUTE = 200
SECONDS_A_LINE = 4
MINUTES_A_PREDICTION = 1
MINUTES = {1: 3, 2: 4, 3: 6, 4: 8, 5: 10}  # of an exercise, by its difficulty
LONGEST = 75  # minutes that a notebook may take
EXERCISE = re.compile(r"^### Exercise \d+.*?\n\n(\*Difficulty (\d) of 5.*?\*)", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LATER = "leave it for later"


@dataclass(frozen=True)
class Hours:
    """Minutes of one notebook"""

    reading: float
    code: float
    predictions: float
    exercises: float
    running: float

    @property
    def total(self) -> float:
        return self.reading + self.code + self.predictions + self.exercises + self.running

    @property
    def stated(self) -> int:
        """To the next five minutes, as a text would say it"""
        return 5 * math.ceil(self.total / 5)


def hours(notebook, seconds: float) -> Hours:
    """seconds: what all cells take together."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = PICTURE.sub("", text)  # what it shows is said for those who do not see it
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    comments, lines = [], []
    for line in filter(str.strip, code.splitlines()):
        (comments if line.lstrip().startswith("#") else lines).append(line)
    exercises = [MINUTES[int(level)] for said, level in EXERCISE.findall(text) if LATER not in said]
    return Hours(
        reading=len(re.findall(r"[^\W\d_]\w*", "\n".join([text, *comments]))) / WORDS_A_MINUTE,
        code=len(lines) * SECONDS_A_LINE / 60,
        predictions=len(re.findall(r"= predict\(", code)) * MINUTES_A_PREDICTION,
        exercises=sum(exercises),
        running=seconds / 60,
    )


def measured(name: str) -> float:
    """Seconds that all cells of a notebook take on two cores."""
    return json.loads((ROOT / "tests" / "budgets.json").read_text())[name]["notebook"]


def stated_in(path: Path) -> dict[str, int | None]:
    """The minutes that the notebook's head, its sections together, its lesson and README's table say."""
    cells = nbformat.read(path, as_version=4).cells
    texts = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    lesson = (ROOT / "lessons" / f"{path.stem}.md").read_text()
    said = {
        "notebook": re.search(r"about (\d+) minutes", cells[0].source),
        "lesson": re.search(r"After (\d+) minutes", lesson),
        "README": re.search(rf"notebooks/{path.name}\) \| (\d+) \|", (ROOT / "README.md").read_text()),
    }
    sections = sum(map(int, re.findall(r"^## \d+\. .*\n\n\*(\d+) minutes?\.\*", texts, re.MULTILINE)))
    return {where: int(one[1]) if one else None for where, one in said.items()} | {"sections": sections}


def table(rows: dict[str, Hours]) -> str:
    lines = [f"{'notebook':22}{'words':>7}{'code':>7}{'guess':>7}{'tasks':>7}{'runs':>7}{'minutes':>9}"]
    for name, of in rows.items():
        parts = (of.reading, of.code, of.predictions, of.exercises, of.running)
        lines.append(f"{name:22}" + "".join(f"{part:7.1f}" for part in parts) + f"{of.stated:9}")
    return "\n".join(lines)


def main() -> None:
    paths = choose("", ROOT / "notebooks")
    print(table({path.stem: hours(nbformat.read(path, as_version=4), measured(path.stem)) for path in paths}))


if __name__ == "__main__":
    main()
