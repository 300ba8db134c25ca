"""The sources of all pages, gathered from where they are kept."""

import json
import os
import re
import shutil
from pathlib import Path

from docs import notebooks, reference

PACKAGES = (
    "ttnn_emulator",
    "helpers",
    *(f"helpers/{part}" for part in ("layers", "mochi", "frames", "planner", "exercises", "show", "world")),
)
COPIED = (
    "lessons/*.md",
    "models/*/README.md",
    "models/*/samples.*",
    "ttnn_emulator/README.md",
    "pictures/[!b]*.webp",  # not butterfly.webp, which is README's
    "pictures/board_*.webp",
)
REMOTE_PICTURE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")  # a badge: its words are enough
LINK = re.compile(r"\[([^\]]+)\]\((?!\w+:|#)([^)#\s]+)(?:#[^)]*)?\)")


def gather(root: Path, pages: Path, media: Path) -> None:
    """The sources of all pages, laid out as in the repository, so that links between them stay right; videos beside."""
    for folder in (pages, media):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "docs", pages, ignore=shutil.ignore_patterns("*.py", "__pycache__", "_static"))
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        notebooks.convert(notebook, pages / "notebooks" / notebook.name, media / "notebooks")
        notebooks.write_cover(notebook, media / "notebooks", pages / "covers" / f"{notebook.stem}.jpg")
    for path in sorted(path for pattern in COPIED for path in root.glob(pattern)):
        target = pages / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (pages / "reference").mkdir()
    for name, text in reference.pages(root, PACKAGES).items():
        (pages / "reference" / name).write_text(text, encoding="utf-8")
    for path in pages.rglob("*.md"):
        path.write_text(settle(path.read_text(encoding="utf-8"), path, root, pages), encoding="utf-8")
    for path in pages.rglob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":  # code may look like a link
                cell["source"] = settle("".join(cell["source"]), path, root, pages)
        path.write_text(json.dumps(notebook), encoding="utf-8")


def settle(text: str, page: Path, root: Path, pages: Path) -> str:
    """What a page of a website cannot show: pictures from elsewhere, and links to files that are no pages."""

    def link(found: re.Match) -> str:
        target = os.path.normpath(page.parent.relative_to(pages) / found[2])
        return found[1] if (root / target).exists() and not (pages / target).is_file() else found[0]

    return LINK.sub(link, REMOTE_PICTURE.sub(r"\1", text))
