"""The prompt box: choose what to make and where, watch it being made, stop it, see it among those made before.

The button starts a thread, so that "stop" is heard. There is one mesh for all, so a cell that is run meanwhile waits
until the video is made. Another system than the open one runs in a process of its own.
"""

import base64
import hashlib
import io
import re
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

import ipywidgets as widgets
import torch
from IPython import get_ipython
from PIL import Image, ImageSequence

from helpers import video
from helpers.mesh import run_on
from helpers.mochi.pipeline import generate
from helpers.world import prompts
from helpers.world.builder import prompt_builder
from ttnn_emulator.systems import SYSTEMS, find_system

CLIP = Path(__file__).resolve().parents[2] / "pictures" / "clip.webp"


class Stopped(Exception):
    """The learner pressed "stop"."""


def make(mesh, folder: str, prompt: str, weights, settings: dict) -> torch.Tensor:
    """A video as `generate` makes it. Files in the folder speak to other processes: `step` says how many steps are
    done, and `stop` ends the work with Stopped."""

    def after(step, latents):
        Path(folder, "step").write_text(str(step + 1))
        if Path(folder, "stop").exists():
            raise Stopped

    return generate(prompt, weights=weights, mesh=mesh, callback=after, **settings)


class Studio:
    """Displays the controls. Where widgets do not run, the settings stand there as text, with frames of a clip.

    weights: as for helpers.mochi.pipeline.generate. out: the folder for the videos.
    """

    def __init__(self, mesh, weights: str | Path, out: str | Path):
        self.mesh, self.weights, self.out = mesh, weights, Path(out)
        self.job = threading.Thread()
        self.folder = None  # of the job that runs
        self.menus = prompt_builder()
        self.prompt = widgets.Text(self.menus.prompt, description="prompt", layout=widgets.Layout(width="98%"))
        others = [] if mesh.backend == "silicon" else SYSTEMS
        systems = sorted({mesh.system.name, *others}, key=[*SYSTEMS, mesh.system.name].index)
        self.system = widgets.Dropdown(options=systems, value=mesh.system.name, description="system")
        self.steps = widgets.IntSlider(20, 2, 64, description="steps")
        self.guidance = widgets.FloatSlider(4.5, min=1, max=12, step=0.5, description="guidance")
        self.seed = widgets.BoundedIntText(0, 0, 2**31 - 1, description="seed")
        self.run = widgets.Button(description="make the video", button_style="primary", icon="play")
        self.stop = widgets.Button(description="stop", icon="stop", disabled=True)
        self.progress = widgets.IntProgress(0, 0, self.steps.value)
        self.said, self.gallery = widgets.HTML(), widgets.HBox(layout={"flex_flow": "row wrap"})
        rows = [self.system, self.seed], [self.steps, self.guidance], [self.run, self.stop, self.progress]
        self.box = widgets.VBox([self.menus, self.prompt, *map(widgets.HBox, rows), self.said, self.gallery])
        for menu in self.menus.children:
            menu.observe(self.from_menus, "value")
        self.prompt.observe(lambda _: self.say(prompts.read(self.prompt.value).advice()), "value")
        self.run.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: Path(self.folder, "stop").touch())

    def from_menus(self, _) -> None:
        self.prompt.value = self.menus.prompt or self.prompt.value

    def say(self, text: str) -> None:
        self.said.value = escape(text).replace("\n", "<br>")

    def start(self) -> None:
        """What the button does. Nothing, while a video is being made."""
        if not self.job.is_alive():
            self.job = threading.Thread(target=self.work)
            self.job.start()

    def wait(self, *_) -> None:
        """Returns when the video is made. Interrupted, it ends the video too."""
        try:
            self.job.join()
        except KeyboardInterrupt:
            Path(self.folder, "stop").touch()
            self.job.join()

    def work(self) -> None:
        self.run.disabled, self.stop.disabled = True, False
        cells = getattr(get_ipython(), "events", None)
        if cells:
            cells.register("pre_run_cell", self.wait)
        try:
            with tempfile.TemporaryDirectory() as self.folder:
                self.film()
        except Exception as error:  # into the box: nobody reads a thread's traceback
            last = (str(error).strip().splitlines() or [""])[-1]  # of run_on: the other process's last line
            stopped = isinstance(error, Stopped) or last.endswith("studio.Stopped")
            self.say(f"Stopped after step {self.progress.value}." if stopped else last)
        finally:
            self.run.disabled, self.stop.disabled = False, True
            if cells:
                cells.unregister("pre_run_cell", self.wait)

    def film(self) -> None:
        """Makes the video in one more thread and meanwhile tells how far it is; then writes and shows it."""
        prompts.check(self.prompt.value)
        settings = {"steps": self.steps.value, "guidance": self.guidance.value, "seed": self.seed.value}
        task = self.folder, self.prompt.value, self.weights, settings
        system, self.progress.max = find_system(self.system.value), self.steps.value
        here = system == self.mesh.system
        where = f"{self.mesh.backend} {system}"
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(make, self.mesh, *task) if here else pool.submit(run_on, system.name, make, *task)
            while not made.done():
                self.report(where)
                time.sleep(0.2)
        self.hang(made.result(), task[1], settings, where)

    def hang(self, frames: torch.Tensor, prompt: str, settings: dict, where: str) -> None:
        """Writes a video and puts it first in the gallery. Another prompt, setting or system has another file."""
        chosen = [f"{name} {value}" for name, value in settings.items()]
        mark = hashlib.sha256(repr((prompt, chosen, where)).encode()).hexdigest()[:6]  # long prompts begin alike
        name = re.sub(r"\W+", "_", " ".join([prompt[:40], *chosen, where, mark]))
        path = self.out / f"06_{name}.mp4"
        video.write(path, frames, made_by=where)
        under = [prompt, ", ".join(chosen), where, *prompts.read(prompt).advice().splitlines()]
        film = video.html(frames, width=256)
        data = re.search(r'src="([^"]+)"', film)[1]
        link = f'<a download="{path.name}" href="{data}">{path.name}</a>'
        picture = widgets.HTML("<br>".join([film, *map(escape, under), link]))
        picture.layout = {"width": "270px"}
        self.gallery.children = (picture, *self.gallery.children)
        self.say(f"{path}, made by {where}")

    def report(self, where: str) -> None:
        file, steps = Path(self.folder, "step"), self.progress.max
        done = int(file.read_text() or 0) if file.exists() else 0
        self.progress.value = done
        self.say(f"{'decode' if done == steps else f'denoise {done + 1}/{steps}'} on {where}")

    def _repr_mimebundle_(self, **options):
        settings = (self.system, self.steps, self.guidance, self.seed)
        said = ", ".join(f"{control.description} {control.value}" for control in settings)
        still = f"<p><code>{escape(self.prompt.value)}</code><br>{said}<br>(In JupyterLab: menus and two buttons.)</p>"
        return self.box._repr_mimebundle_(**options) | {"text/html": still + made_before()}


def made_before() -> str:
    """What the studio makes, for where it makes nothing: frames of the clip with which the notebooks open."""
    with Image.open(CLIP) as clip:
        shown = [frame.convert("RGB").resize((96, 96)) for frame in ImageSequence.Iterator(clip)]
    kept = io.BytesIO()
    video.contact_sheet([shown]).save(kept, "jpeg", quality=80)
    source = base64.b64encode(kept.getvalue()).decode()
    words = "Six frames: a red butterfly comes from the left and lands on a blue flower."
    return f'<p><img src="data:image/jpeg;base64,{source}" alt="{words}"></p>'
