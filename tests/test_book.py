"""What the website is made of: stored notebooks, docstrings, links. `make test-browser` opens it in a browser."""

import base64
import io
import json
import re
from datetime import date, timedelta

import nbformat
import numpy as np
import pytest
import yaml
from PIL import Image

from docs import links, notebooks, pages, reference, share, verified
from helpers import video
from tools.series import ROOT

# --- notebooks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames():
    """(T, H, W, 3) = (7, 48, 64, 3): each frame its own grey."""
    return np.full((7, 48, 64, 3), 1, np.uint8) * np.arange(10, 220, 30, dtype=np.uint8)[:, None, None, None]


def shown(frames) -> list:
    """What helpers.video.show displays."""
    with pytest.MonkeyPatch.context() as patch:
        outputs = []
        patch.setattr("IPython.display.display", outputs.append)
        video.show(frames)
    return outputs


@pytest.fixture(scope="module")
def page(frames, tmp_path_factory):
    """The cells of a page made from a notebook with a video, a picture, and an answer; and its folder of videos."""
    v4 = nbformat.v4
    html = f"<p>before</p>{video.html(frames, width=190)} {video.html(frames[:2], width=280)}"
    png = base64.b64encode((ROOT / "models/tiny-sd3/samples.jpg").read_bytes()).decode()
    said = [shown(frames)[1]._repr_mimebundle_()[1]["image/jpeg"]["alt"], 'bytes over "steps"']
    strip, chart = (
        v4.new_output("display_data", {kind: png}, metadata={kind: {"alt": words}})
        for kind, words in zip(("image/jpeg", "image/png"), said, strict=True)
    )
    cells = [
        v4.new_code_cell(""),  # has no number
        v4.new_code_cell("video.show(x)", outputs=[v4.new_output("display_data", {"text/html": html}), strip]),
        v4.new_code_cell(
            'x = 1\nshow(\n    "a",\n    x,\n)', outputs=[v4.new_output("display_data", {"image/jpeg": png})]
        ),
        v4.new_code_cell("draw.rates(x)", outputs=[strip, chart]),
        v4.new_code_cell("guess.reveal(3)", outputs=[v4.new_output("stream", text="3")]),
        v4.new_code_cell("check.f.hint(1)", outputs=[v4.new_output("stream", text="think")]),
    ]
    folder = tmp_path_factory.mktemp("book")
    nbformat.write(v4.new_notebook(cells=cells), folder / "01_toy.ipynb")
    notebooks.convert(folder / "01_toy.ipynb", folder / "pages" / "01_toy.ipynb", folder / "media")
    return nbformat.read(folder / "pages" / "01_toy.ipynb", as_version=4).cells, folder / "media" / "01_toy"


def test_videos_become_files_with_poster_and_strip(page, frames):
    cells, media = page
    html = cells[1].outputs[0].data["text/html"]
    assert "base64" not in html and html.startswith('<div class="clips"><p>before</p>')
    assert re.findall(r'(?:src|poster)="([^"]+)"', html) == [
        f"01_toy/01-{n}{end}" for n in (1, 2) for end in (".mp4", "-poster.jpg", "-strip.jpg")
    ]
    assert re.findall(r"max-width:(\d+)px", html) == ["190", "280"]
    back, _ = video.read(media / "01-1.mp4")
    assert np.abs(back.astype(int) - frames).max() < 8
    strip = np.asarray(Image.open(media / "01-1-strip.jpg").convert("L"))
    assert strip.shape == (48, 6 * 64)
    first_to_last = strip[24, 32::64].astype(int)
    assert np.abs(first_to_last - [10, 40, 70, 130, 160, 190]).max() < 8  # of seven frames the middle one is left out


def test_a_card_shows_first_and_last_frame(page, tmp_path):
    _, media = page
    notebooks.write_cover(media.with_suffix(".ipynb"), media.parent, tmp_path / "cover.jpg")
    cover = np.asarray(Image.open(tmp_path / "cover.jpg").convert("L")).astype(int)
    assert cover.shape == (240, 480) and np.abs(cover[120, [120, 360]] - [10, 190]).max() < 8


def test_a_card_without_a_video_shows_the_first_picture(tmp_path, frames):
    png = io.BytesIO()
    Image.fromarray(frames[3][:, :24]).save(png, "png")
    cell = nbformat.v4.new_code_cell("draw()")
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(png.getvalue()).decode()})]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "01_toy.ipynb")
    notebooks.write_cover(tmp_path / "01_toy.ipynb", tmp_path, tmp_path / "cover.jpg")
    cover = np.asarray(Image.open(tmp_path / "cover.jpg").convert("L")).astype(int)
    assert np.abs(cover[120, [20, 240, 460]] - [255, 100, 255]).max() < 8  # whole, on white


def test_only_answers_are_folded(page):
    folded = [cell.source for cell in page[0] if "hide-output" in cell.metadata.get("tags", [])]
    assert folded == ["guess.reveal(3)", "check.f.hint(1)"]


