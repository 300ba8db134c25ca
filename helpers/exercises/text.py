"""The exercises of notebook 02. Each reference is one right answer; the tests prove every named mistake."""

import torch
import torch.nn.functional as F
import ttnn

from helpers.exercises import Exercise
from helpers.exercises.heads import attention_over_tp, norm_over_tp, qkv_over_tp
from helpers.exercises.inputs import on_chips, rounded, tp_and_sp
from helpers.mesh import current_mesh
from helpers.tensors import replicate, shard

__all__ = [
    "attention",
    "attention_over_tp",
    "chip_bytes",
    "layer_bytes",
    "norm_over_tp",
    "position_bias",
    "qkv_over_tp",
]


def position_bias(by_bucket, in_bucket, mesh):
    bias = by_bucket[in_bucket].permute(2, 0, 1)[None]
    return shard(bias, mesh, tp=1)


def bias_cases():
    """Looked up one by one, as a sum over a table of ones and zeros"""
    mesh, (tp, _) = current_mesh(), tp_and_sp()
    generator = torch.Generator().manual_seed(11)
    by_bucket = torch.randn(16, 2 * tp, generator=generator)
    in_bucket = torch.randint(0, 16, (64, 96), generator=generator)
    picked = F.one_hot(in_bucket, 16).float()
    right = torch.einsum("qkb,bh->hqk", picked, by_bucket)[None]
    return [((by_bucket, in_bucket, mesh), on_chips(right, mesh, tp=1))]


def attention(q, k, v, bias):
    scores = ttnn.add(ttnn.matmul(q, k, transpose_b=True), bias)
    return ttnn.matmul(ttnn.softmax(scores, dim=-1), v)


def attention_cases():
    """Heads over tp; what is right comes from torch's own attention, told not to scale."""
    mesh, heads = current_mesh(), 2 * tp_and_sp()[0]
    draw = rounded(7)
    q, k, v, bias = 0.3 * draw(1, heads, 64, 32), draw(1, heads, 96, 32), draw(1, heads, 96, 32), draw(1, heads, 64, 96)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    return [(tuple(shard(x, mesh, tp=1) for x in (q, k, v, bias)), on_chips(right, mesh, tp=1))]


def layer_bytes(tokens, width, chips):
    num_bytes = 2 * tokens * width
    all_reduce_bytes = 2 * (chips - 1) * num_bytes // chips
    return 2 * all_reduce_bytes


def layer_cases():
    """Counted slice by slice, over the link into the last chip of a line"""
    cases = []
    for tokens, width, chips in ((256, 128, 4), (96, 320, 2), (64, 96, 8)):
        slice_bytes, sent = 2 * tokens * width // chips, 0
        for _product in ("attention's output", "the MLP's output"):
            for _way in ("reduce_scatter", "all_gather"):
                sent += sum(slice_bytes for _step in range(chips - 1))
        cases.append(((tokens, width, chips), sent))
    return cases


