"""The explorer of plans: it shows what tools/plans.py has worked out, and that is what a plan says today."""

import json

import matplotlib.pyplot as plt
import pytest

from helpers.planner import splits
from helpers.planner.whole import plan
from helpers.show import plan as draw
from helpers.show.planned import PLANS, Planned, Splits
from tools.plans import FRAMES, SIZES, SYSTEMS, kept

ROWS = json.loads(PLANS.read_text())


def row_of(**wanted):
    return next(row for row in ROWS if wanted.items() <= row.items())


def test_every_system_length_and_size_is_there():
    assert len(ROWS) == len(SYSTEMS) * len(FRAMES) * len(SIZES)
    assert {row["system"] for row in ROWS if row["peak"] is None} == {"n150", "n300", "n300x2"}


def test_what_is_kept_is_what_a_plan_says_today():
    size = dict(frames=19, height=288, width=512)
    assert kept(plan(system="t3000", **size)) == row_of(system="t3000", **size)


def test_longer_and_larger_takes_more():
    for system in ("t3000", "galaxy", "bh_galaxy"):
        seconds = [sum(row_of(system=system, frames=n, height=480)["stages"].values()) for n in FRAMES]
        assert seconds == sorted(seconds)
        small, large = (row_of(system=system, frames=163, height=h)["peak"] for h in (288, 480))
        assert small < large


def test_choosing_another_system_draws_another_picture():
    explorer = Planned()
    before = explorer.picture.value
    explorer.system.value = "n150"
    assert explorer.picture.value != before
    assert explorer._repr_mimebundle_()[0]["image/png"]


def test_pictures_say_predicted_and_what_does_not_fit():
    full, empty = row_of(system="galaxy", frames=163, height=480), row_of(system="n150", frames=163, height=480)
    for figure in (draw.kept_plan(full), draw.all_plans(ROWS)):
        assert any("predicted" in text.get_text() for text in figure.texts)
        plt.close(figure)
    figure = draw.kept_plan(empty)
    assert "does not fit" in [text.get_text() for text in figure.axes[0].texts]
    plt.close(figure)


def test_splits_are_turned_over_system_by_system():
    live = Splits()
    assert live.way.value == splits.best(splits.kept("galaxy"))
    said = live.draw().get_suptitle()
    assert said == "galaxy, tp 1 x sp 32: chips 2.01 s, 0.23 of them waiting for links; host 3.13 s"
    before = live.picture.value
    live.way.index = 3
    assert live.draw().get_suptitle() == "galaxy, tp 32 x sp 1: 24 heads over 32" and live.picture.value != before
    live.system.value = "4 galaxies"
    assert live.draw().get_suptitle().startswith("4 galaxies, tp 1 x sp 128: ")
    live.system.value = "t3000"
    figure = live.draw()
    assert figure.get_suptitle().startswith("t3000, tp 1 x sp 8: chips 6.58 s, 1.08")
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [f"tp {n}, sp {8 // n}" for n in (1, 2, 4, 8)]
    work, waits = (patch.get_width() for patch in right.patches[:2])
    assert (work, waits) == (pytest.approx(5.50, abs=0.01), pytest.approx(1.08, abs=0.01)) and right.patches[
        1
    ].get_hatch()
    assert [patch.get_alpha() for patch in left.patches] == [1.0, 0.35, 0.35, 0.35]
