# ruff: noqa: E501 - one op per line
"""Elementwise ops on the emulated galaxy against plain torch."""

import pytest
import torch
import torch.nn.functional as F
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from helpers.tensors import gather, replicate, shards_of
from tests.on_galaxy import (
    ROW,
    TILE,
    TWO_FLOATS,
    Op,
    agree,
    between,
    check,
    few,
    halves,
    integers,
    opened,
    rounded,
)

mesh = pytest.fixture(scope="module")(opened)

ONE = "C D | B C D | A B C D"
TWO = (
    "A B C D, A B C D -> A B C D | A B C D, 1 B 1 1 -> A B C D | A 1 C 1, A B C D -> A B C D |"
    "C D, C D -> C D | B C D, 1 1 D -> B C D"
)
THREE = "A B C D, A B C D, A B C D -> A B C D"
POSITIVE, INSIDE = between(0.1, 4), between(-0.9, 0.9)
BITS = dict(values=integers(0, 2**20), dtypes=(ttnn.int32,), exact=True)
NUMBERS = st.sampled_from([-1.5, 0.25, 3.0])
BELOW_ZERO_TO = between(-6, 6)
NOT_ZERO = (BELOW_ZERO_TO, between(0.5, 3))


def u(ttnn_op, torch_op, values=None, **options):
    """Of one tensor."""
    return Op(ONE, ttnn_op, torch_op, **({} if values is None else {"values": values}), **options)


def b(ttnn_op, torch_op, values=None, **options):
    """Of two tensors, one of which may be broadcast."""
    return Op(TWO, ttnn_op, torch_op, **({} if values is None else {"values": values}), **options)


def s(ttnn_op, torch_op, numbers=NUMBERS, **options):
    """Of a tensor and a number."""
    return u(ttnn_op, torch_op, args=numbers, **options)


def special(generator, shape):
    """With infinities and NaN."""
    odd = torch.tensor([1.5, -2.0, 0.0, float("inf"), -float("inf"), float("nan")])
    return odd[torch.randint(0, 6, shape, generator=generator)]


