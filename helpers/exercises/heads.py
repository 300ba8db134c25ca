"""The exercises of notebook 02 on heads and features over tp. Each reference is one right answer."""

import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather, all_reduce, mesh_partition
from helpers.exercises import Exercise
from helpers.exercises.inputs import busiest, on_chips, rounded, tp_and_sp
from helpers.exercises.verdict import AtMost
from helpers.mesh import current_mesh
from helpers.tensors import replicate, shard


def qkv_over_tp(w_q, w_k, w_v, mesh, tp):
    parts = [w.chunk(tp, dim=1) for w in (w_q, w_k, w_v)]  # of each weight the chips' columns
    by_chip = [torch.cat([columns[chip] for columns in parts], dim=1) for chip in range(tp)]
    return shard(torch.cat(by_chip, dim=1)[None, None], mesh, tp=3)


def qkv_cases():
    """Chip by chip: what each one has to hold"""
    mesh, (tp, sp) = current_mesh(), tp_and_sp()
    generator = torch.Generator().manual_seed(12)
    weights = [torch.randn(96, 64 * tp, generator=generator) for _ in "qkv"]
    own = [[w[:, 64 * chip : 64 * (chip + 1)] for w in weights] for chip in range(tp)]
    row = torch.stack([torch.cat(columns, 1)[None, None] for columns in own])
    right = row.repeat_interleave(sp, 0) if mesh.system.axes["tp"] == 0 else row.repeat(sp, 1, 1, 1, 1)
    return [((*weights, mesh, tp), right)]


def attention_over_tp(x, w_qkv, w_o, bias, own_heads):
    heads = dict(num_heads=own_heads, transpose_k_heads=False)
    q, k, v = ttnn.experimental.nlp_create_qkv_heads(ttnn.linear(x, w_qkv), **heads)
    scores = ttnn.add(ttnn.matmul(q, k, transpose_b=True), bias)
    taken_home = ttnn.matmul(ttnn.softmax(scores, dim=-1), v)
    joined = ttnn.experimental.nlp_concat_heads(taken_home)
    return all_reduce(ttnn.linear(joined, w_o), "tp")


def over_tp_cases():
    """Two heads a chip; right is torch's own attention over all heads at once, told not to scale."""
    mesh, (tp, _), draw = current_mesh(), tp_and_sp(), rounded(13)
    x, bias = draw(1, 1, 64, 96), draw(1, 2 * tp, 64, 64)
    w_q, w_k, w_v = (draw(96, 2 * tp * 32) / 96**0.5 for _ in "qkv")
    w_q = w_q / 4  # T5's are small from the start
    w_o = draw(2 * tp * 32, 96) / (2 * tp * 32) ** 0.5
    q, k, v = ((x[0] @ w).unflatten(2, (2 * tp, 32)).transpose(1, 2) for w in (w_q, w_k, w_v))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    whole = mixed.transpose(1, 2).flatten(2)[None] @ w_o
    w_qkv = qkv_over_tp.reference(w_q, w_k, w_v, mesh, tp)
    placed = replicate(x, mesh), w_qkv, shard(w_o[None, None], mesh, tp=2), shard(bias, mesh, tp=1)
    return [((*placed, 2), on_chips(whole, mesh))]


def norm_over_tp(x, gain, chips):
    squares = ttnn.mean(ttnn.square(x), dim=3, keepdim=True)
    mean_square = ttnn.multiply(all_reduce(squares, "tp"), 1 / chips)
    return ttnn.multiply(ttnn.multiply(x, ttnn.rsqrt(ttnn.add(mean_square, 1e-6))), gain)


