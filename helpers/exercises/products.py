"""The exercises of notebook 01 on products of matrices. Each reference is one right answer."""

import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather, all_reduce, mesh_partition, reduce_scatter
from helpers.exercises import Exercise
from helpers.exercises.inputs import busiest, layer_inputs, on_chips, rounded, tp_and_sp
from helpers.exercises.verdict import AtMost
from helpers.mesh import current_mesh
from helpers.tensors import replicate, shard


def column_parallel(x, w):
    y = ttnn.linear(x, w)
    return all_gather(y, 3, "tp")


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


def mlp_inputs(seed):
    """x, the two weights, and what comes of them in plain torch"""
    mesh, x, up, _ = layer_inputs(seed, rows=32, width=64, hidden=96)
    down = layer_inputs(seed + 1, rows=32, width=96, hidden=64)[2]
    return mesh, x, up, down, F.silu(x @ up) @ down


def mlp_cases():
    mesh, x, up, down, whole = mlp_inputs(seed=5)
    return [((shard(x, mesh, sp=2), shard(up, mesh, tp=3), shard(down, mesh, tp=2)), on_chips(whole, mesh, sp=2))]


def mlp_in_slices(x, up, down):
    hidden = ttnn.silu(ttnn.linear(all_gather(x, 3, "tp"), up))
    return reduce_scatter(ttnn.linear(hidden, down), 3, "tp")


def in_slices_cases():
    mesh, x, up, down, whole = mlp_inputs(seed=7)
    one_slice = 2 * 32 * 64
    placed = shard(x, mesh, sp=2, tp=3), shard(up, mesh, tp=3), shard(down, mesh, tp=2)
    return [(placed, (on_chips(whole, mesh, sp=2, tp=3), AtMost(tp=2 * busiest("tp", one_slice))))]


def weights_over_both(x, w):
    w = all_gather(w, 3, "sp")
    return reduce_scatter(ttnn.linear(x, w), 3, "tp")


def over_both_cases():
    """w's columns are cut over sp, so there are as many times 32 of them as tp and sp can both cut."""
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(9)
    x, w = draw(1, 1, 64 * sp, 96 * tp), draw(1, 1, 96 * tp, 32 * tp * sp) / (96 * tp) ** 0.5
    placed = shard(x, mesh, sp=2, tp=3), shard(w, mesh, tp=2, sp=3)
    sent = AtMost(sp=busiest("sp", 2 * 96 * 32 * tp), tp=busiest("tp", 2 * 64 * 32 * sp))
    return [(placed, (on_chips(x @ w, mesh, sp=2, tp=3), sent))]


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
    discussion=(
        "Nothing has to be sent for the product itself; the all_gather is the price of wanting the whole result "
        "everywhere. If the next step can work on columns, leave it out: exercise 5 does. Gathering w in place of y "
        "would be right as well, and cost as much as w is large."
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
    discussion=(
        "Sums may be taken in any order, so x @ w is the sum of what the chips have. The bias must come in once: "
        "after the sum, or before it on one chip of each line only. Dividing it by the number of chips first would "
        "also be right, up to rounding."
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
    discussion=(
        "silu works number by number, so columns may stay where they are; a softmax or a norm between the products "
        "would need all of them. The two collectives that a chip-by-chip translation would have, one behind each "
        "product, have become one."
    ),
)


mlp_in_slices = Exercise(
    "mlp_in_slices",
    mlp_in_slices,
    in_slices_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "the values are right, and too much is sent: an all_reduce brings every chip slices that it throws away.": (
            lambda x, u, d: mesh_partition(mlp.reference(all_gather(x, 3, "tp"), u, d), 3, "tp")
        ),
        "each chip has the whole y. It should keep its slice of the features, as it got x.": lambda x, u, d: (
            mlp.reference(all_gather(x, 3, "tp"), u, d)
        ),
        "each chip keeps its slice of its own partial sum. Slices are to be added up on the way.": lambda x, u, d: (
            mesh_partition(ttnn.linear(ttnn.silu(ttnn.linear(all_gather(x, 3, "tp"), u)), d), 3, "tp")
        ),
        "tokens are cut in place of features. Features are dimension 3.": lambda x, u, d: reduce_scatter(
            ttnn.linear(ttnn.silu(ttnn.linear(all_gather(x, 3, "tp"), u)), d), 2, "tp"
        ),
        "silu is missing.": lambda x, u, d: reduce_scatter(
            ttnn.linear(ttnn.linear(all_gather(x, 3, "tp"), u), d), 3, "tp"
        ),
    },
    hints=(
        "The first product sums over all features of x, and a chip has a slice of them. What must come first?",
        "The second product leaves partial sums of all features. You want the sum, and of it one slice on each chip.",
        "all_gather(x, 3, 'tp') before the products, reduce_scatter(..., 3, 'tp') behind them.",
    ),
    discussion=(
        "An all_reduce taken apart, with the MLP between its halves. It sends as much as one all_reduce, and "
        "between layers each chip keeps one slice of x in place of all of it. Megatron-LM's sequence parallelism "
        "does the same with slices of tokens. The blocks of notebook 03 keep x whole along tp, as exercise 5 does: "
        "less to write, more memory."
    ),
)


weights_over_both = Exercise(
    "weights_over_both",
    weights_over_both,
    over_both_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "the columns on other chips along sp are missing: y has one slice of them, for these tokens.": lambda x, w: (
            all_reduce(ttnn.linear(x, w), "tp")
        ),
        "the values are right, and too much is sent: an all_reduce along tp brings slices that are thrown away.": (
            lambda x, w: mesh_partition(all_reduce(ttnn.linear(x, all_gather(w, 3, "sp")), "tp"), 3, "tp")
        ),
        "each chip keeps its slice of its own partial sum. Slices are to be added up on the way.": lambda x, w: (
            mesh_partition(ttnn.linear(x, all_gather(w, 3, "sp")), 3, "tp")
        ),
        "the parts are added along sp, over chips with other tokens. A sum's terms lie along tp.": lambda x, w: (
            mesh_partition(all_reduce(ttnn.linear(x, all_gather(w, 3, "sp")), "sp"), 3, "tp")
        ),
        "every chip has all columns of y. It should keep its slice of them, over tp.": lambda x, w: all_reduce(
            ttnn.linear(x, all_gather(w, 3, "sp")), "tp"
        ),
        "the columns are cut over sp, where the tokens are cut already: a chip's tokens and columns do not meet.": (
            lambda x, w: reduce_scatter(ttnn.linear(x, all_gather(w, 3, "sp")), 3, "sp")
        ),
    },
    hints=(
        "A chip's tokens want every column of w. Along which axis are those that it lacks?",
        "After all_gather(w, 3, 'sp') it is exercise 4 without a bias: rows of w over tp.",
        "The sum is wanted in slices of columns over tp: reduce_scatter, as in exercise 6.",
    ),
    discussion=(
        "The other way is to gather x and leave w where it is. Then more bytes move whenever a chip has more of x "
        "than of w, and y comes out cut otherwise. Keeping weights cut over sp and gathering them for each use is "
        "called fully sharded data parallel, FSDP: memory for traffic. Notebook 03 asks where it pays."
    ),
)