UNARY = {
    "abs": u(ttnn.abs, torch.abs, exact=True, layouts=(TILE, ROW)),
    "acos": u(ttnn.acos, torch.acos, INSIDE),
    "acosh": u(ttnn.acosh, torch.acosh, between(1.1, 5)),
    "asin": u(ttnn.asin, torch.asin, INSIDE),
    "asinh": u(ttnn.asinh, torch.asinh),
    "atan": u(ttnn.atan, torch.atan),
    "atanh": u(ttnn.atanh, torch.atanh, INSIDE),
    "cbrt": u(ttnn.cbrt, lambda x: x.sign() * x.abs() ** (1 / 3)),
    "ceil": u(ttnn.ceil, torch.ceil, exact=True),
    "celu": s(lambda x, a: ttnn.celu(x, alpha=a), lambda x, a: F.celu(x, a), st.sampled_from([0.5, 2.0])),
    "clamp": u(lambda x: ttnn.clamp(x, min=-1.0, max=0.5), lambda x: x.clamp(-1, 0.5), exact=True, dtypes=TWO_FLOATS),
    "clamp above": s(lambda x, a: ttnn.clamp(x, max=a), lambda x, a: x.clamp(max=a), exact=True, dtypes=TWO_FLOATS),
    "clip": u(lambda x: ttnn.clip(x, min=-1.0, max=0.5), lambda x: x.clamp(-1, 0.5), exact=True, dtypes=TWO_FLOATS),
    "cos": u(ttnn.cos, torch.cos),
    "cosh": u(ttnn.cosh, torch.cosh),
    "deg2rad": u(ttnn.deg2rad, torch.deg2rad),
    "digamma": u(ttnn.digamma, torch.digamma, between(1, 6)),
    "elu": s(lambda x, a: ttnn.elu(x, alpha=a), lambda x, a: F.elu(x, a), st.sampled_from([0.5, 2.0])),
    "eqz": u(ttnn.eqz, lambda x: x == 0, halves, exact=True),
    "erf": u(ttnn.erf, torch.erf),
    "erfc": u(ttnn.erfc, torch.erfc),
    "erfinv": u(ttnn.erfinv, torch.erfinv, INSIDE),
    "exp": u(ttnn.exp, torch.exp),
    "exp approximate": u(lambda x: ttnn.exp(x, fast_and_approximate_mode=True), torch.exp),
    "exp2": u(ttnn.exp2, torch.exp2),
    "expm1": u(ttnn.expm1, torch.expm1),
    "fill": s(lambda x, a: ttnn.fill(x, a), lambda x, a: torch.full_like(x, a), exact=True, constant=True),
    "floor": u(ttnn.floor, torch.floor, exact=True),
    "frac": u(ttnn.frac, torch.frac, dtypes=TWO_FLOATS),
    "gelu": u(ttnn.gelu, F.gelu),
    "gelu approximate": u(lambda x: ttnn.gelu(x, fast_and_approximate_mode=True), F.gelu, BELOW_ZERO_TO),
    "gez": u(ttnn.gez, lambda x: x >= 0, halves, exact=True),
    "gtz": u(ttnn.gtz, lambda x: x > 0, halves, exact=True),
    "hardmish": u(ttnn.hardmish, lambda x: x * (x + 2).clamp(0, 2) / 2, BELOW_ZERO_TO),
    "hardshrink": s(
        lambda x, a: ttnn.hardshrink(x, lambd=a), lambda x, a: F.hardshrink(x, a), st.sampled_from([0.5, 1.0])
    ),
    "hardsigmoid": u(ttnn.hardsigmoid, F.hardsigmoid, BELOW_ZERO_TO),
    "hardswish": u(ttnn.hardswish, F.hardswish, BELOW_ZERO_TO),
    "hardtanh": u(lambda x: ttnn.hardtanh(x, min_val=-0.5, max_val=2.0), lambda x: x.clamp(-0.5, 2), exact=True),
    "heaviside": s(ttnn.heaviside, lambda x, a: torch.heaviside(x, torch.tensor(a)), values=halves, exact=True),
    "i0": u(ttnn.i0, torch.i0),
    "i1": u(ttnn.i1, torch.special.i1),
    "identity": u(ttnn.identity, lambda x: x, exact=True, layouts=(TILE, ROW)),
    "isfinite": u(ttnn.isfinite, torch.isfinite, special, dtypes=TWO_FLOATS, exact=True),
    "isinf": u(ttnn.isinf, torch.isinf, special, dtypes=TWO_FLOATS, exact=True),
    "isnan": u(ttnn.isnan, torch.isnan, special, dtypes=TWO_FLOATS, exact=True),
    "isneginf": u(ttnn.isneginf, torch.isneginf, special, dtypes=TWO_FLOATS, exact=True),
    "isposinf": u(ttnn.isposinf, torch.isposinf, special, dtypes=TWO_FLOATS, exact=True),
    "leaky_relu": s(
        lambda x, a: ttnn.leaky_relu(x, negative_slope=a),
        lambda x, a: F.leaky_relu(x, a),
        st.sampled_from([0.01, 0.3]),
    ),
    "lez": u(ttnn.lez, lambda x: x <= 0, halves, exact=True),
    "lgamma": u(ttnn.lgamma, torch.lgamma, between(3, 9), dtypes=TWO_FLOATS),
    "log": u(ttnn.log, torch.log, POSITIVE),
    "log10": u(ttnn.log10, torch.log10, POSITIVE),
    "log1p": u(ttnn.log1p, torch.log1p, POSITIVE),
    "log2": u(ttnn.log2, torch.log2, POSITIVE),
    "log_sigmoid": u(ttnn.log_sigmoid, F.logsigmoid),
    "logical_not": u(ttnn.logical_not, torch.logical_not, halves, exact=True),
    "logit": u(lambda x: ttnn.logit(x, eps=0.2), lambda x: torch.logit(x, 0.2), between(0, 1)),
    "ltz": u(ttnn.ltz, lambda x: x < 0, halves, exact=True),
    "mish": u(ttnn.mish, F.mish),
    "multigammaln": u(ttnn.multigammaln, lambda x: torch.special.multigammaln(x, 4), between(2, 8), dtypes=TWO_FLOATS),
    "neg": u(ttnn.neg, torch.neg, exact=True, layouts=(TILE, ROW)),
    "nez": u(ttnn.nez, lambda x: x != 0, halves, exact=True),
    "polygamma": s(
        ttnn.polygamma, lambda x, k: torch.polygamma(k, x), st.sampled_from([1, 2, 4]), values=between(1, 6)
    ),
    "pow": s(ttnn.pow, lambda x, a: x**a, st.sampled_from([2, 0.5, -1.5, 3.0]), values=POSITIVE),
    "rad2deg": u(ttnn.rad2deg, torch.rad2deg),
    "rdiv": s(ttnn.rdiv, lambda x, a: a / x, values=between(0.5, 3)),
    "reciprocal": u(ttnn.reciprocal, torch.reciprocal, between(0.5, 3)),
    "relu": u(ttnn.relu, torch.relu, exact=True, layouts=(TILE, ROW)),
    "relu6": u(ttnn.relu6, F.relu6, BELOW_ZERO_TO, exact=True),
    "relu_max": s(ttnn.relu_max, lambda x, a: x.clamp(0, a), st.sampled_from([0.5, 2.0]), exact=True),
    "relu_min": s(ttnn.relu_min, lambda x, a: x.clamp(min=a), st.sampled_from([0.5, 1.0]), exact=True),
    "round": u(ttnn.round, torch.round, exact=True),
    "round decimals": u(lambda x: ttnn.round(x, decimals=1), lambda x: torch.round(x, decimals=1)),
    "rpow": s(ttnn.rpow, lambda x, a: a**x, st.sampled_from([2.0, 0.5])),
    "rsqrt": u(ttnn.rsqrt, torch.rsqrt, between(0.5, 3)),
    "selu": u(ttnn.selu, F.selu),
    "sigmoid": u(ttnn.sigmoid, torch.sigmoid),
    "sigmoid_accurate": u(ttnn.sigmoid_accurate, torch.sigmoid),
    "sign": u(ttnn.sign, torch.sign, halves, exact=True),
    "signbit": u(ttnn.signbit, torch.signbit, halves, exact=True),
    "silu": u(ttnn.silu, F.silu),
    "sin": u(ttnn.sin, torch.sin),
    "sinh": u(ttnn.sinh, torch.sinh),
    "softplus": s(
        lambda x, a: ttnn.softplus(x, beta=a, threshold=5.0),
        lambda x, a: F.softplus(x, a, 5),
        st.sampled_from([1.0, 2.0]),
    ),
    "softshrink": s(
        lambda x, a: ttnn.softshrink(x, lambd=a), lambda x, a: F.softshrink(x, a), st.sampled_from([0.5, 1.0])
    ),
    "softsign": u(ttnn.softsign, F.softsign),
    "sqrt": u(ttnn.sqrt, torch.sqrt, POSITIVE),
    "square": u(ttnn.square, torch.square),
    "swish": u(ttnn.swish, F.silu),
    "tan": u(ttnn.tan, torch.tan, between(-1.2, 1.2)),
    "tanh": u(ttnn.tanh, torch.tanh),
    "tanhshrink": u(ttnn.tanhshrink, F.tanhshrink),
    "threshold": u(lambda x: ttnn.threshold(x, 0.5, -2.0), lambda x: F.threshold(x, 0.5, -2.0), exact=True),
    "trunc": u(ttnn.trunc, torch.trunc, exact=True),
    "unary_chain": u(
        lambda x: ttnn.unary_chain(
            x, [ttnn.UnaryWithParam(ttnn.UnaryOpType.RELU), ttnn.UnaryWithParam(ttnn.UnaryOpType.SQRT)]
        ),
        lambda x: x.relu().sqrt(),
    ),
    "polyval": u(lambda x: ttnn.polyval(x, [2.0, -1.0, 0.5]), lambda x: 2 * x**2 - x + 0.5, dtypes=TWO_FLOATS),
    "bitwise_not": u(ttnn.bitwise_not, torch.bitwise_not, **BITS),
    "bitwise_left_shift": u(lambda x: ttnn.bitwise_left_shift(x, 3), lambda x: x << 3, **BITS),
    "bitwise_and scalar": u(lambda x: ttnn.bitwise_and(x, 0b10110), lambda x: x & 0b10110, **BITS),
    "logical_not_": u(lambda x: [ttnn.logical_not_(x), x][1], torch.logical_not, halves, exact=True),
    "output_tensor": u(
        lambda x: [ttnn.exp(x, output_tensor=(out := ttnn.zeros_like(x))), out][1],
        torch.exp,
        dtypes=TWO_FLOATS,
    ),
    "typecast to float32": u(lambda x: ttnn.typecast(x, ttnn.float32), lambda x: x, exact=True),
    "typecast to bfloat16": u(lambda x: ttnn.typecast(x, ttnn.bfloat16), lambda x: x, exact=True),
    "typecast to bfloat8_b": u(lambda x: ttnn.typecast(x, ttnn.bfloat8_b), lambda x: x, exact=True),
    "typecast to int32": u(lambda x: ttnn.typecast(x, ttnn.int32), lambda x: x.trunc(), BELOW_ZERO_TO, exact=True),
    "typecast to uint16": u(
        lambda x: ttnn.typecast(x, ttnn.uint16),
        lambda x: (x + 0.5).floor(),
        between(0, 90),
        dtypes=TWO_FLOATS,
        exact=True,
    ),
    "typecast from int32": u(
        lambda x: ttnn.typecast(x, ttnn.float32),
        lambda x: x.float(),
        integers(-99, 99),
        dtypes=(ttnn.int32,),
        exact=True,
    ),
}


