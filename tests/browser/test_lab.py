"""JupyterLab in a real browser, as a learner uses it: two notebooks at once, exercises, a widget, a video, interrupts.

The notebooks are copies without outputs, in a folder of their own; the kernels are those of .venv.
"""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, listened

START, RUN = 120, 400  # seconds at most: for JupyterLab or a kernel to be there, for a notebook to run
IDLE = """() => {
    const notebook = jupyterapp.shell.currentWidget;
    return notebook?.content?.widgets?.length && notebook.sessionContext.session?.kernel?.status === "idle";
}"""
CLIP = [
    "from helpers import video\nfrom helpers.mesh import open_mesh\nfrom helpers.mochi.pipeline import Mochi",
    'mesh = open_mesh("galaxy")\nmochi = Mochi(mesh, "../models/tiny-mochi")\nsteps = 2',
    'clip = mochi("a red ball bounces", steps=steps)',
    "video.show(clip)",
]


class Server:
    """JupyterLab as `make lab` starts it, without its browser, on a folder of its own."""

    def __init__(self, folder: Path):
        self.folder, runtime = folder, folder / "runtime"
        (folder / "work").mkdir()
        (folder / "models").symlink_to(ROOT / "models")
        # Cells that are off the screen stay in the page, so that a test can find them.
        settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"windowingMode": "none"}))
        news = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        news.parent.mkdir(parents=True)
        news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        self.log = (folder / "log.txt").open("w")
        own = {name: str(folder / name) for name in ("config", "data", "workspaces", "ipython")}
        self.process = subprocess.Popen(
            [
                ROOT / ".venv/bin/python", "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
                "--expose-app-in-browser", f"--notebook-dir={folder / 'work'}",
            ],
            stdout=self.log, stderr=self.log,
            env=os.environ | {
                "JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": own["config"],
                "JUPYTER_DATA_DIR": own["data"], "JUPYTERLAB_WORKSPACES_DIR": own["workspaces"],
                "IPYTHONDIR": own["ipython"], "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
                "OMP_NUM_THREADS": "1",
            },
        )  # fmt: skip
        found = wait_for(lambda: list(runtime.glob("jpserver-*.json")), "JupyterLab")
        about = json.loads(found[0].read_text())
        self.url, self.token = about["url"].replace("localhost", "127.0.0.1"), about["token"]

    def stop(self) -> None:
        self.process.terminate()  # it ends its kernels first
        self.process.wait(START)
        self.log.close()


def wait_for(found, what: str):
    end = time.monotonic() + START
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.2)
    raise TimeoutError(f"{what} was not there after {START} s")


class Notebook:
    """A notebook in a tab of its own. Cells are named by a piece of their source."""

    def __init__(self, browser, server: Server, name: str):
        self.page = listened(browser.new_context(viewport={"width": 1280, "height": 900}).new_page())
        self.page.goto(f"{server.url}lab/workspaces/{Path(name).stem}/tree/{name}?token={server.token}")
        self.page.wait_for_function("() => window.jupyterapp", timeout=1000 * START)
        self.page.evaluate("() => jupyterapp.restored")
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_function(IDLE, timeout=1000 * START)

    def command(self, name: str) -> None:
        """Starts one of JupyterLab's commands; does not wait for its end."""
        self.page.evaluate("name => { window.running = jupyterapp.commands.execute(name); }", name)

    def finish(self) -> None:
        """Waits for the command to end and the kernel to rest."""
        late = f"new Promise((_, no) => setTimeout(() => no('not done after {RUN} s'), {1000 * RUN}))"
        self.page.evaluate(f"() => Promise.race([window.running, {late}])")
        self.ready()

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def index(self, piece: str) -> int:
        sources = self.page.evaluate(
            "() => jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.source)"
        )
        return next(n for n, source in enumerate(sources) if piece in source)

    def choose(self, piece: str) -> None:
        self.page.evaluate(
            "n => { jupyterapp.shell.currentWidget.content.activeCellIndex = n; "
            "jupyterapp.shell.currentWidget.content.deselectAll(); }",
            self.index(piece),
        )

    def write(self, piece: str, source: str) -> None:
        self.page.evaluate(
            "([n, source]) => jupyterapp.shell.currentWidget.content.widgets[n].model.sharedModel.setSource(source)",
            [self.index(piece), source],
        )

    def run(self, piece: str) -> str:
        """Runs one cell; returns what it prints, or the error that it shows."""
        self.choose(piece)
        self.command("notebook:run-cell")
        self.finish()
        return self.said(piece)

    def outputs(self, n: int | None = None) -> list[dict]:
        """Of one cell, or of all."""
        return self.page.evaluate(
            "n => jupyterapp.shell.currentWidget.content.widgets.filter((cell, at) => n === null || n === at)"
            ".flatMap(cell => cell.model.sharedModel.outputs ?? [])",
            n,
        )

    def said(self, piece: str) -> str:
        return "".join(text(output) for output in self.outputs(self.index(piece)))

    def errors(self) -> list[str]:
        return [text(output) for output in self.outputs() if output["output_type"] == "error"]


