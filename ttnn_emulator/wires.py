"""Which chips are wired to which, and the lines that they form along the axes of a mesh.

The wires are those of the system's descriptor (cluster.py). A device may be shaped otherwise than the system, or be a
part of it; what crosses a wire is counted by the place of its two chips in the system.
"""

import functools
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable

import torch
import ttnn

from ttnn_emulator import cluster
from ttnn_emulator.hops import Line
from ttnn_emulator.memory import TILE
from ttnn_emulator.shards import Shards
from ttnn_emulator.side_by_side import on_lines
from ttnn_emulator.systems import System
from ttnn_emulator.traffic import Link, Sent, Traffic

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
# For each line, as numbers of chips: (place, neighbour's place) and the bytes that were handed on there, each once.
Crossed = tuple[tuple[tuple[int, ...], tuple[tuple[tuple[int, int], int], ...]], ...]
fabrics = ttnn.FabricConfig
RINGS = {  # fabric -> the axes along which it goes around where a wire closes them
    fabrics.FABRIC_1D_RING: (0, 1),
    fabrics.FABRIC_2D_TORUS_X: (1,),
    fabrics.FABRIC_2D_TORUS_Y: (0,),
    fabrics.FABRIC_2D_TORUS_XY: (0, 1),
}


class Wires:
    """The wires of a system, and the traffic on them."""

    def __init__(self, system: System):
        self.system, self.traffic = system, Traffic(f"emulated {system}")
        self.neighbours = {chip: set() for chip in range(system.num_chips)}
        for one, _, other, _ in cluster.neighbours(system):
            self.neighbours[one].add(other)
            self.neighbours[other].add(one)
        columns = system.mesh[1]
        self.places = {chip: divmod(chip, columns) for chip in range(system.num_chips)}  # chip -> (row, column)
        self._links = {}  # what calls sent -> the same by links, so that equal ones are kept once

    def take_as(self, system: System) -> None:
        """The same chips and wires as another mesh, whose axes have other names."""
        self.system, self.traffic.title = system, f"emulated {system}"

    def wired(self, one: int, other: int) -> bool:
        return other in self.neighbours[one]

    @functools.cache  # noqa: B019  one object in a process
    def path(self, start: int, end: int) -> list[tuple[int, int]]:
        """The wires on the shortest way between two chips: one, where they are neighbours."""
        came_from, to_do = {start: None}, deque([start])
        while end not in came_from:
            here = to_do.popleft()
            for there in sorted(self.neighbours[here] - came_from.keys()):
                came_from[there] = here
                to_do.append(there)
        way = []
        while end != start:
            way.append((came_from[end], end))
            end = came_from[end]
        return way[::-1]

    def chips_of(self, device: ttnn.MeshDevice) -> tuple[int, ...]:
        """The chips of a device, row by row."""
        coords = list(itertools.product(*map(range, device.shape)))
        chips = tuple(device.get_device_id(ttnn.MeshCoordinate(*coord)) for coord in coords)
        if tuple(device.shape) == self.system.mesh:  # ttnn's word on where chips are counts more than our numbering
            places = self.places | dict(zip(chips, coords))
            if places != self.places:
                self.places, self._links = places, {}
        return chips

    def record(self, op: str, shape, chips: tuple[int, ...], steps: list[tuple[int, bool, Crossed]]) -> None:
        """Notes a call, once for each axis. chips: its device's; steps: (axis, whether around rings, what crossed)."""
        names = {index: name for name, index in self.system.axes.items()}
        for (axis, ring), same in itertools.groupby(steps, key=lambda step: step[:2]):
            links = tuple(self.links(chips, crossed) for _, _, crossed in same)
            self.traffic.sent.append(Sent(op, names[axis], ring, tuple(shape), links))

    def links(self, chips: tuple[int, ...], crossed: Crossed) -> dict[Link, int]:
        """By chips' places in the system. Where no wire joins two chips, over others between them."""
        key = chips, crossed
        if key not in self._links:
            found = Counter()
            for line, handed in crossed:
                for (start, end), size in handed:
                    for one, other in self.path(chips[line[start]], chips[line[end]]):
                        found[self.places[one], self.places[other]] += size
            self._links[key] = dict(found)
        return self._links[key]


