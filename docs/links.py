"""Follows the links of a built site without a network: what leads nowhere, and what would be fetched from elsewhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {
    ("link", "href"),
    ("video", "poster"),
    ("object", "data"),
}  # besides every src; a link of <a> is only followed
NOT_FETCHED = {"canonical", "next", "prev", "index", "search", "author", "license"}  # kinds of <link>


class Page(HTMLParser):
    """The addresses that one page names, and the places in it that others can name."""

    def __init__(self, text: str):
        super().__init__()
        self.followed, self.fetched, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.followed.append(given["href"])
        if set((given.get("rel") or "").split()) & NOT_FETCHED:
            return
        self.fetched += [value for key, value in attributes if value and (key == "src" or (tag, key) in FETCHED)]


def broken(site: Path) -> list[str]:
    """One line for each address that leads nowhere. Addresses elsewhere may be linked to, and nothing else."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in html_files(site)}
    found = []
    for path, page in pages.items():
        here = path.relative_to(site)
        found += [f"{here} fetches {address}" for address in page.fetched if urlsplit(address).netloc]
        addresses = dict.fromkeys([*page.followed, *page.fetched])
        found += [f"{here} links to {address}" for address in addresses if leads_nowhere(address, path, pages)]
    return found


def html_files(site: Path) -> list[Path]:
    """The site's pages; a theme leaves templates in _static that are none."""
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def leads_nowhere(address: str, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return False
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return True
    place = unquote(parts.fragment)
    return bool(place) and target in pages and place not in pages[target].places
