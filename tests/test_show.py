"""Pictures hold what they claim to show, and say which mesh made them."""

import itertools

import pytest
import torch
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from helpers import show
from helpers.mesh import close_mesh, links, open_mesh, run_on
from helpers.show.explorer import Explorer
from helpers.tensors import replicate, shard


@pytest.fixture(scope="module")
def mesh():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_links_are_those_of_the_descriptor(mesh):
    wires = links(mesh)
    assert len(wires) == 4 * 7 + 8 * 3 and set(wires.values()) == {4}
    assert all(abs(r0 - r1) + abs(c0 - c1) == 1 for (r0, c0), (r1, c1) in wires)


def test_the_grid_has_every_chip_and_its_maker(mesh):
    figure = show.chips(mesh, highlight=(2, 5))
    boxes = figure.axes[0].findobj(FancyBboxPatch)
    assert len(boxes) == 32 and len({box.get_facecolor() for box in boxes}) == 2
    assert {"2, 5", "3, 7", "emulated galaxy 4x8", "rows: axis 0, tp", "columns: axis 1, sp"} <= set(texts(figure))
    groups = [box for box in figure.axes[0].findobj(Rectangle) if box.get_linewidth() == 2.5]
    middles = [(row, col) for row in range(4) for col in range(8)]
    inside = [[at for at in middles if box.get_bbox().contains(*at[::-1])] for box in groups]
    assert inside == [[(row, 0) for row in range(4)], [(3, col) for col in range(8)]]
    assert {"one tp group", "one sp group"} <= set(texts(figure))


def test_a_torus_has_the_wires_that_close_it():
    wires = run_on("galaxy_torus", links)
    assert len(wires) == 64 and wires[(0, 0), (0, 7)] == 4 and wires[(0, 3), (3, 3)] == 4


@pytest.mark.parametrize("kinds", [1, 2, 4, 5, 8, 15, 30, 32, 64])
def test_parts_beside_each_other_have_colours_far_from_each_other(kinds):
    shades = [show.shade(number, kinds) for number in range(kinds)]
    assert len(set(shades)) == kinds and min(shades) >= 0 and max(shades) <= 1
    if kinds >= 8:
        assert min(abs(one - other) for one, other in itertools.pairwise(shades)) > 2 / kinds


def test_holdings_draw_the_part_that_each_chip_holds(mesh):
    x = torch.randn(1, 1, 256, 512)
    figure = show.holdings({"whole": replicate(x, mesh), "cut": shard(x, mesh, sp=2, tp=3)}, highlight=(1, 2))
    whole, cut = figure.axes
    parts = [p for p in cut.findobj(Rectangle) if p.get_facecolor() not in (cut.patch.get_facecolor(),)]
    sizes = {(round(p.get_width(), 4), round(p.get_height(), 4)) for p in parts}
    assert (round(0.76 / 4, 4), round(0.76 / 8, 4)) in sizes  # a quarter of the features, an eighth of the tokens
    assert len({p.get_facecolor() for p in parts}) > 30 > len({p.get_facecolor() for p in whole.findobj(Rectangle)})
    assert "emulated galaxy 4x8" in texts(figure)


def test_predicted_times_are_called_predicted():
    figure = show.link_times([2**k for k in range(8, 28)])
    said = texts(figure)
    assert "predicted on paper, not measured" in said and "message (bytes)" in said
    assert {"t3000: 12.5 GB/s", "galaxy: 50 GB/s"} <= set(said)
    slow, fast = (line.get_ydata() for line in figure.axes[0].lines[:2])
    assert slow[0] == pytest.approx(0.7 + 256 / 12.5e9 * 1e6) and slow[-1] > 3.9 * fast[-1]


def test_the_explorer_follows_its_controls_and_has_a_still_picture(mesh):
    x = torch.randn(1, 1, 256, 512)
    explorer = Explorer({"tokens over tp": shard(x, mesh, tp=2), "both": shard(x, mesh, sp=2, tp=3)}, (2, 5))
    shown, about = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in shown and shown["image/png"].startswith("iVBOR")
    assert explorer.draw().axes[0].get_title() == "chip (2, 5) holds tokens 160:192, features 256:384"
    assert "chip (2, 5) holds tokens 160:192, features 256:384" in about["image/png"]["alt"]
    pictures = {explorer.picture.value}
    explorer.how.value = "tokens over tp"
    pictures.add(explorer.picture.value)
    assert explorer.draw().axes[0].get_title() == "chip (2, 5) holds tokens 128:192, features 0:512"
    explorer.col.value = 0
    pictures.add(explorer.picture.value)
    assert len(pictures) == 3


def test_running_sums_start_at_nothing_and_end_where_all_parts_are_in(mesh):
    parts = [torch.tensor([1.0, -2.0]), torch.tensor([0.5, 4.0]), torch.tensor([-3.0, 0.25])]
    figure = show.running_sums(parts, torch.tensor([-1.5, 2.3]), mesh)
    ways = [list(line.get_ydata()) for line in figure.axes[0].lines[:2]]
    assert ways == [[0, 1, 1.5, -1.5], [0, -2, 2, 2.25]]
    ends = figure.axes[0].collections[0].get_offsets().tolist()
    assert ends == [[3, -1.5], [3, pytest.approx(2.3)]], "torch's stand at the right, whatever the parts say"
    assert "emulated galaxy 4x8" in texts(figure)


def test_traffic_has_an_arrow_for_each_link_and_tells_the_busiest():
    here, there, far = (0, 0), (0, 1), (1, 2)
    line = {(here, there): 40_000, (there, here): 10_000}
    ring = {(here, there): 20_000, ((1, 0), far): 5_000}  # the second leaves the mesh and comes in on the other side
    figure = show.traffic({"a line": line, "a ring": ring}, "two meshes")
    assert [len(axes.findobj(FancyArrowPatch)) for axes in figure.axes[:2]] == [2, 3]
    widths = [arrow.get_linewidth() for arrow in figure.axes[0].findobj(FancyArrowPatch)]
    assert widths[0] == 4 and widths[1] == pytest.approx(1.6)
    said = set(texts(figure))
    assert {"a line: 40 kB on the busiest link", "a ring: 20 kB on the busiest link", "1,2", "two meshes"} <= said
