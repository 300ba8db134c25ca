"""The page lessons/sources.md: what the notebooks cite, and where: `python -m tools.sources`.

A commit is cited as (owner/name, `path` at hash); what comes from the same repository later in a cell needs no name.
Raises ValueError for a commit without repository or path: nobody could look it up.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

from tools.series import ROOT, choose

PAGE = ROOT / "lessons" / "sources.md"
COMMIT = re.compile(r"(?:\bat |@)([0-9a-f]{7,8})\b")
PATH = re.compile(r"`([\w./-]+)`|\b(README\.md|config\.json)\b")
REPOSITORY = re.compile(r"\b(tenstorrent/[\w-]+|genmoai/mochi|Vchitect/VBench|google/t5-v1_1-xxl)\b|\b(tt-metal)\b")
ISSUE = re.compile(r"\b(issue|pull request)\s+(\d+)")
HEAD = """# Sources

What the seven notebooks cite, made from their text by `python -m tools.sources`. Figures of chips and links have their
sources in `ttnn_emulator/systems.py`, shares and rates in `helpers/planner/rates.py`, published times in
`helpers/planner/published.py` and `helpers/planner/cases.py`.

| repository | path | commit | cited in |
|---|---|---|---|
"""


@dataclass(frozen=True, order=True)
class Source:
    repository: str
    path: str  # or "issue 123"
    commit: str  # empty for an issue


def sources_in(text: str) -> list[Source]:
    """What a cell's text cites."""
    found = []
    for match in COMMIT.finditer(text):
        before = text[: match.start()]
        repositories, paths = REPOSITORY.findall(before), PATH.findall(before[-160:])
        if not repositories or not paths:
            raise ValueError(f"no repository or path before {match[1]}: ...{before[-60:]}")
        found.append(Source(named(repositories[-1]), "".join(paths[-1]), match[1]))
    for match in ISSUE.finditer(text):
        repositories = REPOSITORY.findall(text[: match.start()])
        if not repositories:
            raise ValueError(f"no repository before {match[0]}")
        found.append(Source(named(repositories[-1]), " ".join(match.groups()), ""))
    return found


def named(found: tuple[str, str]) -> str:
    return found[0] or f"tenstorrent/{found[1]}"


def page(paths: list[Path]) -> str:
    where: dict[Source, list[str]] = {}
    for path in paths:
        for cell in nbformat.read(path, as_version=4).cells:
            for source in sources_in(cell.source) if cell.cell_type == "markdown" else []:
                link = f"[{path.stem[:2]}](../notebooks/{path.name})"
                if link not in where.setdefault(source, []):
                    where[source].append(link)
    rows = [
        f"| {one.repository} | {f'`{one.path}`' if one.commit else one.path} | {one.commit} | {', '.join(links)} |"
        for one, links in sorted(where.items())
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    try:
        PAGE.write_text(page(choose("", ROOT / "notebooks")), encoding="utf-8")
    except ValueError as error:
        sys.exit(str(error))
