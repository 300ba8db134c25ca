"""The website in a real browser: every page at the width of a laptop and of a phone, and what moves on it."""

import re

import pytest
from conftest import ROOT, listened
from playwright.sync_api import expect

from docs.links import html_files

SITE = ROOT / "build" / "book"
WIDTHS = (1280, 390)
# Everything that a look at a page finds. Videos have loaded their first frames, or have said why not.
SEEN = """async () => {
    const address = (element) => (element.currentSrc || element.src).slice(0, 200);
    const named = (kind, found) => found.map((element) => `${kind}: ${address(element)}`);
    const pictures = [...document.images], videos = [...document.querySelectorAll("video")];
    await Promise.all(pictures.map((picture) => picture.decode().catch(() => 0)));
    await Promise.all(videos.map((video) => video.readyState || video.error || new Promise((done) => {
        for (const event of ["loadedmetadata", "error"]) video.addEventListener(event, done);
    })));
    const { scrollWidth } = document.documentElement;
    return [
        ...named("broken picture", pictures.filter((picture) => !picture.naturalWidth)),
        ...named("no words for picture", pictures.filter((picture) => !picture.alt)),
        ...named("broken video", videos.filter((video) => video.error)),
        ...(scrollWidth > innerWidth ? [`sideways scrolling: ${scrollWidth} of ${innerWidth} pixels`] : []),
    ];
}"""


@pytest.fixture(scope="module")
def site(serve):
    if not (SITE / "index.html").exists():
        pytest.fail("no website in build/book: run `make book` first")
    return serve(SITE)


def look(page, address: str) -> list[str]:
    """Opens an address; one line for each thing that is wrong with it."""
    page.problems.clear()
    page.goto(address)
    return page.evaluate(SEEN) + page.problems


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page(browser, site, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = listened(context.new_page())
    wrong = {}
    for path in html_files(SITE):
        name = path.relative_to(SITE).as_posix()
        found = look(page, f"{site}/{name}")
        wrong |= {name: found} if found else {}
    context.close()
    assert wrong == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<img src="absent.png" alt="a">', "404: .*absent.png"),
        ('<img src="page.html" alt="a">', "broken picture: .*page.html"),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "no words for picture: data:"),
        ('<video src="page.html"></video>', "broken video: .*page.html"),
        ('<div style="width: 500px">x</div>', "sideways scrolling: 508 of 390 pixels"),
        ("<script>console.error('no')</script>", "console: no"),
        ("<script>nothing()</script>", "error: nothing is not defined"),
        ('<script src="https://example.org/a.js"></script>', "elsewhere: https://example.org/a.js"),
        ("<p>All is well.</p>", None),
    ],
)
def test_a_look_sees_what_is_wrong(page, serve, tmp_path, body, expected):
    (tmp_path / "page.html").write_text(f"<!doctype html><link rel=icon href=data:,><body>{body}")
    page.set_viewport_size({"width": 390, "height": 900})
    found = look(page, serve(tmp_path) + "/page.html")
    assert not found if expected is None else any(re.match(expected, line) for line in found), found


def test_every_page_says_in_its_head_what_it_is():
    """Which search engines and places that show links read. Lists that Sphinx makes have no text of their own."""
    description = re.compile(r'<meta (?:name="description" content="([^"]+)"|content="([^"]+)" name="description")')
    said = {}
    for path in html_files(SITE):
        if path.name not in ("genindex.html", "py-modindex.html", "search.html"):
            head = path.read_text().partition("</head>")[0]
            told = description.findall(head)
            assert len(told) == 1 and 'property="og:title"' in head, path
            said["".join(told[0])] = path
    assert len(said) > 20 and all(len(text) > 40 for text in said)  # and each its own


def test_videos_play_when_they_come_into_view(page, site):
    page.goto(f"{site}/notebooks/06_text_to_video.html")
    video = page.locator("figure.clip video").first
    video.scroll_into_view_if_needed()
    page.wait_for_function("video => video.currentTime > 0.2", arg=video.element_handle())
    expect(page.locator("figure.clip img.strip").first).to_be_visible()


def test_answers_are_folded_until_they_are_opened(page, site):
    page.goto(f"{site}/notebooks/01_mesh.html")
    answer = page.get_by_text("You made no prediction.").first
    expect(answer).to_be_hidden()
    page.get_by_text("Show the answer").first.click()
    expect(answer).to_be_visible()


def test_the_slider_moves_from_noise_to_video(page, site):
    page.goto(f"{site}/index.html")
    slider = page.locator("figure.denoise input")
    left = "() => document.querySelector('figure.denoise video').getBoundingClientRect().left"
    last = page.evaluate(left)
    slider.press("Home")
    expect(page.locator("figure.denoise output")).to_have_text("1")
    window = page.locator("figure.denoise .window").bounding_box()
    assert page.evaluate(left) - last == pytest.approx(7 * window["width"], rel=0.01)
    assert page.evaluate(left) == pytest.approx(window["x"], abs=1)


def test_the_explorer_says_what_a_chip_holds(page, site):
    page.goto(f"{site}/index.html")
    said = page.locator("#explorer p").last
    page.get_by_role("button", name="chip (3, 1)").click()
    # by hand: token slice 1 of 8, feature slice 3 of 4
    expect(said).to_have_text(
        "Chip (3, 1) holds tokens [32, 64) and features [384, 512): 8 KiB in bfloat16. No other chip has this part."
    )
    page.get_by_label("placement").select_option("features over tp")
    expect(said).to_contain_text("tokens [0, 256) and features [384, 512): 64 KiB in bfloat16. 8 chips hold")
    page.get_by_label("system").select_option("n150")
    expect(said).to_contain_text("Chip (0, 0) holds tokens [0, 256) and features [0, 512): 256 KiB")


def test_search_finds_a_notebook(page, site):
    page.goto(f"{site}/search.html?q=guidance")
    expect(page.locator("#search-results a", has_text="From noise to a video").first).to_be_visible()


def test_dark_mode(page, site):
    page.goto(f"{site}/index.html")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"light => ({ground})() !== light", arg=light)


def test_cells_and_sections_can_be_reported(page, site):
    page.goto(f"{site}/notebooks/01_mesh.html")
    page.evaluate("reports('https://example.org/project')")
    links = page.locator("a.report")
    assert links.count() > page.locator("article div.cell").count() > 0
    address = page.locator("div.cell").nth(4).locator("a.report").get_attribute("href")
    assert address.startswith(
        "https://example.org/project/issues/new?title=notebooks%2F01_mesh.html%2C%20cell%20%5B5%5D"
    )
