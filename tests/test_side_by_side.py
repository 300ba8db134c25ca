"""Lines of chips whose tensors lie side by side: the same values and the same bytes as line by line."""

import pytest
import torch
import ttnn

from helpers.collectives import all_gather, all_reduce, mesh_partition, reduce_scatter
from helpers.mesh import run_on
from helpers.tensors import shard
from tests.test_traffic import ring_attention
from ttnn_emulator import attention, side_by_side
from ttnn_emulator.shards import AT_ONCE_UP_TO, Shards
from ttnn_emulator.side_by_side import on_lines


def randn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def exchanges(mesh):
    """What each chip holds after several collectives along both axes, and the bytes on each wire."""
    mesh.traffic.clear()
    parts = {"sp": 2, "tp": 3}
    x = shard(randn(1, 1, 256, 512, seed=1), mesh, **parts)
    rows = shard(randn(1, 1, 512, 96, seed=2), mesh, dtype=ttnn.float32, sp=2)
    made = [x, rows]
    for axis, dim in parts.items():
        made += [all_reduce(x, axis), all_gather(x, dim, axis), all_gather(rows, 1, axis)]
    made += [reduce_scatter(rows, 2, "tp"), mesh_partition(all_gather(x, 2, "sp"), 2, "sp")]
    made.append(ttnn.all_broadcast(x, cluster_axis=0, topology=ttnn.Topology.Linear)[2])
    values = [[part.clone() for part in mesh.emulator.memory.read(tensor)] for tensor in made]
    return [*values, [ring_attention(mesh)]], mesh.traffic.by_link()


def line_by_line(mesh):
    side_by_side.AT_ONCE_UP_TO = attention.AT_ONCE_UP_TO = 0
    try:
        return exchanges(mesh)
    finally:
        side_by_side.AT_ONCE_UP_TO = attention.AT_ONCE_UP_TO = AT_ONCE_UP_TO


def both(mesh):
    return exchanges(mesh), line_by_line(mesh)


@pytest.mark.parametrize("system", ["galaxy", "galaxy_torus"])
def test_the_same_values_and_bytes_as_line_by_line(system):
    """On lines, and around rings, where a block comes in two halves."""
    (together, links), (apart, same_links) = run_on(system, both)
    assert links == same_links and len(links) > 90
    for ours, theirs in zip(together, apart, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("numbers", [(0, 1, 2), (1, 3, 5), (4, 2, 0), (3, 3, 3), (5, 0, 0), (2,)])
def test_some_of_the_values(numbers):
    """Evenly spaced, backwards, one several times, in no order"""
    values = [randn(2, 3, seed=seed) for seed in range(6)]
    assert torch.equal(Shards.of(values).some(numbers), torch.stack([values[number] for number in numbers]))


@pytest.mark.parametrize("stacked", [False, True])
def test_other_shapes_of_the_same_numbers(stacked):
    values = [randn(4, 6, seed=seed) for seed in range(3)]
    shards = Shards(None, (2, 0, 1, 0), torch.stack(values)) if stacked else Shards(values, (2, 0, 1, 0))
    for chip, number in enumerate((2, 0, 1, 0)):
        assert torch.equal(shards.reshaped((3, 8))[chip], values[number].reshape(3, 8))
        assert torch.equal(shards.cut((3, 5))[chip], values[number][:3, :5])


@pytest.fixture
def shapes():
    """A function for `on_lines` that notes what it is called with, and gives each chip the line's first tensor + 1."""
    met = []

    def function(line, held):
        met.append([tuple(x.shape) for x in held])
        one = held[0] + 1
        return [(one, x) for x in held]

    function.met = met
    return function


def test_lines_that_hold_the_same_in_the_same_places_are_together(shapes):
    """Two lines of two chips that hold different things, one of them twice, and one whose chips hold the same."""
    a, b, c, d, e = (torch.randn(3, 5) for _ in range(5))
    held, lines = Shards.of([a, c, a, e, b, d, b, e]), ((0, 4), (1, 5), (2, 6), (3, 7))
    (one, same), worked = on_lines(shapes, lambda lead: lead, lines, [held])
    assert shapes.met == [[(2, 3, 5)] * 2, [(3, 5)] * 2] and dict(worked) == dict(zip(lines, [1, 1, 1, 0]))
    for first, second in lines:
        assert torch.equal(one[first], held[first] + 1) and torch.equal(same[second], held[second])
        assert one.which[first] == one.which[second], "what is one object for a line stays one"
    assert one.which == (0, 1, 0, 2) * 2 and same.which == (0, 1, 0, 2, 3, 4, 3, 2)


@pytest.mark.parametrize("lines", [((0, 1, 2), (3, 4, 5)), ((0, 3), (1, 4), (2, 5))])
def test_what_all_lines_give_is_one_stack_in_the_order_of_the_chips(shapes, lines):
    held = Shards.of([torch.randn(3, 5) for _ in range(6)])
    (one, same), _ = on_lines(shapes, lambda lead: lead, lines, [held])
    assert same.which == tuple(range(6)) and torch.equal(same.stack, held.stack)
    assert one.stack.shape == (len(lines), 3, 5), "once for each line"
    for number, line in enumerate(lines):
        assert {one.which[chip] for chip in line} == {number} and torch.equal(one.stack[number], held[line[0]] + 1)


def test_an_argument_that_is_the_same_for_all_lines(shapes):
    """And one whose values lie in no order: neither is a view of all."""
    values = [torch.randn(3, 5) for _ in range(4)]
    one, mixed = Shards.of([values[0]] * 4), Shards(values, (2, 0, 1, 3))
    add = lambda line, *held: [x + 2 * y for x, y in zip(*held)]
    total, _ = on_lines(add, lambda lead: lead, ((0, 1), (2, 3)), [one, mixed])
    for got, x, y in zip(total, one, mixed):
        assert torch.equal(got, x + 2 * y)


@pytest.mark.parametrize("lines", [((0, 1), (2, 3), (4, 5)), ((0, 1, 2, 3, 4, 5),)])
@pytest.mark.parametrize("several", [False, True])
def test_a_chip_that_gets_nothing_is_noticed(lines, several):
    held = Shards.of([torch.randn(3, 5) for _ in range(6)])
    gives = lambda line, held: [(x, x) if several else x for x in held[1:]]
    with pytest.raises(ValueError, match="shorter"):
        on_lines(gives, lambda lead: lead, lines, [held])


def test_large_tensors_go_line_by_line(shapes, monkeypatch):
    monkeypatch.setattr(side_by_side, "AT_ONCE_UP_TO", 14)
    held = Shards.of([torch.randn(3, 5) for _ in range(6)])
    (one, same), _ = on_lines(shapes, lambda lead: lead, ((0, 1), (2, 3), (4, 5)), [held])
    assert shapes.met == [[(3, 5)] * 2] * 3
    assert torch.equal(one[5], held[4] + 1) and all(map(torch.equal, same, held))
