"""Host to device and back on the emulated mesh: the calls that move values between torch and the chips' memory."""

import itertools

import torch
import ttnn

from ttnn_emulator import padding
from ttnn_emulator.hops import unwritten
from ttnn_emulator.memory import TILE, Memory, unknown_values
from ttnn_emulator.shards import Shards


def host_values(tensor: ttnn.Tensor) -> Shards:
    """The shards of a host tensor, one per chip in row order; shards that the topology calls replicas share one."""
    shards = ttnn.get_device_tensors(tensor)
    topology = tensor.tensor_topology()
    split = [isinstance(placement, ttnn.PlacementShard) for placement in topology.placements()]
    chips = itertools.product(*map(range, topology.distribution_shape()))
    done, values = {}, []
    for shard, chip in zip(shards, chips):
        which = tuple(at for at, sharded in zip(chip, split) if sharded)
        if which not in done:
            done[which] = shard.to_torch()
        values.append(done[which])
    return Shards.of(values)


def spread(shards: Shards, tensor: ttnn.Tensor) -> Shards:
    """For the chips of a device tensor: a host tensor without a mesh goes to every chip."""
    return Shards(shards.distinct, (0,) * len(tensor.device_coords())) if len(shards.which) == 1 else shards


def to_host(memory: Memory, tensor: ttnn.Tensor) -> ttnn.Tensor:
    """The host copy of a device tensor, with its dtype, layout, shards and topology."""
    make = lambda value: ttnn.from_torch(value, dtype=tensor.dtype, layout=tensor.layout)
    shards = list(memory.read(tensor).map(make))
    if len(shards) == 1:
        return shards[0]
    host = ttnn.from_host_shards(shards, tensor.device().shape)
    host.update_tensor_topology(tensor.tensor_topology())
    return host


def from_torch(memory, real, *args, device=None, memory_config=None, **kwargs):
    """Raises RuntimeError for parts of fewer chips than the device has: ttnn crashes in what follows."""
    if device is not None:
        on_host = real(*args, **kwargs)  # ttnn's own rounding and sharding
        if 1 < len(ttnn.get_device_tensors(on_host)) < device.get_num_devices():
            raise RuntimeError("There are fewer parts than chips, which ttnn itself does not survive. Use a submesh.")
    result = real(*args, device=device, memory_config=memory_config, **kwargs)
    if device is not None and result is not None:
        memory.write(result, spread(host_values(on_host), result), padding=kwargs.get("pad_value") or 0.0)
    return result


def dump_tensor(memory, real, file_name, tensor, **kwargs):
    if ttnn.is_tensor_storage_on_device(tensor):
        tensor = to_host(memory, tensor)
    return real(file_name, tensor, **kwargs)


def from_device(memory, real, tensor, *args, **kwargs):
    return to_host(memory, tensor) if ttnn.is_tensor_storage_on_device(tensor) else tensor


def copy_host_to_device_tensor(memory, real, host_tensor, device_tensor, *args, **kwargs):
    real(host_tensor, device_tensor, *args, **kwargs)
    memory.write(device_tensor, spread(host_values(host_tensor), device_tensor), padding=0.0)


def copy_device_to_host_tensor(memory, real, *args, **kwargs):
    raise NotImplementedError(
        "The emulated mesh cannot copy into an existing host tensor. Use ttnn.from_device(tensor) instead."
    )


def allocate(memory, real, *args, **kwargs):
    """Uninitialised memory: whatever reads it before writing sees NaN, or the dtype's largest integer."""
    result = real(*args, **kwargs)
    if ttnn.is_tensor_storage_on_device(result):
        values = torch.empty(tuple(result.shape), dtype=ttnn.ttnn_dtype_to_torch_dtype(result.dtype))
        memory.write(result, spread(Shards.of([unwritten(values)]), result))
    return result


def reshaped(memory, real, input_tensor, *args, **kwargs):
    """A view of the same buffer, or a copy. Raises RuntimeError for a view that would make data of padding."""
    result = real(input_tensor, *args, **kwargs)
    if not ttnn.is_tensor_storage_on_device(result):
        return result
    if memory.holds(result):
        memory.read(result)
    else:
        memory.write(result, memory.read(input_tensor).reshaped(tuple(result.shape)))
    return result


def viewed(memory, real, input_tensor, shape, **kwargs):
    """Raises RuntimeError for a view that would show a chip's numbers in another order (the op's documentation)."""
    result = real(input_tensor, shape, **kwargs)
    old, new, tiled = (1, *input_tensor.shape), (1, *result.shape), input_tensor.layout == ttnn.TILE_LAYOUT
    if old[-1] != new[-1] or (tiled and old[-2] != new[-2] and (old[-2] % TILE or new[-2] % TILE)):
        raise RuntimeError(
            f"ttnn.experimental.view of {old[1:]} as {new[1:]} would mix up the numbers in a chip's memory: the last "
            "dimension has to stay, and in tiles the last but one, unless it is in whole tiles. Use ttnn.reshape."
        )
    return reshaped(memory, lambda tensor: result, input_tensor)


