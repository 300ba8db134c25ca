"""The exercises of notebook 01. Each reference is one right answer; the tests prove every named mistake."""

import itertools

import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather, all_reduce
from helpers.exercises import Exercise
from helpers.mesh import current_mesh
from helpers.tensors import replicate, shard


def slice_of(length, mesh_shape, axis, chip):
    chips = mesh_shape[axis]
    size = length // chips
    start = chip[axis] * size
    return start, start + size


def slice_cases():
    cases = []
    for length, mesh_shape, axis, chip in (
        (96, (4, 8), 0, (2, 5)),
        (640, (4, 8), 1, (3, 6)),
        (210, (2, 5), 1, (1, 2)),
    ):
        held = torch.arange(length).chunk(mesh_shape[axis])[chip[axis]].tolist()
        cases.append(((length, mesh_shape, axis, chip), (held[0], held[-1] + 1)))
    return cases


def all_gather_bytes(shard_bytes, chips, ring):
    missing = shard_bytes * (chips - 1)
    return missing // 2 if ring else missing


def gather_cases():
    """Counted shard by shard, over the link that leads forward to the last chip."""
    cases = []
    for shard_bytes, chips, ring in ((1536, 8, False), (700, 4, True), (90, 3, False), (512, 5, True)):
        carried = 0
        for source in range(chips - 1):
            forward, backward = chips - 1 - source, source + 1  # hops to the last chip, and around the other way
            if not ring or forward < backward:
                carried += shard_bytes
            elif forward == backward:
                carried += shard_bytes // 2
        cases.append(((shard_bytes, chips, ring), carried))
    return cases


def transfer_time(num_bytes, links, bytes_per_s, hops, latency_s):
    return num_bytes / (links * bytes_per_s) + hops * latency_s


def transfer_cases():
    return [
        ((50_000_000, 4, 12.5e9, 3, 0.7e-6), 0.001 + 2.1e-6),
        ((30_000, 2, 12.5e9, 7, 0.7e-6), 1.2e-6 + 4.9e-6),
        ((9_000, 3, 1e9, 2, 5e-6), 3e-6 + 10e-6),
    ]


def column_parallel(x, w):
    y = ttnn.linear(x, w)
    return all_gather(y, 3, "tp")


def layer_inputs(seed, rows, width, hidden):
    """x (1, 1, rows, width), w (1, 1, width, hidden), bias (1, 1, 1, hidden); sizes per chip, times chips"""
    mesh = current_mesh()
    tp, sp = (mesh.shape[mesh.system.axes[axis]] for axis in ("tp", "sp"))
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator).bfloat16().float()
    x, w = draw(1, 1, rows * sp, width * tp), draw(1, 1, width * tp, hidden * tp)
    return mesh, x, w / x.shape[-1] ** 0.5, draw(1, 1, 1, hidden * tp)


def on_chips(whole, mesh, **dims):
    """(chips, ...) of what each chip should hold, cut from the unsharded result in plain torch"""
    cuts = {mesh.system.axes[axis]: dim for axis, dim in dims.items()}

    def part(chip):
        held = whole
        for index, dim in cuts.items():
            held = held.chunk(mesh.shape[index], dim)[chip[index]]
        return held

    return torch.stack([part(chip) for chip in itertools.product(*map(range, mesh.shape))])


def column_cases():
    mesh, x, w, _ = layer_inputs(seed=3, rows=32, width=64, hidden=96)
    return [((shard(x, mesh, sp=2), shard(w, mesh, tp=3)), on_chips(x @ w, mesh, sp=2))]


def row_parallel(x, w, bias):
    partial = ttnn.linear(x, w)
    return ttnn.add(all_reduce(partial, "tp"), bias)


def row_cases():
    mesh, x, w, bias = layer_inputs(seed=4, rows=32, width=96, hidden=64)
    placed = shard(x, mesh, sp=2, tp=3), shard(w, mesh, tp=2), replicate(bias, mesh)
    return [(placed, on_chips(x @ w + bias, mesh, sp=2))]


