# ruff: noqa: E501 - one op per line
"""Reductions, orders and running sums on the emulated galaxy against plain torch."""

import pytest
import torch
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from tests.on_galaxy import FLOATS, ROW, TILE, TWO_FLOATS, Op, between, check, distinct, few, integers, opened

mesh = pytest.fixture(scope="module")(opened)

OVER_LAST, OVER_ROWS, OVER_CHANNELS = "A B C d -> A B C", "A B c D -> A B D", "A b C D -> A C D"
KEPT = "A B C d -> A B C 1"
POSITIVE = between(0.2, 2)
ORDER = dict(values=distinct, dtypes=(ttnn.bfloat16,), exact=True)


def r(shapes, ttnn_op, torch_op, dtypes=FLOATS, **options):
    return Op(shapes, ttnn_op, torch_op, dtypes=dtypes, **options)


REDUCE = {
    "sum": r(OVER_LAST, lambda x: ttnn.sum(x, dim=-1), lambda x: x.sum(-1)),
    "sum keepdim": r(KEPT, lambda x: ttnn.sum(x, dim=-1, keepdim=True), lambda x: x.sum(-1, keepdim=True)),
    "sum rows": r(OVER_ROWS, lambda x: ttnn.sum(x, dim=-2), lambda x: x.sum(-2)),
    "sum channels": r(OVER_CHANNELS, lambda x: ttnn.sum(x, dim=1), lambda x: x.sum(1)),
    "sum of two": r("A B c d -> A B", lambda x: ttnn.sum(x, dim=(-2, -1)), lambda x: x.sum((-2, -1))),
    "sum scaled": r(OVER_LAST, lambda x: ttnn.sum(x, dim=-1, scalar=0.5), lambda x: 0.5 * x.sum(-1)),
    "mean": r(OVER_LAST, lambda x: ttnn.mean(x, dim=-1), lambda x: x.mean(-1)),
    "mean rows": r(OVER_ROWS, lambda x: ttnn.mean(x, dim=2), lambda x: x.mean(2)),
    "mean of all": r("a b c d -> 1", lambda x: ttnn.reshape(ttnn.mean(x), (1,)), lambda x: x.mean().reshape(1), values=POSITIVE, dtypes=TWO_FLOATS),
    "max": r(OVER_LAST, lambda x: ttnn.max(x, dim=-1), lambda x: x.amax(-1), exact=True),
    "max rows": r(OVER_ROWS, lambda x: ttnn.max(x, dim=-2), lambda x: x.amax(-2), exact=True),
    "min": r(OVER_LAST, lambda x: ttnn.min(x, dim=-1), lambda x: x.amin(-1), exact=True),
    "min keepdim": r(KEPT, lambda x: ttnn.min(x, dim=-1, keepdim=True), lambda x: x.amin(-1, keepdim=True), exact=True),
    "prod": r(OVER_CHANNELS, lambda x: ttnn.prod(x, dim=1), lambda x: x.prod(1), dtypes=TWO_FLOATS),
    "std": r(OVER_LAST, lambda x: ttnn.std(x, dim=-1), lambda x: x.std(-1), dtypes=TWO_FLOATS),
    "std biased": r(OVER_LAST, lambda x: ttnn.std(x, dim=-1, correction=False), lambda x: x.std(-1, correction=0), dtypes=TWO_FLOATS),
    "var": r(OVER_LAST, lambda x: ttnn.var(x, dim=-1), lambda x: x.var(-1), dtypes=TWO_FLOATS),
    "var rows": r("A B c D -> A B 1 D", lambda x: ttnn.var(x, dim=-2, keepdim=True), lambda x: x.var(-2, keepdim=True), dtypes=TWO_FLOATS),
    "argmax": r(OVER_LAST, lambda x: ttnn.argmax(x, dim=-1), lambda x: x.argmax(-1), layouts=(TILE, ROW), **ORDER),
    "argmax keepdim": r(KEPT, lambda x: ttnn.argmax(x, dim=-1, keepdim=True), lambda x: x.argmax(-1, keepdim=True), layouts=(ROW,), **ORDER),
    "argmax of all": r("b d -> 1", lambda x: ttnn.reshape(ttnn.argmax(x), (1,)), lambda x: x.argmax().reshape(1), layouts=(ROW,), values=lambda g, s: distinct(g, (1, s[0] * s[1])).view(s), dtypes=(ttnn.float32,), exact=True),
    "topk": r("A B C 128 -> A B C 32, A B C 32", lambda x: ttnn.topk(x, 32, dim=-1), lambda x: x.topk(32, -1), **ORDER),
    "topk smallest": r("A B C 64 -> A B C 10, A B C 10", lambda x: ttnn.topk(x, 10, dim=-1, largest=False), lambda x: x.topk(10, -1, largest=False), **ORDER),
    "sort": r("A B C 64 -> A B C 64, A B C 64", lambda x: ttnn.sort(x, dim=-1), lambda x: x.sort(-1), **ORDER),
    "sort down": r("A B C 64 -> A B C 64, A B C 64", lambda x: ttnn.sort(x, dim=-1, descending=True), lambda x: x.sort(-1, descending=True), **ORDER),
    "cumsum": r("A B C d", lambda x: ttnn.cumsum(x, dim=-1), lambda x: x.cumsum(-1), dtypes=TWO_FLOATS),
    "cumsum reversed": r("A b C D", lambda x: ttnn.cumsum(x, dim=1, reverse_order=True), lambda x: x.flip(1).cumsum(1).flip(1), dtypes=TWO_FLOATS),
    "cumsum to dtype": r("A B c D", lambda x: ttnn.cumsum(x, 2, dtype=ttnn.float32), lambda x: x.cumsum(2), dtypes=(ttnn.bfloat16,)),
    "cumprod": r("A b C D", lambda x: ttnn.cumprod(x, dim=1), lambda x: x.cumprod(1), dtypes=TWO_FLOATS),
    "fast_reduce_nc": r("a B C*32 D*32 -> 1 B C*32 D*32", lambda x: ttnn.experimental.fast_reduce_nc(x, dims=[0]), lambda x: x.sum(0, keepdim=True), dtypes=(ttnn.bfloat16,)),
    "sum integers": r(OVER_LAST, lambda x: ttnn.sum(x, dim=-1), lambda x: x.sum(-1), values=integers(-99, 99), dtypes=(ttnn.int32,), exact=True),
    "ema": r("1 B C*32 d", lambda x: ttnn.ema(x, 0.25), lambda x: ema(x, 0.25), dtypes=(ttnn.bfloat16,)),
    "mse_loss": r("a b c d, a b c d -> 1", lambda x, y: ttnn.reshape(ttnn.mse_loss(x, y, reduction=ttnn.LossReductionMode.MEAN), (1,)), lambda x, y: ((x - y) ** 2).mean().reshape(1), dtypes=(ttnn.bfloat16,)),
    "l1_loss": r("A B C D, A B C D -> A B C D", lambda x, y: ttnn.l1_loss(x, y, reduction=ttnn.LossReductionMode.NONE), lambda x, y: (x - y).abs(), dtypes=(ttnn.bfloat16,)),
    "moreh_sum": r("A B c D -> A B 1 D", lambda x: ttnn.moreh_sum(x, dim=2, keepdim=True), lambda x: x.sum(2, keepdim=True), dtypes=(ttnn.bfloat16,)),
    "moreh_mean": r("A b C D -> A 1 C D", lambda x: ttnn.moreh_mean(x, dim=1, keepdim=True), lambda x: x.mean(1, keepdim=True), dtypes=(ttnn.bfloat16,)),
    "moreh_cumsum": r("A b C D -> A b C D", lambda x: ttnn.moreh_cumsum(x, 1), lambda x: x.cumsum(1), dtypes=(ttnn.bfloat16,)),
}  # fmt: skip


def ema(x, alpha):
    """y_t = alpha y_(t-1) + (1 - alpha) x_t along the last dimension, from y_0 = x_0"""
    out, y = [], x[..., 0]
    for t in range(x.shape[-1]):
        y = alpha * y + (1 - alpha) * x[..., t]
        out.append(y)
    return torch.stack(out, -1)


@pytest.mark.parametrize("name", REDUCE)
@few
@given(data=st.data())
def test_reduce(mesh, name, data):
    check(mesh, REDUCE[name], data.draw)
