"""Builds the website into build/book: gathers the pages, runs Sphinx, follows every link."""

import os
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docs import links, pages, share, verified

ROOT = Path(__file__).resolve().parent.parent
SITE, PAGES, MEDIA, DOCTREES = (ROOT / "build" / name for name in ("book", "pages", "media", "doctrees"))


def main() -> None:
    for name, read in (("VERIFIED", verified.day), ("SITE", share.address)):
        try:
            read()
        except ValueError as error:
            sys.exit(f"book: {name} is wrong: {error}")
    pages.gather(ROOT, PAGES, MEDIA)
    share.write_picture(ROOT / "pictures" / "butterfly.webp", MEDIA / "share.jpg")
    shutil.rmtree(SITE, ignore_errors=True)
    options = ["-q", "--fail-on-warning", "-c", str(ROOT / "docs"), "-d", str(DOCTREES), "-j", str(os.cpu_count())]
    if sphinx([*options, "-b", "html", str(PAGES), str(SITE)]):
        sys.exit("book: Sphinx found what stands above; nothing was published.")
    verified.write_badge(SITE)
    wrong = links.broken(SITE)
    if wrong:
        sys.exit("\n".join(["book: these links lead nowhere, or fetch from elsewhere:", *wrong]))
    count, size = len(links.html_files(SITE)), sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    print(f"build/book/index.html: {count} pages, {size / 1e6:.0f} MB; every link leads somewhere")


if __name__ == "__main__":
    main()
