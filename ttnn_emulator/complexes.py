"""Ops on complex tensors. ttnn keeps two tensors, a real and an imaginary part; its golden functions take torch's."""

import torch
import ttnn

from ttnn_emulator.memory import Memory
from ttnn_emulator.options import strict

ComplexTensor = ttnn._ttnn.operations.complex.ComplexTensor


def among(args, kwargs) -> bool:
    return any(isinstance(part, ComplexTensor) for part in (*args, *kwargs.values()))


def emulate(memory: Memory, op, real_call, per_chip, args, kwargs):
    """Runs an op of one complex tensor, or a gradient's, and writes what its golden function makes of it.

    Raises NotImplementedError for an op of several.
    """
    name = op.python_fully_qualified_name
    operands = [part for part in (*args, *kwargs.values()) if isinstance(part, (ComplexTensor, ttnn.Tensor))]
    if len(operands) > 1 and not name.endswith("_bw"):
        raise NotImplementedError(f"{name} of complex tensors is not emulated. Compute with their .real and .imag.")
    parts = [memory.read(tensor) for operand in operands for tensor in tensors_of(operand)]
    result = real_call(op, *args, **kwargs)
    golden = strict(op.golden_function)

    def arguments(row):
        values = iter(part.float() for part in row)
        joined = lambda operand: next(values) if isinstance(operand, ttnn.Tensor) else torch.complex(*pair(values))
        return [joined(operand) for operand in operands], {}

    chips = len(parts[0].which)
    values = per_chip(lambda *values: parts_of(golden(*values)), arguments, parts, chips)
    for tensor, shards in zip(tensors_of(result), values, strict=True):
        memory.write(tensor, shards)
    return result


def pair(values) -> tuple:
    return next(values), next(values)


def tensors_of(value) -> list[ttnn.Tensor]:
    """The device tensors of a tensor, a complex one, or a list of them"""
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors_of(part)]
    return [value.real, value.imag] if isinstance(value, ComplexTensor) else [value]


def parts_of(value) -> list[torch.Tensor]:
    """Of a complex value its parts. ttnn's golden functions of gradients return those side by side, in a list."""
    if isinstance(value, list):
        return [part.clone() for both in value for part in both.chunk(2, -1)]
    return [value.real.clone(), value.imag.clone()] if value.is_complex() else [value]
