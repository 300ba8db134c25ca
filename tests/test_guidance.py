"""What guidance brings, by the detectors: counted right on painted clips, with noise of its own for each clip."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers.show import denoise as draw
from helpers.world.scenes import render
from training import guidance
from training.mochi.evaluate import ASPECTS, fixed_clips


class Painter:
    """Paints what was asked; at strength 1 the first two clips are exchanged."""

    steps, frames = 7, 31

    def __init__(self):
        clips = fixed_clips(4, unseen=True)
        self.videos, self.asked = render(clips).permute(0, 2, 3, 4, 1).numpy(), []

    def __call__(self, prompts, guidance, seeds):
        self.asked.append((guidance, tuple(seeds), tuple(prompts)))
        return self.videos[[1, 0, 2, 3]] if guidance == 1 else self.videos


def test_shares_and_their_spread():
    painter = Painter()
    found = guidance.compare(painter, prompts=4, seeds=3)
    assert found["settings"] == {"prompts": 4, "seeds": 3, "steps": 7, "frames": 31}
    assert [float(strength) for strength in found["strengths"]] == list(guidance.STRENGTHS)
    assert found["strengths"]["1"]["scene"] == {"mean": 0.5, "std": 0.0}
    assert all(found["strengths"]["9"][aspect]["mean"] == 1.0 for aspect in ASPECTS)
    used = {strength: [seeds for one, seeds, _ in painter.asked if one == strength] for strength in guidance.STRENGTHS}
    assert len({seed for seeds in used[1.0] for seed in seeds}) == 12, "a noise of its own for each clip"
    assert all(seeds == used[1.0] for seeds in used.values()), "the same at all strengths"


def test_what_is_shipped_is_drawn():
    shipped = json.loads(guidance.OUT.read_text())
    assert (shipped["settings"]["prompts"], shipped["settings"]["seeds"]) == (10, 16)
    figure = draw.guidance(shipped)
    (axes,) = figure.axes
    drawn = [container.lines[0].get_ydata() for container in axes.containers]
    wanted = [[100 * row[aspect]["mean"] for row in shipped["strengths"].values()] for aspect in ASPECTS]
    assert np.allclose(np.array(drawn, float), wanted) and axes.get_ylabel().startswith("%")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "scene",
        "motion",
        "subject",
        "second colour",
    ]
    errors = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
    first = shipped["strengths"]["1"]["scene"]
    assert errors[1] - errors[0] == pytest.approx(2 * 200 * first["std"] / 4)
    plt.close(figure)


class Coloured:
    """Clips of one colour each: red says the strength, green the seed, and blue the frame."""

    frames = 31

    def __call__(self, prompts, guidance, seeds):
        assert len(set(prompts)) == 1
        made = np.zeros((len(seeds), 31, 96, 96, 3))
        made[..., 0], made[..., 2] = guidance / 10, (np.arange(31) / 31)[None, :, None, None]
        made[..., 1] = (np.array(seeds) / 10_000)[:, None, None, None]
        return made


def test_the_picture_has_a_row_for_each_strength_and_a_column_for_each_seed():
    picture = np.asarray(guidance.picture(Coloured(), fixed_clips(1, unseen=True)[0])).astype(float) / 255
    assert picture.shape == (4 * 96, 8 * 96, 3)
    corners = picture[::96, ::96]
    assert np.allclose(corners[..., 0], np.array(guidance.STRENGTHS)[:, None] / 10, atol=0.003)
    assert np.allclose(corners[..., 1], (1000 * np.arange(8) + guidance.SHOWN)[None] / 10_000, atol=0.003)
    assert np.allclose(corners[..., 2], 15 / 31, atol=0.003), "the middle frame"


def test_the_slider_turns_over_strengths_of_the_stored_picture():
    live = draw.Seeds("models")
    assert live.slider.options == tuple(f"strength {strength:g}" for strength in guidance.STRENGTHS)
    assert [len(live.still.axes), len(live.still.axes[0].images)] == [4 * guidance.COLUMNS, 1]
    before = live.picture.value
    live.slider.value = "strength 9"
    assert live.picture.value != before
