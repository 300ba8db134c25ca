"""A learner's copies of the notebooks, in work/: made without outputs, renewed, started over.

    python -m tools.copies renew --only 03       # takes over what changed in the original and keeps your answers
    python -m tools.copies reset --only 03       # starts over; --only all for every notebook
    python -m tools.copies reset --only 03 --work room/anna/work       # of a learner in a room

Each cell of a copy remembers in its metadata what it was copied from. So what the learner wrote and what changed in
the original since can be told apart, cell by cell, without a second file. What is replaced is kept in work/before/.
"""

import argparse
import hashlib
import re
import time
from pathlib import Path

import nbformat

from helpers import answers
from tools.notebooks import VOLATILE
from tools.notebooks import read as read_original
from tools.series import ROOT, choose

MARK = "copied_from"  # in the metadata of a copy, and of each of its cells
YOURS = "# Yours, from before the cell above changed:\n"
PAGE = "START.md"


def digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def digest_of(notebook) -> str:
    """Changes with any text, code or prose, of a notebook, and not with its outputs."""
    return digest(*(cell.id + cell.cell_type + cell.source for cell in notebook.cells))


def fresh(original):
    """A copy without outputs: what a cell shows is for the learner to predict first."""
    copy = nbformat.from_dict(original)
    copy.metadata.pop("source_sha256", None)
    copy.metadata[MARK] = digest_of(original)
    for cell in copy.cells:
        cell.metadata[MARK] = digest(cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            for key in VOLATILE:
                cell.metadata.pop(key, None)
    return copy


def own(cell) -> bool:
    """Whether the learner wrote it, or changed it."""
    return bool(cell.source.strip()) and cell.metadata.get(MARK) != digest(cell.source)


def outdated(copy, original) -> bool:
    return copy.metadata.get(MARK) != digest_of(original)


def renewed(copy, original):
    """The original as it is now, with the learner's own cells in it. -> (notebook, number of those cells)

    Where the original's cell is as it was, the answer stands in its place. Where it changed too, both stand there, the
    answer below, so that it is the one that counts. Outputs are left out: they belong to the old cells.
    """
    new, kept, at = fresh(original), 0, 0  # at: where the learner's next cell would go
    for cell in copy.cells:
        ids = [known.id for known in new.cells]
        twin = new.cells[ids.index(cell.id)] if cell.id in ids else None
        at = ids.index(cell.id) + 1 if twin else at
        if not own(cell) or (twin and twin.source == cell.source):
            continue
        kept += 1
        if twin and twin.metadata[MARK] == cell.metadata.get(MARK):
            twin.source = cell.source
            continue
        new.cells.insert(at, own_cell(cell, changed=twin is not None))
        at += 1
    return new, kept


def own_cell(cell, changed: bool):
    """A cell of the learner's to stand beside the original's."""
    if cell.cell_type != "code":
        return nbformat.v4.new_markdown_cell(cell.source)
    return nbformat.v4.new_code_cell((YOURS if changed else "") + cell.source)


def read(path: Path):
    """Raises ValueError where the file is no notebook any more."""
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, KeyError, UnicodeDecodeError):
        raise ValueError(f"{path} is no notebook any more. Start it over: make reset ONLY={path.stem[:2]}.") from None


def write(path: Path, notebook) -> None:
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    part.replace(path)


def put_aside(path: Path) -> Path:
    """Moves a file to before/, beside those of other times."""
    kept = path.parent / "before" / f"{path.stem}.{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}"
    kept.parent.mkdir(exist_ok=True)
    return path.rename(kept)


