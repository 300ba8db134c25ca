"""What each chip holds: torch tensors behind every live device buffer of the mock cluster.

A mock drops what is written to its DRAM and L1, so the values are kept here, under the buffer's unique id. They live
and die with the buffer: freed by ttnn, or its place reused, and the values go too.
"""

import functools
import math
from dataclasses import dataclass

import torch
import ttnn

from ttnn_emulator.shards import Shards

TILE = 32
SWEEP_BYTES = 64 * 2**20  # look for freed buffers when so much has come on top, and no less than was held


@dataclass
class Shadow:
    shards: Shards
    coords: list[ttnn.MeshCoordinate] | None  # of the chips; None where it is the whole mesh
    place: tuple  # (device id, buffer type, address)
    device: ttnn.MeshDevice
    padding: float | None = None  # what stands in the padding of its tiles (padding.py)


class Memory:
    def __init__(self):
        self._shadows: dict[int, Shadow] = {}  # by buffer id
        self._at: dict[tuple, int] = {}  # place -> buffer id
        self._held, self._sweep_at = 0, SWEEP_BYTES  # bytes
        self.capturing = None  # the trace that is being captured: then tensors have shapes and no values

    def read(self, tensor: ttnn.Tensor) -> Shards:
        """The values of a device tensor on the chips that it lies on, each in the tensor's own shape.

        Raises RuntimeError where they are not known: freed, of a closed mesh, made behind the emulator's back, or by a
        trace that has not been executed.
        """
        if self.capturing is not None:
            return no_values(tensor)
        shadow = self._shadows.get(tensor.buffer_unique_id())
        if shadow is None and 0 in tuple(tensor.shape) and tensor.is_allocated():
            return nothing(tensor)
        if shadow is None:
            raise RuntimeError(unknown_values(tensor))
        if shadow.shards.is_meta:
            raise RuntimeError(
                f"This tensor of shape {tuple(tensor.shape)} is a trace's that has not been executed: a capture "
                "computes nothing. Execute it first: ttnn.execute_trace(mesh, trace, cq_id=0)."
            )
        shards, coords, shape = shadow.shards, tensor.device_coords(), tensor.shape
        if len(coords) < len(shards.which):  # one of ttnn.get_device_tensors
            value_at = dict(zip(map(tuple, shadow.coords or ttnn.MeshCoordinateRange(shadow.device.shape)), shards))
            shards = Shards.of([value_at[tuple(coord)] for coord in coords])
        return shards if shape == shards.shape else as_shape(shards, tuple(shape), tuple(tensor.padded_shape))

    def holds(self, tensor: ttnn.Tensor) -> bool:
        """Whether the values of a device tensor are known: its own, or those of the buffer that it is a view of."""
        return tensor.buffer_unique_id() in self._shadows

    def write(self, tensor: ttnn.Tensor, shards: Shards, padding: float | None = None) -> None:
        """Stores what each chip holds, and what stands in the padding of its tiles where that is known.

        Raises RuntimeError where a value's shape is not the tensor's.
        """
        for shape in shards.shapes:
            if tensor.shape != shape:
                wanted, got = tuple(tensor.shape), tuple(shape)
                raise RuntimeError(f"ttnn made a tensor of shape {wanted}, its golden function {got}")
        if 0 in shards.shape:
            return  # it has no bytes, so another tensor may lie at its address; see `nothing`
        dtype, device = tensor.dtype, tensor.device()
        shards = shards.elementwise(lambda value: rounded(value, dtype))
        place = (device.id(), tensor.memory_config().buffer_type, tensor.buffer_address())
        self._forget(self._at.get(place))
        self._at[place] = tensor.buffer_unique_id()
        coords = None if len(shards.which) == device.get_num_devices() else tensor.device_coords()
        self._shadows[self._at[place]] = Shadow(shards, coords, place, device, padding)
        self._held += shards.num_bytes
        if self._held > self._sweep_at:
            self.sweep()

    def reserve(self, tensor: ttnn.Tensor) -> None:
        """For what a capture makes: no values. What it writes over keeps its own until the trace is executed."""
        if not self.holds(tensor):
            self.write(tensor, no_values(tensor))

    def held(self, buffer: int) -> Shards | None:
        """What lies in a buffer, as it was written; None where it is not known, or the buffer is freed."""
        shadow = self._shadows.get(buffer)
        return shadow and shadow.shards

    def renew(self, buffer: int, shards: Shards, padding: float | None) -> None:
        """Puts other values where a tensor lies that was written before. A freed buffer stays empty."""
        if (shadow := self._shadows.get(buffer)) is not None:
            self._held += shards.num_bytes - shadow.shards.num_bytes
            shadow.shards, shadow.padding = shards, padding

    def padding_in(self, buffer: int) -> float | None:
        shadow = self._shadows.get(buffer)
        return shadow and shadow.padding

    def padding(self, tensor: ttnn.Tensor) -> float | None:
        """What stands in the padding of a tensor's tiles, where it is one number and known."""
        shadow = self._shadows.get(tensor.buffer_unique_id()) if tensor.is_allocated() else None
        if shadow is None or math.prod(tensor.shape) != math.prod(shadow.shards.shape):  # a view of less
            return None
        return shadow.padding

    def note_padding(self, tensor: ttnn.Tensor, padding: float | None) -> None:
        if self.holds(tensor):
            self._shadows[tensor.buffer_unique_id()].padding = padding

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
        self._sweep_at = self._held + max(SWEEP_BYTES, self._held)

    def num_bytes(self) -> int:
        """Bytes that the values take on this computer, values shared by several chips counted once."""
        values = {id(value): value for shadow in self._shadows.values() for value in shadow.shards.kept}
        return sum(value.nbytes for value in values.values() if not value.is_meta)

    def forget_device(self, device: ttnn.MeshDevice) -> None:
        """Drops all values on a device that is being closed, and on what was cut out of it."""
        gone = {device.id(), *(submesh.id() for submesh in device.get_submeshes())}
        for buffer_id in [number for number, shadow in self._shadows.items() if shadow.device.id() in gone]:
            self._forget(buffer_id)

    def _forget(self, buffer_id: int | None) -> None:
        shadow = self._shadows.pop(buffer_id, None)
        if shadow is not None:
            del self._at[shadow.place]
            self._held -= shadow.shards.num_bytes


