"""The prompt box without a browser: what its buttons do, and what it says."""

import base64
import io
import re
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import video
from helpers.mesh import close_mesh, open_mesh
from helpers.show import studio


@pytest.fixture(scope="module")
def mesh():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


@pytest.fixture
def box(mesh, tmp_path, monkeypatch):
    """A box whose videos are made of nothing; `box.pause` holds them before each step, `box.asked` keeps calls."""
    made = studio.Studio(mesh, "weights", tmp_path)
    made.pause, made.asked = threading.Semaphore(1000), []

    def generate(prompt, *, weights, mesh, callback, steps, **settings):
        made.asked.append((prompt, weights, mesh, steps, settings))
        for step in range(steps):
            assert made.pause.acquire(timeout=20)
            callback(step, None)
        return torch.rand(7, 32, 32, 3)

    monkeypatch.setattr(studio, "generate", generate)
    return made


def until(condition, seconds=100):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_click_makes_a_video_of_what_is_chosen(box, mesh, tmp_path):
    box.steps.value, box.guidance.value, box.seed.value = 5, 3.0, 11
    box.run.click()
    box.wait()
    assert box.asked == [(box.prompt.value, "weights", mesh, 5, {"guidance": 3.0, "seed": 11})]
    (file,) = tmp_path.glob("*.mp4")
    name = "06_a_big_blue_butterfly_landing_on_a_yellow_steps_5_guidance_3_0_seed_11_emulated_galaxy_4x8_"
    assert file.name.startswith(name)
    assert video.read(file)[0].shape == (7, 32, 32, 3) and b"emulated galaxy 4x8" in file.read_bytes()
    assert box.said.value == f"{file}, made by emulated galaxy 4x8"
    assert box.stop.disabled and not box.run.disabled


def test_what_was_made_stays_in_the_gallery_and_in_files_of_its_own(box, tmp_path):
    box.steps.value = 3
    for strength in (1.0, 8.0):
        box.guidance.value = strength
        box.run.click()
        box.wait()
    box.hang(torch.rand(7, 32, 32, 3), "a red dragonfly <i>landing", {"seed": 2}, "emulated n150 1x1")
    strange, last, first = (picture.value for picture in box.gallery.children)
    assert "guidance 8.0, " in last and "guidance 1.0, " in first and "data:video/mp4" in first
    assert "&lt;i&gt;landing" in strange and "emulated n150 1x1" in strange and "dragonfly&#x27;" in strange
    frames, others = torch.rand(7, 32, 32, 3), {"steps": 3, "seed": 1234567}
    long = "a big turquoise butterfly taking off from a "
    for prompt, settings, where in (
        (long + "green flower", others, "emulated galaxy 4x8"),
        (long + "pink flower", others, "emulated galaxy 4x8"),
        (long + "pink flower", others | {"seed": 1234568}, "emulated galaxy 4x8"),
        (long + "pink flower", others, "emulated galaxy:8x4 8x4"),
        ("a red/blue ../butterfly", others, "emulated n150 1x1"),
    ):
        box.hang(frames, prompt, settings, where)
    kept = base64.b64decode(re.search(r'<a download="(06_\w+\.mp4)" href="data:video/mp4;base64,([^"]+)"', last)[2])
    assert kept[4:8] == b"ftyp"
    assert len(list(tmp_path.glob("06_*.mp4"))) == 8 == len(list(tmp_path.rglob("*"))), "none over another, all here"
    assert "seed 1234568" in box.gallery.children[2].value


def test_stopped_and_run_again(box, tmp_path):
    box.pause = threading.Semaphore(0)
    box.run.click()
    assert box.stop.disabled is False and box.run.disabled
    box.run.click()  # a second click changes nothing
    box.pause.release(2)
    until(lambda: box.said.value == "denoise 3/20 on emulated galaxy 4x8")
    box.stop.click()
    box.pause.release(1000)
    box.wait()
    assert box.said.value == "Stopped after step 2." and not list(tmp_path.glob("*.mp4")) and len(box.asked) == 1
    box.run.click()
    box.wait()
    assert len(list(tmp_path.glob("*.mp4"))) == 1


