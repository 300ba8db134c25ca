"""Ops in which chips exchange data, over each axis and the whole galaxy, against torch on whole tensors."""

import pytest
import torch
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from helpers import collectives
from helpers.tensors import TILE, gather, mesh_of, replicate, shard, shards_of
from tests.on_galaxy import CHIPS, ROW, TWO_FLOATS, agree, few, opened, rounded

mesh = pytest.fixture(scope="module")(opened)

AXES = {"tp": 0, "sp": 1}
PLACES = [(row, col) for row in range(4) for col in range(8)]


@st.composite
def cut_tensors(draw, dims=(0, 1, 2, 3), rank=4):
    """(whole tensor, axis that cuts it, cut dimension, dtype, layout), each chip's part different."""
    axis, dim = draw(st.sampled_from(["tp", "sp"])), draw(st.sampled_from(dims))
    dtype, layout = draw(st.sampled_from(TWO_FLOATS)), draw(st.sampled_from([ttnn.TILE_LAYOUT, ROW]))
    shape = [draw(st.sampled_from(sizes)) for sizes in ((1, 2), (1, 3), (32, 5), (64, 34))]
    shape[dim] = (32 if layout == ttnn.TILE_LAYOUT and dim > 1 else shape[dim]) * CHIPS[axis]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return rounded(torch.randn(shape, generator=generator), dtype), axis, dim, dtype, layout


def place(case, mesh):
    x, axis, dim, dtype, layout = case
    return shard(x, mesh, dtype=dtype, layout=layout, **{axis: dim})


def per_chip(mesh, seed=0, shape=(1, 1, 32, 64), dtype=ttnn.bfloat16):
    """A tensor of which every chip holds another part, and those parts by chip."""
    n, c, h, w = shape
    x = torch.randn(4 * n, 8 * c, h, w, generator=torch.Generator().manual_seed(seed))
    x = rounded(x, dtype)
    parts = {(r, k): x[n * r : n * (r + 1), c * k : c * (k + 1)] for r, k in PLACES}
    return shard(x, mesh, dtype=dtype, tp=0, sp=1), parts


def line(chip, axis):
    """The chips that a chip shares a line along an axis with, in order."""
    row, col = chip
    return [(r, col) for r in range(4)] if axis == "tp" else [(row, c) for c in range(8)]


def same(got, want, dtype=ttnn.bfloat16, exact=True):
    got = shards_of(got)
    assert len({tuple(x.flatten()[:9].tolist()) for x in got.values()}) == len(
        {tuple(rounded(x, dtype).flatten()[:9].tolist()) for x in want.values()}
    )
    for chip, expected in want.items():
        assert got[chip].shape == expected.shape, chip
        assert agree(got[chip], expected, dtype, exact), chip


@few
@given(case=cut_tensors())
def test_all_gather(mesh, case):
    x, axis, dim, *_ = case
    assert torch.equal(gather(ttnn.all_gather(place(case, mesh), dim=dim, cluster_axis=AXES[axis])).float(), x)
    assert torch.equal(gather(collectives.all_gather(place(case, mesh), dim, axis)).float(), x)


@pytest.mark.parametrize("axis", AXES)
def test_all_gather_of_different_lines(mesh, axis):
    x, parts = per_chip(mesh)
    want = {chip: torch.cat([parts[other] for other in line(chip, axis)], 3) for chip in PLACES}
    same(ttnn.all_gather(x, 3, cluster_axis=AXES[axis]), want)


def test_all_gather_over_one_axis_then_the_other(mesh):
    """The whole mesh: ttnn itself refuses to do it at once on a 1D fabric."""
    x, parts = per_chip(mesh)
    with pytest.raises(RuntimeError, match="cluster_axis"):
        ttnn.all_gather(x, dim=2)
    rows = ttnn.all_gather(x, dim=2, cluster_axis=1)
    whole = torch.cat([parts[chip] for chip in PLACES], 2)
    same(ttnn.all_gather(rows, dim=2, cluster_axis=0), dict.fromkeys(PLACES, whole))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dim", [2, 3])
def test_reduce_scatter(mesh, axis, dim):
    x, parts = per_chip(mesh, 3, (1, 1, 256, 256), ttnn.float32)
    want = {}
    for chip in PLACES:
        group = line(chip, axis)
        total = torch.stack([parts[other] for other in group]).sum(0)
        want[chip] = total.chunk(len(group), dim)[group.index(chip)]
    same(ttnn.reduce_scatter(x, dim=dim, cluster_axis=AXES[axis]), want, ttnn.float32, exact=False)


@pytest.mark.parametrize("dtype", TWO_FLOATS)
@pytest.mark.parametrize("axis", AXES)
def test_all_reduce(mesh, axis, dtype):
    x, parts = per_chip(mesh, 5, dtype=dtype)
    want = {chip: torch.stack([parts[other] for other in line(chip, axis)]).sum(0) for chip in PLACES}
    same(ttnn.all_reduce(x, cluster_axis=AXES[axis]), want, dtype, exact=False)