class Mesh:
    """The chips of one device during one call: the lines that they form, and what the call hands on along them."""

    def __init__(self, wires: Wires, device: ttnn.MeshDevice, dtype: ttnn.DataType, layout: ttnn.Layout):
        """dtype, layout: of what is sent, unless the call says otherwise"""
        self.wires, self.shape, self.chips = wires, tuple(device.shape), wires.chips_of(device)
        self.dtype, self.layout = dtype, layout
        self.steps = []  # what was sent: (axis, whether around rings, what crossed)

    @property
    def by_turns(self) -> list[int]:
        """The axes along which there is more than one chip."""
        return [axis for axis, length in enumerate(self.shape) if length > 1]

    def the_axis(self, axis: int | None) -> int:
        """The axis given, or the only one. Raises NotImplementedError where the chips form no single line."""
        if axis is not None:
            return axis % len(self.shape)
        if len(self.by_turns) > 1:
            raise NotImplementedError(f"no line of wires joins all chips of a mesh {self.shape}: name a cluster_axis")
        return self.by_turns[0] if self.by_turns else 0

    def goes_around(self, axis: int, topology: ttnn.Topology | None) -> bool:
        """Whether the lines of an axis are rings: asked for, by the op or else by the fabric, and closed by wires.

        (get_usable_topology and get_axis_topology in ttnn's ccl/ccl_common.cpp: without the wire it is a line.)
        """
        asked = topology in (ttnn.Topology.Ring, ttnn.Topology.Torus)
        if topology is None:
            asked = axis in RINGS.get(ttnn._ttnn.fabric.get_fabric_config(), ())
        ends = [(line[0], line[-1]) for line in self.lines(axis)]
        return asked and self.shape[axis] > 2 and all(self.wires.wired(self.chips[a], self.chips[b]) for a, b in ends)

    def lines(self, axis: int) -> tuple[tuple[int, ...], ...]:
        """The lines of chips along an axis, by the chips' numbers in the device, row by row."""
        return lines(self.shape, axis)

    def line(self, axis: int, ring: bool, dtype=None, layout=None, lead: int = 0) -> Line:
        """A line of this mesh that has handed on nothing yet. lead: how many dimensions are none of a chip's tensor."""
        dtype, layout = dtype or self.dtype, layout or self.layout
        size, halve = sizes(dtype, layout), lambda shape: middle(shape[lead:], layout)
        return Line(self.shape[axis], ring, lambda shape: size(shape[lead:]), halve)

    def along(self, axis: int, ring: bool, function, *held: Shards, **storage) -> Shards | tuple[Shards, ...]:
        """For each chip what function(line, its chips' tensors, ...) gives it; lines that hold the same do it once.

        function counts dimensions from the end: small tensors of several lines come side by side (side_by_side.py).
        """
        new_line = lambda lead: self.line(axis, ring, lead=lead, **storage)
        results, worked = on_lines(function, new_line, self.lines(axis), held)
        self.note(axis, ring, worked)
        return results

    def note(self, axis: int, ring: bool, worked: list[tuple[tuple[int, ...], Line]]) -> None:
        """What Lines have handed on, for the chips that they worked for."""
        crossed = {id(line): tuple(line.crossed.items()) for _, line in worked}
        self.steps.append((axis, ring, tuple((chips, crossed[id(line)]) for chips, line in worked)))


@functools.lru_cache(256)
def lines(shape: tuple[int, ...], axis: int) -> tuple[tuple[int, ...], ...]:
    """The numbers 0, 1, ... of a grid in lines along an axis."""
    grid = torch.arange(math.prod(shape)).reshape(shape)
    return tuple(map(tuple, grid.movedim(axis, -1).reshape(-1, shape[axis]).tolist()))


@functools.cache
def sizes(dtype: ttnn.DataType, layout: ttnn.Layout) -> Callable:
    """num_bytes of shapes alone: an enum takes longer to be hashed than all the rest."""
    return functools.lru_cache(1024)(functools.partial(num_bytes, dtype=dtype, layout=layout))


def num_bytes(shape: tuple[int, ...], dtype: ttnn.DataType, layout: ttnn.Layout) -> int:
    """Bytes of a tensor in a chip's memory: with tile layout, padded to whole tiles."""
    if layout == ttnn.TILE_LAYOUT:
        *rest, height, width = (1, 1, *shape)
        shape = (*rest, -(-height // TILE) * TILE, -(-width // TILE) * TILE)
    return round(math.prod(shape) * BYTES[dtype])


@functools.lru_cache(4096)
def middle(shape: tuple[int, ...], layout: ttnn.Layout) -> tuple[int, int] | None:
    """Where to halve: (dimension, length), between tiles, or between rows. None where there is nothing to halve.

    The dimension, counted from the end, is the one with the most tiles; one with an even number of them goes before.
    """
    last = [TILE, TILE] if layout == ttnn.TILE_LAYOUT else [1, shape[-1]]
    steps = [1] * (len(shape) - 2) + last[-len(shape) :]
    units = [-(-length // step) for length, step in zip(shape, steps)]
    dim = max(range(len(shape)), key=lambda d: (units[d] > 1, units[d] % 2 == 0, units[d]))
    return (dim - len(shape), units[dim] // 2 * steps[dim]) if units[dim] > 1 else None
