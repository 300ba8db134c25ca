"""Ops in which chips exchange data: golden functions that see the shards of all chips at once.

Each takes the op's own arguments with every device tensor replaced by its Shards, one per chip row by row, and the
mesh (wires.py), over whose lines it hands them on; it returns Shards, or a list of one tensor per chip (a tuple of them
for several outputs). ttnn's own golden functions for these ops work on composed tensors, so they are replaced too.

Which way an op's host code takes is what ttnn 0.81.1 does: its source lies in the wheel (ttnn/cpp/ttnn/operations/ccl),
and a capture of a call (ttnn.graph) names the parts that it is made of. What the wheel lacks is as if it were still
that of tenstorrent/tt-metal@79925a3f, below ttnn/cpp/ttnn/operations:
    a gather along a padded dimension is an all_broadcast and a concat      experimental/ccl/composite_common.cpp
    an all_reduce is a reduce_scatter and an all_gather; where no dimension has whole tiles for every chip, each gets
    everything and adds it up itself                          experimental/ccl/all_reduce_async/all_reduce_async.cpp
"""

import torch
import ttnn

from ttnn_emulator.hops import BACKWARD, FORWARD, unwritten
from ttnn_emulator.shards import Shards
from ttnn_emulator.wires import TILE, Mesh

LINE = ttnn.Topology.Linear


def golden_over_mesh(*ops):
    """Attaches a function as the golden function of ops that work across chips."""

    def attach(function):
        function.over_mesh = True
        for op in ops:
            ttnn.attach_golden_function(op, golden_function=function)
        return function

    return attach


def once(function, rows) -> list:
    """function(row) for each row; rows of the same objects share a result."""
    rows, done = list(rows), {}
    for row in rows:
        key = tuple(map(id, row))
        if key not in done:
            done[key] = function(row)
    return [done[tuple(map(id, row))] for row in rows]


def in_order(got: dict[int, torch.Tensor]) -> list[torch.Tensor]:
    return [got[place] for place in sorted(got)]


def ints(args) -> list[int]:
    return [a for a in args if isinstance(a, int) and not isinstance(a, bool)]


def topology_in(args):
    return next((a for a in args if isinstance(a, ttnn.Topology)), None)


# Gather


def gathered(held: Shards, mesh: Mesh, dim: int, axis: int, topology) -> Shards:
    """Every chip ends with the shards of its line, joined along dim."""
    shape, storage, dim = held.shape, {}, from_end(dim, held)
    if mesh.layout == ttnn.TILE_LAYOUT and is_padded(shape, dim):
        topology = LINE
        storage = {"dtype": ttnn.bfloat16} if mesh.dtype == ttnn.bfloat8_b else {}

    def gather(line, blocks):
        return once(lambda row: torch.cat(row, dim), map(in_order, line.everywhere(blocks)))

    return mesh.along(axis, mesh.goes_around(axis, topology), gather, held, **storage)


def from_end(dim: int, held: Shards) -> int:
    """A dimension of a chip's tensor counted from its end, so that lines can lie side by side in front (wires.py)."""
    rank = len(held.shape)
    return dim % rank - rank


def is_padded(shape, dim: int) -> bool:
    dim = dim % len(shape)
    return dim >= len(shape) - 2 and shape[dim] % TILE > 0


@golden_over_mesh(ttnn.all_gather)
def all_gather(input_tensor: Shards, *args, mesh, dim=None, cluster_axis=None) -> Shards:
    """Its topology and num_links are ignored, says its documentation: the fabric decides."""
    return gather_over(input_tensor, mesh, *places(args, dim, cluster_axis), None)


@golden_over_mesh(ttnn.experimental.all_gather_async)
def all_gather_async(input_tensor: Shards, *args, mesh, dim=None, cluster_axis=None, topology=None) -> Shards:
    topology = topology or topology_in(args) or ttnn.Topology.Ring
    return gather_over(input_tensor, mesh, *places(args, dim, cluster_axis), topology)


