"""The pictures of notebook 04 hold the numbers that they were given, at the right places."""

import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from helpers.show import COLOURS
from helpers.show import decode as draw


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_a_mosaic_reads_like_a_page():
    pictures = torch.rand(5, 24, 48)
    whole = draw.mosaic(pictures, across=2, down=3, white=-1.0)
    assert whole.shape == (3 * 25 - 1, 2 * 49 - 1)
    assert torch.equal(whole[25:49, 49:97], pictures[3]) and torch.equal(whole[50:, :48], pictures[4])
    assert (whole[24] == -1).all() and (whole[50:, 48:] == -1).all()


def test_each_latent_frame_stands_under_its_frames():
    clip, latents = torch.rand(3, 13, 24, 24), torch.randn(12, 3, 4, 6)
    figure = draw.latent_frames(clip, latents, "somebody")
    above, below = figure.axes[:3], figure.axes[3:6]
    assert [panel.get_title() for panel in above] == ["frame 0", "frames 1 to 6", "frames 7 to 12"]
    assert [panel.get_title() for panel in below] == ["latent frame 0", "latent frame 1", "latent frame 2"]
    first, last = (torch.as_tensor(above[k].images[0].get_array().data) for k in (0, 2))
    assert torch.equal(first[:24, :24], clip[:, 0].permute(1, 2, 0)) and (first[25:] == 1).all()
    assert torch.equal(last[:24, :24], clip[:, 7].permute(1, 2, 0))
    assert torch.equal(last[50:, 25:], clip[:, 12].permute(1, 2, 0))
    channels = torch.as_tensor(below[1].images[0].get_array().data)
    assert torch.equal(channels[:4, :6], latents[0, 1]) and torch.equal(channels[-4:, -6:], latents[11, 1])
    assert len({panel.images[0].get_clim() for panel in below}) == 1 and "somebody" in texts(figure)


def test_a_footprint_leaves_out_what_did_not_change():
    change = torch.rand(13, 32, 40) + 0.1
    change[:7] = 0
    figure = draw.footprint(change, (2, 1, 3), [6, 7], "somebody")
    before, after = figure.axes[:2]
    assert before.images[0].get_array().mask.all() and not after.images[0].get_array().mask.any()
    square = after.findobj(lambda a: isinstance(a, Rectangle) and a.get_width() == 8)[0]
    assert square.get_xy() == (23.5, 7.5)  # column 3, row 1
    line = figure.axes[-1].lines[0]
    assert line.get_xdata().tolist() == [*range(7, 13)]
    assert torch.allclose(torch.as_tensor(line.get_ydata()), change[7:].mean((1, 2)))
    assert {"frames of latent 2", "exactly 0", "frame 7"} <= set(texts(figure))


def test_a_halo_has_the_colour_of_the_chip_it_comes_from():
    figure = draw.halos([[0, 0, 0, 1], [0, 1, 2], [1, 2, 3, 4]])
    boxes = figure.axes[0].patches
    edges = {(round(box.get_x() + 0.44), round(box.get_y() + 0.36)): box.get_edgecolor() for box in boxes}
    hatched = [box for box in boxes if box.get_hatch()]
    assert len(boxes) == 11 and len(hatched) == 6
    assert edges[1, 0] == to_rgba(COLOURS[0]) and edges[2, 0] == to_rgba(COLOURS[1])  # the last chip's halo
    assert edges[3, 0] == to_rgba(COLOURS[2])


def test_seams_are_marked_between_two_rows():
    error = torch.rand(16, 12)
    figure = draw.seams_in_space(error, [4, 8], "somebody", columns=[6])
    picture, profile = figure.axes[:2]
    assert torch.equal(torch.as_tensor(picture.images[0].get_array().data), error)
    assert [line.get_ydata()[0] for line in picture.lines[:2]] == [3.5, 7.5] and picture.lines[2].get_xdata()[0] == 5.5
    assert torch.allclose(torch.as_tensor(profile.lines[0].get_xdata()), error.mean(1))


def test_seams_in_time_have_a_line_for_each_name():
    figure = draw.seams_in_time({"without": torch.rand(7), "with": torch.zeros(7)}, [1, 4], "somebody")
    axes = figure.axes[0]
    assert [line.get_xdata()[0] for line in axes.lines[2:]] == [0.5, 3.5]
    assert axes.lines[1].get_ydata().sum() == 0 < axes.lines[0].get_ydata().sum()
    assert {"without", "with", "somebody", "video frame"} <= set(texts(figure))


def test_memory_that_one_chip_lacks_has_another_colour():
    figure = draw.memory({"small": 2_190_000_000, "large": 17_510_000_000}, 12_870_000_000)
    small, large = figure.axes[0].patches
    assert (small.get_width(), large.get_width()) == pytest.approx((2.19, 17.51))
    assert small.get_facecolor() == to_rgba(COLOURS[0]) and large.get_facecolor() == to_rgba(COLOURS[5])
    assert {"2.19", "17.51", "memory of one chip: 12.87 GB", "paper, not measured"} <= set(texts(figure))


def test_a_poke_asks_for_what_the_sliders_say():
    asked = []

    def poke(frame, row, column):
        asked.append((frame, row, column))
        change = torch.rand(19, 24, 40) + 0.1
        change[: max(0, 6 * frame - 5)] = 0
        return change

    live = draw.Poke(poke, (2, 1, 3), (4, 3, 5), "somebody")
    assert [slider.max for slider in live.sliders] == [3, 2, 4] and asked == [(2, 1, 3)]
    titles = [panel.get_title() for panel in live.draw().axes if panel.get_title()]
    assert titles == ["frame 6", "frame 7", "frame 9", "frame 12", "frame 18"]
    before = live.picture.value
    live.sliders[0].value = 0
    assert asked[-1] == (0, 1, 3) and live.picture.value != before
    live.sliders[0].value = 3
    titles = [panel.get_title() for panel in live.draw().axes if panel.get_title()]
    assert titles == ["frame 12", "frame 13", "frame 15", "frame 18"]


def test_enlarged_pictures_keep_their_pixels():
    one, other = torch.rand(12, 20, 3), torch.rand(12, 20, 3)
    figure = draw.enlarged({"one": one, "other": other}, [4, 8], "somebody")
    assert [panel.get_title() for panel in figure.axes] == ["one", "other"]
    assert torch.equal(torch.as_tensor(figure.axes[1].images[0].get_array().data), other)
    assert list(figure.axes[0].get_yticks()) == [3.5, 7.5]
