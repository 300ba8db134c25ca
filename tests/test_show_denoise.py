"""The pictures of notebook 03 show the numbers that they were given; its slider turns over pictures and leaves one."""

import base64
import io
from collections import Counter

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from PIL import Image

from helpers.show import COLOURS
from helpers.show import denoise as draw
from helpers.show.live import Slider


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def images(figure):
    return [np.asarray(image.get_array()) for panel in figure.axes for image in panel.images]


@pytest.mark.parametrize(
    ("chips", "share", "title"),
    [
        (8, [32] * 6 + [24], "216 tokens, 32 places on each of 8 chips: 40 places are padding"),
        (2, [128, 88], "216 tokens, 128 places on each of 2 chips: 40 places are padding"),
        (1, [216], "216 tokens, 224 places on one chip: 8 places are padding"),
    ],
)
def test_tokens_have_the_colour_of_their_chip(chips, share, title):
    figure = draw.tokens((6, 6, 6), chips, "somebody")
    cells = [cell for panel in figure.axes for cell in panel.patches]
    drawn = [to_rgb(cell.get_facecolor()) for cell in cells]
    block = -(-216 // (32 * chips)) * 32
    assert drawn[:216] == [to_rgb(COLOURS[chip]) for chip, count in enumerate(share) for _ in range(count)]
    assert drawn == [to_rgb(COLOURS[chip]) for chip in range(chips) for _ in range(block)], "padding is its chip's"
    assert [bool(cell.get_hatch()) for cell in cells] == [False] * 216 + [True] * (block * chips - 216)
    said = texts(figure)
    assert title in said and "somebody" in said and {"0", "6", "210", "216"} <= set(said)
    assert ("chip 7 (nothing but padding)" in said) == (chips == 8) and "chip 0" in said


def test_waves_show_a_first_frame_and_a_middle_row():
    cosines = torch.rand(3, 4, 6, 5) * 2 - 1
    figure = draw.waves(cosines, [0, 7, 14], "title", "somebody")
    above, below = images(figure)[:3], images(figure)[3:6]
    assert all(np.allclose(picture, cosine[0]) for picture, cosine in zip(above, cosines))
    assert all(np.allclose(picture, cosine[:, 3]) for picture, cosine in zip(below, cosines))
    assert {"pair 7", "pair 14", "title", "height", "width", "time", "cosine of the angle"} <= set(texts(figure))


def test_reach_has_a_row_for_each_distance_and_one_scale():
    scores = torch.randn(2, 4, 5, 5)
    figure = draw.reach(scores, (0, 3), "somebody")
    wanted = [scores[head, frames] for frames in (0, 3) for head in (0, 1)]
    assert all(np.allclose(picture, score) for picture, score in zip(images(figure), wanted))
    limits = {image.get_clim() for panel in figure.axes for image in panel.images}
    assert limits == {(-scores.abs().max().item(), scores.abs().max().item())}
    assert {"same latent frame", "3 latent frames later", "head 1"} <= set(texts(figure))


def test_a_block_has_its_exchanges_where_the_code_has_them():
    said = texts(draw.block())
    steps = [text.replace("\n", " ") for text in said if text in {step for step, _ in draw.STEPS}]
    assert [steps.index("K, V travel"), steps.index("attention")] == [3, 4]
    assert [n for n, step in enumerate(steps) if step == "all_reduce"] == [6, 11] and steps[5] == "out rows"


def test_the_schedule_is_drawn_as_it_is():
    sigmas = torch.tensor([0.0, 0.1, 0.3, 1.0])
    equal, ours = draw.schedule(sigmas, "title").axes[0].lines
    assert ours.get_xdata().tolist() == [0, 1, 2, 3] and np.allclose(ours.get_ydata(), sigmas)
    assert list(equal.get_xdata()) == [0, 3] and list(equal.get_ydata()) == [0, 1]


def test_a_filmstrip_has_all_pictures_in_their_rows():
    rows = {"x": np.random.rand(3, 8, 6, 3), "seen": np.random.rand(3, 8, 6, 3) + 0.5}
    figure = draw.filmstrip(rows, ["a", "b", "c"], "somebody")
    wanted = [picture.clip(0, 1) for row in rows.values() for picture in row]
    assert len(images(figure)) == 6 and all(map(np.allclose, images(figure), wanted))
    assert {"x", "seen", "a", "b", "c", "somebody"} <= set(texts(figure))


def test_a_column_of_pictures_is_no_higher_than_a_row_is_wide():
    one = np.zeros((1, 8, 8, 3))
    column = draw.filmstrip({"x": one, "seen": one}, ["a"], "somebody").get_size_inches()
    row = draw.filmstrip({"x": np.zeros((2, 8, 8, 3))}, ["a", "b"], "somebody").get_size_inches()
    assert column[1] < 6 and column[1] == pytest.approx(row[0], abs=0.2)


def test_growth_is_relative_to_the_first():
    figure = draw.growth([19, 49, 163], {"tokens": [10, 20, 70], "work": [3, 9, 60]}, "somebody")
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[1, 2, 7], [1, 3, 20]]
    assert "times as much as for 19 frames" in texts(figure)


def test_times_on_the_links_add_up_and_are_called_predicted():
    figure = draw.on_the_links({"a": {"sums": 0.010, "ring": 0.020}, "b": {"sums": 0.001, "ring": 0.005}}, "title")
    bars = [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert Counter(round(bar.get_width(), 6) for bar in bars) == Counter([10, 20, 1, 5])
    said = texts(figure)
    assert {"  30 ms", "  6 ms", "sums", "ring", "predicted on paper, not measured"} <= set(said)


def test_a_slider_turns_pictures_over_and_leaves_one_that_needs_no_kernel():
    asked = []

    def strip(name):
        asked.append(name)
        return draw.filmstrip({name: np.full((1, 8, 8, 3), len(asked) / 4)}, ["one"], "somebody")

    whole = draw.filmstrip({"all": np.zeros((6, 8, 8, 3))}, list("abcdef"), "somebody")
    slider = Slider("step", ["first", "second", "third"], strip, whole)
    shown, about = slider._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(shown["image/jpeg"])))
    assert "application/vnd.jupyter.widget-view+json" in shown and still.format == "JPEG"
    assert "all" in about["image/jpeg"]["alt"]
    assert still.width > 3 * still.height  # all six side by side
    before = slider.picture.value
    slider.slider.value = "third"
    assert asked == ["first", "third"] and slider.picture.value != before


def test_a_picture_that_cannot_be_drawn_is_not_another_ones():
    def strip(name):
        if name == "bad":
            raise ValueError("no <such> frame")
        return draw.filmstrip({name: np.full((1, 8, 8, 3), 0.5)}, ["one"], "somebody")

    slider = Slider("step", ["good", "bad", "better"], strip, strip("still"))
    slider.slider.value = "bad"
    assert "ValueError: no &lt;such&gt; frame" in slider.said.value and "setting before" in slider.said.value
    slider.slider.value = "better"
    assert slider.said.value == ""
