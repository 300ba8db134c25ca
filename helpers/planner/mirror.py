"""What a torch model would take on a chip where there is no ttnn model of it: its tensors, mirrored by ttnn.

    run = mirrored(mesh, model, ttnn.bfloat8_b, lambda: dict(sample=torch.empty(1, 4, 64, 64), ...))
    run()                                       # model(**inputs) once, in a dry run, on torch's meta device

The model is torch's own and has shapes but no values. Each parameter, and then each op's result, gets a buffer of its
tiled size on the mesh, and gives it back when torch drops the tensor. A view shares its tensor's buffer.
So ttnn's real allocator says what fits, and refuses in its own words what does not.

What that is: an eager program, one buffer for each op's result, everything in DRAM, activations in bfloat16, and the
whole model on every chip. Attention is one op, as in ttnn: scores of all tokens with all tokens are never stored.
What it is not: a ttnn program. One that is tuned fuses ops, works in place and keeps activations in L1, and takes less.
One that is not copies where torch has a view, pads channels to tiles and takes its ops' scratch memory, which is more.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
import ttnn
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from helpers.tensors import TILE


def mirrored(mesh, model: nn.Module, dtype: ttnn.DataType, inputs: Callable[[], dict]) -> Callable[[], None]:
    """Puts a model's weights on an open mesh without values -> a function that runs it once, op by op.

    model: on torch's meta device.
    dtype: of the weights of matmuls and convolutions. All else is bfloat16.
    inputs: makes what model(**inputs()) needs; as its tensors are made, on the meta device, they get buffers too.

    Both raise ttnn's RuntimeError where memory ends.
    """
    mirror = Mirror(mesh)
    for part in model.modules():
        for name, parameter in part.named_parameters(recurse=False):
            is_matrix = name == "weight" and isinstance(part, nn.Linear | nn.Conv2d)
            mirror.hold(parameter, parameter.flatten(1).shape if is_matrix else parameter.shape,
                        dtype if is_matrix else ttnn.bfloat16)  # fmt: skip

    def run():
        with torch.no_grad(), torch.device("meta"), AttentionAsOneOp(), mirror:
            model(**inputs())

    return run


class Mirror(TorchDispatchMode):
    """In its `with` block every new torch tensor gets a buffer on the mesh for as long as its storage lives."""

    def __init__(self, mesh):
        super().__init__()
        self.mesh = mesh
        self.buffers = WeakIdKeyDictionary()  # torch storage -> ttnn tensor; one dies with the other

    def hold(self, tensor: torch.Tensor, shape, dtype: ttnn.DataType) -> None:
        self.buffers[tensor.untyped_storage()] = ttnn.empty(
            tuple(shape), dtype=dtype, layout=ttnn.TILE_LAYOUT, device=self.mesh
        )

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        result = op(*args, **(kwargs or {}))
        # Of several results the others are parts of the same tensor, or a norm's statistics, which ttnn does not keep.
        first = result[0] if isinstance(result, tuple | list) else result
        if isinstance(first, torch.Tensor) and not shares_storage(first, (args, kwargs)):
            self.hold(first, on_chip(first.shape), ttnn.bfloat16 if first.is_floating_point() else ttnn.uint32)
        return result


def shares_storage(tensor: torch.Tensor, inputs) -> bool:
    """Whether it is a view of an input, or the input itself, changed in place."""
    storages = {x.untyped_storage()._cdata for x in tree_leaves(inputs) if isinstance(x, torch.Tensor)}
    return tensor.untyped_storage()._cdata in storages


def on_chip(shape: torch.Size) -> tuple[int, ...]:
    """The shape as it is, or as ttnn lays out pictures, positions in rows and channels in columns: what pads less."""
    if len(shape) != 4:
        return tuple(shape)
    batch, channels, height, width = shape
    return min((tuple(shape), (batch, 1, height * width, channels)), key=padded_size)


def padded_size(shape: tuple[int, ...]) -> int:
    """Numbers in a tensor of at least two dimensions, with its last two filled up to whole tiles"""
    *outer, rows, columns = shape
    return torch.Size(outer).numel() * (-(-rows // TILE) * TILE) * (-(-columns // TILE) * TILE)


class AttentionAsOneOp(TorchFunctionMode):
    """torch would take it apart on the meta device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.scaled_dot_product_attention:
            function = attended
        return function(*args, **(kwargs or {}))


def attended(query, key, value, *args, **kwargs) -> torch.Tensor:
    return query.new_empty(*query.shape[:-1], value.shape[-1])
