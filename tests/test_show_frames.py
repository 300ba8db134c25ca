"""The pictures and sentences of notebook 05 hold the numbers that they were given."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from helpers.planner.calls import Calls
from helpers.planner.memory import Need
from helpers.show import COLOURS
from helpers.show import frames as draw

STEADY = {"temporal_flickering": 0.99, "subject_consistency": 0.8, "motion_smoothness": 0.98, "dynamic_degree": 0.1}
LIVELY = {"temporal_flickering": 0.91, "subject_consistency": 0.9, "motion_smoothness": 0.95, "dynamic_degree": 0.7}
MIDDLE = {"temporal_flickering": 0.95, "subject_consistency": 0.85, "motion_smoothness": 0.97, "dynamic_degree": 0.3}
ALL = {"steady": STEADY, "lively": LIVELY, "middle": MIDDLE}


def test_the_table_has_every_number():
    first, second, *rows = draw.table(ALL).splitlines()
    heads = [" ".join(words) for words in zip(first.split(), second.split())]
    assert heads == [title for title, _ in draw.MEASURES.values()]
    for row, (name, measures) in zip(rows, ALL.items()):
        assert row.split() == [name, *(f"{measures[measure]:.3f}" for measure in draw.MEASURES)]


def test_the_sentence_names_the_winners():
    sentence = draw.finding(ALL)
    assert "'steady' flickers least (0.990) and moves most smoothly (0.980)" in sentence
    assert "'lively' keeps its subject best (0.900) and moves most (0.700)" in sentence
    assert "'lively' is last in temporal flickering (0.910) and motion smoothness (0.950)" in sentence
    assert "'steady' is last in subject consistency (0.800) and dynamic degree (0.100)" in sentence
    assert sentence.endswith("; what moves most is what flickers most.") and "middle" not in sentence


def test_the_sentence_follows_the_numbers():
    calm = ALL | {"lively": LIVELY | {"temporal_flickering": 0.96}}  # now middle flickers most
    assert draw.finding(calm).endswith("; what flickers least is what moves least.")
    calm["middle"] = MIDDLE | {"dynamic_degree": 0.05}
    assert draw.finding(calm).endswith("in motion smoothness (0.950).") and "dynamic degree (0.050)" in draw.finding(
        calm
    )
    assert "'middle' moves most (0.900)" in draw.finding(ALL | {"middle": MIDDLE | {"dynamic_degree": 0.9}})


def test_dots_stand_at_their_numbers():
    figure = draw.coherence(ALL, "somebody")
    assert len(figure.axes) == 4
    for panel, measure in zip(figure.axes, draw.MEASURES):
        dots = [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in panel.lines]
        assert dots == [(measures[measure], row) for row, measures in enumerate(ALL.values())]
        assert [text.get_text() for text in panel.texts] == [f"{x:.3f}" for x, _ in dots]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(ALL)
    draw.coherence({"same": STEADY, "again": STEADY}, "somebody")  # no span at all


def comparison() -> dict:
    values = {measure: 0.1 * place for place, measure in enumerate(draw.MEASURES, 1)}
    values |= {"followed_consistency": 0.6, "scene": 0.9, "motion": 0.25}
    way = lambda times: {name: {"mean": times * value, "std": 0.02 * times} for name, value in values.items()}
    row = {"model": "tiny-x", "clips": 3000, "steps": 4321, "minutes": 77, "parameters": 9_876_543}
    return {
        "ways": {"stills": way(1.0), "native": way(0.5), "painted clips": way(0.8)},
        "budgets": {"stills": row, "native": row | {"model": "tiny-y", "minutes": 800}},
        "settings": {"steps": 14, "aspects": ["scene", "motion"]},
    }


def test_many_prompts_are_drawn_with_their_spread():
    figure = draw.over_prompts(comparison(), "somebody")
    assert len(figure.axes) == 5
    for place, panel in enumerate(figure.axes[:4], 1):
        dots = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
        assert np.allclose(dots, [0.1 * place, 0.05 * place, 0.08 * place])
        ends = [collection.get_segments()[0][:, 0] for collection in panel.collections]
        assert np.allclose([end[1] - end[0] for end in ends], [0.04, 0.02, 0.032]), "one deviation each way"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["stills", "native", "painted clips"]


def test_budgets_and_shares_have_every_number():
    head, stills, native = draw.budgets(comparison()).splitlines()
    assert head.split() == ["model", "clips", "steps", "minutes", "parameters", "sampling"]
    assert stills.split() == ["stills", "tiny-x", "3,000", "4,321", "77", "9,876,543", "14"]
    assert native.split()[1:5] == ["tiny-y", "3,000", "4,321", "800"]
    head, stills, native, _ = draw.shows_the_prompt(comparison()).splitlines()
    assert head.split() == ["scene", "motion"]
    assert stills.split()[1:] == ["90", "%", "25", "%"] and native.split()[1:] == ["45", "%", "12", "%"]


def test_the_camera_shows_both_boxes_and_what_is_in_them():
    picture = np.random.default_rng(0).random((48, 96, 3))
    figure = draw.camera(picture, (0, 0, 1, 1), (24, 6, 72, 30), "somebody")
    whole, start, end = figure.axes
    boxes = [patch.get_bbox().bounds for patch in whole.patches if isinstance(patch, Rectangle)]
    assert boxes == [(0, 0, 96, 48), (24, 6, 48, 24)]
    assert end.get_xlim() == (24, 72) and end.get_ylim() == (30, 6) and start.get_ylim() == (48, 0)
    assert start.get_title() == "start: 96 x 48 pixels" and end.get_title() == "end: 48 x 24 pixels"
    with pytest.raises(ValueError, match="end .* leaves the picture"):
        draw.camera(picture, (0, 0, 1, 1), (24, 6, 120, 54), "somebody")


def test_the_sketch_shows_who_hears_whom():
    """Of 4 frames with 36 positions: a frame's own, a position's own, everybody."""
    for panel, heard in zip(draw.who_hears_whom("somebody").axes, (36, 4, 144), strict=True):
        colours = [to_hex(patch.get_facecolor()).upper() for patch in panel.patches]
        assert len(colours) == 144 and colours.count(COLOURS[1]) == 1  # who asks hears himself too
        assert colours.count(COLOURS[4]) == heard - 1 and f"hears {heard} of 144" in panel.get_title()


def test_memory_bars_end_where_the_plans_say():
    request, words = dict(height=64, width=64, dtype="bfloat16"), "Out of Memory: Not enough space"
    fits = Need("n150", "small", request, 2_000_000_000, [2_500_000_000, 5_250_000_000], 12_872_318_208, None, Calls())
    figure = draw.memory(
        [fits, Need("n150", "large", request, None, [], 12_872_318_208, words, Calls())], dict(small="A", large="B")
    )
    weights, extra, wall = figure.axes[0].patches
    assert weights.get_width() == 2 and (extra.get_x(), extra.get_width()) == (2, 3.25)
    assert wall.get_width() == pytest.approx(12.872318208) and wall.get_hatch()
    assert [text.get_text() for text in figure.axes[0].texts] == ["2.0 + 3.2", "out of memory"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["A, bfloat16", "B, bfloat16"]
