"""The exercises of notebook 03 on a block over the chips. Each reference is one right answer."""

import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather, all_reduce
from helpers.exercises import Exercise
from helpers.exercises.inputs import busiest, on_chips, rounded, tp_and_sp
from helpers.exercises.verdict import AtMost
from helpers.layers.parallel import fused_by_chip
from helpers.mesh import current_mesh
from helpers.mochi.attention import pair_turn
from helpers.tensors import replicate, shard

HEAD_DIM, TOKENS = 32, 64  # of the small cases; tokens of each chip along sp
SPLITS = ((), ("tp",), ("sp",), ("tp", "sp"))


def turned_on_chips(x, cos, sin, turn, mesh):
    angles = [shard(angle.repeat_interleave(2, -1), mesh, tp=1, sp=2) for angle in (cos, sin)]
    return ttnn.experimental.rotary_embedding_llama(x, *angles, turn)


def turned(x, cos, sin):
    """Pairs of neighbours as complex numbers, and turning as one product. x (1, heads, N, d); cos, sin (…, d / 2)"""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.complex(cos, sin)).flatten(-2)


def some_angles(draw, heads, tokens):
    angle = 3 * draw(1, heads, tokens, HEAD_DIM // 2)
    return angle.cos(), angle.sin()


def turned_cases():
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(31)
    x, angles = draw(1, 2 * tp, TOKENS * sp, HEAD_DIM), some_angles(draw, 2 * tp, TOKENS * sp)
    turn = replicate(pair_turn()[None, None], mesh)
    return [((shard(x, mesh, tp=1, sp=2), *angles, turn, mesh), on_chips(turned(x, *angles), mesh, tp=1, sp=2))]


def block(x, w, angles, heads, split):
    ops = ttnn.experimental
    qkv = ttnn.linear(ttnn.rms_norm(x, epsilon=1e-6), w["qkv"])
    q, k, v = ops.nlp_create_qkv_heads(qkv, num_heads=heads, transpose_k_heads=False)
    q, k = (ops.rotary_embedding_llama(y, *angles) for y in (q, k))
    if "sp" in split:
        k, v = all_gather(k, 2, "sp"), all_gather(v, 2, "sp")
    mixed = ttnn.transformer.scaled_dot_product_attention(q, k, v, is_causal=False)
    out = ttnn.linear(ops.nlp_concat_heads(mixed), w["out"])
    x = ttnn.add(x, all_reduce(out, "tp") if "tp" in split else out)
    normed = ttnn.rms_norm(x, epsilon=1e-6)
    gate = ttnn.silu(ttnn.linear(normed, w["gate"]))
    hidden = ttnn.multiply(gate, ttnn.linear(normed, w["up"]))
    down = ttnn.linear(hidden, w["down"])
    return ttnn.add(x, all_reduce(down, "tp") if "tp" in split else down)


def block_cases():
    """The block in plain torch, in each of the four splits; on paper, K and V once over sp and two sums over tp"""
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(32)
    heads, tokens, width, hidden = 2 * tp, TOKENS * sp, 2 * tp * HEAD_DIM, 96 * tp
    sizes = dict.fromkeys("qkv", (width, width)) | {"out": (width, width)}
    sizes |= {"up": (hidden, width), "gate": (hidden, width), "down": (width, hidden)}
    w = {name: draw(*size) / size[1] ** 0.5 for name, size in sizes.items()}
    w["out"], w["down"] = 3 * w["out"], 3 * w["down"]  # so that what is added cannot hide beside x
    x, angles = draw(1, 1, tokens, width), some_angles(draw, heads, tokens)
    whole, turn = block_in_torch(x, w, angles), replicate(pair_turn()[None, None], mesh)
    cases = []
    for split in SPLITS:
        chips = tp if "tp" in split else 1
        put = lambda y, split=split, **dims: shard(y, mesh, **{a: dim for a, dim in dims.items() if a in split})
        columns = {"qkv": fused_by_chip([w[name] for name in "qkv"], chips), "up": w["up"], "gate": w["gate"]}
        placed = {name: put(weight.T[None, None], tp=3) for name, weight in columns.items()}
        placed |= {name: put(w[name].T[None, None], tp=2) for name in ("out", "down")}
        on_mesh = [put(angle.repeat_interleave(2, -1), tp=1, sp=2) for angle in angles]
        args = put(x, sp=2), placed, (*on_mesh, turn), heads // chips, split
        cases.append((args, (on_chips(whole, mesh, **({"sp": 2} if "sp" in split else {})), enough(x, split))))
    return cases


def enough(x, split) -> AtMost:
    """Two sums over tp, each a reduce_scatter and an all_gather; K and V once over sp"""
    tp, sp = tp_and_sp()
    of_a_chip = 2 * x.numel() // (sp if "sp" in split else 1)
    sent = {"tp": 4 * busiest("tp", of_a_chip // tp)} if "tp" in split else {}
    if "sp" in split:
        sent["sp"] = 2 * busiest("sp", of_a_chip // (tp if "tp" in split else 1))
    return AtMost(sent)


def block_in_torch(x, w, angles):
    norm = lambda y: y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)
    q, k, v = (F.linear(norm(x), w[name])[0].unflatten(2, (-1, HEAD_DIM)).transpose(1, 2) for name in "qkv")
    mixed = F.scaled_dot_product_attention(turned(q, *angles), turned(k, *angles), v)
    x = x + F.linear(mixed.transpose(1, 2).flatten(2)[None], w["out"])
    return x + F.linear(F.silu(F.linear(norm(x), w["gate"])) * F.linear(norm(x), w["up"]), w["down"])


def block_with(kv=None, out=None, down=None, after=None):
    """The block with an exchange of one's own in each of its places, given what is there and the split."""
    nothing = lambda y, split: y
    kv, out, down, after = (f or nothing for f in (kv, out, down, after))

    def made(x, w, angles, heads, split):
        qkv = ttnn.linear(ttnn.rms_norm(x, epsilon=1e-6), w["qkv"])
        q, k, v = ttnn.experimental.nlp_create_qkv_heads(qkv, num_heads=heads, transpose_k_heads=False)
        q, k = (ttnn.experimental.rotary_embedding_llama(y, *angles) for y in (q, k))
        mixed = ttnn.transformer.scaled_dot_product_attention(q, kv(k, split), kv(v, split), is_causal=False)
        x = ttnn.add(x, out(ttnn.linear(ttnn.experimental.nlp_concat_heads(mixed), w["out"]), split))
        normed = ttnn.rms_norm(x, epsilon=1e-6)
        gate = ttnn.silu(ttnn.linear(normed, w["gate"]))
        hidden = ttnn.multiply(gate, ttnn.linear(normed, w["up"]))
        return after(ttnn.add(x, down(ttnn.linear(hidden, w["down"]), split)), split)

    return made


def total(y, split):
    return all_reduce(y, "tp") if "tp" in split else y


def whole_keys(y, split):
    return all_gather(y, 2, "sp") if "sp" in split else y


turned_on_chips = Exercise(
    "turned_on_chips",
    turned_on_chips,
    turned_cases,
    needs_mesh=True,
    mistakes={
        "each angle stands once for the first half and once for the second. Its pair are neighbours: "
        "repeat_interleave.": lambda x, c, s, t, mesh: at_angles(
            x, t, mesh, c.repeat(1, 1, 1, 2), s.repeat(1, 1, 1, 2)
        ),
        "cos and sin have changed places.": lambda x, c, s, t, mesh: turned_on_chips.reference(x, s, c, t, mesh),
        "it turns the other way round.": lambda x, c, s, t, mesh: turned_on_chips.reference(x, c, -s, t, mesh),
        "every chip has the angles of the first tokens. A chip along sp needs those of its own.": (
            lambda x, c, s, t, mesh: turned_on_chips.reference(x, *(firsts(a, 2, "sp") for a in (c, s)), t, mesh)
        ),
        "every chip has the angles of the first heads. A chip along tp needs those of its own.": (
            lambda x, c, s, t, mesh: turned_on_chips.reference(x, *(firsts(a, 1, "tp") for a in (c, s)), t, mesh)
        ),
        "nothing has been turned.": lambda x, c, s, t, mesh: x,
    },
    hints=(
        "Two things have to be made of cos and sin: an angle for each number, and a place for each angle.",
        "angle.repeat_interleave(2, -1) gives both numbers of a pair their angle. shard cuts as x is cut: tp=1, sp=2.",
        "ttnn.experimental.rotary_embedding_llama(x, cos, sin, turn), all four on the mesh.",
    ),
    discussion=(
        "Angles are as many numbers as queries, so they are cut the same way, and nothing is ever sent: place is "
        "known beforehand. Mochi's angles differ from head to head, and so they are cut over tp, too. In models where "
        "all heads share them one copy along tp is enough."
    ),
)


def at_angles(x, turn, mesh, *angles):
    placed = [shard(angle, mesh, tp=1, sp=2) for angle in angles]
    return ttnn.experimental.rotary_embedding_llama(x, *placed, turn)


def firsts(angle, dim, axis):
    """What the first chip along the axis has, for all of them"""
    chips = dict(zip(("tp", "sp"), tp_and_sp()))[axis]
    return torch.cat([angle.chunk(chips, dim)[0]] * chips, dim)


block = Exercise(
    "block",
    block,
    block_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "split over sp, each token meets only the tokens of its own chip. Whose keys and values are missing?": (
            block_with(out=total, down=total)
        ),
        "split over tp, what `out` gives is a part of a sum on every chip.": block_with(kv=whole_keys, down=total),
        "split over tp, what `down` gives is a part of a sum on every chip.": block_with(kv=whole_keys, out=total),
        "a sum over tp is made in every split. Where tp cuts nothing, the chips have copies: a sum of copies is as "
        "many times too large.": block_with(
            kv=whole_keys, out=lambda y, split: all_reduce(y, "tp"), down=lambda y, split: all_reduce(y, "tp")
        ),
        "x itself is in the sum, and it is whole on every chip. Add up what comes out of the product, then add x.": (
            block_with(kv=whole_keys, out=total, after=total)
        ),
        "the sums run over sp, where the chips have other tokens. Parts of one sum lie along tp.": block_with(
            kv=whole_keys,
            out=lambda y, split: all_reduce(y, "sp") if "tp" in split else y,
            down=lambda y, split: all_reduce(y, "sp") if "tp" in split else y,
        ),
        "keys and values of other heads are joined along tp. Those of other tokens lie along sp.": block_with(
            kv=lambda y, split: all_gather(y, 2, "tp") if "sp" in split else y, out=total, down=total
        ),
        "the values are right, and one sum is made twice: what has been added up is not a part any more.": block_with(
            kv=whole_keys, out=lambda y, split: again(total(y, split), split), down=total
        ),
    },
    hints=(
        "Go through the block line by line. Which lines need numbers that this chip does not have?",
        "Over sp only attention does: its queries are the chip's own, its keys and values must be everybody's. Over "
        "tp two products are cut by rows, so that each gives a part of a sum.",
        "if 'sp' in split: k, v = all_gather(k, 2, 'sp'), all_gather(v, 2, 'sp'). And if 'tp' in split: "
        "all_reduce(..., 'tp') of what `out` gives, and of what `down` gives.",
    ),
    discussion=(
        "Three places, and in each the question is the same: is what I hold a copy, a slice, or a part of a sum? "
        "Gathering x at the start is no way out: every chip would also need the angles of all tokens, and from tp 3 on "
        "x is more than K and V, D numbers a token against 2 D / tp. Norms need no exchange here because D is whole on "
        "every chip; in notebook 02, exercise 6, it was not."
    ),
)


def again(y, split):
    """Summed once more and divided: right values, more bytes"""
    return ttnn.multiply(all_reduce(y, "tp"), 1 / tp_and_sp()[0]) if "tp" in split else y
