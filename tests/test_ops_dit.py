"""The fused ops of Tenstorrent's diffusion transformers against torch's own layers, all columns spread over chips."""

import pytest
import torch
import torch.nn.functional as F
import ttnn

from helpers.mesh import run_on
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


def all_cores(mesh):
    grid = mesh.compute_with_storage_grid_size()
    return ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), ttnn.CoreCoord(grid.x - 1, grid.y - 1))})


def semaphores(mesh, count):
    return [ttnn.create_global_semaphore(mesh, all_cores(mesh), 0) for _ in range(count)]


def test_rms_norm_of_a_sum_with_a_bias(mesh):
    x, residual, w, b = randn(13, 1, 2, 37, 96), 2 * randn(14, 1, 2, 37, 96), 1 + randn(15, 1, 96) / 3, randn(16, 1, 96)
    wanted = F.silu(F.rms_norm(x + residual, (96,), w[0], 0.3) + b[0])
    x, residual, w, b = (replicate(part, mesh) for part in (x, residual, w, b))
    got = ttnn.experimental.dit_rms_norm_unary_fused(
        x, epsilon=0.3, weight=w, bias=b, residual_input_tensor=residual, activation="silu"
    )
    torch.testing.assert_close(gather(got).float(), wanted, **NEAR)


def test_rms_norm_of_shared_rows_turned_by_positions(mesh):
    """Wan's queries: norm over whole rows, then each head's pairs of numbers turned, as complex numbers are."""
    x, w = randn(17, 1, 1, 64, 4 * 128) * torch.linspace(0.3, 2, 512), 1 + randn(18, 1, 512) / 3
    angles = 6 * torch.rand(64, 32, generator=torch.Generator().manual_seed(19))
    cos, sin = (f(angles).repeat_interleave(2, -1).bfloat16().float() for f in (torch.cos, torch.sin))
    normed = F.rms_norm(x, (512,), w[0], 1e-5).squeeze(1).unflatten(-1, (8, 64)).transpose(1, 2)
    turned = torch.view_as_complex(normed.unflatten(-1, (-1, 2)).contiguous()) * torch.complex(cos, sin)[:, ::2]
    wanted = torch.view_as_real(turned).flatten(-2)
    turn = replicate(torch.kron(torch.eye(16), torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))[None, None], mesh)
    part = shard(x, mesh, tp=3)
    stats = gathered(ttnn.experimental.wan_fused_rmsnorm_pre_allgather(part, dtype=ttnn.float32), mesh)
    got = ttnn.experimental.wan_fused_rmsnorm_post_allgather(
        part, stats, num_heads_per_device=2, weight=shard(w, mesh, tp=1), transformation_mat=turn,
        rope_cos=replicate(cos[None, None], mesh), rope_sin=replicate(sin[None, None], mesh),
    )  # fmt: skip
    torch.testing.assert_close(gather(got, tp=1).float(), wanted, rtol=0.02, atol=0.05)


def blocks(columns, rows):
    return ttnn.MinimalMatmulConfig(
        M_block_size=1, K_block_size=1, N_block_size=1, subblock_h=1, subblock_w=1,
        compute_with_storage_grid_size=ttnn.CoreCoord(columns, rows),
    )  # fmt: skip


def columns_of_chips(y, chunks):
    """Each chip along tp holds 96 columns: of those the parts, side by side as gathered"""
    return [part.flatten(-2) for part in y.unflatten(-1, (4, 96)).chunk(chunks, -1)]


GATHERED = {
    "plain": ({}, lambda y: y),
    "in three parts": ({"chunks": 3}, lambda y: y),
    "with an activation": ({"fused_activation": ttnn.UnaryWithParam(ttnn.UnaryOpType.RELU)}, F.relu),
    "gated, to a residual": ({"scalar": 0.5}, lambda y, residual, gate: residual + 0.5 * y * gate),
}


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", GATHERED)
def test_rows_gathered_for_a_product(mesh, name, biased):
    """x has its columns over tp, and rows over sp; W its columns over tp. A layer of torch's has them all."""
    options, after = GATHERED[name]
    layer = torch.nn.Linear(256, 384, bias=biased)
    layer.weight.data, x = randn(20, 384, 256) / 16, randn(21, 1, 1, 8 * 32, 256)
    if biased:
        layer.bias.data = randn(22, 384)
    residual, gate = randn(23, 1, 1, 8 * 32, 384), randn(24, 1, 1, 1, 384)
    more, shards = {}, ()
    if "scalar" in options:
        shards = residual, gate
        more = dict(
            addcmul_input_tensor1=shard(residual, mesh, tp=3, sp=2), addcmul_input_tensor2=shard(gate, mesh, tp=3)
        )
    if biased:
        more["bias_tensor"] = shard(layer.bias.data[None], mesh, tp=1)
    grid = mesh.compute_with_storage_grid_size()
    got = ttnn.experimental.all_gather_minimal_matmul_async(
        shard(x, mesh, tp=3, sp=2), shard(layer.weight.data.T.contiguous(), mesh, tp=1), **options, **more,
        persistent_output_buffer=shard(torch.zeros(1, 1, 256, 256), mesh, sp=2),
        multi_device_global_semaphore=semaphores(mesh, 2), topology=ttnn.Topology.Linear, cluster_axis=0,
        config=blocks(grid.x, grid.y - 1), num_workers_per_link=grid.x,  # the last row of cores sends
    )  # fmt: skip
    wanted = columns_of_chips(after(layer(x), *shards).detach(), options.get("chunks", 1))
    assert len(got) == len(wanted)
    for part, whole in zip(got, wanted, strict=True):
        torch.testing.assert_close(gather(part, tp=3, sp=2).float(), whole, rtol=0.02, atol=0.05)