def test_pictures_say_what_they_are(page):
    words = [cell.metadata.get("mystnb") for cell in page[0]]
    first, second = "show('a', x)", "6 frames of a video, from first to last. bytes over 'steps'"
    assert words[2:4] == [{"image": {"alt": f"What cell {n} draws: {said}"}} for n, said in ((2, first), (3, second))]
    assert [words[n] for n in (0, 1, 4, 5)] == [None] * 4


def test_the_strip_under_a_video_gives_way_to_the_sites_own(page):
    assert [len(cell.outputs) for cell in page[0]] == [0, 1, 1, 2, 1, 1]  # one that stands alone stays


def test_a_video_without_frames_is_refused(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(Exception, match="x.mp4"):
        notebooks.read(tmp_path / "x.mp4")


BADGE = "[![Open in Colab](https://example.org/badge.svg)](https://example.org/lab)"
SOURCES = {
    "docs/index.md": "# Start", "docs/conf.py": "", "docs/_static/book.css": "",
    "lessons/01_a.md": "[card](../models/m/README.md#use) [code](../helpers/a.py) [all](../models) [gone](../b.md)",
    "models/m/README.md": f"{BADGE} ![s](samples.jpg)", "models/m/samples.jpg": "", "models/m/weights.safetensors": "",
    "ttnn_emulator/README.md": "# E", "helpers/a.py": '"""What a is for."""',
}  # fmt: skip


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    project, made = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("pages")
    for name, text in SOURCES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (made / "old.md").write_text("from the last build")
    pages.gather(project, made, made / "media")
    return made


def test_all_sources_are_gathered(gathered):
    found = {path.relative_to(gathered).as_posix() for path in gathered.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith("reference/")} == {
        "index.md", "lessons/01_a.md", "models/m/README.md", "models/m/samples.jpg", "ttnn_emulator/README.md",
    }  # fmt: skip
    assert "What a is for." in (gathered / "reference/helpers.md").read_text()


def test_pages_name_nothing_that_the_website_lacks(gathered):
    assert (gathered / "models/m/README.md").read_text() == "[Open in Colab](https://example.org/lab) ![s](samples.jpg)"
    lesson = (gathered / "lessons/01_a.md").read_text()
    assert lesson == "[card](../models/m/README.md#use) code all [gone](../b.md)"  # Sphinx refuses what is gone


def test_pictures_of_lessons_and_notebooks_are_on_the_website(tmp_path):
    pages.gather(ROOT, tmp_path / "pages", tmp_path / "media")
    shown = lambda text: re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    for path in sorted([*ROOT.glob("lessons/*.md"), *ROOT.glob("notebooks/*.ipynb")]):
        names = [name for name in shown(path.read_text()) if name.startswith("../pictures/")]
        there = tmp_path / "pages" / path.relative_to(ROOT)
        assert [name for name in shown(there.read_text()) if name.startswith("../pictures/")] == names
        assert names or path.name in ("00_room.md", "checks.md", "claims.md", "sources.md")
        assert all((there.parent / name).is_file() for name in names)


def test_the_first_page_leads_to_every_notebook():
    index = (ROOT / "docs/index.md").read_text()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        title = json.loads(path.read_text())["cells"][0]["source"][0].removeprefix("# ").strip()
        entry = f"{path.stem[:2]} · {title}"
        assert f"grid-item-card}} {entry}\n:link: notebooks/{path.stem}" in index
        assert f"{entry} <notebooks/{path.stem}>" in index


# --- the reference ---------------------------------------------------------------------------------

MODULE = '''"""What it is for.

    example(1)

name.py    in columns
"""
from dataclasses import dataclass

@dataclass
class Size:
    """A size."""
    rows: int
    names: list = field(default_factory=list)

    def area(self, scale=2) -> int:
        """rows * columns, `a * b` as code.
        scale: how much larger
        """

    def _private(self):
        pass

class Box:
    def __init__(self, size: Size, *, deep: bool = True):
        pass

def _hidden():
    pass

def cut(x, axis="tp") -> "Tensor":
    """Cuts."""
'''


def test_reference(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "a.py").write_text(MODULE)
    (tmp_path / "pack" / "empty.py").write_text("x = 1")
    text = reference.pages(tmp_path, ["pack"])["pack.md"]
    assert (
        "# pack\n\n## pack.a\n\nWhat it is for.\n\n```text\nexample(1)\n```\n\n```text\nname.py    in columns\n```"
        in text
    )
    assert "{py:class} Size(rows: int, names: list = ...)\n:module: pack.a\n\nA size." in text
    assert "{py:method} area(scale=2) -> int\nrows \\* columns, `a * b` as code.\\\nscale: how much larger" in text
    assert "{py:class} Box(size: Size, *, deep: bool=True)" in text
    assert "{py:function} cut(x, axis='tp') -> 'Tensor'\n:module: pack.a\n\nCuts." in text
    assert "_private" not in text and "_hidden" not in text and "empty" not in text


# --- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<a href="b.html#here">', []),
        ('<a href="https://example.org">', []),  # may be followed, is not fetched
        ('<a href="mailto:a@example.org">', []),
        ('<a href="#top">', []),
        ('<link rel="next" href="b.html">', []),
        ('<a href="b.html#there">', ["a.html links to b.html#there"]),
        ('<a href="c.html">', ["a.html links to c.html"]),
        ('<a href="#bottom">', ["a.html links to #bottom"]),
        ('<video poster="p.jpg">', ["a.html links to p.jpg"]),
        ('<img src="//example.org/p.jpg">', ["a.html fetches //example.org/p.jpg"]),
        ('<script src="https://example.org/a.js">', ["a.html fetches https://example.org/a.js"]),
        ('<link rel="stylesheet" href="https://example.org/a.css">', ["a.html fetches https://example.org/a.css"]),
    ],
)
def test_links(tmp_path, body, wrong):
    (tmp_path / "a.html").write_text(f'<p id="top">{body}')
    (tmp_path / "b.html").write_text('<p id="here">')
    assert links.broken(tmp_path) == wrong


