"""What the tests in a real browser share: Debian's Chromium, a server for a folder, and a look at a page.

`make test-browser` runs them in the environment of the website, where neither torch nor ttnn is. Nothing here downloads
a browser: without one on this machine the tests are skipped, and say so.
"""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
SHOTS = ROOT / "runs" / "browser"  # what a failed test saw
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
]  # fmt: skip
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium here: `apt-get install chromium` on Debian and Ubuntu")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and "browser" in item.funcargs:
        pages = [page for context in item.funcargs["browser"].contexts for page in context.pages]
        for n, page in enumerate(pages):
            SHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SHOTS / f"{item.name.replace('/', ' ')[:80]}-{n}.png")
    return report


@pytest.fixture
def page(browser):
    """A window of 1280 x 900 pixels; `page.problems` collects what its console and its network say."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield listened(context.new_page())
    context.close()


def listened(page):
    """Writes down what goes wrong in a page, in `page.problems`."""
    page.problems = []
    page.on("console", lambda said: said.type in ("error", "warning") and page.problems.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: page.problems.append(f"error: {error}"))
    page.on("response", lambda got: got.status >= 400 and page.problems.append(f"{got.status}: {got.url}"))
    page.on("request", lambda asked: elsewhere(asked.url) and page.problems.append(f"elsewhere: {asked.url}"))
    return page


def elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def serve():
    """Serves a folder on this machine; returns its address."""
    servers = []

    def start(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