@pytest.mark.parametrize("name", UNARY)
@few
@given(data=st.data())
def test_unary(mesh, name, data):
    check(mesh, UNARY[name], data.draw)


BINARY = {
    "add": b(ttnn.add, torch.add, layouts=(TILE, ROW)),
    "add integers": b(ttnn.add, torch.add, integers(-99, 99), dtypes=(ttnn.int32,), exact=True),
    "add a number": s(ttnn.add, torch.add),
    "add with activations": b(
        lambda x, y: ttnn.add(x, y, activations=[ttnn.UnaryWithParam(ttnn.UnaryOpType.RELU)]),
        lambda x, y: (x + y).relu(),
    ),
    "add with input activations": b(
        lambda x, y: ttnn.add(x, y, input_tensor_a_activations=[ttnn.UnaryWithParam(ttnn.UnaryOpType.SILU)]),
        lambda x, y: F.silu(x) + y,
    ),
    "add to dtype": b(lambda x, y: ttnn.add(x, y, dtype=ttnn.float32), torch.add, dtypes=(ttnn.bfloat16,)),
    "mixed dtypes": b(ttnn.add, torch.add, dtypes=((ttnn.bfloat16, ttnn.float32), (ttnn.bfloat8_b, ttnn.bfloat16))),
    "addalpha": b(lambda x, y: ttnn.addalpha(x, y, 0.5), lambda x, y: x + 0.5 * y, dtypes=TWO_FLOATS),
    "atan2": b(ttnn.atan2, torch.atan2, dtypes=TWO_FLOATS),
    "bias_gelu": b(ttnn.bias_gelu, lambda x, y: F.gelu(x + y)),
    "bitwise_and": b(ttnn.bitwise_and, torch.bitwise_and, **BITS),
    "bitwise_or": b(ttnn.bitwise_or, torch.bitwise_or, **BITS),
    "bitwise_xor": b(ttnn.bitwise_xor, torch.bitwise_xor, **BITS),
    "div": b(ttnn.div, torch.div, NOT_ZERO),
    "div floor": b(
        lambda x, y: ttnn.div(x, y, rounding_mode="floor"),
        lambda x, y: torch.div(x, y, rounding_mode="floor"),
        NOT_ZERO,
        dtypes=TWO_FLOATS,
        exact=True,
    ),
    "div_no_nan": b(ttnn.div_no_nan, lambda x, y: torch.where(y == 0, 0.0, x / y), halves, dtypes=TWO_FLOATS),
    "divide": b(ttnn.divide, torch.div, NOT_ZERO),
    "divide by a number": s(ttnn.divide, torch.div),
    "eq": b(ttnn.eq, torch.eq, halves, exact=True),
    "eq a number": s(ttnn.eq, torch.eq, st.sampled_from([0.5, -1.0]), values=halves, exact=True),
    "floor_div": b(ttnn.floor_div, lambda x, y: torch.floor(x / y), NOT_ZERO, dtypes=TWO_FLOATS, exact=True),
    "fmod": b(ttnn.fmod, torch.fmod, NOT_ZERO, dtypes=TWO_FLOATS),
    "gcd": b(ttnn.gcd, torch.gcd, integers(1, 500), dtypes=(ttnn.int32,), exact=True),
    "ge": b(ttnn.ge, torch.ge, halves, exact=True),
    "gt": b(ttnn.gt, torch.gt, halves, exact=True),
    "gt a number": s(ttnn.gt, torch.gt, st.sampled_from([0.5, -1.0]), values=halves, exact=True),
    "hypot": b(ttnn.hypot, torch.hypot, dtypes=TWO_FLOATS),
    "isclose": b(
        lambda x, y: ttnn.isclose(x, y, atol=0.6),
        lambda x, y: torch.isclose(x, y, atol=0.6),
        halves,
        exact=True,
    ),
    "lcm": b(ttnn.lcm, torch.lcm, integers(1, 60), dtypes=(ttnn.int32,), exact=True),
    "ldexp": b(ttnn.ldexp, lambda x, y: x * 2**y, dtypes=TWO_FLOATS),
    "le": b(ttnn.le, torch.le, halves, exact=True),
    "logaddexp": b(ttnn.logaddexp, torch.logaddexp),
    "logaddexp2": b(ttnn.logaddexp2, torch.logaddexp2),
    "logical_and": b(ttnn.logical_and, torch.logical_and, halves, exact=True),
    "logical_or": b(ttnn.logical_or, torch.logical_or, integers(0, 1), exact=True),
    "logical_xor": b(ttnn.logical_xor, torch.logical_xor, integers(0, 1), exact=True),
    "lt": b(ttnn.lt, torch.lt, halves, exact=True),
    "maximum": b(ttnn.maximum, torch.maximum, exact=True, dtypes=TWO_FLOATS),
    "maximum of a number": s(ttnn.maximum, lambda x, a: x.clamp(min=a), exact=True, dtypes=TWO_FLOATS),
    "minimum": b(ttnn.minimum, torch.minimum, exact=True, dtypes=TWO_FLOATS),
    "multiply": b(ttnn.multiply, torch.mul, layouts=(TILE, ROW)),
    "multiply by a number": s(ttnn.multiply, torch.mul),
    "ne": b(ttnn.ne, torch.ne, halves, exact=True),
    "nextafter": b(ttnn.nextafter, torch.nextafter, dtypes=(ttnn.float32,)),
    "pow of tensors": b(ttnn.pow, torch.pow, (POSITIVE, INSIDE), dtypes=TWO_FLOATS),
    "prelu": Op("A B C D, 1 B 1 1 -> A B C D", ttnn.prelu, lambda x, w: torch.where(x > 0, x, w * x)),
    "remainder": b(ttnn.remainder, torch.remainder, NOT_ZERO, dtypes=TWO_FLOATS),
    "remainder of a number": s(ttnn.remainder, torch.remainder, st.sampled_from([2.0, 0.75]), dtypes=TWO_FLOATS),
    "rsub": b(ttnn.rsub, lambda x, y: y - x),
    "rsub from a number": s(ttnn.rsub, lambda x, a: a - x),
    "squared_difference": b(ttnn.squared_difference, lambda x, y: (x - y) ** 2),
    "subalpha": b(lambda x, y: ttnn.subalpha(x, y, 0.5), lambda x, y: x - 0.5 * y, dtypes=TWO_FLOATS),
    "subtract": b(ttnn.subtract, torch.sub, layouts=(TILE, ROW)),
    "subtract a number": s(ttnn.subtract, torch.sub),
    "xlogy": b(ttnn.xlogy, torch.xlogy, (halves, POSITIVE), dtypes=TWO_FLOATS),
    "left shift": b(
        ttnn.bitwise_left_shift,
        torch.bitwise_left_shift,
        (integers(0, 99), integers(0, 9)),
        dtypes=(ttnn.int32,),
        exact=True,
    ),
    "right shift": b(
        ttnn.bitwise_right_shift,
        torch.bitwise_right_shift,
        (integers(0, 9999), integers(0, 9)),
        dtypes=(ttnn.int32,),
        exact=True,
    ),
    "x + y": b(lambda x, y: x + y, torch.add),
    "x - y": b(lambda x, y: x - y, torch.sub),
    "x * y": b(lambda x, y: x * y, torch.mul),
    "x / y": b(lambda x, y: x / y, torch.div, NOT_ZERO),
    "1 - x": s(lambda x, a: a - x, lambda x, a: a - x),
    "2 * x": s(lambda x, a: a * x, lambda x, a: a * x),
    "x > y": b(lambda x, y: x > y, lambda x, y: x > y, halves, exact=True),
    "x == y": b(lambda x, y: x == y, lambda x, y: x == y, halves, exact=True),
}