def nothing(tensor: ttnn.Tensor) -> Shards:
    """The values of a tensor with a dimension of length 0"""
    return Shards([torch.empty(tuple(tensor.shape), dtype=kept_as(tensor.dtype))], (0,) * len(tensor.device_coords()))


def no_values(tensor: ttnn.Tensor) -> Shards:
    """A shape on each of a tensor's chips"""
    value = torch.empty(tuple(tensor.shape), dtype=kept_as(tensor.dtype), device="meta")
    return Shards([value], (0,) * len(tensor.device_coords()))


def unknown_values(tensor: ttnn.Tensor) -> str:
    if not tensor.is_allocated():
        return "This tensor has been deallocated. Make it again, or keep it longer."
    if getattr(tensor.device(), "is_closed", False):
        return "This tensor's mesh has been closed. Make the tensor again on the mesh that is open now."
    return (
        f"The emulated mesh does not know the values of this tensor of shape {tuple(tensor.shape)}: it was made by a "
        "call that the emulator does not follow. Make it with ttnn.from_torch(..., device=mesh)."
    )


def as_shape(shards: Shards, shape: tuple[int, ...], padded: tuple[int, ...]) -> Shards:
    """What a view of a shape, and with that a padded shape, sees of values"""
    held = tuple(shards.shape)
    if held == shape:
        return shards
    if padded == in_tiles(held) and all(new <= old for new, old in zip(shape, held)):
        return shards.cut(shape)  # the same tiles, of which less counts as data
    if math.prod(held) != math.prod(shape):
        raise RuntimeError(
            f"This tensor of shape {shape} looks at a buffer written with shape {held}, padding included. The emulated "
            "mesh keeps no padding: use ttnn.reshape, ttnn.slice or ttnn.pad instead."
        )
    return shards.reshaped(shape)


def in_tiles(shape) -> tuple[int, ...]:
    return (*shape[:-2], *(length + -length % TILE for length in shape[-2:]))


def kept_bfloat16() -> torch.dtype:
    """In which torch dtype a bfloat16 tensor's values are kept and computed on this computer.

    As bfloat16 they need no rounding after each op, but a CPU without instructions for it multiplies such matrices five
    times as slowly as float32. (oneDNN's own question, _is_mkldnn_bf16_supported, says yes to any AVX-512.)
    """
    quick = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if quick else torch.float32


KEPT_BFLOAT16 = kept_bfloat16()


torch_dtype = functools.cache(ttnn.ttnn_dtype_to_torch_dtype)


def kept_as(dtype: ttnn.DataType) -> torch.dtype:
    """The torch dtype of the values behind a tensor. Block floats have none of their own in torch: float32."""
    return KEPT_BFLOAT16 if dtype == ttnn.bfloat16 else torch_dtype(dtype)


def rounded(value: torch.Tensor, dtype: ttnn.DataType) -> torch.Tensor:
    """The value as the chip would store it in `dtype`, in the torch dtype that keeps it, and no part of another."""
    if value.is_meta:
        return value
    if value._base is not None and not (value.is_contiguous() and value.nbytes == value._base.nbytes):
        value = value.clone()
    if dtype in (ttnn.bfloat8_b, ttnn.bfloat4_b):  # one exponent for 16 neighbours: ttnn packs it on the host
        packed = ttnn.Tensor(tensor=value.float().contiguous(), data_type=dtype, layout=ttnn.TILE_LAYOUT)
        return packed.to_torch()
    on_chip, here = torch_dtype(dtype), kept_as(dtype)
    return value if value.dtype == on_chip == here else value.to(on_chip).to(here)