OPS = {
    "ttnn.from_torch": from_torch,
    "ttnn.from_device": from_device,
    "ttnn.reshape": reshaped,
    "ttnn.experimental.view": viewed,
    "ttnn.dump_tensor": dump_tensor,
    "ttnn.copy_host_to_device_tensor": copy_host_to_device_tensor,
    "ttnn.copy_device_to_host_tensor": copy_device_to_host_tensor,
    "ttnn.allocate_tensor_on_device": allocate,
    "ttnn.empty": allocate,
    "ttnn.empty_like": allocate,
}

VIEWS = ("ttnn.reshape", "ttnn.experimental.view")
NOT_IN_A_TRACE = {  # what ttnn refuses on chips (tenstorrent/tt-metal@79925a3f, fd_mesh_command_queue.cpp)
    "ttnn.from_torch": "Writes",
    "ttnn.copy_host_to_device_tensor": "Writes",
    "ttnn.from_device": "Reads",
    "ttnn.dump_tensor": "Reads",
}


def check_in_trace(name: str, tensors: list, kwargs) -> None:
    """Raises RuntimeError for what goes between host and chips while a trace is captured."""
    if name in NOT_IN_A_TRACE and (any(map(ttnn.is_tensor_storage_on_device, tensors)) or kwargs.get("device")):
        raise RuntimeError(
            f"{name}: {NOT_IN_A_TRACE[name]} are not supported while a trace is captured. Make the trace's inputs "
            "before it, and write to them and read its results between executions."
        )


NO_VALUES = (
    "This mesh was opened with numerics=False, for a dry run: its tensors have shapes and places, but no values."
)

# Methods of ttnn.Tensor that read a device tensor without going through an op.
READERS = ("to_torch", "to_torch_with_padded_shape", "to_numpy", "to_list", "item", "__repr__", "__str__")
real_load = ttnn._ttnn.tensor.load_tensor_flatbuffer  # what ttnn.load_tensor and ttnn.as_tensor's cache call
real_methods = {name: getattr(ttnn.Tensor, name) for name in (*READERS, "cpu", "to", "reshape", "extract_shard")}


def install(emulator) -> None:
    def followed(tensor):
        if emulator.within.depth or not ttnn.is_tensor_storage_on_device(tensor):
            return False
        if not emulator.numerics:
            raise RuntimeError(NO_VALUES)
        return True

    def refuse_in_trace(name, instead):
        if emulator.capturing is not None:
            raise NotImplementedError(f"{name} is no op, so a trace would not call it again. Use {instead}.")

    def host(tensor):
        if emulator.capturing is not None:
            check_in_trace("ttnn.from_device", [tensor], {})
        with emulator.within:
            return to_host(emulator.memory, tensor)

    def reader(name):
        def read(tensor, *args, **kwargs):
            if not followed(tensor):
                return real_methods[name](tensor, *args, **kwargs)
            padding.check(emulator.memory, f"ttnn.Tensor.{name}", (tensor, *args), kwargs)
            return real_methods[name](host(tensor), *args, **kwargs)

        return read

    def cpu(tensor, *args, **kwargs):
        return host(tensor) if followed(tensor) else real_methods["cpu"](tensor, *args, **kwargs)

    def to(tensor, *args, **kwargs):
        result = real_methods["to"](tensor, *args, **kwargs)
        if emulator.numerics and followed(result):
            refuse_in_trace("Tensor.to", "ttnn.to_layout or ttnn.to_device")
            known = followed(tensor)
            with emulator.within:
                source = emulator.memory.read(tensor) if known else host_values(tensor)
                emulator.memory.write(result, spread(source, result), padding=None if known else 0.0)
        return result

    def reshape(tensor, *args, **kwargs):
        if not emulator.numerics or not followed(tensor):
            return real_methods["reshape"](tensor, *args, **kwargs)
        refuse_in_trace("Tensor.reshape", "ttnn.reshape")
        if not tensor.is_allocated():
            raise RuntimeError(unknown_values(tensor))
        with emulator.within:
            return reshaped(emulator.memory, real_methods["reshape"], tensor, *args, **kwargs)

    def extract_shard(tensor, *args):
        if followed(tensor):
            raise NotImplementedError("Tensor.extract_shard is not emulated: no core has values of its own.")
        return real_methods["extract_shard"](tensor, *args)

    def load(path, device=None):
        result = real_load(path, device)
        if device is not None and emulator.numerics:
            emulator.memory.write(result, spread(host_values(real_load(path)), result), padding=0.0)
        return result

    ttnn._ttnn.tensor.load_tensor_flatbuffer = load
    for name in READERS:
        setattr(ttnn.Tensor, name, reader(name))
    for method in (cpu, to, reshape, extract_shard):
        setattr(ttnn.Tensor, method.__name__, method)


def uninstall() -> None:
    ttnn._ttnn.tensor.load_tensor_flatbuffer = real_load
    for name, method in real_methods.items():
        setattr(ttnn.Tensor, name, method)