def places(args, dim, cluster_axis) -> tuple[int, int | None]:
    """(dim, cluster_axis), by name or by place: the overloads agree on the order."""
    numbers = ints(args)
    dim = numbers[0] if dim is None else dim
    return dim, numbers[1] if cluster_axis is None and len(numbers) > 1 else cluster_axis


def gather_over(held: Shards, mesh: Mesh, dim: int, axis: int | None, topology) -> Shards:
    """Over one axis, or over all of them: the last first, so that shards are joined row by row."""
    for index in reversed(mesh.by_turns) if axis is None else [mesh.the_axis(axis)]:
        held = gathered(held, mesh, dim, index, topology)
    return held


# Sums


def scattered(held: Shards, mesh: Mesh, dim: int, axis: int, topology) -> Shards:
    """The sum over a line, of which every chip keeps its part along dim. Parts travel in whole tiles."""
    dim = from_end(dim, held)

    def scatter(line, shards):
        return line.sums([shard.chunk(line.length, dim) for shard in shards])

    return mesh.along(axis, mesh.goes_around(axis, topology), scatter, held, layout=ttnn.TILE_LAYOUT)


@golden_over_mesh(ttnn.reduce_scatter)
def reduce_scatter(input_tensor: Shards, *args, mesh, dim=None, cluster_axis=None, topology=None) -> Shards:
    """The sum over a line, or over all chips, an axis after the other; every chip keeps its part along dim."""
    dim = ints(args)[0] if dim is None else dim
    for index in mesh.by_turns if cluster_axis is None else [mesh.the_axis(cluster_axis)]:
        input_tensor = scattered(input_tensor, mesh, dim, index, topology)
    return input_tensor


@golden_over_mesh(ttnn.experimental.reduce_scatter_minimal_async)
def reduce_scatter_async(input_tensor: Shards, *args, mesh, dim=None, cluster_axis=None, topology=None) -> Shards:
    topology = topology or topology_in(args) or ttnn.Topology.Ring
    return reduce_scatter(input_tensor, *args, mesh=mesh, dim=dim, cluster_axis=cluster_axis, topology=topology)


@golden_over_mesh(ttnn.all_reduce)
def all_reduce(input_tensor: Shards, *, mesh, cluster_axis=None, topology=None) -> Shards:
    """The sum over a line, or over all chips, an axis after the other, on every chip."""
    for index in mesh.by_turns if cluster_axis is None else [mesh.the_axis(cluster_axis)]:
        input_tensor = reduced(input_tensor, mesh, index, topology)
    return input_tensor


def reduced(held: Shards, mesh: Mesh, axis: int, topology) -> Shards:
    dim = dimension_to_cut(held.shape, mesh.shape[axis], mesh.layout)
    if dim is not None:
        return gathered(scattered(held, mesh, dim, axis, topology), mesh, dim, axis, None)

    def add(line, shards):
        return once(lambda row: sum(row[1:], row[0]), map(in_order, line.everywhere(shards)))

    return mesh.along(axis, False, add, held)


