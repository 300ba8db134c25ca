"""The camera without a browser: what its sliders choose and what its button makes."""

import base64

import numpy as np
import pytest

from helpers import video
from helpers.frames.motion import ken_burns
from helpers.show.camera import Camera
from helpers.show.live import png


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((48, 96, 3)).astype(np.float32)


def test_sliders_move_the_boxes_and_the_picture(picture):
    camera = Camera(picture, start=(50, 50, 1), end=(50, 50, 2))
    assert camera.start == (0, 0, 1, 1) and camera.end == (0.25, 0.25, 0.75, 0.75)
    before = camera.view.value
    x, y, zoom = camera.sliders["end"]
    zoom.value = 4
    x.value, y.value = 25, 100
    assert camera.end == (0.125, 0.75, 0.375, 1) and camera.start == (0, 0, 1, 1)
    assert camera.view.value != before and camera.view.value == png(camera.draw())


def test_the_button_makes_what_is_chosen(picture, tmp_path):
    camera = Camera(picture, frames=5, fps=10)
    camera.sliders["start"][2].value = 1.25
    camera.play.click()
    data = camera.film.value.partition("base64,")[2].partition('"')[0]
    (tmp_path / "film.mp4").write_bytes(base64.b64decode(data))
    frames, fps = video.read(tmp_path / "film.mp4")
    video.write(tmp_path / "expected.mp4", ken_burns(picture, camera.start, camera.end, 5), 10)
    assert fps == 10 and np.array_equal(frames, video.read(tmp_path / "expected.mp4")[0])


def test_without_widgets_there_is_the_picture(picture):
    camera = Camera(picture, by="somebody")
    shown, about = camera._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert base64.b64decode(shown["image/png"]) == camera.view.value
    assert bytes(camera.view.value).startswith(b"\x89PNG")
    assert about["image/png"]["alt"].startswith("where the camera goes. ")
    assert about["image/png"]["alt"].endswith("start: 80 x 40 pixels. end: 60 x 30 pixels")
