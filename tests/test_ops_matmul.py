# ruff: noqa: E501 - one op per line
"""Matrix products on the emulated galaxy against plain torch."""

import pytest
import torch
import torch.nn.functional as F
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from helpers.collectives import all_reduce
from helpers.tensors import gather, shard
from tests.on_galaxy import FLOATS, TWO_FLOATS, Op, check, compare, few, opened, rounded

mesh = pytest.fixture(scope="module")(opened)

WEIGHTS = "A B M k, k N -> A B M N"
BIASED = "A B M k, k N, 1 N -> A B M N"
BLOCKS = ((ttnn.bfloat16, ttnn.bfloat8_b), (ttnn.bfloat8_b, ttnn.bfloat8_b), (ttnn.bfloat16, ttnn.bfloat4_b))


def p(shapes, ttnn_op, torch_op, dtypes=FLOATS, **options):
    return Op(shapes, ttnn_op, torch_op, dtypes=dtypes, **options)


MATMUL = {
    "matmul": p(f"{WEIGHTS} | A B M k, A B k N -> A B M N | M k, k N -> M N", ttnn.matmul, torch.matmul),
    "matmul mixed": p(WEIGHTS, ttnn.matmul, torch.matmul, dtypes=BLOCKS),
    "linear, a bias of more dimensions": p("M k, k N, 1 1 1 N -> 1 1 M N | A M k, k N, 1 1 1 N -> 1 A M N", lambda x, y, b: ttnn.linear(x, y, bias=b), lambda x, y, b: x @ y + b),
    "matmul transpose_a": p("A B k M, A B k N -> A B M N", lambda x, y: ttnn.matmul(x, y, transpose_a=True), lambda x, y: x.mT @ y),
    "matmul transpose_b": p("A B M k, A B N k -> A B M N", lambda x, y: ttnn.matmul(x, y, transpose_b=True), lambda x, y: x @ y.mT),
    "matmul activation": p(WEIGHTS, lambda x, y: ttnn.matmul(x, y, activation="relu"), lambda x, y: (x @ y).relu()),
    "matmul dtype": p(WEIGHTS, lambda x, y: ttnn.matmul(x, y, dtype=ttnn.float32), torch.matmul, dtypes=(ttnn.bfloat16,)),
    "matmul to L1": p(WEIGHTS, lambda x, y: ttnn.matmul(x, y, memory_config=ttnn.L1_MEMORY_CONFIG), torch.matmul),
    "x @ y": p(WEIGHTS, lambda x, y: x @ y, torch.matmul),
    "linear": p(BIASED, lambda x, y, b: ttnn.linear(x, y, bias=b), lambda x, y, b: x @ y + b),
    "linear without bias": p(WEIGHTS, ttnn.linear, torch.matmul),
    "linear gelu": p(BIASED, lambda x, y, b: ttnn.linear(x, y, bias=b, activation="gelu"), lambda x, y, b: F.gelu(x @ y + b)),
    "linear silu": p(BIASED, lambda x, y, b: ttnn.linear(x, y, bias=b, activation="silu"), lambda x, y, b: F.silu(x @ y + b)),
    "linear transpose_b": p("A B M k, N k, 1 N -> A B M N", lambda x, y, b: ttnn.linear(x, y, bias=b, transpose_b=True), lambda x, y, b: x @ y.T + b),
    "addmm": p("M N, M k, k N -> M N", lambda c, x, y: ttnn.addmm(c, x, y, alpha=0.5, beta=2.0), lambda c, x, y: 2 * c + 0.5 * (x @ y), dtypes=TWO_FLOATS),
    "matmul keeps a rank": p("M k, 1 1 k N -> 1 1 M N", ttnn.matmul, torch.matmul),
    "linear keeps a rank": p("M k, 1 1 k N, 1 N -> 1 1 M N", lambda x, y, b: ttnn.linear(x, y, bias=b), lambda x, y, b: x @ y + b),
    "outer": p("M, N -> M N", ttnn.outer, torch.outer, dtypes=(ttnn.bfloat16,)),
    "minimal_matmul": p(
        "1 1 M k*32, k*32 n*32, 1 n*32 -> 1 1 M n*32", lambda x, y, b: ttnn.experimental.minimal_matmul(input_tensor=x, weight_tensor=y, bias_tensor=b), lambda x, y, b: x @ y + b, dtypes=(ttnn.bfloat16,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MATMUL)
@few
@given(data=st.data())
def test_matmul(mesh, name, data):
    check(mesh, MATMUL[name], data.draw)


@few
@given(axis=st.sampled_from(["tp", "sp"]), rows=st.integers(1, 90), seed=st.integers(0, 999))
def test_rows_of_weights(mesh, axis, rows, seed):
    """Weights cut by rows give partial sums; their sum over the chips is the product."""
    generator = torch.Generator().manual_seed(seed)
    x, w = (rounded(torch.randn(*s, generator=generator), ttnn.bfloat16) for s in [(1, 1, rows, 256), (256, 96)])
    part = ttnn.matmul(shard(x, mesh, **{axis: 3}), shard(w, mesh, **{axis: 0}), dtype=ttnn.float32)
    with pytest.raises(ValueError, match="all_reduce"):
        gather(part)
    summed = all_reduce(part, axis)
    compare(gather(summed), x @ w, ttnn.float32, MATMUL["matmul"])


@few
@given(rows=st.sampled_from([32, 96]), seed=st.integers(0, 999))
def test_mlp(mesh, rows, seed):
    """Tensor parallel over tp, sequence parallel over sp, as in every transformer of this series."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, 1, 8 * rows, 64), (64, 256), (256, 64)]
    x, up, down = (rounded(torch.randn(*s, generator=generator), ttnn.bfloat16) for s in shapes)
    h = ttnn.linear(shard(x, mesh, sp=2), shard(up, mesh, tp=1), activation="gelu")
    y = all_reduce(ttnn.linear(h, shard(down, mesh, tp=0)), "tp")
    compare(gather(y, sp=2), F.gelu(x @ up) @ down, ttnn.bfloat16, MATMUL["matmul"])
