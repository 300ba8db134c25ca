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
