"""The exercises of notebook 03 on ring attention over the chips. Each reference is one right answer."""

import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather, mesh_partition
from helpers.exercises import Exercise
from helpers.exercises.inputs import on_chips, rounded, tp_and_sp
from helpers.mesh import current_mesh
from helpers.tensors import shard

BLOCK, HEAD_DIM, WORDS = 32, 64, 32  # of the small cases: keys of each chip, width of a head, keys of the text


def pass_on(x, dim):
    everyone = all_gather(x, dim, "sp")
    sizes = [everyone.shape[dim] - x.shape[dim], x.shape[dim]]
    others, last = ttnn.split(everyone, sizes, dim)
    return mesh_partition(ttnn.concat([last, others], dim), dim, "sp")


def pass_on_cases():
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(34)
    cases = []
    for dim, shape in ((2, (1, tp, BLOCK * sp, HEAD_DIM)), (3, (1, tp, BLOCK, HEAD_DIM * sp))):
        x = draw(*shape)
        moved = torch.roll(x, shape[dim] // sp, dim)
        cases.append(((shard(x, mesh, tp=1, sp=dim), dim), on_chips(moved, mesh, tp=1, sp=dim)))
    return cases


def ring_attention(q, k, v, text_k, text_v, mask, chips):
    so_far = meet_on_mesh(q, k, v, mask)
    for _ in range(chips - 1):
        k, v = pass_on.reference(k, 2), pass_on.reference(v, 2)
        mask = pass_on.reference(mask, 3)
        so_far = merge_on_mesh(so_far, meet_on_mesh(q, k, v, mask))
    out, _, total = merge_on_mesh(so_far, meet_on_mesh(q, text_k, text_v))
    return ttnn.divide(out, total)


def ring_cases():
    """torch's own attention over the real keys and the text's; the last third of the keys is padding, and not zero"""
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(35)
    q, k, v = (draw(1, tp, BLOCK * sp, HEAD_DIM) for _ in "qkv")
    text_k, text_v = (draw(1, tp, WORDS, HEAD_DIM) for _ in "kv")
    real = BLOCK * sp * 2 // 3
    mask = torch.where(torch.arange(BLOCK * sp) < real, 0.0, -1e9)[None, None, None]
    keys, values = torch.cat([k[:, :, :real], text_k], 2), torch.cat([v[:, :, :real], text_v], 2)
    right = F.scaled_dot_product_attention(q, keys, values)
    placed = [shard(y, mesh, tp=1, sp=2) for y in (q, k, v)] + [shard(y, mesh, tp=1) for y in (text_k, text_v)]
    return [((*placed, shard(mask, mesh, sp=3), sp), on_chips(right, mesh, tp=1, sp=2))]


def meet_on_mesh(q, k, v, mask=None):
    """What each chip's queries make of one block of keys: (sum above, largest score, sum below)"""
    scores = ttnn.multiply(ttnn.matmul(q, k, transpose_b=True), q.shape[-1] ** -0.5)
    scores = scores if mask is None else ttnn.add(scores, mask)
    top = ttnn.max(scores, dim=3, keepdim=True)
    weights = ttnn.exp(ttnn.subtract(scores, top))
    return ttnn.matmul(weights, v), top, ttnn.sum(weights, dim=3, keepdim=True)


def merge_on_mesh(one, other):
    (out_1, top_1, total_1), (out_2, top_2, total_2) = one, other
    top = ttnn.maximum(top_1, top_2)
    a, b = ttnn.exp(ttnn.subtract(top_1, top)), ttnn.exp(ttnn.subtract(top_2, top))
    scaled = lambda first, second: ttnn.add(ttnn.multiply(first, a), ttnn.multiply(second, b))
    return scaled(out_1, out_2), top, scaled(total_1, total_2)


def ring_with(steps=0, hand_on=(True, True, True), text=True, divided=True, queries=False):
    """Ring attention that goes wrong in one of these: how many steps more, which of k, v and mask travel."""

    def made(q, k, v, text_k, text_v, mask, chips):
        so_far = meet_on_mesh(q, k, v, mask)
        for _ in range(chips - 1 + steps):
            k, v = (pass_on.reference(y, 2) if travels else y for y, travels in zip((k, v), hand_on))
            mask = pass_on.reference(mask, 3) if hand_on[2] else mask
            q = pass_on.reference(q, 2) if queries else q
            so_far = merge_on_mesh(so_far, meet_on_mesh(q, k, v, mask))
        out, _, total = merge_on_mesh(so_far, meet_on_mesh(q, text_k, text_v)) if text else so_far
        return ttnn.divide(out, total) if divided else out

    return made


def shifted(x, dim, by):
    """By whole slices of the sequence, so many chips on"""
    for _ in range(by):
        x = pass_on.reference(x, dim)
    return x


pass_on = Exercise(
    "pass_on",
    pass_on,
    pass_on_cases,
    needs_mesh=True,
    mistakes={
        "it goes the other way: each chip has what the chip behind it had.": lambda x, dim: shifted(
            x, dim, tp_and_sp()[1] - 1
        ),
        "each chip has what it had before. Gathered and cut again in the same order, nothing has moved.": lambda x, d: (
            mesh_partition(all_gather(x, d, "sp"), d, "sp")
        ),
        "the blocks have moved by two chips.": lambda x, dim: shifted(x, dim, 2),
        "everybody has all blocks now. Each chip keeps one: mesh_partition.": lambda x, dim: all_gather(x, dim, "sp"),
        "it is passed on along tp. There the chips have other heads.": lambda x, dim: along_tp(x, dim),
    },
    hints=(
        "On paper with four chips: they hold a, b, c, d, and afterwards should hold d, a, b, c.",
        "all_gather gives everybody a b c d. In which order must they stand before each chip cuts out its own place?",
        "ttnn.split(everyone, [all but the last slice, one slice], dim), ttnn.concat the other way round, "
        "mesh_partition(..., dim, 'sp').",
    ),
    discussion=(
        "Chips run the same program, so they cannot say 'send to the right' by name: each cuts out the place that is "
        "its own, and what stands there must have moved. It sends all blocks where one would do. On chips "
        "ttnn.point_to_point, or a kernel that talks to its neighbour, sends only the one."
    ),
)


def along_tp(x, dim):
    everyone = all_gather(x, dim, "tp")
    sizes = [everyone.shape[dim] - x.shape[dim], x.shape[dim]]
    others, last = ttnn.split(everyone, sizes, dim)
    return mesh_partition(ttnn.concat([last, others], dim), dim, "tp")


ring_attention = Exercise(
    "ring_attention",
    ring_attention,
    ring_cases,
    needs_mesh=True,
    mistakes={
        "the mask stays at home. It says which keys are real, so it travels with them.": ring_with(
            hand_on=(True, True, False)
        ),
        "the keys travel without their values.": ring_with(hand_on=(True, False, True)),
        "the values travel without their keys.": ring_with(hand_on=(False, True, True)),
        "nothing travels: each chip has met its own block again and again.": ring_with(hand_on=(False, False, False)),
        "one step is missing: a block of keys has not been met.": ring_with(steps=-1),
        "one step is too many: each chip has met its own block twice.": ring_with(steps=1),
        "the text has not been met.": ring_with(text=False),
        "it is not divided yet: the sum above is to be divided by the sum below, once, at the end.": ring_with(
            divided=False
        ),
        "queries stay at home. If they travel too, they meet the same block always.": ring_with(queries=True),
    },
    hints=(
        "Count the meetings: each chip's own block, those of all other chips, the text.",
        "In each of chips - 1 steps: pass on k and v over dimension 2 and mask over 3, meet, merge with so_far.",
        "After the loop merge with meet_on_mesh(q, text_k, text_v), then ttnn.divide(out, total).",
    ),
    discussion=(
        "The own block comes first because it is there: while it is met, the next one can be on its way. On a chip "
        "with nothing but padding the first maximum is -1e9, and the first real block scales what was counted with it "
        "to zero. The text could come at any place, once."
    ),
)