@pytest.mark.parametrize("name", BINARY)
@few
@given(data=st.data())
def test_binary(mesh, name, data):
    check(mesh, BINARY[name], data.draw)


SAME = "A B C D, A B C D -> A B C D | A B C D, 1 B 1 D -> A B C D"
IN_PLACE = {
    "add_": (torch.add, {}),
    "subtract_": (torch.sub, {}),
    "multiply_": (torch.mul, {}),
    "divide_": (torch.div, dict(values=NOT_ZERO)),
    "rsub_": (lambda x, y: y - x, {}),
    "squared_difference_": (lambda x, y: (x - y) ** 2, {}),
    "bias_gelu_": (lambda x, y: F.gelu(x + y), {}),
    "ldexp_": (lambda x, y: x * 2**y, {}),
    "logaddexp_": (torch.logaddexp, {}),
    "logaddexp2_": (torch.logaddexp2, {}),
    "eq_": (torch.eq, dict(values=halves)),
    "ne_": (torch.ne, dict(values=halves)),
    "lt_": (torch.lt, dict(values=halves)),
    "le_": (torch.le, dict(values=halves)),
    "gt_": (torch.gt, dict(values=halves)),
    "ge_": (torch.ge, dict(values=halves)),
    "logical_and_": (torch.logical_and, dict(values=integers(0, 1))),
    "logical_or_": (torch.logical_or, dict(values=integers(0, 1))),
    "logical_xor_": (torch.logical_xor, dict(values=integers(0, 1))),
}


