"""What each chip holds: torch tensors behind every live device buffer of the mock cluster.

A mock drops what is written to its DRAM and L1, so the values are kept here, under the buffer's unique id. They live
and die with the buffer: freed by ttnn, or its place reused, and the values go too.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import torch
import ttnn

SWEEP_BYTES = 64 * 2**20  # look for freed buffers when this much, and as much again as is held, has been written


@dataclass
class Shadow:
    values: list[torch.Tensor]  # one per chip, row by row through the mesh; chips that hold the same share one object
    coords: list[tuple[int, ...]]  # the chip of each value
    place: tuple  # (device id, buffer type, address)
    device: ttnn.MeshDevice


class Memory:
    def __init__(self):
        self._shadows: dict[int, Shadow] = {}  # by buffer id
        self._at: dict[tuple, int] = {}  # place -> buffer id
        self._held = self._fresh = 0

    def read(self, tensor: ttnn.Tensor) -> list[torch.Tensor]:
        """The values of a device tensor, one per chip that it lies on, each in the tensor's own shape.

        Raises RuntimeError where they are not known: freed, of a closed mesh, or made behind the emulator's back.
        """
        shadow = self._shadows.get(tensor.buffer_unique_id())
        if shadow is None:
            raise RuntimeError(unknown_values(tensor))
        values = shadow.values
        coords = coords_of(tensor)
        if coords != shadow.coords:  # one of ttnn.get_device_tensors
            values = [values[shadow.coords.index(coord)] for coord in coords]
        shape = tuple(tensor.shape)
        if tuple(values[0].shape) == shape:
            return values
        return share(values, lambda value: as_shape(value, shape))  # a view of another shape

    def holds(self, tensor: ttnn.Tensor) -> bool:
        """Whether the values of a device tensor are known: its own, or those of the buffer that it is a view of."""
        return tensor.buffer_unique_id() in self._shadows

    def write(self, tensor: ttnn.Tensor, values: list[torch.Tensor]) -> None:
        """Stores one value per chip. Raises RuntimeError where a value's shape is not the tensor's."""
        shape, dtype, device = tuple(tensor.shape), tensor.dtype, tensor.device()

        def kept(value):
            if tuple(value.shape) != shape:
                raise RuntimeError(f"ttnn made a tensor of shape {shape}, its golden function {tuple(value.shape)}")
            return rounded(value, dtype)

        place = (device.id(), tensor.memory_config().buffer_type, tensor.buffer_address())
        values = share(values, kept)
        self._forget(self._at.get(place))
        self._at[place] = tensor.buffer_unique_id()
        self._shadows[self._at[place]] = Shadow(values, coords_of(tensor), place, device)
        self._fresh += size(values)
        if self._fresh > max(SWEEP_BYTES, self._held):
            self.sweep()

    def sweep(self) -> None:
        """Drops the values of buffers that ttnn has freed. C++ frees them unseen, so ttnn's own list is asked."""
        devices = {shadow.device.id(): shadow.device for shadow in self._shadows.values()}
        live = {
            (number, buffer.buffer_type, buffer.address)
            for number, device in devices.items()
            for buffer in ttnn._ttnn.reports.get_buffers([device])
        }
        for place in [place for place in self._at if place not in live]:
            self._forget(self._at[place])
        self._held, self._fresh = self.num_bytes(), 0

    def num_bytes(self) -> int:
        """Bytes that the values take on this computer, values shared by several chips counted once."""
        return size([value for shadow in self._shadows.values() for value in shadow.values])

    def clear(self) -> None:
        self.__init__()

    def _forget(self, buffer_id: int | None) -> None:
        shadow = self._shadows.pop(buffer_id, None)
        if shadow is not None:
            del self._at[shadow.place]


def unknown_values(tensor: ttnn.Tensor) -> str:
    if not tensor.is_allocated():
        return "This tensor has been deallocated. Make it again, or keep it longer."
    if getattr(tensor.device(), "users", None) == 0:
        return "This tensor's mesh has been closed. Make the tensor again on the mesh that is open now."
    return (
        f"The emulated mesh does not know the values of this tensor of shape {tuple(tensor.shape)}: it was made by a "
        "call that the emulator does not follow. Make it with ttnn.from_torch(..., device=mesh)."
    )


def coords_of(tensor: ttnn.Tensor) -> list[tuple[int, ...]]:
    """The chips that a device tensor lies on, row by row."""
    device, coords = tensor.device(), tensor.device_coords()
    if len(coords) == device.get_num_devices():
        return all_coords(tuple(device.shape))
    return [tuple(coord) for coord in coords]


@functools.cache
def all_coords(mesh_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, mesh_shape)))


def as_shape(value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    if tuple(value.shape) == shape:
        return value
    if value.numel() != math.prod(shape):
        raise RuntimeError(
            f"This tensor of shape {shape} looks at a buffer written with shape {tuple(value.shape)}, padding "
            "included. The emulated mesh keeps no padding: use ttnn.reshape, ttnn.slice or ttnn.pad instead."
        )
    return value.reshape(shape)


# In which torch dtype a bfloat16 tensor's values are kept and computed. As bfloat16 they need no rounding after each
# op, but on a CPU without bfloat16 instructions torch multiplies such matrices slowly.
KEPT_BFLOAT16 = torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def kept_as(dtype: ttnn.DataType) -> torch.dtype:
    """The torch dtype of the values behind a tensor. Block floats have none of their own in torch: float32."""
    return KEPT_BFLOAT16 if dtype == ttnn.bfloat16 else ttnn.ttnn_dtype_to_torch_dtype(dtype)


def rounded(value: torch.Tensor, dtype: ttnn.DataType) -> torch.Tensor:
    """The value as the chip would store it in `dtype`, in the torch dtype that keeps it, and no view of another."""
    if value._base is not None:
        value = value.clone()
    if dtype == ttnn.bfloat16:
        value = value.to(torch.bfloat16)
    if dtype in (ttnn.bfloat8_b, ttnn.bfloat4_b):  # one exponent for 16 neighbours: ttnn packs it on the host
        packed = ttnn.Tensor(tensor=value.float().contiguous(), data_type=dtype, layout=ttnn.TILE_LAYOUT)
        return packed.to_torch()
    return value.to(kept_as(dtype))


def share(values: list[torch.Tensor], function) -> list[torch.Tensor]:
    """Applies a function to every value, once to those that several chips share."""
    done = {}
    return [done[id(v)] if id(v) in done else done.setdefault(id(v), function(v)) for v in values]


def size(values: list[torch.Tensor]) -> int:
    return sum(value.nbytes for value in {id(value): value for value in values}.values())
