"""The denoiser split otherwise over tp and sp: which ways there are, what they take, and where links win."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from helpers.mesh import run_on
from helpers.planner import cost, splits
from helpers.planner.scale import spread
from helpers.planner.splits import Split
from helpers.tensors import shard
from ttnn_emulator.systems import find_system


def test_a_system_is_taken_as_what_its_wires_make():
    assert find_system("galaxy").splits == [(1, 32), (4, 8), (8, 4), (32, 1)]
    assert find_system("quietbox2").splits == [(1, 4), (2, 2), (4, 1)]
    turned = find_system("t3000:4x2")
    assert (turned.mesh, turned.axes, turned.machine, turned.num_chips) == ((4, 2), {"tp": 0, "sp": 1}, "t3000", 8)
    assert turned.dram_bytes == find_system("t3000").dram_bytes and str(turned) == "t3000 4x2"
    with pytest.raises(ValueError, match="galaxy has 32 chips, which make no '3x4'. Take one of: 1x32, 4x8, 8x4, 32x1"):
        find_system("galaxy:3x4")
    with pytest.raises(ValueError, match="There is no system called 'galxy:4x8' here. Choose one of: n150"):
        find_system("galxy:4x8")


def test_a_turned_mesh_counts_along_its_own_axes():
    """Eight chips in a line hand on seven slices; along the other axis there is one chip."""

    def gathered(mesh):
        import torch

        from helpers.collectives import all_gather

        x = shard(torch.randn(1, 1, 32 * 8, 64), mesh, sp=2)
        all_gather(all_gather(x, 2, "sp"), 3, "tp")
        return tuple(mesh.shape), mesh.traffic.by_axis(), mesh.traffic.title

    shape, sent, title = run_on("t3000:1x8", gathered, backend="emulated")
    assert shape == (1, 8) and sent == {"sp": 7 * 32 * 64 * 2} and title == "emulated t3000 1x8"


@pytest.fixture
def small(monkeypatch):
    """Two blocks of the real width: the same kinds of calls, in a second."""
    config = splits.REAL["transformer"] | {"num_layers": 2}
    monkeypatch.setitem(splits.REAL, "transformer", config)


def test_more_along_tp_means_more_waiting_for_links(small):
    size = dict(frames=19, height=288, width=512)
    few, many = (splits.split("t3000", *way, size) for way in ((2, 4), (8, 1)))
    assert 2 * few.seconds["links"] < many.seconds["links"] < many.seconds["chips"]
    assert few.peak > 1e8 and many.peak > 1e8 and few.why == many.why == ""
    waits = [way.seconds["links"] for way in splits.kept("t3000")]
    assert waits == sorted(waits) and waits[-1] > 3 * waits[0]


def test_calls_spread_over_more_chips_are_those_of_more_chips(small):
    """From four along sp to two, each beside two along tp: all calls, but for what attention chooses by its rows."""

    def told(calls):
        found = Counter()
        for call, times in calls.items():
            is_attention = "attention" in call.op
            options = [(k, v) for k, v in call.options if not (is_attention and k in ("grid", "k_chunk", "num_links"))]
            found[call.op, call.inputs, call.outputs[:2] if is_attention else call.outputs, *options] += times
        return found

    size = dict(frames=31, height=288, width=512)
    four, two = (splits.dry_run(name, "transformer", config=splits.REAL["transformer"], **size).calls
                 for name in ("t3000:2x4", "n300x2:2x2"))  # fmt: skip
    made = spread(four, 1, (4, 2), (splits.tokens(**size),) * 2)
    assert told(made) == told(two) and told(four) != told(two)
    links = [{call.option("num_links") for call in calls if "ring" in call.op} for calls in (four, two)]
    assert links == [{1}, {2}], "as many as a program drives there"


def test_more_galaxies_are_one_with_more_along_sp(small, monkeypatch):
    """Fewer tokens a chip, as much to hand round, and each its own host. Over one link alone attention waits for it."""
    size = dict(frames=85, height=480, width=848)
    one, four = splits.split("galaxy", 4, 8, size), splits.split("4 galaxies", 4, 32, size)
    assert (four.tp, four.sp, four.peak) == (4, 32, one.peak) and "at most" in four.why
    assert four.seconds["host"] == one.seconds["host"]
    assert 0.25 * one.seconds["chips"] < four.seconds["chips"] < 0.8 * one.seconds["chips"]
    assert four.seconds["links"] < one.seconds["links"], "of sums, whose tokens are fewer"
    links = cost.links
    with_one = lambda call, system: replace(system, usable_links=1) if "ring" in call.op else system
    monkeypatch.setattr(cost, "links", lambda call, system, *rest: links(call, with_one(call, system), *rest))
    one, four = splits.split("galaxy", 4, 8, size), splits.split("4 galaxies", 4, 32, size)
    assert four.seconds["links"] > 3 * one.seconds["links"], "a line four times as long"
    assert splits.split("2 galaxies", 32, 2, size).why == "24 heads over 32"


def test_what_cannot_be_split_says_why():
    way = splits.split("galaxy", 32, 1, dict(frames=163, height=480, width=848))
    assert (way.peak, way.total, way.why) == (None, None, "24 heads over 32")
    assert splits.table([way]).splitlines()[1].split()[:3] == ["galaxy", "32", "1"]


def test_the_best_is_the_quickest_that_fits():
    ways = [
        Split("galaxy", 1, 32, 9, "", {"chips": 3.0, "host": 1.0, "links": 2.0}),
        Split("galaxy", 4, 8, 9, "", {"chips": 1.0, "host": 2.5, "links": 0.2}),
        Split("galaxy", 8, 4, None, "does not fit", {}),
    ]
    assert splits.best(ways) == ways[1] and splits.best(ways[2:]) is None
    head, first, second, third = splits.table(ways).splitlines()
    assert "3.00" in first and "2.50" in second and "does not fit" in third and "for links" in head


def test_what_is_kept_is_of_all_ways():
    rows = json.loads(splits.KEPT.read_text())
    for system in dict.fromkeys(row["system"] for row in rows):
        times = splits.GALAXIES.get(system, 1)
        there = [(tp, times * sp) for tp, sp in splits.one_of(system).splits]
        assert [(way.tp, way.sp) for way in splits.kept(system)] == there
    with pytest.raises(ValueError, match="No splits of n150 are kept"):
        splits.kept("n150")


@pytest.mark.weekly("half a minute of dry runs")
@pytest.mark.parametrize("system", ["galaxy", "4 galaxies"])
def test_it_is_kept_as_it_comes_out(system):
    for way, now in zip(splits.kept(system), splits.splits(system), strict=True):
        assert (way.peak, way.why) == (now.peak, now.why) and way.seconds == pytest.approx(now.seconds)


def test_a_program_of_others_is_counted_along_the_axes_that_were_asked_for():
    """The emulator by itself, without helpers.mesh: it becomes the machine, and names its axes as asked."""
    code = """
import ttnn_emulator
emulator = ttnn_emulator.install("t3000:1x8")
import ttnn, torch
ttnn.set_fabric_config(ttnn.FabricConfig.FABRIC_1D)
mesh = ttnn.open_mesh_device(ttnn.MeshShape(1, 8))
x = ttnn.from_torch(torch.randn(1, 1, 32, 64), device=mesh, layout=ttnn.TILE_LAYOUT, dtype=ttnn.bfloat16)
ttnn.all_gather(x, dim=2, cluster_axis=1)
print("sent", emulator.wires.traffic.by_axis())
import os; os._exit(0)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "sent {'sp': 28672}" in said.stdout, said.stderr[-500:]