def mlp(x, up, down):
    hidden = ttnn.silu(ttnn.linear(x, up))
    return all_reduce(ttnn.linear(hidden, down), "tp")


def mlp_cases():
    mesh, x, up, _ = layer_inputs(seed=5, rows=32, width=64, hidden=96)
    down = layer_inputs(seed=6, rows=32, width=96, hidden=64)[2]
    whole = F.silu(x @ up) @ down
    return [((shard(x, mesh, sp=2), shard(up, mesh, tp=3), shard(down, mesh, tp=2)), on_chips(whole, mesh, sp=2))]


slice_of = Exercise(
    "slice_of",
    slice_of,
    slice_cases,
    mistakes={
        "the axes are swapped. Axis 0 counts the rows of the mesh, and chip[0] is the chip's row.": lambda n, m, a, c: (
            c[1 - a] * (n // m[1 - a]),
            (c[1 - a] + 1) * (n // m[1 - a]),
        ),
        "the chip's other coordinate is used. Along axis 0 the row counts, along axis 1 the column.": (
            lambda n, m, a, c: (c[1 - a] * (n // m[a]), (c[1 - a] + 1) * (n // m[a]))
        ),
        "all chips are counted, not only those along the axis. Chips in the same line of the other axis hold copies.": (
            lambda n, m, a, c: (
                (c[0] * m[1] + c[1]) * (n // (m[0] * m[1])),
                (c[0] * m[1] + c[1] + 1) * (n // (m[0] * m[1])),
            )
        ),
        "the second number is the length of the slice, not its end.": lambda n, m, a, c: (
            c[a] * (n // m[a]),
            n // m[a],
        ),
        "chips are counted from 1. The first chip is number 0.": lambda n, m, a, c: (
            (c[a] - 1) * (n // m[a]),
            c[a] * (n // m[a]),
        ),
    },
    hints=(
        "Only one of the chip's two coordinates matters: the one along the axis that cuts.",
        "Each slice is length // mesh_shape[axis] long.",
        "The slice starts after the chips before it: chip[axis] slices of that length.",
    ),
)

all_gather_bytes = Exercise(
    "all_gather_bytes",
    all_gather_bytes,
    gather_cases,
    mistakes={
        "a chip's own shard need not come to it: n - 1 are missing.": lambda b, n, r: b * n // 2 if r else b * n,
        "that is one shard. A chip also passes on the shards that reach it.": lambda b, n, r: b,
        "around a ring shards come from both sides: each link carries half of what is missing.": lambda b, n, r: (
            b * (n - 1)
        ),
        "on a line the last chip has one neighbour. Nothing comes from the other side.": lambda b, n, r: (
            b * (n - 1) // 2
        ),
        "that is what all chips receive together. The question is about one link.": lambda b, n, r: b * n * (n - 1),
        "shard_bytes is already one chip's part. Do not divide it again.": lambda b, n, r: (
            b * (n - 1) / n / 2 if r else b * (n - 1) / n
        ),
    },
    hints=(
        "Be the last chip of the line. How many shards do you lack, and over how many links can they come?",
        "On a line all n - 1 come over your one link. Around a ring you have a neighbour on both sides.",
        "(n - 1) shards of shard_bytes on a line, half of that, with //, around a ring.",
    ),
)

transfer_time = Exercise(
    "transfer_time",
    transfer_time,
    transfer_cases,
    mistakes={
        "only one link is used. The links of a pair carry the bytes side by side.": lambda n, k, v, h, t: n / v + h * t,
        "bytes are counted as bits. The bandwidth is already in bytes per second.": lambda n, k, v, h, t: (
            8 * n / (k * v) + h * t
        ),
        "the latency is counted once. Every hop adds its own.": lambda n, k, v, h, t: n / (k * v) + t,
        "every hop is given the whole transfer time. The chips on the way pass packets on as they come.": (
            lambda n, k, v, h, t: h * (n / (k * v) + t)
        ),
        "the latency is missing. It hardly matters for megabytes, and it is all that matters for a small message.": (
            lambda n, k, v, h, t: n / (k * v)
        ),
    },
    hints=(
        "Two times add up: pushing the bytes out, and the way of the first byte.",
        "Pushing them out takes bytes over bandwidth. How many bytes per second do all links have together?",
        "The way of the first byte takes hops times latency_s.",
    ),
)

column_parallel = Exercise(
    "column_parallel",
    column_parallel,
    column_cases,
    needs_mesh=True,
    mistakes={
        "each chip still holds only its own columns. An all_gather along tp is missing.": lambda x, w: ttnn.linear(
            x, w
        ),
        "the columns are joined along the wrong dimension. Columns are dimension 3.": lambda x, w: all_gather(
            ttnn.linear(x, w), 2, "tp"
        ),
        "the chips' columns are added up. They are different columns of the result: join them.": (
            lambda x, w: all_reduce(ttnn.linear(x, w), "tp")
        ),
        "the result is joined along sp. That mixes tokens: the columns are spread along tp.": lambda x, w: all_gather(
            ttnn.linear(x, w), 3, "sp"
        ),
    },
    hints=(
        "Each chip can multiply what it has: x is whole in the dimension that the product sums over.",
        "Afterwards the chips along tp hold different columns of the same rows.",
        "all_gather(y, 3, 'tp') joins them.",
    ),
)

row_parallel = Exercise(
    "row_parallel",
    row_parallel,
    row_cases,
    needs_mesh=True,
    mistakes={
        "the all_reduce is missing: every chip holds a part of the sum.": lambda x, w, b: ttnn.add(
            ttnn.linear(x, w), b
        ),
        "the bias is added on every chip before the sum, so it counts once for each chip.": lambda x, w, b: all_reduce(
            ttnn.add(ttnn.linear(x, w), b), "tp"
        ),
        "the sum runs along sp, over chips with other tokens. The parts of one sum are spread along tp.": (
            lambda x, w, b: ttnn.add(all_reduce(ttnn.linear(x, w), "sp"), b)
        ),
        "the bias is missing.": lambda x, w, b: all_reduce(ttnn.linear(x, w), "tp"),
        "partial sums are joined side by side. They belong to the same places: add them.": lambda x, w, b: all_gather(
            ttnn.linear(x, w), 3, "tp"
        ),
    },
    hints=(
        "Write out one number of the result for width 4 on 2 chips. Which terms does each chip have?",
        "Each chip has some terms of every sum. What adds tensors across chips?",
        "all_reduce(partial, 'tp') first. The bias belongs to the result once, so add it after the sum.",
    ),
)

mlp = Exercise(
    "mlp",
    mlp,
    mlp_cases,
    needs_mesh=True,
    mistakes={
        "the all_reduce at the end is missing: every chip holds a part of the sum.": lambda x, u, d: ttnn.linear(
            ttnn.silu(ttnn.linear(x, u)), d
        ),
        "the hidden values are added across chips. They are different columns: leave them where they are.": (
            lambda x, u, d: all_reduce(ttnn.linear(ttnn.silu(all_reduce(ttnn.linear(x, u), "tp")), d), "tp")
        ),
        "silu comes after the second product. It belongs between the two.": lambda x, u, d: ttnn.silu(
            all_reduce(ttnn.linear(ttnn.linear(x, u), d), "tp")
        ),
        "silu is missing.": lambda x, u, d: all_reduce(ttnn.linear(ttnn.linear(x, u), d), "tp"),
    },
    hints=(
        "up is cut by columns, down by rows. Look at what the first leaves and what the second wants.",
        "silu works on each number by itself, so it does not care on which chip the number is.",
        "Three ttnn calls and, at the very end, one all_reduce along tp.",
    ),
)
