"""What a program calls: every outermost ttnn op as one line of JSON, with shapes, dtypes and places.

    {"op": "ttnn.add", "inputs": [{"name": 0, "shape": [1, 1, 32, 64], ...}], "options": {...}, "outputs": [{...}]}

`name` is the argument's place or keyword; in a list of tensors each has the list's. Shapes are of one chip's shard.
"""

import json
import numbers
from pathlib import Path

import torch
import ttnn

from ttnn_emulator.arguments import on_device, tensors_in


class Recorder:
    """A listener of the emulator that writes what it hears into a file, and counts it."""

    def __init__(self, path: str | Path):
        self.path, self.count, self._file = path, 0, open(path, "w")  # noqa: SIM115  open until close()

    def __call__(self, op, args, kwargs, result):
        self._file.write(json.dumps(line_of(op, args, kwargs, result)) + "\n")
        self.count += 1

    def close(self) -> str:
        self._file.close()
        return f"{self.path}: {self.count} calls"


def line_of(op, args, kwargs, result) -> dict:
    """One call as data, as a listener of the emulator hears it."""
    named = [*enumerate(args), *kwargs.items()]
    return {
        "op": op.python_fully_qualified_name,
        "inputs": [{"name": name, **described(t)} for name, part in named for t in tensors_in(part)],
        "options": {str(name): plain(part) for name, part in named if not tensors_in(part) and part is not None},
        "outputs": [described(t) for t in tensors_in(result)],
    }


def described(tensor: ttnn.Tensor) -> dict:
    """A tensor as data. One that is not on chips, or not any more, has no place."""
    what = {
        "shape": list(tensor.shape),
        "padded_shape": list(tensor.padded_shape),
        "dtype": tensor.dtype.name,
        "layout": tensor.layout.name,
    }
    if not on_device(tensor) or not tensor.is_allocated():
        return what
    memory = tensor.memory_config()
    return what | {
        "buffer": memory.buffer_type.name,
        "memory_layout": memory.memory_layout.name,
        "mesh": list(tensor.device().shape),
    }


def plain(value):
    """An option as JSON can hold it: numbers, texts and lists of them as they are, anything else as it prints."""
    if isinstance(value, (bool, str, numbers.Number)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, torch.Tensor):
        return {"shape": list(value.shape), "dtype": str(value.dtype)}
    return getattr(value, "name", None) or str(value)[:200]
