"""The exercises of notebook 01. Each reference is one right answer; the tests prove every named mistake."""

import torch

from helpers.collectives import all_gather, all_reduce, reduce_scatter
from helpers.exercises import Exercise
from helpers.exercises.inputs import busiest, layer_inputs, on_chips, tp_and_sp
from helpers.exercises.products import column_parallel, mlp, mlp_in_slices, row_parallel, weights_over_both
from helpers.exercises.verdict import AtMost
from helpers.tensors import shard

__all__ = [
    "break_even",
    "column_parallel",
    "mlp",
    "mlp_in_slices",
    "row_parallel",
    "slice_of",
    "sum_everywhere",
    "weights_over_both",
]


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


def sum_everywhere(x):
    slices = reduce_scatter(x, 3, "tp")
    slices = all_gather(slices, 2, "sp")
    return all_gather(slices, 3, "tp")


def sum_cases():
    """Parts of a sum along tp, tokens along sp; the bytes from paper, as the table of the right program has them."""
    mesh, x, _, _ = layer_inputs(seed=2, rows=64, width=32 * tp_and_sp()[0], hidden=32)
    tp, sp = tp_and_sp()
    whole = x.unflatten(3, (tp, -1)).sum(3)
    part = 2 * 64 * 32  # bytes that a chip has after the first line
    sent = AtMost(tp=busiest("tp", part) + busiest("tp", sp * part), sp=busiest("sp", part))
    return [((shard(x, mesh, sp=2, tp=3),), (on_chips(whole, mesh), sent))]


def break_even(links, bytes_per_s, hops, latency_s):
    return links * bytes_per_s * hops * latency_s


def break_even_cases():
    """Searched for: the size at which pushing the bytes out takes as long as the first byte's way"""
    cases = []
    for links, rate, hops, latency in ((4, 12.5e9, 1, 0.7e-6), (1, 12.5e9, 7, 0.7e-6), (3, 1e9, 2, 5e-6)):
        low, high = 0.0, 1e9
        while high - low > 1e-9 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if middle / (links * rate) < hops * latency else (low, middle)
        cases.append(((links, rate, hops, latency), high))
    return cases


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
    discussion=(
        "Chips along the other axis have the same coordinate along this one, so they hold copies: their own "
        "coordinate does not occur in the rule. torch.arange(length).chunk(chips)[n] says the same, for lengths "
        "that divide."
    ),
)


sum_everywhere = Exercise(
    "sum_everywhere",
    sum_everywhere,
    sum_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "the tokens of other chips are missing. Yesterday there was a line along sp.": lambda x: all_gather(
            reduce_scatter(x, 3, "tp"), 3, "tp"
        ),
        "the values are right, the place is not. In the table the line along sp comes before the last one.": lambda x: (
            all_gather(all_reduced_in_two(x), 2, "sp")
        ),
        "the values are right, the place is not. The table begins along tp: there the parts get smaller first.": (
            lambda x: all_reduced_in_two(all_gather(x, 2, "sp"))
        ),
        "the line along sp joins features. Each chip along sp has other tokens: they are dimension 2.": lambda x: (
            all_gather(all_gather(reduce_scatter(x, 3, "tp"), 3, "sp"), 3, "tp")
        ),
        "along sp nothing is to be added up: each chip there has tokens of its own.": lambda x: all_gather(
            all_reduce(reduce_scatter(x, 3, "tp"), "sp"), 3, "tp"
        ),
        "the last line is missing: each chip along tp still has its own slice of the features.": lambda x: all_gather(
            reduce_scatter(x, 3, "tp"), 2, "sp"
        ),
    },
    hints=(
        "Lay the two tables beside each other. Which op, along which axis, stands in one only?",
        "It gets parts of (1, 1, 32, 32), and the next line (1, 1, 256, 32) on a Galaxy. Which dimension has grown?",
        "all_gather(slices, 2, 'sp'), between the two lines that are there.",
    ),
    discussion=(
        "The shapes in the table are those that go into an op, so each line says what the one before has made. "
        "Putting the lost line last gives the same values: then few bytes go along tp and many along sp. Here both "
        "orders send equally many in all. On a real machine the axis with the faster or idle links would decide."
    ),
)


def all_reduced_in_two(x):
    return all_gather(reduce_scatter(x, 3, "tp"), 3, "tp")


break_even = Exercise(
    "break_even",
    break_even,
    break_even_cases,
    mistakes={
        "only one link is counted. The links of a pair carry the bytes side by side.": lambda k, v, h, t: v * h * t,
        "the latency is counted once. Every hop adds its own.": lambda k, v, h, t: k * v * t,
        "that is the number of bits. The bandwidth is already in bytes per second.": lambda k, v, h, t: (
            8 * k * v * h * t
        ),
        "more hops make the bandwidth's part smaller here. They make the latency's part larger.": lambda k, v, h, t: (
            k * v * t / h
        ),
        "that is a time, not a size: the time that such a message takes.": lambda k, v, h, t: 2 * h * t,
    },
    hints=(
        "Write down the two terms of t and set them equal. Which letter is wanted?",
        "bytes / (links * bandwidth) = hops * latency. Solve it for bytes.",
        "Multiply both sides by links * bandwidth.",
    ),
    discussion=(
        "Below it a message is mostly waiting, above it mostly bytes. It does not depend on the message, so it is a "
        "property of the machine: 35 kB for one hop on a Galaxy. It grows with the hops, because the first byte's "
        "way does, and with the links, because they make the bytes cheaper and not the way."
    ),
)
