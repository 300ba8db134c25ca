"""The clocks of RoPE and the journey of keys: what they are given is what they show."""

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Arc, Rectangle

from helpers.show import PALE
from helpers.show import attention as draw


def pair(degrees, length):
    return length * torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])


@pytest.mark.parametrize(("query", "key", "apart"), [(50, 20, 30), (20, 50, 30), (170, -150, 40), (-10, 190, 160)])
def test_the_clock_shows_the_smaller_angle_and_the_score(query, key, apart):
    both = pair(query, 1.1), pair(key, 0.8)
    clock = draw.hands({"here": both}, "somebody").axes[0]
    score = 1.1 * 0.8 * math.cos(math.radians(apart))
    assert clock.get_xlabel() == f"{apart}° apart\nscore {score:.4f}"
    arc = next(iter(clock.findobj(Arc)))
    assert arc.theta2 - arc.theta1 == pytest.approx(apart, abs=1e-3)
    assert any(abs((arc.theta1 - hand + 180) % 360 - 180) < 1e-3 for hand in (query, key)), "it begins at a hand"
    assert len([text for text in clock.texts if text.arrow_patch]) == 2


def test_the_journey_counts_what_has_reached_the_chip():
    order = [2, 3, 1, 4, 0]  # chip 2 of 5
    met = [(block, 1 + n / 10, 10.0 ** -(3 * n)) for n, block in enumerate(order)]
    figure = draw.journey(met, 2, [0, 1], "somebody")
    first, second, tops, errors = figure.findobj(lambda a: type(a).__name__ == "Axes")
    assert first.get_title("left") == "after hop 0: chip 2 has met 1 of 5 blocks"
    assert second.get_title("left") == "after hop 1: chip 2 has met 3 of 5 blocks"
    assert list(tops.lines[0].get_ydata()) == pytest.approx([1, 1.1, 1.2])
    assert list(errors.lines[0].get_ydata()) == pytest.approx([1, 1e-3, 1e-6]) and errors.get_yscale() == "log"
    grey = (np.abs(np.asarray(second.images[0].get_array()) - to_rgb(PALE)) < 1e-6).all(-1)[0]
    assert [int(grey[chip * 14 : chip * 14 + 10].sum()) // 2 for chip in range(5)] == [3, 2, 2, 2, 3], "on a line"
    framed = [box for box in second.findobj(Rectangle) if box.get_linewidth() == 2]
    assert len(framed) == 1 and framed[0].get_x() == pytest.approx(2 * 14 - 0.25)
