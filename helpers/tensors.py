"""Placing torch tensors on a mesh and getting them back, by the names of the mesh's axes.

    x = shard(tokens, mesh, sp=2)          # dimension 2 split over the chips along axis sp
    w = shard(weight, mesh, tp=3)          # columns split along axis tp, each slice on every chip along sp
    g = replicate(gain, mesh)              # the same on every chip
    gather(y, sp=2)                        # back to one torch tensor

In a dry run (open_mesh with numerics=False) there are shapes and places, but no values: a tensor on torch's meta device
gets memory on the mesh that nothing is written to, and what comes back is a meta tensor.

Which mesh axis is `tp` and which is `sp` is a system's own choice (ttnn_emulator/systems.py).
"""

import itertools

import torch
import ttnn

TILE = 32  # rows and columns of a tile: what ttnn's matrix units work on


def axis_index(mesh: ttnn.MeshDevice, axis: str) -> int:
    """0 for the mesh's rows, 1 for its columns. Raises ValueError for a name that the mesh does not have."""
    if axis not in mesh.system.axes:
        known = ", ".join(f"{name} ({mesh.shape[i]} chips)" for name, i in mesh.system.axes.items())
        raise ValueError(f"The mesh has no axis {axis!r}. Its axes are {known}.")
    return mesh.system.axes[axis]


