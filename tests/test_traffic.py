"""Bytes on wires: counted by hand on three and four chips, and what a lost hop does to the values."""

import collections
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather, all_reduce, mesh_partition, reduce_scatter
from helpers.layers.halo import Halo
from helpers.mesh import run_on
from helpers.tensors import gather, replicate, shard, shards_of
from tests.on_galaxy import opened, rounded
from ttnn_emulator import attention, hops
from ttnn_emulator.hops import BACKWARD, FORWARD, Line
from ttnn_emulator.systems import find_system
from ttnn_emulator.wires import BYTES, Wires, lines, middle, num_bytes

# --- a line by itself: every tensor is a letter, every hop a byte ------------------------------------


def letters(chips, length=2):
    """A block for each chip: 10 k, 10 k + 1, ... for chip k."""
    return [10.0 * k + torch.arange(length) + 1 for k in range(chips)]


def a_line(chips, closed):
    """A value is a byte; a block of two is cut in the middle."""
    return Line(chips, closed, lambda shape: shape[0], lambda shape: (0, shape[0] // 2) if shape[0] > 1 else None)


# What crosses each wire when everybody's block of two bytes goes to everybody, by hand.
EVERYWHERE = {
    # A line of three: 0 -> 1 carries block 0, 1 -> 2 blocks 0 and 1; and the same backward.
    (3, False): {(0, 1): 2, (1, 2): 4, (2, 1): 2, (1, 0): 4},
    (4, False): {(0, 1): 2, (1, 2): 4, (2, 3): 6, (3, 2): 2, (2, 1): 4, (1, 0): 6},
    # A ring of three: every block is one hop from everybody, so each wire carries one block each way.
    (3, True): {(0, 1): 2, (1, 2): 2, (2, 0): 2, (1, 0): 2, (2, 1): 2, (0, 2): 2},
    # A ring of four: a whole block from the neighbour, and half of the neighbour's neighbour's.
    (4, True): dict.fromkeys([(0, 1), (1, 2), (2, 3), (3, 0), (1, 0), (2, 1), (3, 2), (0, 3)], 3),
}


@pytest.mark.parametrize(("chips", "closed"), EVERYWHERE)
def test_every_block_gets_everywhere_over_the_wires_that_there_are(chips, closed):
    line, blocks = a_line(chips, closed), letters(chips)
    got = line.everywhere(blocks)
    assert line.crossed == EVERYWHERE[chips, closed]
    for of_chip in got:
        assert all(of_chip[k] is blocks[k] for k in range(chips)), "handed on, not copied"


def test_a_block_that_cannot_be_halved_goes_one_way():
    line = a_line(4, True)
    line.everywhere(letters(4, 1))
    assert line.crossed == {(0, 1): 2, (1, 2): 2, (2, 3): 2, (3, 0): 2, (1, 0): 1, (2, 1): 1, (3, 2): 1, (0, 3): 1}


def test_the_order_of_arrival_follows_from_the_hops():
    line = lambda closed: [list(of_chip) for of_chip in a_line(4, closed).everywhere(letters(4))]
    assert line(False) == [[0, 1, 2, 3], [1, 2, 0, 3], [2, 3, 1, 0], [3, 2, 1, 0]]
    assert line(True) == [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]


# Sums go the same ways backward in time: what a wire carries towards a chip is what it carried away from it.
SUMS = {
    (3, False): {(0, 1): 4, (1, 2): 2, (2, 1): 4, (1, 0): 2},
    (4, False): {(0, 1): 6, (1, 2): 4, (2, 3): 2, (3, 2): 6, (2, 1): 4, (1, 0): 2},
    (3, True): EVERYWHERE[3, True],
    (4, True): EVERYWHERE[4, True],
}


def sums_of(line, chips):
    parts = [[100.0 * p + block for block in letters(chips)] for p in range(chips)]
    want = [sum(parts[p][k] for p in range(chips)) for k in range(chips)]
    return line.sums(parts), want


@pytest.mark.parametrize(("chips", "closed"), SUMS)
def test_sums_are_added_up_on_their_way(chips, closed):
    line = a_line(chips, closed)
    got, want = sums_of(line, chips)
    assert line.crossed == SUMS[chips, closed]
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


# --- what is broken is seen in the values ------------------------------------------------------------


def lost(hand, place, way):
    """Nothing arrives over one wire: there is what lay there before."""

    def broken(line, tensor, at, to):  # fmt: skip
        hop = hand(line, tensor, at, to)
        return (hop[0], hops.unwritten(tensor)) if hop and (at, to) == (place, way) else hop

    return broken


BREAKS = {
    "a hop lost in the middle": lambda hand: lost(hand, 1, FORWARD),
    "a hop lost at the end": lambda hand: lost(hand, 1, BACKWARD),
    "the wrong direction": lambda hand: lambda line, tensor, at, to: hand(line, tensor, at, BACKWARD),
    "a chip missing": lambda hand: lambda line, tensor, at, to: None if at == 1 else hand(line, tensor, at, to),
}


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize(("chips", "closed"), EVERYWHERE)
def test_a_broken_line_gives_wrong_values(monkeypatch, chips, closed, broken):
    monkeypatch.setattr(Line, "hand", BREAKS[broken](Line.hand))
    blocks = letters(chips)
    whole = torch.cat(blocks)
    got = [torch.cat([of_chip[k] for k in range(chips)]) for of_chip in a_line(chips, closed).everywhere(blocks)]
    assert not all(torch.equal(values, whole) for values in got)
    sums, want = sums_of(a_line(chips, closed), chips)
    assert not all(torch.equal(a, b) for a, b in zip(sums, want, strict=True))


# --- on a mesh ---------------------------------------------------------------------------------------


mesh = pytest.fixture(scope="module")(opened)


@pytest.fixture
def x():
    return rounded(torch.randn(1, 2, 256, 384, generator=torch.Generator().manual_seed(5)), ttnn.bfloat16)


def along(mesh, row):
    """Bytes over the links of a row, forward and backward."""
    sent = lambda start, end: mesh.traffic.by_link().get(((row, start), (row, end)), 0)
    places = range(mesh.shape[1] - 1)
    return [sent(c, c + 1) for c in places], [sent(c + 1, c) for c in places]


def test_bytes_on_the_wires_of_a_galaxy(mesh, x):
    """The shard is 2 x 32 x 96 values of 2 bytes, along a line of eight."""
    part, one = shard(x, mesh, sp=2, tp=3), 12_288
    mesh.traffic.clear()
    all_gather(part, 2, "sp")
    for row in range(4):
        assert along(mesh, row) == ([one * n for n in range(1, 8)], [one * n for n in range(7, 0, -1)])
    assert len(mesh.traffic.by_link()) == 4 * 14 and mesh.traffic.by_link("tp") == {}
    reduce_scatter(shard(x, mesh, tp=3), 2, "tp")
    all_reduce(part, "sp")  # its 3 tiles of columns do not divide by 8, nor does anything else: everybody gets all
    all_reduce(replicate(x, mesh), "sp")  # 8 tiles of rows do: parts of an eighth, twice
    mesh_partition(shard(x, mesh, tp=3), 2, "sp")
    assert [(s.op, s.axis, s.ring, s.busiest, s.total) for s in mesh.traffic.sent] == [
        ("all_gather", "sp", False, 7 * one, 4 * 56 * one),
        ("reduce_scatter", "tp", False, 3 * 98_304 // 4, 8 * 12 * 98_304 // 4),
        ("all_reduce", "sp", False, 7 * one, 4 * 56 * one),
        ("all_reduce", "sp", False, 2 * 7 * 393_216 // 8, 2 * 4 * 56 * 393_216 // 8),
        ("mesh_partition", "sp", False, 0, 0),
    ]
    assert mesh.traffic.by_axis() == {"sp": 14 * one + 14 * 393_216 // 8, "tp": 3 * 98_304 // 4}
    assert mesh.traffic.by_op()["all_reduce", "sp"] == 7 * one + 14 * 393_216 // 8
    first, then = mesh.traffic.sent[3].steps
    assert {first[link] + then[link] for link in first} == {393_216}, "over both steps each wire carries the whole"
    link, most = mesh.traffic.busiest_link()
    assert abs(link[0][1] - link[1][1]) == 1 and most == max(mesh.traffic.by_link().values())
    assert str(mesh.traffic).splitlines()[2] == (
        "all_gather      sp    line         86,016     2,752,512  (1, 2, 32, 96)"
    )
    mesh.traffic.clear()
    assert mesh.traffic.by_axis() == {} and mesh.traffic.by_link() == {}
    with pytest.raises(ValueError, match="Nothing was sent on emulated galaxy 4x8"):
        mesh.traffic.busiest_link()


def test_a_halo_goes_to_neighbours_only(mesh):
    halo = Halo(mesh)
    halo.space = 2
    video = torch.randn(1, 16, 12, 10, 32, generator=torch.Generator().manual_seed(1))
    part = shard(video, mesh, layout=ttnn.ROW_MAJOR_LAYOUT, sp=1, tp=2)  # of a chip: 2 frames of 3 x 10 x 32
    mesh.traffic.clear()
    halo(part)
    assert along(mesh, 2) == ([2 * 3 * 10 * 32 * 2] * 7, [0] * 7)  # two frames, to the next chip, and none back
    rows = mesh.traffic.by_link("tp")
    assert set(rows.values()) == {4 * 10 * 32 * 2} and len(rows) == 2 * 3 * 8  # a row of four frames, both ways


def a_gather_and_a_sum(mesh, x):
    mesh.traffic.clear()
    whole = gather(all_gather(shard(x, mesh, sp=2), 2, "sp"))
    total = gather(all_reduce(replicate(x, mesh), "tp"))
    ttnn.all_gather(shard(x, mesh, sp=2), 2, cluster_axis=1, topology=ttnn.Topology.Linear)  # ignored, by ttnn's word
    return whole, total, [(s.axis, s.ring, s.busiest, s.total) for s in mesh.traffic.sent], mesh.traffic.by_link()


def test_around_the_rings_of_a_torus(x):
    """Half of what a line's busiest wire carries, over twice as many busy wires."""
    whole, total, sent, links = run_on("galaxy_torus", a_gather_and_a_sum, x)
    block, part = 2 * 32 * 384 * 2, 2 * 256 * 384 * 2 // 4
    assert torch.equal(whole.float(), x) and torch.allclose(total.float(), 4 * x)
    assert sent[0] == sent[2] == ("sp", True, 7 * block // 2, 4 * 8 * 7 * block)
    assert sent[1] == ("tp", True, 2 * 3 * part // 2, 2 * 8 * 4 * 3 * part)
    assert links[(2, 7), (2, 0)] == links[(2, 3), (2, 4)] == 7 * block  # two gathers
    assert links[(0, 5), (3, 5)] == 3 * part and len(links) == 2 * 32 * 2


def test_a_ring_without_a_wire_is_a_line(mesh, x):
    mesh.traffic.clear()
    ttnn.reduce_scatter(replicate(x, mesh), 2, cluster_axis=1, topology=ttnn.Topology.Ring)
    assert not mesh.traffic.sent[0].ring and ((0, 7), (0, 0)) not in mesh.traffic.by_link()


def test_blocks_are_met_in_the_order_of_the_hops(mesh, monkeypatch):
    """And a hop that is lost on the way spoils what the op gives."""
    orders, met = collections.Counter(), attention.met

    def noting(keys, *others):
        orders[tuple(keys)] += 1
        return met(keys, *others)

    monkeypatch.setattr(attention, "met", noting)
    ring_attention(mesh)
    assert orders == dict.fromkeys([
        (0, 1, 2, 3, 4, 5, 6, 7), (1, 2, 0, 3, 4, 5, 6, 7), (2, 3, 1, 4, 0, 5, 6, 7), (3, 4, 2, 5, 1, 6, 0, 7),
        (4, 5, 3, 6, 2, 7, 1, 0), (5, 6, 4, 7, 3, 2, 1, 0), (6, 7, 5, 4, 3, 2, 1, 0), (7, 6, 5, 4, 3, 2, 1, 0),
    ], 1)  # fmt: skip
    # Once each: the four lines go side by side.
    monkeypatch.setattr(Line, "hand", lost(Line.hand, 4, FORWARD))
    assert ring_attention(mesh).isnan().any()


@pytest.mark.parametrize(("up_to", "calls"), [(attention.AT_ONCE_UP_TO, 1), (0, 8)])
def test_attention_of_large_chips_goes_chip_by_chip(mesh, monkeypatch, up_to, calls):
    made, attend = [], F.scaled_dot_product_attention
    monkeypatch.setattr(attention, "AT_ONCE_UP_TO", up_to)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *row, **kw: made.append(1) or attend(*row, **kw))
    ring_attention(mesh)
    assert len(made) == calls


def test_a_chip_attends_to_joint_keys_with_the_last_chips_block_and_to_no_padding():
    keys, values = ({place: torch.randn(2, 5, 3) for place in (1, 2, 0)} for _ in "kv")
    joint = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    blocks = attention.met(keys, values, joint, 12)
    wanted = [(keys[1], values[1], 5), (keys[2], values[2], 2), (*joint, 4), (keys[0], values[0], 5)]
    for (key, value, rows), (*pair, length) in zip(blocks, wanted, strict=True):
        assert key is pair[0] and value is pair[1] and rows == length


def ring_attention(mesh):
    from tests.test_collectives import semaphores

    make = lambda seed: torch.randn(1, 4, 256, 32, generator=torch.Generator().manual_seed(seed))
    grid = mesh.compute_with_storage_grid_size()
    out, _, _ = ttnn.transformer.ring_joint_scaled_dot_product_attention(
        *(shard(make(seed), mesh, tp=1, sp=2) for seed in (1, 2, 3)),
        persistent_output_buffer_k=shard(make(4), mesh, tp=1),
        persistent_output_buffer_v=shard(make(5), mesh, tp=1),
        joint_strategy="rear", logical_n=250, dim=2, multi_device_global_semaphore=semaphores(mesh, 2), num_links=1,
        program_config=ttnn.SDPAProgramConfig(
            compute_with_storage_grid_size=ttnn.CoreCoord(grid.x, grid.y - 1), q_chunk_size=32, k_chunk_size=32,
            exp_approx_mode=False,
        ),
        cluster_axis=1, mesh_device=mesh, topology=ttnn.Topology.Linear,
        ccl_core_grid_offset=ttnn.CoreCoord(0, grid.y - 1),
    )  # fmt: skip
    return gather(out, tp=1, sp=2)


def test_values_of_a_collective_come_over_the_wires(mesh, x, monkeypatch):
    part = shard(x, mesh, sp=2)
    monkeypatch.setattr(Line, "hand", lost(Line.hand, 4, FORWARD))
    wrong = shards_of(all_gather(part, 2, "sp"))
    for (_, column), values in wrong.items():
        assert values.isnan().any() == (column > 4)
    assert all(values.isnan().any() for values in shards_of(all_reduce(replicate(x, mesh), "sp")).values())


# --- in a dry run, and by part of a mesh -------------------------------------------------------------


def test_a_dry_run_counts_the_same(mesh, x, monkeypatch):
    counted = []
    for numerics in (True, False):
        monkeypatch.setattr(mesh.emulator, "numerics", numerics)
        mesh.traffic.clear()
        all_gather(shard(x, mesh, sp=2, tp=3), 2, "sp")
        all_reduce(replicate(x, mesh), "tp")
        counted.append((mesh.traffic.by_op(), mesh.traffic.by_link()))
    assert counted[0] == counted[1]


def test_a_dry_run_counts_what_is_sent_again(mesh, x, monkeypatch):
    """Each twice, and what differs in one thing only: length, layout of numbers, axis, dimension, shape of the mesh."""
    wide = torch.cat([x, x], 2)

    def calls():
        both = [all_gather(replicate(x, mesh, dtype=ttnn.float32), 2, "sp") for _ in "ab"]
        for part, dtype, dim, axis in ((wide, ttnn.float32, 2, "sp"), (x, ttnn.bfloat16, 2, "sp"),
                                       (x, ttnn.float32, 2, "tp"), (x, ttnn.float32, 3, "tp")):  # fmt: skip
            both += [all_gather(replicate(part, mesh, dtype=dtype), dim, axis) for _ in "ab"]
        return len(both)

    counted = []
    for numerics in (True, False):
        monkeypatch.setattr(mesh.emulator, "numerics", numerics)
        mesh.traffic.clear()
        many = calls()
        mesh.reshape(ttnn.MeshShape(8, 4))
        try:
            many += calls()
        finally:
            mesh.reshape(ttnn.MeshShape(4, 8))
        counted.append([(one.op, one.axis, one.shape, one.steps) for one in mesh.traffic.sent])
    assert counted[0] == counted[1] and len(counted[0]) == many == 20
    assert len({str(one) for one in counted[0]}) == 8  # of ten kinds: on which dimension slices are joined is no matter


def test_a_dry_run_names_the_axes_that_there_are_now(mesh, x, monkeypatch):
    """`install` may take the same chips as another mesh, whose axes have other names."""
    monkeypatch.setattr(mesh.emulator, "numerics", False)
    seen, galaxy = replicate(x, mesh), mesh.system
    try:
        for axes in ({"tp": 0, "sp": 1}, {"tp": 1, "sp": 0}):
            mesh.emulator.wires.take_as(replace(galaxy, axes=axes))
            mesh.traffic.clear()
            ttnn.all_gather(seen, dim=2, cluster_axis=0)
            assert [one.axis for one in mesh.traffic.sent] == [next(name for name in axes if axes[name] == 0)]
    finally:
        mesh.emulator.wires.take_as(galaxy)


def test_a_mesh_of_another_shape_uses_the_systems_wires(mesh):
    """32 chips in one row: ttnn lays it as a snake, which turns where the first row ends."""
    x, block = torch.randn(1, 1, 1024, 64, generator=torch.Generator().manual_seed(6)), 32 * 64 * 2
    mesh.traffic.clear()
    mesh.reshape(ttnn.MeshShape(1, 32))
    try:
        mapper = ttnn.ShardTensorToMesh(mesh, 2)
        placed = ttnn.from_torch(x, dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=mesh, mesh_mapper=mapper)
        whole = ttnn.get_device_tensors(ttnn.all_gather(placed, 2, cluster_axis=1))[17].to_torch()
    finally:
        mesh.reshape(ttnn.MeshShape(4, 8))
    links = mesh.traffic.by_link()
    assert torch.equal(whole, x.bfloat16()) and len(links) == 2 * 31
    assert links[(0, 7), (1, 7)] == 8 * block and links[(1, 7), (0, 7)] == 24 * block


def test_chips_that_are_no_neighbours_are_reached_over_others():
    wires = Wires(find_system("galaxy"))
    assert wires.path(7, 8) != [(7, 8)] and wires.path(0, 1) == [(0, 1)]
    way = wires.path(0, 7)
    assert len(way) == 7 and all(wires.wired(*hop) for hop in way)
    assert Wires(find_system("galaxy_torus")).path(0, 7) == [(0, 7)]


def test_a_chip_that_ttnn_places_elsewhere_is_counted_there():
    """Its word on where chips are counts from then on, for what has been counted before too."""
    wires = Wires(find_system("galaxy"))
    chips, crossed = (9, 0, 1), (((1, 2), (((0, 1), 5),)),)
    assert wires.links(chips, crossed) == {((0, 0), (0, 1)): 5}
    assert wires.links((9, 10, 11), crossed) == {((1, 2), (1, 3)): 5}
    upside_down = SimpleNamespace(shape=(4, 8), get_device_id=lambda coord: (3 - coord[0]) * 8 + coord[1])
    wires.chips_of(upside_down)
    assert wires.links(chips, crossed) == {((3, 0), (3, 1)): 5}


@pytest.mark.parametrize("dtype", BYTES)
def test_bytes_in_memory_are_those_that_ttnn_allocates(mesh, dtype):
    values = torch.randint(0, 9, (1, 3, 40, 70))
    tensor = replicate(values if "INT" in dtype.name else values.float(), mesh, dtype=dtype)
    assert num_bytes((1, 3, 40, 70), dtype, tensor.layout) == tensor.buffer_num_pages() * tensor.buffer_page_size()


def test_halves_lie_between_tiles():
    tile, row = ttnn.TILE_LAYOUT, ttnn.ROW_MAJOR_LAYOUT
    assert middle((1, 1, 96, 64), tile) == (-1, 32)  # two tiles go before three
    assert middle((1, 1, 96, 32), tile) == (-2, 32) and middle((1, 1, 20, 30), tile) is None
    assert middle((1, 1, 20, 30), row) == (-2, 10) and middle((70,), tile) == (-1, 32)
    assert lines((2, 3), 0) == ((0, 3), (1, 4), (2, 5)) and lines((2, 3), 1) == ((0, 1, 2), (3, 4, 5))
