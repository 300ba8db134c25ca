"""Placing by named axes, and getting back."""

import pytest
import torch
import ttnn

from helpers.collectives import all_gather, all_reduce, mesh_partition, reduce_scatter
from helpers.mesh import close_mesh, open_mesh, run_on
from helpers.tensors import gather, placement, replicate, shard, shards_of


@pytest.fixture(scope="module")
def mesh():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


@pytest.fixture
def x():
    return torch.randn(1, 2, 256, 384, generator=torch.Generator().manual_seed(5)).bfloat16()


@pytest.mark.parametrize(
    "dims", [{}, {"tp": 3}, {"sp": 2}, {"tp": 2}, {"sp": -1}, {"sp": 2, "tp": 3}, {"sp": 3, "tp": 2}]
)
def test_every_chip_holds_what_placement_says(mesh, x, dims):
    if dims.get("sp") in (3, -1):
        x = torch.cat([x, x.flip(3)], 3)[..., :512]  # 8 whole tiles
    placed = shard(x, mesh, **dims)
    parts, held = placement(placed), shards_of(placed)
    assert sorted(parts) == sorted(held) == [(r, c) for r in range(4) for c in range(8)]
    for chip, part in parts.items():
        assert torch.equal(held[chip], x[part])
    assert torch.equal(gather(placed, **dims), x)


def test_axes_lie_where_the_system_says(mesh, x):
    held = shards_of(shard(x, mesh, tp=3))
    assert torch.equal(held[2, 5], x[..., 192:288])  # tp is the rows of a Galaxy: row 2 of 4
    held = shards_of(shard(x, mesh, sp=2))
    assert torch.equal(held[2, 5], x[:, :, 160:192])  # sp its columns: column 5 of 8


def test_placement_follows_a_product(mesh, x):
    w = torch.randn(1, 1, 384, 256)
    y = ttnn.matmul(shard(x, mesh, sp=2), shard(w, mesh, tp=3))
    assert placement(y)[3, 6] == (slice(0, 1), slice(0, 2), slice(192, 224), slice(192, 256))


def test_gather_refuses_partial_sums_and_unnamed_slices(mesh, x):
    w = torch.randn(1, 1, 384, 96, generator=torch.Generator().manual_seed(6))
    partial = ttnn.matmul(shard(x, mesh, tp=3), shard(w, mesh, tp=2))
    with pytest.raises(ValueError, match="chips along tp hold different values.*all_reduce along tp is missing"):
        gather(partial)
    with pytest.raises(ValueError, match="chips along sp hold different values.*name the dimension"):
        gather(shard(x, mesh, sp=2))
    assert torch.allclose(gather(all_reduce(partial, "tp")).float(), x.float() @ w, atol=0.6)


@pytest.mark.parametrize(
    ("shape", "dims", "message"),
    [
        (
            (1, 1, 100, 384),
            {"sp": 2},
            "Dimension 2 of length 100 does not divide by the 8 chips along sp. Pad it to 104.",
        ),
        ((1, 1, 64, 384), {"sp": 2}, "slices of 8, not whole tiles of 32. Pad it to 256"),
        ((1, 1, 64, 384), {"tp": 4}, "has no dimension 4 to cut along tp"),
        ((1, 1, 64, 384), {"dp": 0}, r"no axis 'dp'. Its axes are tp \(4 chips\), sp \(8 chips\)"),
        ((1, 1, 256, 384), {"tp": 2, "sp": -2}, "Both mesh axes would cut dimension 2"),
    ],
)
def test_wrong_cuts_are_refused_in_a_sentence(mesh, shape, dims, message):
    with pytest.raises(ValueError, match=message):
        shard(torch.randn(shape), mesh, **dims)


def test_row_major_needs_no_whole_tiles(mesh):
    x = torch.randn(1, 1, 24, 20)
    assert shard(x, mesh, layout=ttnn.ROW_MAJOR_LAYOUT, sp=2, tp=3).shape == ttnn.Shape([1, 1, 3, 5])


def test_tensors_in_the_wrong_place(mesh):
    on_host = ttnn.from_torch(torch.randn(1, 1, 32, 32))
    freed = replicate(torch.randn(1, 1, 32, 32), mesh)
    ttnn.deallocate(freed)
    for call in (gather, lambda t: all_gather(t, 2, "sp"), lambda t: all_reduce(t, "tp")):
        with pytest.raises(ValueError, match="on the host. Put it on the mesh"):
            call(on_host)
        with pytest.raises(ValueError, match="has been deallocated"):
            call(freed)
    with pytest.raises(ValueError, match="does not divide by the 4 chips along tp"):
        reduce_scatter(replicate(torch.randn(1, 1, 32, 90), mesh), 3, "tp")


def serial(mesh, x):
    part = shard(x, mesh, sp=2, tp=3)
    results = [
        all_gather(part, 2, "sp"),
        reduce_scatter(part, 3, "tp"),
        all_reduce(part, "tp"),
        mesh_partition(part, 2, "sp"),
    ]
    return all(result is part for result in results), mesh.traffic.sent, gather(part)


def test_on_one_chip_collectives_do_nothing(x):
    unchanged, sent, back = run_on("n150", serial, x)
    assert unchanged and sent == [] and torch.equal(back, x)


def test_copies_of_nan_are_copies(mesh):
    x = torch.randn(1, 1, 32, 64).bfloat16()
    x[..., 3] = torch.nan
    assert torch.equal(gather(replicate(x, mesh)).isnan(), x.isnan())