def text(output: dict) -> str:
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    return "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/plain", ""))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if not (ROOT / ".venv" / "complete").exists():
        pytest.fail("no .venv: run `make setup` first")
    server = Server(tmp_path_factory.mktemp("lab"))
    copy = nbformat.read(ROOT / "notebooks" / "01_mesh.ipynb", as_version=4)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(copy, server.folder / "work" / "01_mesh.ipynb")
    clip = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CLIP], metadata=copy.metadata
    )
    nbformat.write(clip, server.folder / "work" / "clip.ipynb")
    yield server
    server.stop()
    shutil.copy(server.folder / "log.txt", ROOT / "runs" / "lab.log")


@pytest.fixture(scope="module")
def both(browser, lab):
    """Two notebooks, run from top to bottom at the same time."""
    opened = Notebook(browser, lab, "01_mesh.ipynb"), Notebook(browser, lab, "clip.ipynb")
    for notebook in opened:
        notebook.run_all()
    for notebook in opened:
        notebook.finish()
    yield opened
    for notebook in opened:
        notebook.page.context.close()


@pytest.fixture
def mesh(both):
    return both[0]


@pytest.fixture
def clip(both):
    return both[1]


def test_two_notebooks_run_at_once(mesh, clip):
    assert mesh.errors() == clip.errors() == []
    assert clip.outputs(3)[0]["data"]["text/html"].startswith("<video")
    assert "emulated galaxy 4x8" in mesh.said("mesh = open_mesh(SYSTEM)")
    said = mesh.page.problems + clip.page.problems
    assert [line for line in said if line.startswith(("elsewhere:", "error:"))] == []  # JupyterLab may warn


def test_a_video_plays(clip):
    video = clip.page.locator("video")
    video.scroll_into_view_if_needed()
    clip.page.wait_for_function("video => video.currentTime > 0.2", arg=video.element_handle())


def test_the_explorer_follows_its_sliders(mesh):
    cell = mesh.page.locator(".jp-CodeCell", has_text="Explorer(placed").last
    picture = cell.locator("img.widget-image").first
    before = picture.get_attribute("src")
    cell.get_by_role("slider").first.press("ArrowLeft")
    mesh.page.wait_for_function("([img, old]) => img.src !== old", arg=[picture.element_handle(), before])


def test_the_hops_play(mesh):
    cell = mesh.page.locator(".jp-CodeCell", has_text="Hops()").last
    picture, step = cell.locator("img.widget-image").first, cell.locator(".widget-readout").first
    assert step.inner_text() == "0"
    before = picture.get_attribute("src")
    cell.locator(".widget-play button, .jupyter-widget-play button").first.click()
    mesh.page.wait_for_function("([img, old]) => img.src !== old", arg=[picture.element_handle(), before])
    mesh.page.wait_for_function("said => Number(said.innerText) >= 2", arg=step.element_handle())
    cell.locator("select").first.select_option("all_reduce")
    mesh.page.wait_for_function("said => Number(said.innerText) >= 8", arg=step.element_handle(), timeout=60_000)


def test_an_exercise_wrong_then_right(mesh):
    piece = "slice_of = check.slice_of(slice_of)"
    ask = f"\n\n\n{piece}"
    mesh.write(piece, "def slice_of(length, mesh_shape, axis, chip):\n    return 0, length" + ask)
    assert "slice_of is not right yet" in mesh.run(piece)
    mesh.write(piece, "def slice_of(length, mesh_shape, axis, chip):\n    return nowhere * length" + ask)
    assert "Your line 2, in slice_of:\n      return nowhere * length" in mesh.run(piece)
    right = "    part = length // mesh_shape[axis]\n    return chip[axis] * part, (chip[axis] + 1) * part"
    mesh.write(piece, "def slice_of(length, mesh_shape, axis, chip):\n" + right + ask)
    assert "slice_of is right." in mesh.run(piece)


def test_hint_and_answer(mesh):
    piece = "slice_of = check.slice_of(slice_of)"
    for asked, told in (("check.slice_of.hint(1)", "Hint 1: "), ("check.slice_of.answer()", "def slice_of(")):
        mesh.write(piece, asked)
        assert told in mesh.run(asked)
        piece = asked


def test_interrupted_while_denoising_and_run_again(clip):
    piece = "clip = mochi("
    clip.write(piece, CLIP[2].replace("steps=steps", "steps=64"))
    clip.choose(piece)
    clip.command("notebook:run-cell")
    said = clip.page.locator(".jp-CodeCell", has_text=piece).get_by_text(re.compile(r"denoise\s[1-9]\d*/64"))
    said.wait_for(timeout=1000 * START)  # any step: a busy machine may miss one of them
    clip.page.evaluate("() => jupyterapp.commands.execute('notebook:interrupt-kernel')")
    clip.finish()
    assert "KeyboardInterrupt" in clip.said(piece)
    clip.write(piece, CLIP[2])
    assert "KeyboardInterrupt" not in clip.run(piece) and clip.errors() == []


def test_a_cell_out_of_order_after_a_restart(clip):
    clip.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    clip.ready()
    assert clip.run("video.show(clip)") == "NameError: name 'video' is not defined"
    clip.run_all()
    clip.finish()
    assert clip.errors() == []
