"""Figures in the notebooks' text, and where each comes from: `python -m tools.figures` names those from nowhere.

A figure is computed where a cell of the same notebook prints it or works with it, or of a notebook that its own cell
names; it is cited where its cell names a commit, a version, an issue, a publication, or a file of sources. What is
worked out in the text itself stands in ON_PAPER, as the text works it out. Anything else a reader would have to
believe. Years, minutes, numbers of notebooks, sections and exercises, sizes of tiles, and what is counted on fingers
are no figures. What this cannot see: a number that a cell happens to print for another reason.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from tools.series import ROOT, choose

NUMBER = re.compile(r"(?<![\w.,-])\d[\d,]*(?:\.\d+)?(?![\w]|[.,]\d)")
NO_TEXT = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|!?\[[^\]]*\]\([^)]*\)", re.DOTALL
)  # code, formulas, links
NAMES = re.compile(
    r"(?i)\b(?:notebooks?|sections?|exercises?|lesson|cells?|dimensions?|axis|chips?|frames?|steps?|part|SD|Wan|Stable"
    r" Diffusion|T5|Blackhole|QuietBox|level|latents?|Galaxy|difficulty|importance|version|seed|channel|strength)"
    r"[ -](?:version )?\d[\d.,]*(?:(?:,| and| to|-| or) ?\d[\d.]*)*"
)
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
MINUTES = re.compile(r"\babout \d+ minutes|\*\d+ minutes?|· \d+ minutes")
CITED = re.compile(
    r"(?i)(?:\bat |@)[0-9a-f]{7,8}\b|\b(?:issue|pull request)\s+\d+|\b(?:diffusers|transformers|ttnn) \d+\.\d+"
    r"|, 20[0-2]\d\b|\b(?:systems|rates|published|real|cases)\.py|\bsame (?:source|config\.json)"
)
OTHER = re.compile(r"\bnotebooks? (\d\d)")
ON_PAPER = {
    "01_mesh": {"3.5": "7 / 2", "2.147": "2 * 2**30 / 1e9"},
    "02_text": {"0.7": "math.log(2)", "31": "32 - 1"},
    "04_decode": {
        "10,368": "12 * 6 * 12 * 12", "199": "163 * 480 * 848 * 3 / 1e6", "1,152": "6 * 8 * 8 * 3",
        "83": "31 * 96 * 96 * 3 / (12 * 6 * 12 * 12)", "0.73": "2 * 362_526_595 / 1e9",
    },
    "05_frame_by_frame": {"31": "6 * 5 + 1", "36": "32 * 72 / 64"},
    "06_text_to_video": {"28": "(163 - 1) / 6 + 1", "55": "(325 - 1) / 6 + 1"},
    "07_cost": {"1,590": "30 * 53", "44,520": "28 * 30 * 53", "3.1": "28 / 9"},
}  # fmt: skip
FINGERS = 12
TILES = {16, 32, 64, 96, 100}  # sizes that are said in every notebook, and per cent


@dataclass(frozen=True)
class Figure:
    """A number in a text, as it is written, and the cell (counted from 0) where it stands."""

    notebook: str
    cell: int
    written: str

    @property
    def value(self) -> float:
        return float(self.written.replace(",", ""))


def figures(path: Path) -> list[Figure]:
    """All of a notebook's text."""
    found = []
    for place, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "markdown":
            text = YEAR.sub(" ", NAMES.sub(" ", MINUTES.sub(" ", NO_TEXT.sub(" ", cell.source))))
            found += [Figure(path.stem, place, number.rstrip(",")) for number in NUMBER.findall(text)]
    return [figure for figure in found if figure.value > FINGERS or "." in figure.written]


def from_nowhere(path: Path) -> list[Figure]:
    """Figures that are neither computed, nor cited in their cell, nor worked out on paper."""
    cells = nbformat.read(path, as_version=4).cells
    here, paper = computed(path) | TILES, ON_PAPER.get(path.stem, {})
    cited = {place for place, cell in enumerate(cells) if CITED.search(cell.source)}
    return [
        one for one in figures(path)
        if one.cell not in cited and one.value not in here and one.written not in paper
        and not any(one.value in computed(other) for name in OTHER.findall(cells[one.cell].source)
                    for other in path.parent.glob(f"{name}_*.ipynb"))
    ]  # fmt: skip


def computed(path: Path) -> set[float]:
    """All numbers in a notebook's code and in what it prints."""
    cells = nbformat.read(path, as_version=4).cells
    return {value for cell in cells if cell.cell_type == "code" for value in numbers_of(cell)}


def wrong_on_paper(name: str, written: str) -> str | None:
    """A sentence where what is worked out in the text is another number, rounded as it is written."""
    worked_out = eval(ON_PAPER[name][written], {"math": math})
    digits = len(written.partition(".")[2])
    if round(worked_out, digits) == float(written.replace(",", "")):
        return None
    return f"{name} says {written}, and {ON_PAPER[name][written]} is {worked_out:g}"


def numbers_of(cell) -> set[float]:
    """What stands in a cell's code and in what it prints; a share also as per cent."""
    texts = [cell.source] + [output.get("text", "") for output in cell.outputs]
    texts += ["".join(output.get("data", {}).get("text/plain", "")) for output in cell.outputs]
    written = [float(number.replace(",", "").replace("_", "")) for text in texts for number in
               re.findall(r"\d[\d,_]*(?:\.\d+)?", text) if number.strip(",_")]  # fmt: skip
    return set(written) | {round(100 * number, 4) for number in written if number < 1}


def main() -> None:
    for path in choose("", ROOT / "notebooks"):
        for figure in from_nowhere(path):
            print(f"{figure.notebook} [{figure.cell}]: {figure.written}")


if __name__ == "__main__":
    main()