def norm_cases():
    """Every chip's features have a size of their own, so that no chip's mean square is the whole's."""
    mesh, (tp, sp) = current_mesh(), tp_and_sp()
    generator = torch.Generator().manual_seed(14)
    draw = lambda *shape: torch.randn(shape, generator=generator)
    x = draw(1, 1, 32 * sp, 256 * tp) * (0.5 + torch.arange(tp)).repeat_interleave(256)
    gain = 1 + 0.5 * draw(1, 1, 1, 256 * tp)
    whole = x * torch.rsqrt(x.square().mean(3, keepdim=True) + 1e-6) * gain
    less = AtMost(tp=busiest("tp", 2 * 32 * 256) // 2)  # half of what gathering x would send
    placed = shard(x, mesh, sp=2, tp=3), shard(gain, mesh, tp=3)
    return [((*placed, tp), (on_chips(whole, mesh, sp=2, tp=3), less))]


qkv_over_tp = Exercise(
    "qkv_over_tp",
    qkv_over_tp,
    qkv_cases,
    needs_mesh=True,
    mistakes={
        "the columns are cut as they stand: the first chips get nothing but queries.": lambda q, k, v, mesh, tp: shard(
            torch.cat([q, k, v], 1)[None, None], mesh, tp=3
        ),
        "every chip holds all of q, k and v. It needs its own heads' columns only.": lambda q, k, v, mesh, tp: (
            replicate(torch.cat([q, k, v], 1)[None, None], mesh)
        ),
        "rows are cut. A head's numbers come from all features of x: cut columns.": lambda q, k, v, mesh, tp: shard(
            torch.cat([q, k, v], 1)[None, None], mesh, tp=2, layout=ttnn.ROW_MAJOR_LAYOUT
        ),
        "k and v have changed places. ttnn splits the result into q, k, v in this order.": lambda q, k, v, mesh, tp: (
            qkv_over_tp.reference(q, v, k, mesh, tp)
        ),
        "single columns of q, k and v alternate. A chip wants its columns of q in one piece, then k's, then v's.": (
            lambda q, k, v, mesh, tp: shard(torch.stack([q, k, v], 2).flatten(1)[None, None], mesh, tp=3)
        ),
    },
    hints=(
        "shard cuts evenly, from left to right. In which order must the columns stand, so that this is right?",
        "First all that chip 0 needs: its part of q, of k, of v. w.chunk(tp, dim=1) gives the parts of one weight.",
        "torch.cat of q's, k's and v's part for each chip, torch.cat of these, [None, None], shard(..., tp=3).",
    ),
    discussion=(
        "helpers/layers/parallel.py has these lines as fused_by_chip. Three products in place of one would need no "
        "order at all, and read x three times. Some checkpoints come with q, k and v fused, and then this order is "
        "the first thing to find out: no shape check finds a wrong one."
    ),
)

attention_over_tp = Exercise(
    "attention_over_tp",
    attention_over_tp,
    over_tp_cases,
    needs_mesh=True,
    mistakes={
        "the all_reduce is missing: each chip has what its own heads add.": lambda x, w, o, b, h: ttnn.linear(
            joined(x, w, b, h), o
        ),
        "the heads' sum comes too early: each chip must multiply with its own rows of o first.": lambda x, w, o, b, h: (
            all_reduce(ttnn.linear(all_reduce(joined(x, w, b, h), "tp"), o), "tp")
        ),
        "the sum runs along sp, where the chips hold copies. Heads lie over tp.": lambda x, w, o, b, h: all_reduce(
            ttnn.linear(joined(x, w, b, h), o), "sp"
        ),
        "the bias is missing, so no token knows where it stands.": lambda x, w, o, b, h: all_reduce(
            ttnn.linear(joined(x, w, ttnn.multiply(b, 0), h), o), "tp"
        ),
        "q, k and v are taken for one head of twice the width. A chip has own_heads of them.": lambda x, w, o, b, h: (
            all_reduce(ttnn.linear(as_one_head(x, w, b, h), o), "tp")
        ),
        "scores are divided by the square root of the head's width. T5 does not do that.": lambda x, w, o, b, h: (
            all_reduce(ttnn.linear(joined(x, w, b, h, scale=32**-0.5), o), "tp")
        ),
    },
    hints=(
        "Line by line it is section 3. What does a chip have less of, and who tells nlp_create_qkv_heads?",
        "Bias and weights are already cut, so attention itself needs no other chip. Only o's product is a partial sum.",
        "num_heads=own_heads, then attention, nlp_concat_heads, ttnn.linear with w_o, and all_reduce(..., 'tp').",
    ),
    discussion=(
        "Four calls are section 3's, on fewer heads; one is new. The bias is not added once too often, as in "
        "notebook 01's exercise 4, because it goes into the scores of one head on one chip. With more chips than "
        "heads this ends: T5-XXL has 64 heads, so tp could be 64 at most."
    ),
)


def joined(x, w_qkv, bias, own_heads, scale=1.0):
    """What a chip's heads take home, side by side"""
    q, k, v = ttnn.experimental.nlp_create_qkv_heads(
        ttnn.linear(x, w_qkv), num_heads=own_heads, transpose_k_heads=False
    )
    scores = ttnn.add(ttnn.multiply(ttnn.matmul(q, k, transpose_b=True), scale), bias)
    return ttnn.experimental.nlp_concat_heads(ttnn.matmul(ttnn.softmax(scores, dim=-1), v))


def as_one_head(x, w_qkv, bias, own_heads):
    return joined(x, w_qkv, ttnn.slice(bias, [0, 0, 0, 0], [1, 1, *tuple(bias.shape)[2:]]), 1)


norm_over_tp = Exercise(
    "norm_over_tp",
    norm_over_tp,
    norm_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "every chip norms by its own features. The mean square of a token is over all of them.": lambda x, g, n: scaled(
            x, squares_of(x), g
        ),
        "the chips' mean squares are added. Divided by their number, the sum is a mean.": lambda x, g, n: scaled(
            x, all_reduce(squares_of(x), "tp"), g
        ),
        "the values are right, and too much is sent: x is gathered, where one number a token is enough.": (
            lambda x, g, n: mesh_partition(
                scaled(all_gather(x, 3, "tp"), squares_of(all_gather(x, 3, "tp")), all_gather(g, 3, "tp")), 3, "tp"
            )
        ),
        "the mean is taken along sp, over other tokens.": lambda x, g, n: scaled(
            x, ttnn.multiply(all_reduce(squares_of(x), "sp"), 1 / n), g
        ),
        "the gain is missing.": lambda x, g, n: scaled(x, ttnn.multiply(all_reduce(squares_of(x), "tp"), 1 / n), None),
        "means of square roots are no square root of a mean. Exchange the squares.": lambda x, g, n: ttnn.multiply(
            ttnn.multiply(x, ttnn.multiply(all_reduce(ttnn.rsqrt(squares_of(x)), "tp"), 1 / n)), g
        ),
    },
    hints=(
        "Of all that a chip knows about a token, how many numbers do the others need?",
        "Each chip has the mean square of its own features. All chips have equally many features.",
        "all_reduce that one number along tp, times 1 / chips, then rsqrt as in section 3. gain is cut like x.",
    ),
    discussion=(
        "One number a token in place of all features: that is why a residual that stays cut by features, as after "
        "notebook 01's exercise 6, costs almost nothing to norm. On the wire a column of 32 numbers takes a whole "
        "tile, and still it is little. ttnn has it as a pair of ops around the exchange, rms_norm_pre_all_gather "
        "and rms_norm_post_all_gather."
    ),
)


def squares_of(x):
    return ttnn.mean(ttnn.square(x), dim=3, keepdim=True)


def scaled(x, mean_square, gain):
    normed = ttnn.multiply(x, ttnn.rsqrt(ttnn.add(mean_square, 1e-6)))
    return normed if gain is None else ttnn.multiply(normed, gain)
