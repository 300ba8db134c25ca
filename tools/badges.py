"""Puts a Colab badge and first cell into every notebook: `python -m tools.badges OWNER/NAME`, or `--remove`.

The project does not know where on GitHub it lies, so it is told. Run `make notebooks` afterwards: the cells have other
numbers then.
"""

import argparse
import re
from pathlib import Path

import nbformat

from tools.notebooks import read
from tools.series import ROOT

ID = "colab"  # the cell's
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
OPEN = "https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}"
CELL = """
# In Colab this gets what is needed. Elsewhere it does nothing.
import importlib.util
import os
import runpy

if importlib.util.find_spec("helpers") is None:
    if not os.path.exists("course") and os.system("git clone --quiet --depth 1 {address} course"):
        raise SystemExit("{address} could not be fetched. Run this cell again.")
    runpy.run_path("course/tools/colab.py", run_name="__main__")
""".strip()


def without(notebook):
    """Takes badge and cell out, where they are."""
    notebook.cells = [cell for cell in notebook.cells if cell.id != ID]
    head = notebook.cells[0]
    head.source = re.sub(rf"^\[!\[[^\]]*\]\({re.escape(BADGE)}\)\]\(\S*\)\n\n", "", head.source, flags=re.MULTILINE)
    return notebook


def with_badge(notebook, name: str, repository: str):
    """A badge under the title, and the cell after the first one; what was there of another repository goes."""
    notebook = without(notebook)
    title, _, rest = notebook.cells[0].source.partition("\n\n")
    link = OPEN.format(repository=repository, name=name)
    notebook.cells[0].source = f"{title}\n\n[![Open in Colab]({BADGE})]({link})\n\n{rest}"
    cell = CELL.format(address=f"https://github.com/{repository}")
    notebook.cells.insert(1, nbformat.v4.new_code_cell(cell, id=ID))
    return notebook


def main(arguments=None, folder: Path = ROOT / "notebooks") -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", nargs="?", default="", help="OWNER/NAME on GitHub")
    parser.add_argument("--remove", action="store_true")
    options = parser.parse_args(arguments)
    if bool(options.repository) == options.remove:
        raise SystemExit("badges: name the repository, OWNER/NAME, or say --remove.")
    if options.repository and not re.fullmatch(r"[\w.-]+/[\w.-]+", options.repository):
        raise SystemExit(f"badges: {options.repository} is not of the form OWNER/NAME.")
    for path in sorted(folder.glob("*.ipynb")):
        notebook = read(path)
        changed = without(notebook) if options.remove else with_badge(notebook, path.name, options.repository)
        path.write_text(nbformat.writes(changed) + "\n", encoding="utf-8")
        print(f"{path.name}: badge {'removed' if options.remove else f'for {options.repository}'}")


if __name__ == "__main__":
    main()
