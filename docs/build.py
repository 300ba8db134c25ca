"""Builds the website into build/book: gathers the pages, runs Sphinx, follows every link."""

import os
import re
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docs import links, notebooks, reference

ROOT = Path(__file__).resolve().parent.parent
SITE, PAGES, MEDIA, DOCTREES = (ROOT / "build" / name for name in ("book", "pages", "media", "doctrees"))
PACKAGES = (
    "ttnn_emulator",
    "helpers",
    *(f"helpers/{part}" for part in ("layers", "mochi", "frames", "planner", "exercises", "show", "world")),
)
COPIED = ("lessons/*.md", "models/*/README.md", "models/*/samples.*", "ttnn_emulator/README.md")
REMOTE_PICTURE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")  # a badge: its words are enough


def gather(root: Path, pages: Path, media: Path) -> None:
    """The sources of all pages, laid out as in the repository, so that links between them stay right; videos beside."""
    for folder in (pages, media):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "docs", pages, ignore=shutil.ignore_patterns("*.py", "__pycache__", "_static"))
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        notebooks.convert(notebook, pages / "notebooks" / notebook.name, media / "notebooks")
    for path in sorted(path for pattern in COPIED for path in root.glob(pattern)):
        target = pages / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (pages / "reference").mkdir()
    for name, text in reference.pages(root, PACKAGES).items():
        (pages / "reference" / name).write_text(text, encoding="utf-8")
    for path in pages.rglob("*.md"):
        path.write_text(REMOTE_PICTURE.sub(r"\1", path.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    gather(ROOT, PAGES, MEDIA)
    shutil.rmtree(SITE, ignore_errors=True)
    options = ["-q", "--fail-on-warning", "-c", str(ROOT / "docs"), "-d", str(DOCTREES), "-j", str(os.cpu_count())]
    if sphinx([*options, "-b", "html", str(PAGES), str(SITE)]):
        sys.exit("book: Sphinx found what stands above; nothing was published.")
    wrong = links.broken(SITE)
    if wrong:
        sys.exit("\n".join(["book: these links lead nowhere, or fetch from elsewhere:", *wrong]))
    count, size = len(links.html_files(SITE)), sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    print(f"build/book/index.html: {count} pages, {size / 1e6:.0f} MB; every link leads somewhere")


if __name__ == "__main__":
    main()
