"""Padding of tiles, which chips keep and the emulated mesh does not: a warning where it counts, and only there."""

import inspect
import warnings

import pytest
import torch
import ttnn

from helpers.tensors import replicate, shard
from tests.on_galaxy import opened
from ttnn_emulator import padding
from ttnn_emulator.padding import PaddingWarning

mesh = pytest.fixture(scope="module")(opened)


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def first_line(function) -> int:
    return inspect.getsourcelines(function)[1] + 1


def warned(function) -> list[str]:
    padding._warned.clear()  # lines of the table are called for several tests
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [str(w.message) for w in caught if w.category is PaddingWarning]


# (what is multiplied, the paddings that meet): what of 40 x 37 and 37 x 50 numbers, zeros in their padding, is made
PRODUCTS = {
    "as they come": (lambda a, b: ttnn.matmul(a, b), None),
    "one of them without padding left": (lambda a, b: ttnn.matmul(ttnn.exp(a), b), None),
    "both": (lambda a, b: ttnn.matmul(ttnn.exp(a), ttnn.cos(b)), "1 x 1"),
    "the other one": (lambda a, b: ttnn.linear(a, ttnn.exp(b)), None),
    "sums": (lambda a, b: ttnn.linear(a + 2.0, ttnn.subtract(b, 3.0)), "2 x -3"),
    "by their names": (lambda a, b: ttnn.matmul(input_tensor_b=b + 1.0, input_tensor_a=ttnn.exp(a)), "1 x 1"),
    "two that undo each other": (lambda a, b: ttnn.matmul(ttnn.subtract(ttnn.exp(a), 1.0), b + 1.0), None),
    "of two tensors": (lambda a, b: ttnn.matmul(ttnn.add(ttnn.exp(a), ttnn.exp(a)), b + 0.5), "2 x 0.5"),
    "infinity times nothing": (lambda a, b: ttnn.matmul(ttnn.log(ttnn.abs(a)), b), "-inf x 0"),
    "in place": (lambda a, b: ttnn.matmul(ttnn.add_(a, 4.0), ttnn.exp(b)), "4 x 1"),
    "moved and copied": (
        lambda a, b: ttnn.matmul(ttnn.to_memory_config(ttnn.exp(a), ttnn.L1_MEMORY_CONFIG), ttnn.clone(b + 1.0)),
        "1 x 1",
    ),
    "transposed": (lambda a, b: ttnn.matmul(ttnn.exp(a), ttnn.exp(b), transpose_a=True, transpose_b=True), "1 x 1"),
    "softmax leaves zeros": (lambda a, b: ttnn.matmul(ttnn.softmax(a, dim=-1), b + 1.0), None),
    "filled again": (lambda a, b: ttnn.matmul(ttnn.to_layout(rows(ttnn.exp(a)), ttnn.TILE_LAYOUT), b + 1.0), None),
    "minimal": (lambda a, b: ttnn.experimental.minimal_matmul(ttnn.exp(a), ttnn.exp(b)), "1 x 1"),
}


def rows(x):
    return ttnn.to_layout(x, ttnn.ROW_MAJOR_LAYOUT)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_paddings(mesh, name):
    use, wanted = PRODUCTS[name]
    a, b = randn(4, 1, 40, 37), randn(1, 1, 37, 50)
    a, b = (a.mT, b.mT) if name == "transposed" else (a, b)
    a, b = shard(a, mesh, tp=0), replicate(b, mesh)
    said = warned(lambda: use(a, b))
    if wanted is None:
        assert said == []
    else:
        assert len(said) == 1 and f"products of paddings, {wanted}, behind the 37 inner numbers" in said[0]


def test_whole_tiles_have_no_padding(mesh):
    a, b = replicate(randn(1, 1, 40, 64), mesh), replicate(randn(1, 1, 64, 50), mesh)
    assert warned(lambda: ttnn.matmul(ttnn.exp(a), ttnn.exp(b))) == []