def test_a_cell_that_is_run_meanwhile_waits(box, monkeypatch):
    hooks = []
    events = SimpleNamespace(
        register=lambda name, hook: hooks.append((name, hook)), unregister=lambda name, hook: hooks.remove((name, hook))
    )
    monkeypatch.setattr(studio, "get_ipython", lambda: SimpleNamespace(events=events))
    box.pause = threading.Semaphore(0)
    box.run.click()
    until(lambda: hooks)
    ((name, before_a_cell),) = hooks
    threading.Timer(0.5, lambda: box.pause.release(1000)).start()
    before_a_cell("info")
    assert name == "pre_run_cell" and box.said.value.endswith("made by emulated galaxy 4x8") and not hooks


def test_interrupting_a_cell_that_waits_stops_the_video(box):
    box.pause = threading.Semaphore(0)
    box.run.click()
    join, calls = box.job.join, []

    def interrupted():
        calls.append(1)
        if len(calls) == 1:
            until(lambda: box.folder)
            raise KeyboardInterrupt
        box.pause.release(1000)
        join()

    box.job.join = interrupted
    box.wait()
    assert box.said.value.startswith("Stopped after step") and not box.run.disabled


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a dragon landing on a flower", "the miniature does not know &#x27;dragon&#x27;"),
        ("a red ball bouncing left", ""),
    ],
)
def test_unknown_words_are_named_while_typing(box, prompt, said):
    box.prompt.value = prompt
    assert box.said.value.startswith(said) and bool(box.said.value) == bool(said)


def test_the_menus_write_the_prompt(box):
    box.menus.children[0].value = "car"
    assert box.prompt.value.startswith("a big blue car driving to the left")
    before = box.prompt.value
    box.menus.children[3].value = "blue"  # the colour of the other thing: refused in this world
    assert box.prompt.value == before


def test_what_goes_wrong_is_said_in_the_box(box, monkeypatch):
    box.prompt.value = " "
    box.run.click()
    box.wait()
    assert box.said.value.startswith("the prompt is empty") and not box.run.disabled and box.stop.disabled

    def generate(*_, **__):
        raise FileNotFoundError("There is no folder weights.")

    monkeypatch.setattr(studio, "generate", generate)
    box.prompt.value = "a red ball bouncing left"
    box.run.click()
    box.wait()
    assert box.said.value == "There is no folder weights."


def test_real_chips_are_what_they_are(mesh, tmp_path, monkeypatch):
    assert "n150" in studio.Studio(mesh, "weights", tmp_path).system.options
    monkeypatch.setattr(mesh, "backend", "silicon")
    assert studio.Studio(mesh, "weights", tmp_path).system.options == ("galaxy",)


def test_without_widgets_the_settings_are_text_and_a_clip_is_shown(box):
    shown = box._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert (
        "system galaxy, steps 20, guidance 4.5, seed 0" in shown["text/html"] and box.prompt.value in shown["text/html"]
    )
    data = re.search(r'src="data:image/jpeg;base64,([^"]+)" alt="Six frames', shown["text/html"])[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)
    assert picture.shape == (104, 604, 3) and np.ptp(picture[4:100, 4:100].reshape(-1, 3), axis=0).min() > 50


def test_another_system_in_its_own_process_made_and_stopped(mesh, folder, tmp_path):
    box = studio.Studio(mesh, folder, tmp_path)
    box.system.value, box.steps.value = "n150", 2
    box.run.click()
    box.wait()
    assert box.said.value.endswith("made by emulated n150 1x1") and len(list(tmp_path.glob("*.mp4"))) == 1
    box.steps.value = 64
    box.run.click()
    until(lambda: "/64" in box.said.value and box.progress.value >= 1)
    box.stop.click()
    box.wait()
    assert box.said.value.startswith("Stopped after step")
