"""The collectives that the series uses, along a named axis of the mesh, and how much each one sends.

`mesh.traffic` lists, for every call here, the bytes that each chip sent over which axis. They are those of the ring
algorithm, in which each of n chips passes one n-th of the whole to its neighbour, n - 1 times: an all_gather of
shards of b bytes sends (n - 1) b from each chip, a reduce_scatter of b bytes (n - 1) b / n, and an all_reduce is one
after the other. On a line, where the ends have one neighbour, it is the mean over the chips.
(Patarasuk and Yuan, 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations".)
"""

import math
from dataclasses import dataclass, field

import ttnn

from helpers.tensors import axis_index, mesh_of

# Bytes per value in memory. Block floats: a tile of 32x32 mantissas and 64 shared exponents.
BYTES = {
    ttnn.bfloat16: 2,
    ttnn.float32: 4,
    ttnn.bfloat8_b: 1088 / 1024,
    ttnn.bfloat4_b: 576 / 1024,
    ttnn.uint8: 1,
    ttnn.uint16: 2,
    ttnn.uint32: 4,
    ttnn.int32: 4,
}


@dataclass(frozen=True)
class Sent:
    """One collective: what each chip sent to its neighbours along an axis, in bytes."""

    op: str
    axis: str
    bytes_per_chip: int
    shape: tuple[int, ...]  # of the shard that went in


@dataclass
class Traffic:
    """All that was sent on a mesh since it was opened, or since `clear()`."""

    mesh: str  # which one, as helpers.mesh.label says it
    sent: list[Sent] = field(default_factory=list)

    def add(self, op: str, axis: str, bytes_per_chip: float, shape) -> None:
        self.sent.append(Sent(op, axis, round(bytes_per_chip), tuple(shape)))

    def clear(self) -> None:
        self.sent.clear()

    def by_axis(self) -> dict[str, int]:
        """Bytes that each chip sent over each axis."""
        total = {}
        for one in self.sent:
            total[one.axis] = total.get(one.axis, 0) + one.bytes_per_chip
        return total

    def __str__(self) -> str:
        rows = [f"{s.op:<16}{s.axis:<6}{s.bytes_per_chip:>14,}  {s.shape}" for s in self.sent]
        return "\n".join([f"sent on {self.mesh}", f"{'op':<16}{'axis':<6}{'bytes per chip':>14}  shard", *rows])


def all_gather(x: ttnn.Tensor, dim: int, axis: str) -> ttnn.Tensor:
    """Every chip gets the slices of all chips along the axis, joined on dim. Shapes: dim grows by their number."""
    mesh, index, chips = line_of(x, axis)
    if chips == 1:
        return x
    mesh.traffic.add("all_gather", axis, (chips - 1) * num_bytes(x), x.shape)
    return ttnn.all_gather(x, dim=dim, cluster_axis=index)


def reduce_scatter(x: ttnn.Tensor, dim: int, axis: str) -> ttnn.Tensor:
    """The sum over the chips along the axis; each keeps its slice of dim. Shapes: dim shrinks by their number."""
    mesh, index, chips = line_of(x, axis)
    if chips == 1:
        return x
    if x.shape[dim] % chips:
        raise ValueError(f"Dimension {dim} of length {x.shape[dim]} does not divide by the {chips} chips along {axis}.")
    mesh.traffic.add("reduce_scatter", axis, (chips - 1) / chips * num_bytes(x), x.shape)
    return ttnn.reduce_scatter(x, dim=dim, cluster_axis=index)


def all_reduce(x: ttnn.Tensor, axis: str) -> ttnn.Tensor:
    """The sum over the chips along the axis, on every one of them. Shapes stay."""
    mesh, index, chips = line_of(x, axis)
    if chips == 1:
        return x
    mesh.traffic.add("all_reduce", axis, 2 * (chips - 1) / chips * num_bytes(x), x.shape)
    return ttnn.all_reduce(x, cluster_axis=index)


def mesh_partition(x: ttnn.Tensor, dim: int, axis: str) -> ttnn.Tensor:
    """Each chip keeps its own slice of dim of what it holds. The inverse of all_gather; nothing is sent."""
    mesh, index, chips = line_of(x, axis)
    if chips == 1:
        return x
    mesh.traffic.add("mesh_partition", axis, 0, x.shape)
    return ttnn.mesh_partition(x, dim, index)


def line_of(x: ttnn.Tensor, axis: str) -> tuple[ttnn.MeshDevice, int, int]:
    """The mesh that x lies on, the index of the axis, and the number of chips along it."""
    mesh = mesh_of(x)
    index = axis_index(mesh, axis)
    return mesh, index, mesh.shape[index]


def num_bytes(x: ttnn.Tensor) -> float:
    """Bytes of one chip's shard in memory, padding to whole tiles included."""
    return math.prod(x.padded_shape) * BYTES[x.dtype]
