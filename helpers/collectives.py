"""The collectives that the series uses, along a named axis of the mesh. With one chip along it they do nothing.

What they send, `mesh.traffic` counts, wire by wire (ttnn_emulator/traffic.py).
"""

import ttnn

from helpers.tensors import axis_index, mesh_of


def all_gather(x: ttnn.Tensor, dim: int, axis: str) -> ttnn.Tensor:
    """Every chip gets the slices of all chips along the axis, joined on dim. Shapes: dim grows by their number."""
    index, chips = line_of(x, axis)
    return x if chips == 1 else ttnn.all_gather(x, dim=dim, cluster_axis=index)


def reduce_scatter(x: ttnn.Tensor, dim: int, axis: str) -> ttnn.Tensor:
    """The sum over the chips along the axis; each keeps its slice of dim. Shapes: dim shrinks by their number."""
    index, chips = line_of(x, axis)
    if chips == 1:
        return x
    if x.shape[dim] % chips:
        raise ValueError(f"Dimension {dim} of length {x.shape[dim]} does not divide by the {chips} chips along {axis}.")
    return ttnn.reduce_scatter(x, dim=dim, cluster_axis=index)


def all_reduce(x: ttnn.Tensor, axis: str) -> ttnn.Tensor:
    """The sum over the chips along the axis, on every one of them. Shapes stay."""
    index, chips = line_of(x, axis)
    return x if chips == 1 else ttnn.all_reduce(x, cluster_axis=index)


def mesh_partition(x: ttnn.Tensor, dim: int, axis: str) -> ttnn.Tensor:
    """Each chip keeps its own slice of dim of what it holds. The inverse of all_gather; nothing is sent."""
    index, chips = line_of(x, axis)
    return x if chips == 1 else ttnn.mesh_partition(x, dim, index)


def line_of(x: ttnn.Tensor, axis: str) -> tuple[int, int]:
    """The index of the axis, and the number of chips along it."""
    mesh = mesh_of(x)
    index = axis_index(mesh, axis)
    return index, mesh.shape[index]