def chip_bytes(embedding, layers, tp, sp):
    return 2 * (embedding + layers // tp)


def chip_cases():
    """Counted chip by chip: 2 bytes for each parameter that this chip has"""
    cases = []
    for embedding, layers, tp, sp in ((300, 8_000, 4, 8), (70, 640, 2, 5), (90, 1_210, 1, 3)):
        owner = [column * tp // layers for column in range(layers)]
        cases.append(((embedding, layers, tp, sp), 2 * (embedding + owner.count(tp - 1))))
    return cases


position_bias = Exercise(
    "position_bias",
    position_bias,
    bias_cases,
    needs_mesh=True,
    mistakes={
        "every chip holds the bias of all heads. It needs that of its own: heads over tp.": lambda t, b, mesh: (
            replicate(t[b].permute(2, 0, 1)[None], mesh)
        ),
        "queries and keys are swapped. A row of in_bucket is a query, and stays one.": lambda t, b, mesh: shard(
            t[b].permute(2, 1, 0)[None], mesh, tp=1
        ),
        "the queries are cut in place of the heads: dimension 1 is the heads'.": lambda t, b, mesh: shard(
            t[b].permute(2, 0, 1)[None], mesh, tp=2, layout=ttnn.ROW_MAJOR_LAYOUT
        ),
        "heads and positions are not sorted, only reshaped. permute puts the heads first.": lambda t, b, mesh: shard(
            t[b].reshape(1, t.shape[1], *b.shape), mesh, tp=1
        ),
    },
    hints=(
        "by_bucket[in_bucket] looks all of them up at once. Which shape comes out, and which do you want?",
        "(queries, keys, heads) becomes (1, heads, queries, keys): permute(2, 0, 1), then [None].",
        "shard(bias, mesh, tp=1): heads are dimension 1, and a chip has its own.",
    ),
    discussion=(
        "The table is small and the square is large, so it is made once and then used by all layers. The chips "
        "could look it up themselves, with ttnn.embedding; from the host it is a line, and happens once a prompt. "
        "Heads never look at each other, which is why they are what tp cuts."
    ),
)

attention = Exercise(
    "attention",
    attention,
    attention_cases,
    mistakes={
        "the scores are divided by the square root of the head's width. T5 does not do that.": lambda q, k, v, b: mixed(
            ttnn.add(ttnn.multiply(scores(q, k), q.shape[-1] ** -0.5), b), v
        ),
        "the bias is missing, so no token knows where it stands.": lambda q, k, v, b: mixed(scores(q, k), v),
        "the bias comes after the softmax. It is added to the scores: a masked one must become 0.": lambda q, k, v, b: (
            ttnn.matmul(ttnn.add(ttnn.softmax(scores(q, k), dim=-1), b), v)
        ),
        "the bias is multiplied with the scores. It is added.": lambda q, k, v, b: mixed(
            ttnn.multiply(scores(q, k), b), v
        ),
        "the softmax runs over the queries. Each query shares itself out over the keys, the last dimension.": (
            lambda q, k, v, b: ttnn.matmul(ttnn.softmax(ttnn.add(scores(q, k), b), dim=-2), v)
        ),
        "the softmax is missing.": lambda q, k, v, b: ttnn.matmul(ttnn.add(scores(q, k), b), v),
    },
    hints=(
        "Four steps: scores, plus bias, softmax, times v.",
        "A score for each query and key: ttnn.matmul(q, k, transpose_b=True).",
        "ttnn.matmul(ttnn.softmax(ttnn.add(scores, bias), dim=-1), v). Nothing is divided.",
    ),
    discussion=(
        "Not dividing is no mistake of T5's: the first weights of q were made that much smaller, and training went "
        "on from there. Bias and mask go in before the softmax, because only there can a number make a share "
        "exactly 0. ttnn has all of it in one op, transformer.scaled_dot_product_attention, with a mask and "
        "scale=1."
    ),
)


def scores(q, k):
    return ttnn.matmul(q, k, transpose_b=True)


def mixed(scores, v):
    return ttnn.matmul(ttnn.softmax(scores, dim=-1), v)


layer_bytes = Exercise(
    "layer_bytes",
    layer_bytes,
    layer_cases,
    mistakes={
        "that is half. Three twos belong in it: bytes of a number, sums in a layer, passes of an all_reduce.": (
            lambda t, w, n: 4 * t * w * (n - 1) // n
        ),
        "that is a quarter. Three twos belong in it: bytes of a number, sums in a layer, passes of an all_reduce.": (
            lambda t, w, n: 2 * t * w * (n - 1) // n
        ),
        "one n-th of each sum is a chip's own: (n - 1) / n of it has to come.": lambda t, w, n: 8 * t * w,
        "that is what all chips receive together. The question is about one link.": lambda t, w, n: 8 * t * w * (n - 1),
        "width is already the width of the sum, whole on every chip. Do not divide it again.": lambda t, w, n: (
            8 * t * (w // n) * (n - 1) // n
        ),
    },
    hints=(
        "What is summed has the shape of the layer's output, (tokens, width), in bfloat16.",
        "An all_reduce of b bytes puts 2 (n - 1) / n b on the busiest link of a line: notebook 01, section 3.",
        "A layer has two sums: after attention's output product and after the MLP's last one.",
    ),
    discussion=(
        "Neither heads nor the MLP's width occur: what is summed has the shape of the layer's input. So a wider MLP "
        "costs more work and no more traffic, and twice the tokens cost twice of both."
    ),
)

chip_bytes = Exercise(
    "chip_bytes",
    chip_bytes,
    chip_cases,
    mistakes={
        "the embedding is cut too. Every chip looks up whole rows, so it keeps the whole table.": lambda e, n, tp, sp: (
            2 * ((e + n) // tp)
        ),
        "sp does not cut the weights: along sp the chips hold copies.": lambda e, n, tp, sp: 2 * (e + n // (tp * sp)),
        "nothing is cut. Heads and MLP columns lie over tp.": lambda e, n, tp, sp: 2 * (e + n),
        "these are parameters. Each takes 2 bytes in bfloat16.": lambda e, n, tp, sp: e + n // tp,
        "the embedding is missing.": lambda e, n, tp, sp: 2 * (n // tp),
    },
    hints=(
        "Two kinds of weights: one that is on every chip, and one that tp cuts.",
        "The embedding is whole on every chip. Of the layers a chip has one tp-th.",
        "Add them, then 2 bytes for each parameter.",
    ),
    discussion=(
        "The embedding could be cut as well: by rows, with a lookup that gives zeros for words of other chips and a "
        "sum at the end, or by columns, and an all_gather. For 0.26 GB of 2.59 nobody bothers; for a language "
        "model's output layer one does."
    ),
)
