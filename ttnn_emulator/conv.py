"""2D convolutions, and weights that are laid out for them once.

How a chip wants a convolution's weights depends on how its input lies in memory. Here laid-out weights always hold the
kernel's positions row by row, (height, width, channels in) x channels out, and zeros behind; the shape is ttnn's own.
"""

import functools

import torch
import torch.nn.functional as F
import ttnn

from ttnn_emulator import transfers
from ttnn_emulator.ops import golden_of
from ttnn_emulator.options import strict

ttnns_conv2d = strict(ttnn.conv2d.golden_function)
module = ttnn._ttnn.operations.conv
PREPARATIONS = ("prepare_conv_weights", "prepare_conv_bias")
REFUSED = ("prepare_conv_transpose2d_weights", "prepare_conv_transpose2d_bias")
real = {name: getattr(module, name) for name in (*PREPARATIONS, *REFUSED)}


@golden_of(ttnn.conv2d)
def conv2d(*, weight_tensor, out_channels, kernel_size, groups=1, bias_tensor=None, output_shapes, **options):
    """ttnn's own golden function, with weights as torch has them or laid out; 0 groups are 1.

    Where ttnn returns its laid-out weights too, so does this: `output_shapes` are those of all that it returned.
    """
    weight = weight_tensor
    if tuple(weight.shape[-2:]) != tuple(kernel_size) or weight.shape[0] != out_channels:
        weight = as_in_torch(weight, out_channels, options["in_channels"] // (groups or 1), kernel_size)
    bias = None if bias_tensor is None else bias_tensor.flatten()[:out_channels]
    out = ttnns_conv2d(
        weight_tensor=weight, out_channels=out_channels, kernel_size=kernel_size, groups=groups or 1,
        bias_tensor=bias, **options,
    )  # fmt: skip
    out = out[0] if isinstance(out, list) else out
    return [out, *map(laid_out, (weight, bias), output_shapes[1:])]


conv2d.sees_output_shapes = True


def laid_out(x: torch.Tensor, shape) -> torch.Tensor:
    """(out, in, height, width), or a bias (out), in rows and columns, with zeros up to a shape"""
    rows = x.permute(2, 3, 1, 0).flatten(0, 2) if x.ndim == 4 else x.reshape(1, -1)
    height, width = shape[-2:]
    return F.pad(rows, (0, width - rows.shape[1], 0, height - rows.shape[0])).reshape(tuple(shape))


def as_in_torch(x: torch.Tensor, out: int, channels: int, kernel_size) -> torch.Tensor:
    """The way back, (out, in, height, width)"""
    height, width = kernel_size
    rows = x.flatten(0, -2)[: height * width * channels, :out]
    return rows.reshape(height, width, channels, out).permute(3, 2, 0, 1)


def install(emulator) -> None:
    def prepare(name, *args, **kwargs):
        result = real[name](*args, **kwargs)
        if emulator.numerics:
            source = kwargs.get("weight_tensor", kwargs.get("bias_tensor", args[0] if args else None))
            on_chips = ttnn.is_tensor_storage_on_device(source)
            values = emulator.memory.read(source) if on_chips else transfers.host_values(source)
            shape = tuple(result.shape)
            values = values.map(lambda value: laid_out(value.flatten() if "bias" in name else value, shape))
            emulator.memory.write(result, transfers.spread(values, result))
        return result

    def refuse(name, *args, **kwargs):
        raise NotImplementedError(f"{name} is not emulated, nor is ttnn.conv_transpose2d. Write it as a ttnn.conv2d.")

    for name in PREPARATIONS:
        setattr(module, name, functools.partial(prepare, name))
    for name in REFUSED:
        setattr(module, name, functools.partial(refuse, name))


def uninstall() -> None:
    for name, function in real.items():
        setattr(module, name, function)