def dimension_to_cut(shape, chips: int, layout) -> int | None:
    """The last dimension that has equally many tiles for each chip. None where there is none, or it is padded."""
    if layout != ttnn.TILE_LAYOUT:
        return None
    steps = [1] * (len(shape) - 2) + [TILE, TILE]
    for dim in reversed(range(len(shape))):
        if -(-shape[dim] // steps[dim]) % chips == 0:
            return None if shape[dim] % (steps[dim] * chips) else dim
    return None


@golden_over_mesh(ttnn.mesh_partition)
def mesh_partition(input_tensor: Shards, dim, cluster_axis=None, *, mesh) -> Shards | list[torch.Tensor]:
    """Every chip keeps its own part, along dim, of what it holds. Nothing is sent."""
    if cluster_axis is None:
        return [shard.chunk(len(input_tensor), dim)[place] for place, shard in enumerate(input_tensor)]

    dim = from_end(dim, input_tensor)

    def partition(line, shards):
        return [shard.chunk(line.length, dim)[place] for place, shard in enumerate(shards)]

    return mesh.along(mesh.the_axis(cluster_axis), False, partition, input_tensor)


# Broadcasts. Around a ring a chip with an odd place in it reaches further forward, one with an even place backward.


def routes_of(line, blocks: dict[int, torch.Tensor]):
    if not line.closed:
        return line.routes(blocks)
    more, less = line.length // 2, (line.length - 1) // 2
    reaches = {FORWARD: less, BACKWARD: more}, {FORWARD: more, BACKWARD: less}
    return [({**reach}, {p: b for p, b in blocks.items() if p % 2 == odd}) for odd, reach in enumerate(reaches)]


@golden_over_mesh(ttnn.broadcast)
def broadcast(input_tensor: Shards, sender_coord, *, mesh, cluster_axis=None, topology=LINE) -> list[torch.Tensor]:
    """The sender's shard on every chip of the sender's line; the other lines keep what they have."""
    row, column = tuple(sender_coord)
    sender, axis = row * mesh.shape[1] + column, mesh.the_axis(cluster_axis)
    chips = next(chips for chips in mesh.lines(axis) if sender in chips)
    line, place = mesh.line(axis, mesh.goes_around(axis, topology)), chips.index(sender)
    got = line.relay(routes_of(line, {place: input_tensor[sender]}), input_tensor[sender].shape)
    mesh.note(axis, line.closed, [(chips, line)])
    reached = {chip: of_chip[place] for chip, of_chip in zip(chips, got)}
    return [reached.get(chip, shard) for chip, shard in enumerate(input_tensor)]


@golden_over_mesh(ttnn.all_broadcast)
def all_broadcast(input_tensor: Shards, *, mesh, cluster_axis=None, topology=LINE) -> tuple[Shards, ...]:
    """As many outputs as a line has chips: the k-th is, everywhere, the shard of the line's k-th chip."""
    axis = mesh.the_axis(cluster_axis)

    def spread(line, shards):
        return [in_order(got) for got in line.relay(routes_of(line, dict(enumerate(shards))), shards[0].shape)]

    return mesh.along(axis, mesh.goes_around(axis, topology), spread, input_tensor)


# Halos


@golden_over_mesh(ttnn.experimental.neighbor_pad_async)
def neighbor_pad(
    input_tensor: Shards, dim, padding_left, padding_right, padding_mode, cluster_axis, *semaphores, mesh
) -> Shards:
    """A halo: each shard grows by its neighbours' edges along dim; the outermost by zeros or their own last slice.

    A line always, and one axis after the other (neighbor_pad_async_program_factory.cpp).
    """
    shards = input_tensor
    for d, left, right, axis in zip(dim, padding_left, padding_right, cluster_axis):
        d = from_end(d, shards)
        grow = lambda line, held, d=d, widths=(left, right): with_edges(line, held, d, widths, padding_mode)
        shards = mesh.along(mesh.the_axis(axis), False, grow, shards)
    return shards


def with_edges(line, held, dim: int, widths: tuple[int, int], padding_mode: str) -> list[torch.Tensor]:
    """Each chip's last slices go forward, to stand before the next chip's, and its first ones backward."""
    grown, last = [[x] for x in held], line.length - 1
    for way, width, end in ((FORWARD, widths[0], 0), (BACKWARD, widths[1], last)):
        if width == 0:
            continue
        length = held[0].shape[dim]
        edges = [x.narrow(dim, length - width if way == FORWARD else 0, width) for x in held]
        got = [unwritten(edge) for edge in edges]
        border = held[end].narrow(dim, 0 if way == FORWARD else length - 1, 1)
        border = torch.cat([border] * width, dim)
        got[end] = border if padding_mode == "replicate" else torch.zeros_like(border)
        for place, edge in enumerate(edges):
            if (hop := line.hand(edge, place, way)) is not None:
                got[hop[0]] = hop[1]
        for parts, new in zip(grown, got):
            parts.insert(0 if way == FORWARD else len(parts), new)
    return [torch.cat(parts, dim) for parts in grown]