@pytest.mark.parametrize("name", IN_PLACE)
@few
@given(data=st.data())
def test_in_place(mesh, name, data):
    """The answer is where the first input was, the second input is as it was."""
    torch_op, options = IN_PLACE[name]

    def op(x, y):
        getattr(ttnn, name)(x, y)
        return x, y

    shapes = SAME.replace("->", "->").split(" | ")
    both = " | ".join(f"{shape}, {shape.split('->')[0].split(',')[1]}" for shape in shapes)
    check(mesh, Op(both, op, lambda x, y: (torch_op(x, y).float(), y), dtypes=TWO_FLOATS, **options), data.draw)


def test_outside_the_domain(mesh):
    """Not a number there, whatever the dtype: for blocks ttnn's own golden function gives no answer at all."""
    x = rounded(torch.linspace(-1.5, 1.5, 1024).reshape(32, 32), ttnn.bfloat8_b)
    got = shards_of(ttnn.asin(replicate(x, mesh, dtype=ttnn.bfloat8_b)))[3, 7]
    inside = x.reshape(64, 16).abs().amax(1).le(1)  # a block with a NaN in it is lost as a whole, or not: both happen
    assert agree(got.reshape(64, 16)[inside], x.asin().reshape(64, 16)[inside], ttnn.bfloat8_b, exact=False)
    assert inside.any() and not got.reshape(64, 16)[~inside].isfinite().all()