def group_norm(x, mesh):
    grid = ttnn.CoreGrid(y=1, x=1)
    mask = ttnn.to_device(ttnn.create_group_norm_input_mask(64, 2, 1, ttnn.bfloat16), mesh)
    return ttnn.group_norm(x, num_groups=2, input_mask=mask, core_grid=grid, inplace=False, epsilon=1e-5,
                           output_layout=ttnn.TILE_LAYOUT, memory_config=ttnn.DRAM_MEMORY_CONFIG)  # fmt: skip


READERS = {
    "group norm": (lambda x, mesh: group_norm(x, mesh), (1, 1, 40, 64), "ttnn.group_norm counts 24 rows of padding"),
    "statistics": (
        lambda x, mesh: ttnn.experimental.dit_layernorm_pre_allgather(x, reciprocals(mesh)),
        (1, 1, 64, 70), "counts 26 columns of padding, behind 70",
    ),
    "cache": (lambda x, mesh: ttnn.fill_cache(cache(mesh), x, 1), (1, 3, 37, 64), "writes 27 rows of padding into"),
    "sharded softmax": (
        lambda x, mesh: sharded_softmax(x), (1, 1, 64, 50), "ttnn.softmax_in_place counts 14 columns of padding"
    ),
    "reading it": (
        lambda x, mesh: ttnn.get_device_tensors(ttnn.exp(x))[0].to_torch_with_padded_shape(),
        (1, 1, 37, 64), "to_torch_with_padded_shape gives what stands in the padding",
    ),
}  # fmt: skip


def cache(mesh):
    return replicate(randn(2, 3, 96, 64), mesh)


def sharded_softmax(x):
    tall = ttnn.create_sharded_memory_config((1, 1, 64, 64), ttnn.CoreGrid(y=2, x=1), ttnn.ShardStrategy.HEIGHT)
    program = ttnn.SoftmaxShardedMultiCoreProgramConfig(
        compute_with_storage_grid_size=ttnn.CoreCoord(1, 2), subblock_w=2, block_h=1, block_w=2
    )
    return ttnn.softmax_in_place(ttnn.to_memory_config(x, tall), program_config=program)


def reciprocals(mesh):
    grid = mesh.compute_with_storage_grid_size()
    cores = ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), ttnn.CoreCoord(grid.x - 1, grid.y - 1))})
    return ttnn.create_layer_norm_reciprocals(mesh, cores, 96)


@pytest.mark.parametrize("name", READERS)
def test_ops_that_read_padding(mesh, name):
    use, shape, wanted = READERS[name]
    x = replicate(randn(*shape), mesh)
    said = warned(lambda: use(x, mesh))
    assert len(said) == 1 and wanted in said[0]
    whole = replicate(randn(*shape[:2], 64, 64), mesh)
    assert warned(lambda: use(whole, mesh)) == []


# Ops that fill their padding, or leave it out: after exp it holds ones
SAFE = {
    "sum": lambda x: ttnn.sum(x, dim=-1),
    "mean": lambda x: ttnn.mean(x, dim=-2),
    "max": lambda x: ttnn.max(x, dim=-1),
    "softmax": lambda x: ttnn.softmax(x, dim=-1),
    "layer_norm": lambda x: ttnn.layer_norm(x),
    "rms_norm": lambda x: ttnn.rms_norm(x),
    "topk": lambda x: ttnn.topk(x, 32)[0],
}


@pytest.mark.parametrize("name", SAFE)
def test_ops_that_do_not_read_padding(mesh, name):
    x = ttnn.exp(replicate(randn(1, 1, 37, 70), mesh))
    assert warned(lambda: SAFE[name](x)) == []


def test_once_for_each_line_that_calls(mesh):
    padding._warned.clear()
    a, b = ttnn.exp(replicate(randn(1, 1, 40, 37), mesh)), ttnn.exp(replicate(randn(1, 1, 37, 50), mesh))

    def three_times():
        for _ in range(3):
            ttnn.matmul(a, b)

    def elsewhere():
        ttnn.matmul(a, b)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        three_times()
        three_times()
        elsewhere()
    places = [(w.filename, w.lineno) for w in caught]
    assert places == [(__file__, first_line(three_times) + 1), (__file__, first_line(elsewhere))]