def make(originals: list[Path], work: Path) -> list[str]:
    """Copies what is not there yet, renews what nobody has touched, writes the page to choose from, begins the file in
    which a learner's answers are kept.

    -> a line for each copy that is older than its original and has answers in it.
    """
    work.mkdir(parents=True, exist_ok=True)
    if not (work / answers.FILE).exists():
        (work / answers.FILE).write_text(answers.EMPTY)
    stale, rows = [], []
    for path in originals:
        original, copy = read_original(path), work / path.name
        if not copy.exists():
            write(copy, fresh(original))
        notebook = read(copy)
        written = sum(map(own, notebook.cells))
        if outdated(notebook, original) and not written:
            write(copy, fresh(original))
        elif outdated(notebook, original):
            stale.append(
                f"{copy.name} is older than its original. `make renew ONLY={path.stem[:2]}` takes over what is new "
                "and keeps your answers."
            )
        rows.append(row(path.name, original, written, stale=outdated(read(copy), original)))
    (work / PAGE).write_text("\n".join([*HEAD, *rows, *(f"\n{line}" for line in stale), *FOOT]) + "\n")
    return stale


HEAD = [
    "# Video on the Mesh",
    "",
    "How a sentence becomes a moving picture, on many chips. Choose a notebook; each can be read alone, and 01 is the "
    "beginning.",
    "",
    "| | notebook | | yours |",
    "|---|---|---|---|",
]
FOOT = [
    "",
    "These are copies without outputs: predict first, then run. The notebooks as they look when run are made by "
    "`make series`, in `runs/`.",
    "",
    f"Your predictions and exercises are kept in `{answers.FILE}`, beside them and nowhere else. `progress()` at the "
    "end of a notebook draws it. Delete it to begin again.",
]


def row(name: str, original, written: int, stale: bool) -> str:
    """A notebook's line on the page: title and minutes stand in its first cell."""
    head = original.cells[0].source
    title = re.search(r"^# (.+)", head, re.MULTILINE)
    minutes = re.search(r"about (\d+ minutes)", head)
    yours = f"{written} cell{'s' * (written != 1)} of yours" if written else "not begun"
    said = f"{yours}, older than its original" if stale else yours
    return f"| {name[:2]} | [{title[1] if title else name}]({name}) | {minutes[1] if minutes else ''} | {said} |"


def renew(originals: list[Path], work: Path) -> list[str]:
    """-> what was done, a line for each copy that was older."""
    said = []
    for path in originals:
        copy, original = work / path.name, read_original(path)
        if not copy.exists() or not outdated(read(copy), original):
            continue
        notebook, kept = renewed(read(copy), original)
        aside = put_aside(copy)
        write(copy, notebook)
        said.append(f"{copy.name}: renewed, {kept} cells of yours kept; as it was: {aside.parent.name}/{aside.name}")
    return said or ["All copies are as new as their originals."]


def reset(originals: list[Path], work: Path) -> list[str]:
    said = []
    for path in originals:
        copy = work / path.name
        aside = put_aside(copy) if copy.exists() else None
        work.mkdir(parents=True, exist_ok=True)
        write(copy, fresh(read_original(path)))
        said.append(f"{copy.name}: as new" + (f"; as it was: {aside.parent.name}/{aside.name}" if aside else ""))
    return said


def main(arguments=None, folder: Path = ROOT / "notebooks", work: Path = ROOT / "work") -> None:
    parser = argparse.ArgumentParser(description="Renew or reset your copies of the notebooks.")
    parser.add_argument("what", choices=["renew", "reset"])
    parser.add_argument("--only", default="")
    parser.add_argument("--work", type=Path, default=work, help="the folder of the copies; work/ unless given")
    options = parser.parse_args(arguments)
    if options.work != work and not options.work.is_dir():
        raise SystemExit(f"There is no folder {options.work}.")
    work = options.work
    if options.what == "reset" and not options.only:
        raise SystemExit("Which one? make reset ONLY=03 starts one over, make reset ONLY=all every one.")
    chosen = choose("" if options.only == "all" else options.only, folder)
    if options.what == "reset" and options.only == "all" and (work / answers.FILE).exists():
        put_aside(work / answers.FILE)  # the next learner's are not these
    try:
        print("\n".join({"renew": renew, "reset": reset}[options.what](chosen, work)))
    except ValueError as error:
        raise SystemExit(str(error)) from None
    make(choose("", folder), work)


if __name__ == "__main__":
    main()