SCATTERED = {
    "plain": lambda y, b, residual, gate: y,
    "of two tensors": lambda y, b, residual, gate: y,
    "with a bias on every chip": lambda y, b, residual, gate: y + 4 * b,
    "gated, to a residual": lambda y, b, residual, gate: residual - 1.5 * y * gate,
}


def summed_and_scattered(mesh):
    """On a torus, since the op knows rings only: what it gives for each name of SCATTERED, and the product's shape"""
    x, w, b, residual, gate = for_scattering()
    of_name = {
        "plain": {},
        "of two tensors": {},
        "with a bias on every chip": {"bias": replicate(b[None], mesh)},
        "gated, to a residual": dict(
            fused_ternary_scalar=-1.5, addcmul_input_tensor1=shard(residual, mesh, tp=3, sp=2),
            addcmul_input_tensor2=shard(gate, mesh, tp=3),
        ),
    }  # fmt: skip
    made, whole = {}, shard(x, mesh, tp=3, sp=2)
    halves = [shard(half.flatten(3), mesh, tp=3, sp=2) for half in x.unflatten(3, (4, 2, 32)).unbind(4)]
    for name, options in of_name.items():
        part, kept = ttnn.experimental.minimal_matmul_strided_reduce_scatter_async(
            halves if name == "of two tensors" else whole, shard(w, mesh, tp=0), 3, semaphores(mesh, 3),
            ttnn.CoreCoord(0, 4),
            compute_kernel_config=ttnn.init_device_compute_kernel_config(mesh.arch()), config=blocks(4, 4),
            cluster_axis=0, topology=ttnn.Topology.Ring, barrier_semaphore=semaphores(mesh, 1)[0],
            chunk_width_in_mm_blocks=1, **options,
        )  # fmt: skip
        made[name] = gather(kept, tp=3, sp=2).float(), tuple(part.shape)
    return made


def for_scattering():
    shapes = (1, 1, 8 * 32, 256), (256, 128), (128,), (1, 1, 8 * 32, 128), (1, 1, 1, 128)
    x, w, *rest = (randn(25 + number, *shape) for number, shape in enumerate(shapes))
    return x, (w / 16).bfloat16().float(), *rest


def test_a_product_summed_and_scattered():
    """Rows of W over tp: each chip's product is a part of the sum, of which it keeps its own columns."""
    x, w, *rest = for_scattering()
    made = run_on("galaxy_torus", summed_and_scattered)
    for name, after in SCATTERED.items():
        kept, shape = made[name]
        torch.testing.assert_close(kept, after(F.linear(x, w.T), *rest), rtol=0.02, atol=0.08)
        assert shape == (1, 1, 32, 128)


@pytest.mark.parametrize(("offset", "length"), [(0, 24), (3, 16), (5, 32)])
def test_a_stretch_cut_anew(mesh, offset, length):
    """Of 32 frames over the eight chips along sp; the last case reaches five frames beyond the end, where zeros are."""
    x = randn(30, 32, 5, 7, 64)
    got = ttnn.experimental.slice_reshard_async(
        shard(x, mesh, sp=0, layout=ttnn.ROW_MAJOR_LAYOUT), dim=0, output_dim_offset=offset, output_dim_shape=length,
        cluster_axis=1, final_semaphore=semaphores(mesh, 1)[0], barrier_semaphore=semaphores(mesh, 1)[0],
    )  # fmt: skip
    wanted = torch.cat([x, torch.zeros(8, 5, 7, 64)])[offset : offset + length]
    assert torch.equal(gather(got, sp=0).float(), wanted)


def attended_around_a_ring(mesh):
    """tt_dit's ring attention of Blackhole, the sequence over the eight chips along sp, 17 rows of it padding"""
    q, k, v = (randn(seed, 1, 8, 8 * 224, 64) for seed in (41, 42, 43))
    grid = mesh.compute_with_storage_grid_size()
    out, _, _ = ttnn.transformer.exp_ring_joint_scaled_dot_product_attention(
        *(shard(x, mesh, sp=2) for x in (q, k, v)),
        persistent_output_buffer_k=replicate(torch.zeros_like(k), mesh),
        persistent_output_buffer_v=replicate(torch.zeros_like(v), mesh),
        joint_strategy="rear",
        logical_n=k.shape[2] - 17,
        program_config=ttnn.SDPAProgramConfig(
            compute_with_storage_grid_size=ttnn.CoreCoord(grid.x, grid.y - 1), q_chunk_size=32, k_chunk_size=32,
            exp_approx_mode=False,
        ),
        dim=2,
        multi_device_global_semaphore=semaphores(mesh, 4),
        num_links=2,
        cluster_axis=1,
        mesh_device=mesh,
        topology=ttnn.Topology.Ring,
        num_workers_per_link=4,
    )  # fmt: skip
    return gather(out, sp=2).float()


def test_attention_around_a_ring_with_cores_that_send():
    q, k, v = (randn(seed, 1, 8, 8 * 224, 64) for seed in (41, 42, 43))
    wanted = F.scaled_dot_product_attention(q, k[:, :, :-17], v[:, :, :-17])
    torch.testing.assert_close(run_on("galaxy_torus", attended_around_a_ring), wanted, rtol=0.02, atol=0.005)


def test_what_sees_one_chip_only_is_refused_on_several(mesh):
    x = replicate(randn(44, 1, 1, 32, 64), mesh)
    with pytest.raises(NotImplementedError, match="ttnn.transformer.ring_mla over several chips is not emulated"):
        ttnn.transformer.ring_mla(x, x, x)