def test_all_reduce_is_both(mesh):
    x, _ = per_chip(mesh, 6, (1, 1, 128, 64), ttnn.float32)
    both = ttnn.all_gather(ttnn.reduce_scatter(x, dim=2, cluster_axis=0), dim=2, cluster_axis=0)
    for chip, value in shards_of(ttnn.all_reduce(x, cluster_axis=0)).items():
        assert agree(shards_of(both)[chip], value, ttnn.float32, exact=False)


@few
@given(case=cut_tensors(dims=(2, 3)))
def test_mesh_partition_undoes_all_gather(mesh, case):
    x, axis, dim, dtype, layout = case
    parts = ttnn.mesh_partition(replicate(x, mesh, dtype=dtype, layout=layout), dim, AXES[axis])
    assert torch.equal(gather(parts, **{axis: dim}).float(), x)
    assert all(torch.equal(a, b) for a, b in zip(shards_of(parts).values(), shards_of(place(case, mesh)).values()))


@few
@given(sender=st.sampled_from(PLACES), axis=st.sampled_from([*AXES]))
def test_broadcast(mesh, sender, axis):
    x, parts = per_chip(mesh)
    out = shards_of(ttnn.broadcast(x, ttnn.MeshCoordinate(*sender), cluster_axis=AXES[axis]))
    for chip in line(sender, axis):
        assert torch.equal(out[chip].float(), parts[sender])


@pytest.mark.parametrize("axis", AXES)
def test_all_broadcast(mesh, axis):
    x, parts = per_chip(mesh)
    outs = ttnn.all_broadcast(x, cluster_axis=AXES[axis])
    assert len(outs) == CHIPS[axis]
    for k, out in enumerate(outs):
        same(out, {chip: parts[line(chip, axis)[k]] for chip in PLACES})


def test_the_whole_mesh_at_once(mesh):
    x, parts = per_chip(mesh, 9, (1, 1, 64, 256), ttnn.float32)
    total = torch.stack([parts[chip] for chip in PLACES]).sum(0)
    same(ttnn.all_reduce(x), dict.fromkeys(PLACES, total), ttnn.float32, exact=False)
    scattered = dict(zip(PLACES, total.chunk(32, 3), strict=True))
    same(ttnn.reduce_scatter(x, dim=3), scattered, ttnn.float32, exact=False)
    with pytest.raises(RuntimeError, match=r"no line of wires joins all chips of a mesh \(4, 8\): name a cluster_axis"):
        ttnn.all_broadcast(x)
    whole = torch.randn(1, 1, 32, 1024, generator=torch.Generator().manual_seed(1))
    parts = dict(zip(PLACES, whole.chunk(32, 3), strict=True))
    same(ttnn.mesh_partition(replicate(whole, mesh, dtype=ttnn.float32), 3), parts, ttnn.float32)


def test_point_to_point_would_crash(mesh):
    """And is refused, rather than taking the kernel with it."""
    x, _ = per_chip(mesh)
    with pytest.raises(NotImplementedError, match=r"ttnn\.point_to_point cannot run"):
        ttnn.point_to_point(x, ttnn.MeshCoordinate(0, 0), ttnn.MeshCoordinate(0, 1))


def semaphores(mesh, count):
    grid = mesh.compute_with_storage_grid_size()
    cores = ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), ttnn.CoreCoord(grid.x - 1, grid.y - 1))})
    return [ttnn.create_global_semaphore(mesh, cores, 0) for _ in range(count)]


@pytest.mark.parametrize("axis", AXES)
def test_async_forms_are_their_counterparts(mesh, axis):
    x, _ = per_chip(mesh, 7, (1, 1, 256, 256), ttnn.float32)
    options = {"cluster_axis": AXES[axis], "topology": ttnn.Topology.Linear}
    gathered = ttnn.experimental.all_gather_async(x, None, 2, semaphores(mesh, 2), **options)
    scattered = ttnn.experimental.reduce_scatter_minimal_async(x, None, 3, semaphores(mesh, 3), **options)
    same(gathered, shards_of(ttnn.all_gather(x, dim=2, cluster_axis=AXES[axis])), ttnn.float32)
    same(scattered, shards_of(ttnn.reduce_scatter(x, dim=3, cluster_axis=AXES[axis])), ttnn.float32)


def test_all_gather_async_by_position(mesh):
    x, _ = per_chip(mesh, 8)
    got = ttnn.experimental.all_gather_async(x, 2, 1, mesh, ttnn.Topology.Linear, semaphores(mesh, 2))
    same(got, shards_of(ttnn.all_gather(x, dim=2, cluster_axis=1)))


HALO = [
    ([2], [1], [1], "zeros", ["sp"]),
    ([1], [2], [0], "replicate", ["tp"]),
    ([1, 2], [1, 1], [1, 1], "zeros", ["tp", "sp"]),
    ([1], [2], [2], "zeros", ["tp"]),
    ([2], [0], [1], "replicate", ["sp"]),
]


