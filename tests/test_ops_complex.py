"""Ops on complex tensors, and the gradients of ops with several inputs, against torch's own."""

import pytest
import torch
import torch.nn.functional as F
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from helpers.tensors import gather, replicate, shard
from tests.on_galaxy import ROW, Op, between, check, compare, few, integers, opened, randn, rounded

mesh = pytest.fixture(scope="module")(opened)

L1 = ttnn.L1_MEMORY_CONFIG
NEAR = Op("", None, None)
COMPLEX = {
    "real": (ttnn.real, torch.real),
    "imag": (ttnn.imag, torch.imag),
    "abs": (ttnn.abs, torch.abs),
    "angle": (ttnn.angle, torch.angle),
    "is_real": (ttnn.is_real, lambda z: (z.imag == 0).float()),
    "is_imag": (ttnn.is_imag, lambda z: (z.real == 0).float()),
    "conj": (ttnn.conj, torch.conj),
    "polar": (ttnn.polar, lambda z: torch.polar(z.real, z.imag)),
    "reciprocal": (ttnn.reciprocal, torch.reciprocal),
}


@pytest.mark.parametrize("name", COMPLEX)
@few
@given(cut=st.sampled_from([{}, {"tp": 2}, {"sp": 3}]), seed=st.integers(0, 999))
def test_complex(mesh, name, cut, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = (rounded(randn(generator, (1, 3, 128, 256)), ttnn.bfloat16) for _ in range(2))
    x[x.abs() < 0.1], y[y.abs() < 0.3] = 0, 0  # some are real, some imaginary
    x[(x == 0) & (y == 0)] = 1  # none is neither
    ours, theirs = COMPLEX[name]
    got = ours(ttnn.complex_tensor(shard(x, mesh, **cut), shard(y, mesh, **cut)), memory_config=L1)
    want = theirs(torch.complex(x, y))
    pairs = [(got.real, want.real), (got.imag, want.imag)] if want.is_complex() else [(got, want)]
    for ours, theirs in pairs:
        compare(gather(ours, **cut), theirs, ttnn.bfloat16, NEAR)


GRADIENTS = {
    "conj_bw": (torch.conj, True),
    "polar_bw": (lambda z: torch.polar(z.real, z.imag), True),
    "angle_bw": (torch.angle, False),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_complex_gradients(mesh, name):
    generator = torch.Generator().manual_seed(3)
    x, y, g, h = (rounded(randn(generator, (1, 3, 256, 96)), ttnn.bfloat16) for _ in range(4))
    forward, is_complex = GRADIENTS[name]
    z = ttnn.complex_tensor(shard(x, mesh, sp=2), shard(y, mesh, sp=2))
    upper = [shard(part, mesh, sp=2) for part in (g, h)]
    grad = ttnn.complex_tensor(*upper) if is_complex else upper[0]
    (got,) = getattr(ttnn, name)(grad, z, memory_config=L1)
    (want,) = gradients(forward, torch.complex(g, h) if is_complex else g, torch.complex(x, y))
    for ours, theirs in ((got.real, want.real), (got.imag, want.imag)):
        compare(gather(ours, sp=2), theirs, ttnn.bfloat16, NEAR)


def test_ops_of_two_complex_tensors_are_refused(mesh):
    x = replicate(torch.randn(1, 1, 32, 64), mesh)
    z = ttnn.complex_tensor(x, x)
    with pytest.raises(NotImplementedError, match="of complex tensors is not emulated. Compute with their .real"):
        ttnn.multiply(z, z)


def gradients(function, grad, *inputs):
    inputs = [x.clone().requires_grad_() for x in inputs]
    function(*inputs).backward(grad)
    return [x.grad for x in inputs]


def g(shapes, ttnn_op, torch_op, dtypes=(ttnn.bfloat16,), **options):
    return Op(shapes, ttnn_op, torch_op, dtypes=dtypes, **options)


FOUR = "A B C D, A B C D, A B C D, A B C D -> A B C D"
BACKWARD = {
    "addcmul_bw": g(
        FOUR, lambda grad, a, b, c: ttnn.addcmul_bw(grad, a, b, c, 0.5),
        lambda grad, *abc: gradients(lambda a, b, c: a + 0.5 * b * c, grad, *abc),
    ),
    "addcmul_bw by name": g(
        FOUR,
        lambda grad, a, b, c: ttnn.addcmul_bw(
            grad_tensor=grad, input_tensor_a=a, input_tensor_b=b, input_tensor_c=c, alpha=-2.0
        ),
        lambda grad, *abc: gradients(lambda a, b, c: a - 2 * b * c, grad, *abc),
    ),
    "addcdiv_bw": g(
        FOUR, lambda grad, a, b, c: ttnn.addcdiv_bw(grad, a, b, c, alpha=1.5),
        lambda grad, *abc: gradients(lambda a, b, c: a + 1.5 * b / c, grad, *abc), values=between(0.5, 2),
    ),
    "acosh_bw": g(
        "A B C D, A B C D -> A B C D", ttnn.acosh_bw, lambda grad, x: gradients(torch.acosh, grad, x),
        values=(randn, between(1.5, 4)),
    ),
    "embedding_bw": g(
        "1 1 1 64, 1 1 96 D*32, 1 1 64 D*32 -> 1 1 96 D*32",
        lambda i, w, grad: ttnn.embedding_bw(ttnn.to_layout(i, ROW), w, grad),
        lambda i, w, grad: gradients(lambda w: F.embedding(i.long().flatten(), w[0, 0])[None, None], grad, w),
        dtypes=((ttnn.uint32, ttnn.bfloat16, ttnn.bfloat16),), values=(integers(0, 95), randn, randn),
    ),
    "prod_bw": g(
        "1 1 C*32 D*32, 1 5 C*32 D*32 -> 1 5 C*32 D*32", lambda grad, x: ttnn.prod_bw(grad, x, dim=1),
        lambda grad, x: gradients(lambda x: x.prod(1, keepdim=True), grad, x), values=between(0.5, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BACKWARD)
@few
@given(data=st.data())
def test_backward(mesh, name, data):
    check(mesh, BACKWARD[name], data.draw)
