"""Ops in which chips exchange data: golden functions that see the shards of all chips at once.

Each takes the op's own arguments with every device tensor replaced by the list of its shards, one per chip row by
row, and the mesh's shape; it returns such a list (a tuple of lists for several outputs). ttnn's own golden functions
for these ops work on composed tensors, so they are replaced too.
"""

import itertools
import math

import torch
import torch.nn.functional as F
import ttnn

Shards = list[torch.Tensor]


def golden_over_mesh(*ops):
    """Attaches a function as the golden function of ops that work across chips."""

    def attach(function):
        function.over_mesh = True
        for op in ops:
            ttnn.attach_golden_function(op, golden_function=function)
        return function

    return attach


def lines(mesh_shape: tuple[int, ...], axis: int | None) -> list[list[int]]:
    """The groups of chips that talk to each other: all lines along a mesh axis, or with None the whole mesh."""
    chips = range(math.prod(mesh_shape))
    if axis is None:
        return [list(chips)]
    coords = list(itertools.product(*map(range, mesh_shape)))
    axis = axis % len(mesh_shape)
    found = {}
    for chip in chips:
        found.setdefault(coords[chip][:axis] + coords[chip][axis + 1 :], []).append(chip)
    return list(found.values())


def per_line(shards: Shards, mesh_shape, axis, function) -> Shards:
    """Applies function(shards of a line) -> shards of that line, once for lines that hold the same objects."""
    results, done = [None] * len(shards), {}
    for line in lines(mesh_shape, axis):
        of_line = [shards[chip] for chip in line]
        key = tuple(map(id, of_line))
        if key not in done:
            done[key] = function(of_line)
        for chip, result in zip(line, done[key]):
            results[chip] = result
    return results


def ints(args) -> list[int]:
    return [a for a in args if isinstance(a, int) and not isinstance(a, bool)]


@golden_over_mesh(ttnn.all_gather, ttnn.experimental.all_gather_async)
def all_gather(input_tensor: Shards, *args, mesh_shape, dim=None, cluster_axis=None) -> Shards:
    """Every chip ends with the shards of its line, joined along dim."""
    numbers = ints(args)  # the overloads agree on the order: dim, then perhaps cluster_axis
    dim = numbers[0] if dim is None else dim
    cluster_axis = numbers[1] if cluster_axis is None and len(numbers) > 1 else cluster_axis

    def gather(line):
        return [torch.cat(line, dim)] * len(line)

    return per_line(input_tensor, mesh_shape, cluster_axis, gather)


@golden_over_mesh(ttnn.reduce_scatter, ttnn.experimental.reduce_scatter_minimal_async)
def reduce_scatter(input_tensor: Shards, *args, mesh_shape, dim=None, cluster_axis=None) -> Shards:
    """The sum over a line, of which every chip keeps its part along dim."""
    dim = ints(args)[0] if dim is None else dim

    def reduce(line):
        return sum(line[1:], line[0]).chunk(len(line), dim)

    return per_line(input_tensor, mesh_shape, cluster_axis, reduce)


@golden_over_mesh(ttnn.all_reduce)
def all_reduce(input_tensor: Shards, *, mesh_shape, cluster_axis=None) -> Shards:
    """The sum over a line, on every chip of it."""

    def reduce(line):
        return [sum(line[1:], line[0])] * len(line)

    return per_line(input_tensor, mesh_shape, cluster_axis, reduce)


@golden_over_mesh(ttnn.mesh_partition)
def mesh_partition(input_tensor: Shards, dim, cluster_axis=None, *, mesh_shape) -> Shards:
    """Every chip keeps its own part, along dim, of what it holds."""

    def partition(line):
        return [shard.chunk(len(line), dim)[place] for place, shard in enumerate(line)]

    return per_line(input_tensor, mesh_shape, cluster_axis, partition)


@golden_over_mesh(ttnn.broadcast)
def broadcast(input_tensor: Shards, sender_coord, *, mesh_shape, cluster_axis=None) -> Shards:
    """The sender's shard on every chip of the sender's line; the other lines keep what they have."""
    sender = chip_at(sender_coord, mesh_shape)
    line = next(line for line in lines(mesh_shape, cluster_axis) if sender in line)
    return [input_tensor[sender] if chip in line else shard for chip, shard in enumerate(input_tensor)]


@golden_over_mesh(ttnn.all_broadcast)
def all_broadcast(input_tensor: Shards, *, mesh_shape, cluster_axis=None) -> tuple[Shards, ...]:
    """As many outputs as a line has chips: the k-th is, everywhere, the shard of the line's k-th chip."""
    length = len(lines(mesh_shape, cluster_axis)[0])
    return tuple(
        per_line(input_tensor, mesh_shape, cluster_axis, lambda line, k=k: [line[k]] * len(line)) for k in range(length)
    )


