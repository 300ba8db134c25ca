"""The fused ops of Tenstorrent's diffusion transformers against torch's own layers, all columns spread over chips."""

import pytest
import torch
import torch.nn.functional as F
import ttnn

from helpers.tensors import gather, replicate, shard
from tests.on_galaxy import opened

mesh = pytest.fixture(scope="module")(opened)
NEAR = {"rtol": 0.02, "atol": 0.03}  # two roundings to bfloat16 of numbers near one


def randn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).bfloat16().float()


def gathered(x, mesh, dim=3):
    """All of a row's chips' columns side by side, on each of them"""
    return ttnn.all_gather(x, dim, cluster_axis=0)


@pytest.mark.parametrize("activation", [None, "silu", "gelu", ttnn.UnaryWithParam(ttnn.UnaryOpType.GELU, True)])
def test_rms_norm_with_an_activation(mesh, activation):
    x, w = randn(1, 1, 2, 37, 96), 1 + randn(2, 1, 96) / 3
    layer = torch.nn.RMSNorm(96, eps=0.5)
    layer.weight.data = w[0]
    wanted = layer(x)
    if activation is not None:
        wanted = F.silu(wanted) if activation == "silu" else F.gelu(wanted)
    on_chips = replicate(x, mesh), replicate(w, mesh)
    got = ttnn.experimental.dit_rms_norm_unary_fused(
        on_chips[0], epsilon=0.5, weight=on_chips[1], activation=activation
    )
    torch.testing.assert_close(gather(got).float(), wanted.detach(), **NEAR)


def test_an_activation_that_is_not_known_is_refused(mesh):
    x = replicate(randn(1, 1, 1, 32, 64), mesh)
    w = replicate(randn(2, 1, 1, 64, 32), mesh)
    with pytest.raises(RuntimeError, match="activation elu is not emulated"):
        ttnn.experimental.minimal_matmul(x, w, fused_activation=ttnn.UnaryWithParam(ttnn.UnaryOpType.ELU, 1.0))


@pytest.mark.parametrize("epsilon", [1e-5, 0.7])
def test_layer_norm_of_rows_that_four_chips_share(mesh, epsilon):
    x = 3 + 2 * randn(3, 1, 1, 33, 4 * 64) * torch.linspace(0.3, 2, 256)
    w, b = 1 + randn(4, 1, 256) / 3, randn(5, 1, 256)
    wanted = F.layer_norm(x, (256,), w[0], b[0], epsilon)
    part = shard(x, mesh, tp=3)
    grid = mesh.compute_with_storage_grid_size()
    cores = ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), ttnn.CoreCoord(grid.x - 1, grid.y - 1))})
    reciprocals = ttnn.create_layer_norm_reciprocals(mesh, cores, 64)
    stats = gathered(ttnn.experimental.dit_layernorm_pre_allgather(part, reciprocals), mesh)
    got = ttnn.experimental.dit_layernorm_post_allgather(
        part, stats, epsilon=epsilon, weight=shard(w, mesh, tp=1), bias=shard(b, mesh, tp=1)
    )
    torch.testing.assert_close(gather(got, tp=3).float(), wanted, rtol=0.03, atol=0.06)


@pytest.mark.parametrize("epsilon", [1e-5, 0.7])
def test_rms_norm_of_rows_that_four_chips_share_cut_into_heads(mesh, epsilon):
    x, w = randn(6, 1, 1, 64, 4 * 128) * torch.linspace(0.3, 2, 512), 1 + randn(7, 1, 512) / 3
    wanted = F.rms_norm(x, (512,), w[0], epsilon).squeeze(1).unflatten(-1, (8, 64)).transpose(1, 2)
    part = shard(x, mesh, tp=3)
    stats = gathered(ttnn.experimental.wan_fused_rmsnorm_pre_allgather(part, dtype=ttnn.float32), mesh)
    got = ttnn.experimental.wan_fused_rmsnorm_post_allgather(
        part, stats, epsilon=epsilon, num_heads_per_device=2, weight=shard(w, mesh, tp=1)
    )
    assert tuple(got.shape) == (1, 2, 64, 64)
    heads = torch.cat([ttnn.to_torch(t).float() for t in ttnn.get_device_tensors(got)[::8]], 1)
    torch.testing.assert_close(heads, wanted, **NEAR)


def test_minimal_matmul_in_parts_and_with_a_gate(mesh):
    x, w, b = randn(8, 1, 1, 35, 96), randn(9, 96, 192) / 8, randn(10, 1, 192)
    wanted = F.linear(x, w.T, b[0])
    on_chips = [replicate(part, mesh) for part in (x, w, b)]
    parts = ttnn.experimental.minimal_matmul_split(on_chips[0], on_chips[1], chunks=3, bias_tensor=on_chips[2])
    for got, part in zip(parts, wanted.chunk(3, -1)):
        torch.testing.assert_close(gather(got).float(), part, **NEAR)
    residual, gate = randn(11, 1, 1, 35, 192), randn(12, 1, 1, 1, 192)
    got = ttnn.experimental.dit_minimal_matmul_addcmul_fused(
        on_chips[0], on_chips[1], 0.5, replicate(residual, mesh), replicate(gate, mesh), on_chips[2]
    )
    torch.testing.assert_close(gather(got).float(), residual + 0.5 * wanted * gate, rtol=0.02, atol=0.06)
