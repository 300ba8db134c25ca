# ruff: noqa: E501 - one op per line
"""Ops that move data, and that create it, on the emulated galaxy against plain torch: exact, whatever the dtype."""

import pytest
import torch
import torch.nn.functional as F
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from helpers.tensors import gather, replicate, shard
from tests.on_galaxy import (
    ROW,
    TILE,
    TWO_FLOATS,
    Op,
    between,
    check,
    distinct,
    few,
    integers,
    opened,
    rounded,
)

mesh = pytest.fixture(scope="module")(opened)

BOTH = (TILE, ROW)
BF16 = (ttnn.bfloat16,)
ALL = (ttnn.bfloat16, ttnn.float32, ttnn.bfloat8_b)


def m(shapes, ttnn_op, torch_op, dtypes=TWO_FLOATS, layouts=BOTH, **options):
    return Op(shapes, ttnn_op, torch_op, dtypes=dtypes, layouts=layouts, exact=True, **options)


def l1(x):
    return ttnn.to_memory_config(x, ttnn.L1_MEMORY_CONFIG)


def height_sharded(x):
    config = ttnn.create_sharded_memory_config(
        tuple(x.shape), ttnn.CoreGrid(y=1, x=x.shape[-2] // 32), ttnn.ShardStrategy.HEIGHT
    )
    return ttnn.to_memory_config(x, config)


def block_sharded(x):
    config = ttnn.create_sharded_memory_config((1, 1, 128, 64), ttnn.CoreGrid(y=4, x=2), ttnn.ShardStrategy.BLOCK)
    return ttnn.to_memory_config(x, config)


def index(size):
    return integers(0, size - 1)


SAME = "A B C D"
MOVEMENT = {
    "permute": m(f"{SAME} -> C A D B", lambda x: ttnn.permute(x, (2, 0, 3, 1)), lambda x: x.permute(2, 0, 3, 1)),
    "permute heads": m(f"{SAME} -> A C B D", lambda x: ttnn.permute(x, (0, 2, 1, 3)), lambda x: x.permute(0, 2, 1, 3)),
    "permute 3": m("A B C -> B C A", lambda x: ttnn.permute(x, (1, 2, 0)), lambda x: x.permute(1, 2, 0)),
    "transpose": m(f"{SAME} -> A B D C", lambda x: ttnn.transpose(x, -2, -1), lambda x: x.mT, dtypes=ALL, layouts=(TILE,)),
    "transpose 1 2": m(f"{SAME} -> A C B D", lambda x: ttnn.transpose(x, 1, 2), lambda x: x.transpose(1, 2)),
    "reshape": m("A b c D -> A bc D", lambda x: ttnn.reshape(x, (x.shape[0], -1, x.shape[3])), lambda x: x.flatten(1, 2)),
    "reshape splits": m("A B 12 D -> A B 3 4 D", lambda x: ttnn.reshape(x, (*tuple(x.shape)[:2], 3, 4, -1)), lambda x: x.unflatten(2, (3, 4))),
    "reshape method": m("A b c D -> A bc D", lambda x: x.reshape((x.shape[0], -1, x.shape[3])), lambda x: x.flatten(1, 2)),
    "reshape to L1": m("A B c D -> A B c D", lambda x: ttnn.reshape(x, tuple(x.shape), memory_config=ttnn.L1_MEMORY_CONFIG), lambda x: x),
    "reshape splits, to L1": m("A B 12 D -> A B 3 4 D", lambda x: ttnn.reshape(x, (*tuple(x.shape)[:2], 3, 4, x.shape[3]), memory_config=ttnn.L1_MEMORY_CONFIG), lambda x: x.unflatten(2, (3, 4))),
    "reshape with padding": m("A B 12 D -> A B 3 4 D", lambda x: ttnn.reshape(x, (*tuple(x.shape)[:2], 3, 4, x.shape[3]), pad_value=3.0), lambda x: x.unflatten(2, (3, 4)), layouts=(TILE,)),
    "reshape to fewer rows": m("A B 40 D -> A B 35 D", lambda x: ttnn.reshape(x, (*tuple(x.shape)[:2], 35, x.shape[3]), tuple(x.padded_shape)), lambda x: x[:, :, :35], layouts=(TILE,)),
    "squeeze": m("A 1 C D -> A C D", lambda x: ttnn.squeeze(x, 1), lambda x: x.squeeze(1)),
    "unsqueeze": m("A C D -> A 1 C D", lambda x: ttnn.unsqueeze(x, 1), lambda x: x.unsqueeze(1)),
    "unsqueeze_to_4D": m("C D -> 1 1 C D", ttnn.unsqueeze_to_4D, lambda x: x[None, None]),
    "slice": m("A B 40 D -> A B 21 D", lambda x: ttnn.slice(x, [0, 0, 7, 0], [x.shape[0], x.shape[1], 28, x.shape[3]]), lambda x: x[:, :, 7:28]),
    "slice with steps": m("A 7 40 D -> A 3 11 D", lambda x: ttnn.slice(x, [0, 1, 7, 0], [x.shape[0], 7, 40, x.shape[3]], [1, 2, 3, 1]), lambda x: x[:, 1:7:2, 7:40:3], layouts=(ROW,)),
    "x[:, :, a:b]": m("A B 64 D -> A B 32 D", lambda x: x[:, :, 32:64], lambda x: x[:, :, 32:64]),
    "x[:, 1]": m("A 3 C D -> A C D", lambda x: x[:, 1], lambda x: x[:, 1]),
    "x[..., :n]": m("A B C 40 -> A B C 33", lambda x: x[..., :33], lambda x: x[..., :33]),
    "x[:, -2:]": m("A 5 C D -> A 2 C D", lambda x: x[:, -2:], lambda x: x[:, -2:]),
    "x[:, ::2]": m("A 5 C D -> A 3 C D", lambda x: x[:, ::2], lambda x: x[:, ::2], layouts=(ROW,)),
    "concat": m("A B c D, A B e D -> A B ce D", lambda x, y: ttnn.concat([x, y], dim=2), lambda x, y: torch.cat([x, y], 2)),
    "concat three": m("A b C D, A e C D, A b C D -> A beb C D", lambda *x: ttnn.concat(x, 1), lambda *x: torch.cat(x, 1)),
    "concat last": m("A B C 32, A B C 64 -> A B C 96", lambda x, y: ttnn.concat([x, y], dim=-1), lambda x, y: torch.cat([x, y], -1), dtypes=ALL),
    "split": m("A B 64 D -> A B 32 D", lambda x: ttnn.split(x, 32, dim=2), lambda x: x.split(32, 2)),
    "split sizes": m("A B C 96 -> A B C 32, A B C 64", lambda x: ttnn.split(x, [32, 64], dim=3), lambda x: x.split([32, 64], 3)),
    "chunk": m("A 6 C D -> A 2 C D", lambda x: ttnn.chunk(x, 3, 1), lambda x: x.chunk(3, 1)),
    "stack": m("A C D, A C D -> A 2 C D", lambda x, y: ttnn.stack([x, y], dim=1), lambda x, y: torch.stack([x, y], 1)),
    "pad": m("A B c D -> A B c+ D", lambda x: ttnn.pad(x, [(0, 0), (0, 0), (0, 3), (0, 0)], 1.5), lambda x: F.pad(x, (0, 0, 0, 3), value=1.5)),
    "pad front": m("A b C d -> A b+ C d+", lambda x: ttnn.pad(x, [(0, 0), (2, 1), (0, 0), (4, 3)], 0.0), lambda x: F.pad(x, (4, 3, 0, 0, 2, 1)), layouts=(ROW,)),
    "repeat": m("A b C D -> A b3 C D", lambda x: ttnn.repeat(x, (1, 3, 1, 1)), lambda x: x.repeat(1, 3, 1, 1)),
    "repeat_interleave": m("A b C D -> A b3 C D", lambda x: ttnn.repeat_interleave(x, 3, dim=1), lambda x: x.repeat_interleave(3, 1), dtypes=BF16),
    "expand": m("A 1 C D -> A 5 C D", lambda x: ttnn.expand(x, (-1, 5, -1, -1)), lambda x: x.expand(-1, 5, -1, -1)),
    "roll": m("A B c D -> A B c D", lambda x: ttnn.roll(x, 3, 2), lambda x: x.roll(3, 2)),
    "clone": m(SAME, ttnn.clone, lambda x: x, dtypes=ALL),
    "clone to dtype": m(SAME, lambda x: ttnn.clone(x, dtype=ttnn.float32), lambda x: x, dtypes=BF16, layouts=(TILE,)),
    "assign": m(SAME, lambda x: ttnn.assign(x, memory_config=ttnn.L1_MEMORY_CONFIG), lambda x: x, layouts=(TILE,)),
    "copy": m("A B C D, A B C D -> A B C D", lambda x, y: [ttnn.copy(x, y), y][1], lambda x, y: x, layouts=(TILE,)),
    "move": m(SAME, ttnn.move, lambda x: x),
    "reallocate": m(SAME, ttnn.reallocate, lambda x: x),
    "to_layout": m(SAME, lambda x: ttnn.to_layout(x, ROW), lambda x: x),
    "to_layout back": m(SAME, lambda x: ttnn.to_layout(ttnn.to_layout(x, ROW), TILE), lambda x: x),
    "to_layout from blocks": m(SAME, lambda x: ttnn.to_layout(x, ROW), lambda x: x, dtypes=(ttnn.bfloat8_b,), layouts=(TILE,)),
    "tilize": m("A B C*32 D*32", ttnn.tilize, lambda x: x, layouts=(ROW,)),
    "tilize padded": m(SAME, ttnn.tilize_with_zero_padding, lambda x: x, layouts=(ROW,)),
    "untilize": m(SAME, ttnn.untilize, lambda x: x, layouts=(TILE,)),
    "untilize_with_unpadding": m("A 2 C 50 -> A 2 C 43", lambda x: ttnn.untilize_with_unpadding(x, output_tensor_end=[x.shape[0] - 1, 1, x.shape[2] - 1, 42], use_multicore=True), lambda x: x[..., :43], layouts=(TILE,)),
    "to L1": m(SAME, l1, lambda x: x),
    "L1 to DRAM": m(SAME, lambda x: ttnn.to_memory_config(l1(x), ttnn.DRAM_MEMORY_CONFIG), lambda x: x),
    "height sharded": m("1 1 c*32 64", height_sharded, lambda x: x, dtypes=ALL, layouts=(TILE,)),
    "sharded and back": m("1 1 c*32 64", lambda x: ttnn.sharded_to_interleaved(height_sharded(x)), lambda x: x, layouts=(TILE,)),
    "block sharded": m("1 1 128 64", lambda x: ttnn.relu(block_sharded(x)), torch.relu, layouts=(TILE,)),
    "gather": m("A B C 40, A B C 9 -> A B C 9", lambda x, i: ttnn.gather(x, -1, index=i), lambda x, i: x.gather(-1, i.long()), values=(distinct, index(40)), dtypes=((ttnn.bfloat16, ttnn.uint32), (ttnn.float32, ttnn.uint16)), layouts=(TILE,)),
    "scatter": m("A B C 40, A B C 9, A B C 9 -> A B C 40", lambda x, i, y: ttnn.scatter(x, -1, i, y), lambda x, i, y: x.scatter(-1, i.long(), y), values=(distinct, lambda g, s: distinct(g, (*s[:-1], 40))[..., : s[-1]].mul(4).add(20), between(5, 9)), dtypes=((ttnn.bfloat16, ttnn.int32, ttnn.bfloat16),)),
    "scatter_add": m("A B C 40, A B C 9, A B C 9 -> A B C 40", lambda x, i, y: ttnn.scatter_add(x, -1, i, y), lambda x, i, y: x.scatter_add(-1, i.long(), y), values=(distinct, lambda g, s: distinct(g, (*s[:-1], 40))[..., : s[-1]].mul(4).add(20), between(5, 9)), dtypes=((ttnn.bfloat16, ttnn.int32, ttnn.bfloat16),)),
    "tril": m("A B c d", ttnn.tril, torch.tril, layouts=(TILE,)),
    "triu": m("A B c d", lambda x: ttnn.triu(x, diagonal=2), lambda x: x.triu(2), layouts=(TILE,)),
    "fold": m("A 6 8 4 -> A 3 2 32", lambda x: ttnn.fold(x, 2, 4), lambda x: fold(x, 2, 4), dtypes=BF16, layouts=(ROW,)),
    "upsample": m("A 5 7 C -> A 10 21 C", lambda x: ttnn.upsample(x, [2, 3]), lambda x: x.repeat_interleave(2, 1).repeat_interleave(3, 2), dtypes=BF16, layouts=(ROW,)),
    "embedding": m("A T, 100 D*32 -> A T D*32", lambda i, w: ttnn.embedding(i, w), lambda i, w: w[i.long()], values=(index(100), between(-3, 3)), dtypes=((ttnn.uint32, ttnn.bfloat16),), layouts=(ROW,)),
    "embedding in tiles": m("A T*32, 100 64 -> A T*32 64", lambda i, w: ttnn.embedding(i, w, layout=TILE), lambda i, w: w[i.long()], values=(index(100), between(-3, 3)), dtypes=((ttnn.uint32, ttnn.bfloat16),), layouts=(ROW,)),
    "index_fill": m("9 B C D", lambda x: ttnn.index_fill(x, 0, on_all([1, 4, 7], x), 2.5), lambda x: x.index_fill(0, torch.tensor([1, 4, 7]), 2.5), dtypes=BF16, layouts=(ROW,)),
    "integers permute": m(f"{SAME} -> A C B D", lambda x: ttnn.permute(x, (0, 2, 1, 3)), lambda x: x.permute(0, 2, 1, 3), values=integers(-999, 999), dtypes=(ttnn.int32,)),
    "integers concat": m("A B c D, A B e D -> A B ce D", lambda x, y: ttnn.concat([x, y], 2), lambda x, y: torch.cat([x, y], 2), values=integers(0, 999), dtypes=(ttnn.uint32, ttnn.int32)),
    "integers to_layout": m(SAME, lambda x: ttnn.to_layout(x, ROW), lambda x: x, values=integers(0, 999), dtypes=(ttnn.int32, ttnn.uint32)),
    "view": m("A b c D -> A bc D", lambda x: ttnn.view(x, (x.shape[0], -1, x.shape[3])) if x.layout == ROW else ttnn.reshape(x, (x.shape[0], -1, x.shape[3])), lambda x: x.flatten(1, 2)),
}  # fmt: skip


def fold(x, height, width):
    """Space to depth: each height x width block becomes channels."""
    x = x.unflatten(2, (-1, width)).unflatten(1, (-1, height))
    return x.permute(0, 1, 3, 2, 4, 5).flatten(3)


def on_all(numbers, like):
    return replicate(torch.tensor(numbers), like.device(), dtype=ttnn.uint32, layout=ROW)


@pytest.mark.parametrize("name", MOVEMENT)
@few
@given(data=st.data())
def test_movement(mesh, name, data):
    check(mesh, MOVEMENT[name], data.draw)


SHAPES = st.tuples(st.integers(1, 3), st.integers(2, 40), st.integers(1, 20).map(lambda n: 2 * n))
PLACES = st.fixed_dictionaries(dict(dtype=st.sampled_from([*ALL, ttnn.int32, ttnn.uint32]), layout=st.just(TILE)))
CREATED = {
    "zeros": (lambda mesh, shape, **o: ttnn.zeros(shape, device=mesh, **o), lambda shape: torch.zeros(shape)),
    "ones": (lambda mesh, shape, **o: ttnn.ones(shape, device=mesh, **o), lambda shape: torch.ones(shape)),
    "full": (
        lambda mesh, shape, **o: ttnn.full(shape, fill_value=7, device=mesh, **o),
        lambda shape: torch.full(shape, 7.0),
    ),
    "zeros_like": (
        lambda mesh, shape, **o: ttnn.zeros_like(like(mesh, shape), **o),
        lambda shape: torch.zeros(shape),
    ),
    "ones_like": (
        lambda mesh, shape, **o: ttnn.ones_like(like(mesh, shape), **o),
        lambda shape: torch.ones(shape),
    ),
    "full_like": (
        lambda mesh, shape, **o: ttnn.full_like(like(mesh, shape), fill_value=-3.0, **o),
        lambda shape: torch.full(shape, -3.0),
    ),
}


def test_a_reshape_that_reads_padding_is_refused(mesh):
    x = replicate(torch.randn(1, 2, 40, 50), mesh)
    for shape in ((1, 2, 64, 50), (1, 2, 40, 64)):
        with pytest.raises(RuntimeError, match="padding included"):
            ttnn.reshape(x, shape, (1, 2, 64, 64))
    assert gather(ttnn.add(x, 1.0)).shape == (1, 2, 40, 50)  # x is as it was


def test_full_like_by_its_names(mesh):
    x = ttnn.full_like(tensor=like(mesh, (2, 40, 50)), fill_value=-3.5)
    assert torch.equal(gather(x).float(), torch.full((2, 40, 50), -3.5))


def test_full_like_in_another_dtype(mesh):
    whole = replicate(torch.arange(6).reshape(1, 1, 2, 3).int(), mesh, dtype=ttnn.uint32)
    x = ttnn.full_like(whole, 0.5, dtype=ttnn.float32)
    assert torch.equal(gather(x), torch.full((1, 1, 2, 3), 0.5))


def like(mesh, shape):
    return replicate(torch.randn(shape), mesh)


@pytest.mark.parametrize("name", CREATED)
@few
@given(shape=SHAPES, options=PLACES)
def test_created(mesh, name, shape, options):
    create, expected = CREATED[name]
    if name.endswith("_like") and options["dtype"] not in TWO_FLOATS:
        options["dtype"] = ttnn.bfloat16
    if name == "full_like":
        options.pop("layout")
    x = create(mesh, shape, **options)
    assert x.dtype == options["dtype"]
    assert torch.equal(gather(x).double(), expected(shape).double())


@few
@given(start=st.integers(-20, 20), count=st.integers(1, 70), step=st.sampled_from([1, 2, 5, -3]))
def test_arange(mesh, start, count, step):
    x = ttnn.arange(start, start + count * step, step, dtype=ttnn.float32, device=mesh)
    assert torch.equal(gather(x), torch.arange(start, start + count * step, step).float())


@few
@given(shape=SHAPES, low=st.sampled_from([-3.0, 0.0]), high=st.sampled_from([1.0, 5.0]), seed=st.integers(1, 99))
def test_rand(mesh, shape, low, high, seed):
    x = gather(ttnn.rand((3, *shape), dtype=ttnn.float32, device=mesh, low=low, high=high, seed=seed))
    assert tuple(x.shape) == (3, *shape)
    assert low <= x.min() and x.max() < high
    assert len(x.unique()) > 0.9 * x.numel()


def test_rand_spreads_over_its_range(mesh):
    x = gather(ttnn.rand((64, 64), dtype=ttnn.float32, device=mesh, low=-2.0, high=4.0, seed=3))
    assert abs(x.mean() - 1) < 0.2 and abs(x.std() - 6 / 12**0.5) < 0.1
    assert x.min() < -1.9 and x.max() > 3.9


def test_randn(mesh):
    x = gather(ttnn.randn((64, 64), dtype=ttnn.float32, device=mesh, seed=3))
    assert abs(x.mean()) < 0.1 and abs(x.std() - 1) < 0.1 and x.abs().max() > 2.5


@few
@given(rows=st.sampled_from([32, 64]), data=st.integers(0, 99))
def test_padding_is_never_seen(mesh, rows, data):
    """A sum over a dimension that does not fill its tiles."""
    x = rounded(torch.randn(1, 1, rows - 3, 37, generator=torch.Generator().manual_seed(data)), ttnn.bfloat16)
    y = gather(ttnn.sum(shard(x, mesh), dim=-2))
    torch.testing.assert_close(y.float(), x.sum(-2), rtol=0.01, atol=0.05)