def shard(
    x: torch.Tensor,
    mesh: ttnn.MeshDevice,
    *,
    dtype: ttnn.DataType = ttnn.bfloat16,
    layout: ttnn.Layout = ttnn.TILE_LAYOUT,
    into: ttnn.Tensor | None = None,
    **dims: int,
) -> ttnn.Tensor:
    """Splits x over the chips: `tp=3` cuts dimension 3 along the mesh axis tp. Axes not named hold copies.

    into: a tensor that an equal call has made, to write over instead of making one. A trace reads its inputs there.

    Raises ValueError where a dimension does not divide by the number of chips, where a slice would not be made of
    whole tiles, or where two axes cut the same dimension.
    """
    by_axis = [None, None]
    for axis, dim in dims.items():
        index = axis_index(mesh, axis)
        check_cut(x, dim, axis, mesh.shape[index], layout)
        by_axis[index] = dim % x.ndim
    if by_axis[0] is not None and by_axis[0] == by_axis[1]:
        raise ValueError(f"Both mesh axes would cut dimension {by_axis[0]}. Name a different dimension for each.")
    if x.is_meta:
        chips = [mesh.shape[by_axis.index(dim)] if dim in by_axis else 1 for dim in range(x.ndim)]
        return reserve([length // n for length, n in zip(x.shape, chips)], mesh, dtype, layout)
    mapper = ttnn.ShardTensor2dMesh(mesh, mesh_shape=tuple(mesh.shape), dims=tuple(by_axis))
    return place(x, mesh, mapper, dtype, layout, into)


def replicate(
    x: torch.Tensor,
    mesh: ttnn.MeshDevice,
    *,
    dtype: ttnn.DataType = ttnn.bfloat16,
    layout: ttnn.Layout = ttnn.TILE_LAYOUT,
    into: ttnn.Tensor | None = None,
) -> ttnn.Tensor:
    """The whole of x on every chip. into: see shard."""
    if x.is_meta:
        return reserve(x.shape, mesh, dtype, layout)
    return place(x, mesh, ttnn.ReplicateTensorToMesh(mesh), dtype, layout, into)


def place(x: torch.Tensor, mesh, mapper, dtype, layout, into: ttnn.Tensor | None) -> ttnn.Tensor:
    if into is None:
        return ttnn.from_torch(x, dtype=dtype, layout=layout, device=mesh, mesh_mapper=mapper)
    ttnn.copy_host_to_device_tensor(ttnn.from_torch(x, dtype=dtype, layout=layout, mesh_mapper=mapper), into)
    return into


def reserve(shape, mesh: ttnn.MeshDevice, dtype: ttnn.DataType, layout: ttnn.Layout) -> ttnn.Tensor:
    """Memory for a tensor of this shape on every chip, with nothing written to it."""
    return ttnn.allocate_tensor_on_device(ttnn.TensorSpec(tuple(shape), dtype, layout), mesh)


def check_cut(x: torch.Tensor, dim: int, axis: str, chips: int, layout: ttnn.Layout) -> None:
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"A tensor of shape {tuple(x.shape)} has no dimension {dim} to cut along {axis}.")
    length = x.shape[dim]
    if length % chips:
        raise ValueError(
            f"Dimension {dim} of length {length} does not divide by the {chips} chips along {axis}. "
            f"Pad it to {-(-length // chips) * chips}."
        )
    if layout == ttnn.TILE_LAYOUT and dim % x.ndim >= x.ndim - 2 and length // chips % TILE:
        step = TILE * chips
        raise ValueError(
            f"Cutting dimension {dim} of length {length} into {chips} along {axis} gives slices of {length // chips}, "
            f"not whole tiles of {TILE}. Pad it to {-(-length // step) * step}, or use ttnn.ROW_MAJOR_LAYOUT."
        )


def shards_of(tensor: ttnn.Tensor) -> dict[tuple[int, int], torch.Tensor]:
    """What each chip (row, column) holds, as torch tensors."""
    mesh = mesh_of(tensor)
    chips = itertools.product(*map(range, mesh.shape))
    if not mesh.numerics:
        dtype = ttnn.ttnn_dtype_to_torch_dtype(tensor.dtype)
        return dict.fromkeys(chips, torch.empty(tuple(tensor.shape), dtype=dtype, device="meta"))
    on_host = ttnn.get_device_tensors(ttnn.from_device(tensor))
    return dict(zip(chips, map(ttnn.to_torch, on_host)))


def gather(tensor: ttnn.Tensor, **dims: int) -> torch.Tensor:
    """Back to one torch tensor: `tp=3` joins the slices along the mesh axis tp on dimension 3.

    Along axes not named the chips must hold copies. Raises ValueError where they do not: then they hold slices, and
    the axis must be named, or partial sums, and an all_reduce is missing.
    """
    mesh = mesh_of(tensor)
    join = {axis_index(mesh, axis): (axis, dim) for axis, dim in dims.items()}
    shards = shards_of(tensor)
    rows = [
        along_axis([shards[row, col] for col in range(mesh.shape[1])], mesh, 1, join) for row in range(mesh.shape[0])
    ]
    return along_axis(rows, mesh, 0, join)


def along_axis(parts: list[torch.Tensor], mesh, index: int, join: dict) -> torch.Tensor:
    if index in join:
        return torch.cat(parts, join[index][1])
    if any(not identical(parts[0], part) for part in parts[1:]):
        axis = next(name for name, i in mesh.system.axes.items() if i == index)
        raise ValueError(
            f"The chips along {axis} hold different values. If these are slices, name the dimension to join, for "
            f"example gather(x, {axis}=2). If they are partial sums, an all_reduce along {axis} is missing."
        )
    return parts[0]


def identical(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal, and NaN where the other is NaN"""
    if a.is_meta:
        return True  # a dry run: no values, none that differ
    return torch.equal(a, b) or (
        a.is_floating_point() and torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())
    )


def placement(tensor: ttnn.Tensor) -> dict[tuple[int, int], tuple[slice, ...]]:
    """Which part of the whole each chip (row, column) holds, as one slice per dimension.

    Read from ttnn's own record of how the tensor was distributed, which follows it through most ops.
    """
    shape, parts = tuple(tensor.shape), {}
    topology = tensor.tensor_topology()
    sizes = tuple(topology.distribution_shape())
    for place, coord in zip(itertools.product(*map(range, sizes)), topology.mesh_coords()):
        held = [slice(0, length) for length in shape]
        for at, kind in zip(place, topology.placements()):
            if isinstance(kind, ttnn.PlacementShard):
                length = shape[kind.dim]
                held[kind.dim] = slice(at * length, (at + 1) * length)
        parts[tuple(coord)] = tuple(held)
    return parts


def mesh_of(tensor: ttnn.Tensor) -> ttnn.MeshDevice:
    """The open mesh that a tensor lies on. Raises ValueError for a host tensor, a freed one, or another device's."""
    if not ttnn.is_tensor_storage_on_device(tensor):
        raise ValueError("This tensor is on the host. Put it on the mesh with shard(...) or replicate(...).")
    if not tensor.is_allocated():
        raise ValueError("This tensor has been deallocated. Make it again, or keep it longer.")
    users = getattr(tensor.device(), "users", None)
    if users is None:
        raise ValueError("This tensor is on a device that open_mesh did not open. Use a mesh from open_mesh.")
    if users == 0:
        raise ValueError("This tensor's mesh has been closed. Make the tensor again on the mesh that is open now.")
    return tensor.device()
