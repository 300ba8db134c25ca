"""The question that tests of single ops ask: is what ttnn computes on 32 chips what torch computes on one?

An op is one line in a table: how its tensors are shaped, the ttnn call, and the same in plain torch.

    "matmul": Op("A M k, A k N -> A M N", ttnn.matmul, torch.matmul)

A letter is a dimension of any length, the same wherever it stands. A capital may be cut over the chips,
along tp or sp; then every tensor that has the letter is cut there, and the others are copied. `k*32` is a
multiple of 32, a number is itself. Alternatives are separated by `|`. The torch function sees tensors whole.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import ttnn
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from helpers.mesh import close_mesh, open_mesh
from helpers.tensors import gather, shard

# An op's shapes, layouts and cuts are drawn: three draws each by default, five in the weekly run (`EXAMPLES=all`).
few = settings(
    max_examples=5 if os.environ.get("EXAMPLES") == "all" else 3,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # the first failure is small enough, and shrinking it takes long
    database=None,
    print_blob=False,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)

TILE, ROW = ttnn.TILE_LAYOUT, ttnn.ROW_MAJOR_LAYOUT
FLOATS = (ttnn.bfloat16, ttnn.float32, ttnn.bfloat8_b)
TWO_FLOATS = (ttnn.bfloat16, ttnn.float32)
CHIPS = {"tp": 4, "sp": 8}
LEADING, TRAILING, WHOLE_TILES = (1, 2, 3), (5, 7, 31, 33, 50, 64), (32,)
CLOSE = {ttnn.bfloat16: 2**-7, ttnn.bfloat8_b: 2**-6, ttnn.float32: 1e-5}  # error's length over the answer's


def randn(generator, shape):
    return torch.randn(shape, generator=generator) * 2


def between(low, high):
    return lambda generator, shape: torch.rand(shape, generator=generator) * (high - low) + low


def integers(low, high):
    return lambda generator, shape: torch.randint(low, high + 1, shape, generator=generator)


def halves(generator, shape):
    """Few different values, so that comparisons meet equal ones."""
    return torch.randint(-4, 5, shape, generator=generator) / 2


def distinct(generator, shape):
    """No two alike along the last dimension, and all exact in bfloat16: an order without ties."""
    return (torch.rand(shape, generator=generator).argsort(-1) - shape[-1] // 2) / 4


@dataclass(frozen=True)
class Op:
    """How to call one op, and what it must give.

    values: how to fill the inputs, one function for all or one each.
    dtypes: one of them for all inputs, or, as a tuple of tuples, one row of dtypes.
    exact: nothing is rounded on the way: data movement, comparisons, integers.
    args: a hypothesis strategy; what it draws goes into both functions as their last argument.
    constant: the answer is the same number everywhere, so that moving it around changes nothing.
    """

    shapes: str
    ttnn: Callable
    torch: Callable
    values: Callable | tuple = randn
    dtypes: tuple = FLOATS
    layouts: tuple = (TILE,)
    exact: bool = False
    args: st.SearchStrategy | None = None
    constant: bool = False
    options: dict = field(default_factory=dict)


def check(mesh, op: Op, draw) -> None:
    """Draws shapes, dtypes, a placement and values, and compares."""
    shapes, out_shapes = parse(draw(st.sampled_from(op.shapes.split("|"))))
    dtypes = draw(st.sampled_from(op.dtypes))
    dtypes = dtypes if isinstance(dtypes, tuple) else (dtypes,) * len(shapes)
    layout = draw(st.sampled_from(op.layouts))
    if layout == ROW:
        dtypes = tuple(ttnn.bfloat16 if d == ttnn.bfloat8_b else d for d in dtypes)
    cut = draw(cuts([*shapes, *out_shapes]))
    lengths = draw(all_lengths(shapes, cut, layout))
    extra = () if op.args is None else (draw(op.args),)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    values = op.values if isinstance(op.values, tuple) else (op.values,) * len(shapes)
    whole, placed = [], []
    for shape, dtype, fill in zip(shapes, dtypes, values, strict=True):
        x = rounded(fill(generator, tuple(lengths[d] for d in shape)), dtype)
        whole.append(x)
        placed.append(shard(x, mesh, dtype=dtype, layout=layout, **dims(shape, cut)))
    got = op.ttnn(*placed, *extra)
    want = op.torch(*whole, *extra)
    got, want = (x if isinstance(x, (list, tuple)) else [x] for x in (got, want))
    assert len(got) == len(want)
    for g, w, shape in zip(got, want, out_shapes * len(got) if len(out_shapes) == 1 else out_shapes):
        compare(gather(g, **dims(shape, cut)), w, g.dtype, op)


def compare(got, want, dtype, op) -> None:
    assert tuple(got.shape) == tuple(want.shape)
    assert agree(got, want, dtype, op.exact), difference(got, want)
    if want.numel() > 64:  # would this test have noticed?
        assert not agree(got, want.double() * 1.1 + 0.25, dtype, False)
        assert op.constant or not agree(got, want.flatten().roll(1).view(want.shape), dtype, op.exact)


def agree(got, want, dtype, exact) -> bool:
    if not got.is_floating_point():
        return torch.equal(got.long(), want.long()) and torch.equal(want.double(), want.double().round())
    if exact:
        return torch.equal(got.float(), rounded(want, dtype).float())
    got, want = got.double(), want.double()
    if not torch.equal(got.isfinite(), want.isfinite()):
        return False
    got, want = got.nan_to_num(), want.nan_to_num()
    near = (got - want).norm() <= CLOSE[dtype] * want.norm() + 1e-6 * math.sqrt(want.numel())
    return bool(near) and (want.numel() < 3 or want.std() < 1e-3 * want.abs().max() or pcc(got, want) >= 0.999)


def pcc(a, b) -> float:
    a, b = a.flatten() - a.mean(), b.flatten() - b.mean()
    return float(a @ b / (a.norm() * b.norm()))


def difference(got, want) -> str:
    error = (got.double() - want.double()).abs().nan_to_num(math.inf)
    share = (error > 0).float().mean()
    return f"off by up to {error.max():.4g}, {share:.1%} differ; {got.flatten()[:4]} {want.flatten()[:4]}"


def rounded(x, dtype):
    """As ttnn's host code stores it."""
    if dtype in (ttnn.bfloat8_b, ttnn.bfloat4_b):
        return ttnn.from_torch(x.float(), dtype=dtype, layout=TILE).to_torch()
    if dtype in TWO_FLOATS:
        return x.to(torch.bfloat16).float() if dtype == ttnn.bfloat16 else x.float()
    return x.to(torch.int32)