# --- last verified ---------------------------------------------------------------------------------


def test_last_verified(monkeypatch, tmp_path):
    monkeypatch.delenv("VERIFIED", raising=False)
    verified.write_badge(tmp_path)
    assert verified.sentence() == "" and not list(tmp_path.iterdir())
    monkeypatch.setenv("VERIFIED", "2026-11-23")
    verified.write_badge(tmp_path)
    assert verified.sentence().endswith("on 2026-11-23.")
    assert "2026-11-23" in (tmp_path / "verified.svg").read_text()


@pytest.mark.parametrize("given", ["yesterday", "2026-13-01", str(date.today() + timedelta(days=2))])
def test_no_day_on_which_the_series_ran(monkeypatch, given):
    monkeypatch.setenv("VERIFIED", given)
    with pytest.raises(ValueError):
        verified.day()


# --- what other places show of a link ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "address"),
    [("", ""), ("https://a.example/b", "https://a.example/b/"), ("https://a.example/", "https://a.example/")],
)
def test_the_sites_address(monkeypatch, given, address):
    monkeypatch.setenv("SITE", given)
    assert share.address() == address


def test_an_address_without_its_beginning_is_refused(monkeypatch):
    monkeypatch.setenv("SITE", "a.example/b")
    with pytest.raises(ValueError, match="a.example/b is no address"):
        share.address()


def test_the_shared_picture_is_whole_and_of_where_the_clip_plays(tmp_path):
    """Frame 21 of 24 has a red left half and a blue right one; the others are of another colour."""
    frames = [Image.new("RGB", (60, 24), (8 * n, 255 - 8 * n, 40)) for n in range(24)]
    frames[21] = Image.new("RGB", (60, 24), "red")
    frames[21].paste("blue", (30, 0, 60, 24))
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    share.write_picture(tmp_path / "a.webp", tmp_path / "new" / "share.jpg")
    picture = np.asarray(Image.open(tmp_path / "new" / "share.jpg").convert("RGB")).astype(int)
    assert picture.shape == (630, 1200, 3)
    red, blue = [254, 0, 0], [0, 0, 254]
    for (row, column), colour in {(315, 20): red, (315, 1180): blue, (80, 590): red, (10, 1180): red}.items():
        assert np.abs(picture[row, column] - colour).max() < 12  # scaled to the width; above it the ground


# --- the forge's workflows -------------------------------------------------------------------------

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def workflow_problems(text: str, targets: set[str]) -> list[str]:
    found = [f"not pinned: {use}" for use in re.findall(r"uses: (.*)", text) if not PINNED.fullmatch(use)]
    workflow = yaml.safe_load(text)
    if workflow.get("permissions") != {}:
        found.append("permissions for all jobs")
    for job in workflow["jobs"].values():
        found += [f"no {key}" for key in ("timeout-minutes", "permissions") if key not in job]
    return found + [
        f"make {target} is no target" for target in re.findall(r"make ([\w-]+)", text) if target not in targets
    ]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow(path):
    assert workflow_problems(path.read_text(), targets()) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("uses: actions/checkout@", "uses: actions/checkout@v4 #", "not pinned: actions/checkout@v4 #"),
        ("permissions: {}", "permissions: write-all", "permissions for all jobs"),
        ("    timeout-minutes: 60\n", "", "no timeout-minutes"),
        ("make lint", "make lent", "make lent is no target"),
    ],
)
def test_workflow_problems(old, new, problem):
    text = (ROOT / ".github/workflows/test.yml").read_text()
    assert any(found.startswith(problem) for found in workflow_problems(text.replace(old, new), targets()))
