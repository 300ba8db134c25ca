"""The exercises of notebook 02. Each reference is one right answer; the tests prove every named mistake."""

import math

import torch
import torch.nn.functional as F
import ttnn
from transformers.models.t5.modeling_t5 import T5Attention

from helpers.collectives import all_reduce
from helpers.exercises import Exercise
from helpers.exercises.mesh import layer_inputs, on_chips
from helpers.mesh import current_mesh
from helpers.tensors import axis_index, replicate, shard


def bucket(distance, buckets, furthest):
    half = buckets // 2
    exact = half // 2
    side = half if distance > 0 else 0
    n = abs(distance)
    if n < exact:
        return side + n
    place = exact + int(math.log(n / exact) / math.log(furthest / exact) * (half - exact))
    return side + min(place, half - 1)


def bucket_cases():
    """Around every corner of the rule, away from borders where the last digit of a logarithm decides"""
    cases = []
    for buckets, furthest, distances in (
        (32, 128, (-200, -60, -9, -7, -1, 0, 3, 7, 10, 14, 100, 500)),
        (24, 90, (-100, -8, -5, 2, 8, 29, 300)),
    ):
        for distance in distances:
            right = T5Attention._relative_position_bucket(torch.tensor([distance]), True, buckets, furthest)
            cases.append(((distance, buckets, furthest), int(right)))
    return cases


def attention(q, k, v, bias):
    scores = ttnn.add(ttnn.matmul(q, k, transpose_b=True), bias)
    return ttnn.matmul(ttnn.softmax(scores, dim=-1), v)


def attention_cases():
    """Heads over tp; what is right comes from torch's own attention, told not to scale."""
    mesh = current_mesh()
    heads = 2 * mesh.shape[axis_index(mesh, "tp")]
    generator = torch.Generator().manual_seed(7)
    draw = lambda *shape: torch.randn(shape, generator=generator).bfloat16().float()
    q, k, v, bias = 0.3 * draw(1, heads, 64, 32), draw(1, heads, 96, 32), draw(1, heads, 96, 32), draw(1, heads, 64, 96)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    return [(tuple(shard(x, mesh, tp=1) for x in (q, k, v, bias)), on_chips(right, mesh, tp=1))]


def gated_mlp(x, gate, up, down):
    hidden = ttnn.multiply(ttnn.gelu(ttnn.linear(x, gate)), ttnn.linear(x, up))
    return all_reduce(ttnn.linear(hidden, down), "tp")


def mlp_cases():
    mesh, x, gate, _ = layer_inputs(seed=5, rows=32, width=64, hidden=96)
    up, down = (layer_inputs(seed, 32, *sizes)[2] for seed, sizes in ((8, (64, 96)), (9, (96, 64))))
    x = x[:, :, :64]
    whole = (F.gelu(x @ gate) * (x @ up)) @ down
    placed = replicate(x, mesh), shard(gate, mesh, tp=3), shard(up, mesh, tp=3), shard(down, mesh, tp=2)
    return [(placed, on_chips(whole, mesh))]


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


bucket = Exercise(
    "bucket",
    bucket,
    bucket_cases,
    mistakes={
        "the sides are swapped. A key behind the query has a positive distance and the upper half of the buckets.": (
            lambda d, b, f: bucket.reference(-d, b, f)
        ),
        "both sides share their buckets. One half is for keys before the query, the other for keys behind it.": (
            lambda d, b, f: bucket.reference(-abs(d), 2 * b, f)
        ),
        "the far distances do not share. From half of the side's buckets on, they grow by a logarithm.": (
            lambda d, b, f: (b // 2 if d > 0 else 0) + min(abs(d), b // 2 - 1)
        ),
        "the last bucket is missing its end: everything from `furthest` on belongs into it.": lambda d, b, f: unbounded(
            d, b, f, int
        ),
        "the logarithm is rounded to the nearest bucket. It is cut off: int(...).": lambda d, b, f: min(
            unbounded(d, b, f, round), (b if d > 0 else b // 2) - 1
        ),
    },
    hints=(
        "Each side has buckets // 2 of them. Call that half. A positive distance adds half to the answer.",
        "Of a side's buckets, the first half // 2 hold one distance each. Call that exact.",
        "Beyond: exact + int(math.log(n / exact) / math.log(furthest / exact) * (half - exact)), at most half - 1.",
    ),
)


def unbounded(distance, buckets, furthest, cut):
    """The rule without its last bucket; `cut` makes whole numbers"""
    half, n = buckets // 2, abs(distance)
    exact = half // 2
    far = n >= exact and cut(math.log(n / exact) / math.log(furthest / exact) * (half - exact))
    return (half if distance > 0 else 0) + (exact + far if n >= exact else n)


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
)


def scores(q, k):
    return ttnn.matmul(q, k, transpose_b=True)


def mixed(scores, v):
    return ttnn.matmul(ttnn.softmax(scores, dim=-1), v)


gated_mlp = Exercise(
    "gated_mlp",
    gated_mlp,
    mlp_cases,
    needs_mesh=True,
    mistakes={
        "the all_reduce at the end is missing: every chip holds a part of the sum.": lambda x, g, u, d: ttnn.linear(
            ttnn.multiply(ttnn.gelu(ttnn.linear(x, g)), ttnn.linear(x, u)), d
        ),
        "gelu is on the other factor. It belongs to the gate.": lambda x, g, u, d: gated_mlp.reference(x, u, g, d),
        "gelu comes after the product. It belongs to the gate alone.": lambda x, g, u, d: all_reduce(
            ttnn.linear(ttnn.gelu(ttnn.multiply(ttnn.linear(x, g), ttnn.linear(x, u))), d), "tp"
        ),
        "the gate is missing: up goes through gelu and straight down.": lambda x, g, u, d: all_reduce(
            ttnn.linear(ttnn.gelu(ttnn.linear(x, u)), d), "tp"
        ),
        "the two factors are added. They are multiplied, number by number.": lambda x, g, u, d: all_reduce(
            ttnn.linear(ttnn.add(ttnn.gelu(ttnn.linear(x, g)), ttnn.linear(x, u)), d), "tp"
        ),
        "that is silu, which the video transformer uses. T5 has gelu.": lambda x, g, u, d: all_reduce(
            ttnn.linear(ttnn.multiply(ttnn.silu(ttnn.linear(x, g)), ttnn.linear(x, u)), d), "tp"
        ),
    },
    hints=(
        "The formula is (gelu(x @ gate) * (x @ up)) @ down. Which of its tensors are whole on a chip?",
        "gate and up are cut alike, so each chip has matching columns of both products.",
        "down is cut by rows: what comes out is a partial sum. all_reduce(..., 'tp') at the very end.",
    ),
)

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
)