def chip_at(coord, mesh_shape) -> int:
    row, col = tuple(coord)
    return row * mesh_shape[1] + col


@golden_over_mesh(ttnn.experimental.neighbor_pad_async)
def neighbor_pad(
    input_tensor: Shards,
    dim,
    padding_left,
    padding_right,
    padding_mode,
    cluster_axis,
    *semaphores,
    mesh_shape,
) -> Shards:
    """A halo: each shard grows by its neighbours' edges along dim; the outermost by zeros or their own last slice."""
    shards = input_tensor
    for d, left, right, axis in zip(dim, padding_left, padding_right, cluster_axis):
        pad_line = lambda line, d=d, left=left, right=right: [
            torch.cat([*halo(line, place - 1, d, -left, padding_mode), shard,
                       *halo(line, place + 1, d, right, padding_mode)], d)
            for place, shard in enumerate(line)
        ]  # fmt: skip
        shards = per_line(shards, mesh_shape, axis, pad_line)
    return shards


def halo(line: Shards, place: int, dim: int, width: int, padding_mode: str) -> Shards:
    """The slice that a chip gets from its neighbour at `place`: the last `-width` of it, or the first `width`."""
    if width == 0:
        return []
    if 0 <= place < len(line):
        length = line[place].shape[dim]
        return [line[place].narrow(dim, length + width if width < 0 else 0, abs(width))]
    edge = line[0].narrow(dim, 0, 1) if width < 0 else line[-1].narrow(dim, line[-1].shape[dim] - 1, 1)
    border = torch.cat([edge] * abs(width), dim)
    return [border if padding_mode == "replicate" else torch.zeros_like(border)]


@golden_over_mesh(ttnn.transformer.ring_joint_scaled_dot_product_attention)
def ring_joint_attention(
    input_tensor_q: Shards,  # per chip (B, heads, N / chips, head_dim)
    input_tensor_k: Shards,
    input_tensor_v: Shards,
    joint_tensor_q: Shards | None = None,  # per chip (B, heads, L, head_dim), the same on all chips of a line
    joint_tensor_k: Shards | None = None,
    joint_tensor_v: Shards | None = None,
    *,
    mesh_shape,
    cluster_axis,
    logical_n: int,
    joint_strategy="rear",
    scale=None,
    is_causal=False,
    logical_l=0,
    sliding_window_size=None,
    is_cross=False,
    dim=2,  # along which K and V are gathered
):
    """Attention over a sequence that is split along a line of chips, and a joint sequence that every chip holds.

    K and V travel around the ring: chip i meets the blocks of chips i, i-1, i-2, ..., and the joint keys come with the
    last chip's block. Keys at or behind logical_n are padding. torch's attention, too, goes through the keys in the
    order given and keeps a running maximum and sum, so here the blocks are only put in the order of their arrival.
    """
    if is_causal or is_cross or dim != 2 or logical_l or sliding_window_size is not None or joint_strategy != "rear":
        raise NotImplementedError("only plain joint attention with joint_strategy='rear' is emulated")
    outputs, joint_outputs = [None] * len(input_tensor_q), [None] * len(input_tensor_q)
    for line in lines(mesh_shape, cluster_axis):
        for place, chip in enumerate(line):
            query = input_tensor_q[chip]
            if joint_tensor_q is not None:
                query = torch.cat([query, joint_tensor_q[chip]], 2)
            blocks = []
            for step in range(len(line)):
                source = (place - step) % len(line)
                key, value = input_tensor_k[line[source]], input_tensor_v[line[source]]
                real = max(0, min(key.shape[2], logical_n - source * key.shape[2]))
                key, value = key[:, :, :real], value[:, :, :real]
                if joint_tensor_k is not None and source == len(line) - 1:
                    key = torch.cat([key, joint_tensor_k[chip]], 2)
                    value = torch.cat([value, joint_tensor_v[chip]], 2)
                blocks.append((key, value))
            key, value = (torch.cat(parts, 2) for parts in zip(*blocks))
            out = F.scaled_dot_product_attention(query, key, value, scale=scale)
            outputs[chip], joint_outputs[chip] = out.tensor_split([input_tensor_q[chip].shape[2]], 2)
    return outputs, joint_outputs, [ring_scratch(input_tensor_q[0], joint_tensor_q)] * len(outputs)


def ring_scratch(query, joint) -> torch.Tensor:
    """The op's third output is its private scratch, two columns of whole tiles: nobody may read it, so NaN."""
    rows = sum(math.ceil(part.shape[2] / 32) * 32 for part in (query, *(joint or [])[:1]))
    return query.new_full((*query.shape[:2], 2 * rows, 1), math.nan)