def parse(shapes: str) -> tuple[list, list]:
    sides = [[part.split() for part in side.split(",")] for side in shapes.split("->")]
    return sides[0], sides[-1]


def dims(shape, cut) -> dict[str, int]:
    return {axis: shape.index(letter) for axis, letter in cut.items() if letter in shape}


@st.composite
def cuts(draw, shapes):
    """Which letter each mesh axis cuts: none, one or two of the capitals."""
    letters = sorted({d for shape in shapes for d in shape if d[0].isupper()})
    axes = draw(st.sampled_from([(), ("tp",), ("sp",), ("tp", "sp")]))[: len(letters)]
    return dict(zip(axes, draw(st.permutations(letters))))


@st.composite
def all_lengths(draw, shapes, cut, layout):
    """A length for each letter, different where possible; a cut tensor in tile layout needs whole tiles."""
    found, taken = {}, set()
    for d in sorted({d for shape in shapes for d in shape}):
        trailing = any(d in shape[-2:] for shape in shapes)
        name, _, times = d.partition("*")
        chips = math.prod(CHIPS[axis] for axis, letter in cut.items() if letter == d)
        if name.isdigit():
            found[d] = int(name)
            continue
        if times:
            pool = [int(times) * n for n in (1, 2, 3)]
        elif trailing:
            pool = WHOLE_TILES if chips > 1 and layout == TILE else TRAILING
        else:
            pool = LEADING
        pool = [n for n in pool if n * chips not in taken] or pool
        found[d] = chips * draw(st.sampled_from(pool))
        taken.add(found[d])
    return found


def opened():
    """The body of each file's `mesh` fixture."""
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)
