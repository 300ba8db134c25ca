"""The pictures of notebook 02 hold the numbers that they were given, and leave out what means nothing."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from helpers.show import COLOURS, PALE
from helpers.show import text as draw


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def images(figure):
    return [image for panel in figure.axes for image in panel.images]


def test_buckets_are_drawn_for_both_sides():
    figure = draw.buckets(lambda distance: abs(distance) + 100 * (distance > 0), 5, "on paper")
    before, behind = figure.axes[0].lines
    assert before.get_xdata().tolist() == [-5, -4, -3, -2, -1, 0] and before.get_ydata().tolist() == [5, 4, 3, 2, 1, 0]
    assert behind.get_ydata().tolist() == [101, 102, 103, 104, 105] and "on paper" in texts(figure)


def test_heads_share_a_scale_that_parts_at_zero():
    values = torch.randn(3, 6, 5)
    values[1] *= 4
    figure = draw.heads(values, "title", "unit", "somebody")
    assert len({image.get_clim() for image in images(figure)}) == 1
    low, high = images(figure)[0].get_clim()
    sizes = values.abs().flatten().sort().values  # one value that is far from all others leaves no picture pale
    assert low == -high and sizes[-4].item() < high < sizes[-1].item()
    assert all(np.allclose(image.get_array(), matrix) for image, matrix in zip(images(figure), values))
    assert {"head 2", "title", "unit", "somebody", "query", "key"} <= set(texts(figure))


def test_shares_start_at_zero_and_name_their_tokens():
    figure = draw.heads(torch.rand(4, 3, 3), "title", "unit", "somebody", ["one", "two", "three"])
    assert images(figure)[0].get_clim()[0] == 0 and {"one", "two", "three"} <= set(texts(figure))


def test_a_hidden_token_has_no_distance_to_itself():
    distance = torch.rand(4, 4)
    figure = draw.moved(distance, ["a", "b", "c", "d"], "somebody")
    shown = np.ma.filled(images(figure)[0].get_array(), np.nan)
    assert np.isnan(np.diagonal(shown)).all() and np.isnan(shown).sum() == 4
    assert shown[1, 3] == pytest.approx(100 * distance[1, 3].item())
    assert distance.isfinite().all()  # what was given is left as it was


def test_memory_bars_end_at_the_highest_use():
    figure = draw.memory({"one": (9e9, 9.5e9), "four": (2e9, 2.25e9)}, 12e9, "dry run")
    bars = [bar for bar in figure.axes[0].findobj(Rectangle) if 0 < bar.get_height() < 1]
    assert [bar.get_width() for bar in bars] == pytest.approx([9, 0.5, 2, 0.25])
    assert [bar.get_x() for bar in bars] == pytest.approx([0, 9, 0, 2])
    assert {"one", "four", "9.00 + 0.50 GB", "2.00 + 0.25 GB", "a chip has 12.00 GB", "dry run"} <= set(texts(figure))


def test_the_prompt_box_reads_what_is_written():
    asked = []

    def read(prompt):
        asked.append(prompt)
        pieces = ["▁a", "▁", "d", "r", ",", "</s>"][: 2 + len(prompt.split())]
        return torch.rand(len(pieces), len(pieces)), pieces

    box = draw.PromptBox("a dr , .", read, 9, "somebody")
    places = box.draw().axes[-1]
    colours = [to_rgb(patch.get_facecolor()) for patch in places.patches]
    spelled, token, empty = map(to_rgb, (COLOURS[1], COLOURS[4], PALE))
    assert colours == [token, token, spelled, spelled, token, token, *[empty] * 3]
    assert places.get_title("left").startswith("6 of 9 places hold a token (mask 1), 3 are padding (mask 0)")
    assert "cut" not in places.get_title("left")
    box.places = 6
    assert (
        box.draw()
        .axes[-1]
        .get_title("left")
        .startswith("6 of 6 places hold a token (mask 1), 0 are padding (mask 0); what is longer is cut")
    )
    count = len(asked)
    box.prompt.value = "  "
    assert len(asked) == count and "Nothing is written" in texts(box.draw())[0]
    before = box.picture.value
    box.prompt.value = "a b"
    assert asked[-1] == "a b" and box.picture.value != before
    assert box._repr_mimebundle_()[0]["image/png"].startswith("iVBOR")