@pytest.mark.parametrize("dims, left, right, mode, axes", HALO)
def test_neighbor_pad(mesh, dims, left, right, mode, axes):
    """Every chip's part of the padded whole: its own, and an edge of each neighbour's."""
    x = rounded(torch.randn(1, 12, 32, 5, 32, generator=torch.Generator().manual_seed(1)), ttnn.bfloat16)
    first, second = semaphores(mesh, len(dims)), semaphores(mesh, len(dims))
    got = ttnn.experimental.neighbor_pad_async(
        shard(x, mesh, layout=ROW, tp=1, sp=2), dims, left, right, mode, [AXES[a] for a in axes], first, second,
        num_links=[1] * len(dims), topology=ttnn.Topology.Linear,
    )  # fmt: skip
    whole, widths = x, {1: (3, 0, 0), 2: (4, 0, 0)}
    for d, before, after in zip(dims, left, right):
        edges = [whole.narrow(d, 0, 1), whole.narrow(d, whole.shape[d] - 1, 1)]
        if mode == "zeros":
            edges = [torch.zeros_like(edge) for edge in edges]
        whole = torch.cat([edges[0]] * before + [whole] + [edges[1]] * after, d)
        widths[d] = (widths[d][0], before, after)
    for (row, col), value in shards_of(got).items():
        want = whole
        for d, place in ((1, row), (2, col)):
            length, before, after = widths[d]
            want = want.narrow(d, place * length, length + before + after)
        assert torch.equal(value.float(), want), (row, col)


@few
@given(
    axis=st.sampled_from([*AXES]),
    joint=st.sampled_from([32, 64]),
    rows=st.sampled_from([64, 128]),
    missing=st.integers(0, 40),
    seed=st.integers(0, 999),
)
def test_ring_attention(mesh, axis, joint, rows, missing, seed):
    """Heads over one axis, the sequence over the other: the attention of all tokens that are not padding."""
    other = "tp" if axis == "sp" else "sp"
    n = rows * CHIPS[axis]
    generator = torch.Generator().manual_seed(seed)
    make = lambda length: rounded(torch.randn(1, 8, length, 32, generator=generator), ttnn.bfloat16)
    q, k, v, joint_q, joint_k, joint_v = (make(length) for length in [n] * 3 + [joint] * 3)
    grid = mesh.compute_with_storage_grid_size()
    buffers = [shard(torch.zeros_like(k), mesh, **{other: 1}) for _ in range(2)]
    out, joint_out, _ = ttnn.transformer.ring_joint_scaled_dot_product_attention(
        *(shard(t, mesh, **{other: 1, axis: 2}) for t in (q, k, v)),
        *(shard(t, mesh, **{other: 1}) for t in (joint_q, joint_k, joint_v)),
        persistent_output_buffer_k=buffers[0],
        persistent_output_buffer_v=buffers[1],
        joint_strategy="rear",
        logical_n=n - missing,
        program_config=ttnn.SDPAProgramConfig(
            compute_with_storage_grid_size=ttnn.CoreCoord(grid.x, grid.y - 1), q_chunk_size=32, k_chunk_size=32,
            exp_approx_mode=False,
        ),
        dim=2,
        multi_device_global_semaphore=semaphores(mesh, 2),
        num_links=1,
        cluster_axis=AXES[axis],
        mesh_device=mesh,
        topology=ttnn.Topology.Linear,
        ccl_core_grid_offset=ttnn.CoreCoord(0, grid.y - 1),
    )  # fmt: skip
    keys, values = (torch.cat([t[:, :, : n - missing], j], 2) for t, j in ((k, joint_k), (v, joint_v)))
    attend = lambda x: torch.softmax(x @ keys.mT / 32**0.5, -1) @ values
    got = gather(out, **{other: 1, axis: 2})[:, :, : n - missing]
    assert agree(got, attend(q)[:, :, : n - missing], ttnn.bfloat16, exact=False)
    # Each chip of a ring adds up the blocks in its own order, so the last bit of the copies may differ.
    copies = shards_of(joint_out)
    for ring in (line(chip, other) for chip in line((0, 0), axis)):
        got_joint = torch.cat([copies[chip] for chip in ring], 1)
        assert agree(got_joint, attend(joint_q), ttnn.bfloat16, exact=False)
    plain = ttnn.transformer.scaled_dot_product_attention(  # its counterpart on one chip
        *(shard(t, mesh, **{other: 1}) for t in (q, keys_to_tiles(keys), keys_to_tiles(values))),
        attn_mask=replicate(hide_padding(n, keys.shape[2]), mesh), is_causal=False,
    )  # fmt: skip
    assert agree(got, gather(plain, **{other: 1})[:, :, : n - missing], ttnn.bfloat16, exact=False)


def keys_to_tiles(x):
    return torch.nn.functional.pad(x, (0, 0, 0, -x.shape[2] % TILE))


def hide_padding(queries, keys):
    mask = torch.zeros(1, 1, queries, keys + -keys % TILE)
    mask[..., keys:] = -1e9
    return mask


def test_the_mesh_is_found_from_a_tensor(mesh):
    x, _ = per_chip(mesh)
    assert mesh_of(ttnn.all_reduce(x, cluster_axis=0)) is mesh