def test_plus_one(mesh):
    """Counts up in place, and says so nowhere in its name."""
    x = torch.randint(0, 99, (40,), generator=torch.Generator().manual_seed(0))
    position = replicate(x, mesh, dtype=ttnn.int32, layout=ROW)
    ttnn.plus_one(position)
    ttnn.plus_one(position)
    assert torch.equal(gather(position), x.int() + 2)


WRONG = {
    "another function": u(ttnn.exp, torch.exp2),
    "a scale": u(ttnn.relu, lambda x: 1.05 * x.relu()),
    "an offset": u(ttnn.relu, lambda x: x.relu() + 0.05),
    "the other order": b(ttnn.subtract, lambda x, y: y - x),
    "the last element": u(ttnn.relu, lambda x: x.relu().flatten().index_fill(0, torch.tensor([-1]), 9).view(x.shape), exact=True),
    "a neighbour": u(ttnn.neg, lambda x: -x.roll(1, -1)),
    "a transposed image": Op("A B 32 32", ttnn.neg, lambda x: -x.mT),
    "a shape": u(ttnn.neg, lambda x: -x[None]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_noticed(mesh, name):
    """The tests of this file and its neighbours can fail."""
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        few(given(data=st.data())(lambda data: check(mesh, WRONG[name], data.draw)))()


PREDICATE = integers(0, 1)
TERNARY = {
    "where": Op(THREE, ttnn.where, lambda p, x, y: torch.where(p > 0, x, y), (PREDICATE, between(-3, -1), between(1, 3)), exact=True),
    "where number": Op("A B C D, A B C D -> A B C D", lambda p, x: ttnn.where(p, x, 2.5), lambda p, x: torch.where(p > 0, x, 2.5), (PREDICATE, INSIDE), exact=True, dtypes=TWO_FLOATS),
    "where numbers": Op(ONE, lambda p: ttnn.where(p, 0.5, 2.5), lambda p: torch.where(p > 0, 0.5, 2.5), PREDICATE, exact=True, dtypes=TWO_FLOATS),
    "where broadcast": Op("A 1 C D, A B C D, A B C 1 -> A B C D", ttnn.where, lambda p, x, y: torch.where(p > 0, x, y), (PREDICATE, INSIDE, POSITIVE), exact=True, dtypes=TWO_FLOATS),
    "addcmul": Op(THREE, lambda x, y, z: ttnn.addcmul(x, y, z, value=0.5), lambda x, y, z: x + 0.5 * y * z),
    "addcdiv": Op(THREE, lambda x, y, z: ttnn.addcdiv(x, y, z, value=0.5), lambda x, y, z: x + 0.5 * y / z, (INSIDE, INSIDE, POSITIVE), dtypes=TWO_FLOATS),
    "lerp": Op(THREE, ttnn.lerp, torch.lerp, dtypes=TWO_FLOATS),
    "lerp number": Op("A B C D, A B C D -> A B C D", lambda x, y: ttnn.lerp(x, y, 0.25), lambda x, y: torch.lerp(x, y, 0.25), dtypes=TWO_FLOATS),
    "mac": Op(THREE, ttnn.mac, lambda x, y, z: x * y + z, dtypes=TWO_FLOATS),
    "clamp tensors": Op(THREE, ttnn.clamp, torch.clamp, (BELOW_ZERO_TO, INSIDE, POSITIVE), dtypes=TWO_FLOATS, exact=True),
}  # fmt: skip


@pytest.mark.parametrize("name", TERNARY)
@few
@given(data=st.data())
def test_ternary(mesh, name, data):
    check(mesh, TERNARY[name], data.draw)


GATED = {
    "glu": lambda x, g: x * g.sigmoid(),
    "reglu": lambda x, g: x * g.relu(),
    "geglu": lambda x, g: x * F.gelu(g),
    "swiglu": lambda x, g: x * F.silu(g),
}


@pytest.mark.parametrize("name", GATED)
@few
@given(data=st.data())
def test_gated(mesh, name, data):
    torch_op = lambda x: GATED[name](*x.chunk(2, -1))
    op = Op("A B C*32 64 -> A B C*32 32", lambda x: getattr(ttnn, name)(x, -1), torch_op, dtypes=(ttnn.bfloat16,))
    check(mesh, op, data.draw)


BACKWARD = {  # gradients: ttnn gives a list of them
    "relu_bw": torch.relu,
    "silu_bw": F.silu,
    "sigmoid_bw": torch.sigmoid,
    "tanh_bw": torch.tanh,
    "exp_bw": torch.exp,
    "square_bw": torch.square,
}


@pytest.mark.parametrize("name", BACKWARD)
@few
@given(data=st.data())
def test_backward(mesh, name, data):
    def gradient(grad, x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(BACKWARD[name](x), x, grad)

    op = Op("A B C D, A B C D -> A B C D", getattr(ttnn, name), gradient, dtypes=(ttnn.bfloat16,))
    check(mesh, op, data.draw)
