"""Ops on complex tensors. ttnn keeps two tensors, a real and an imaginary part; its golden functions take torch's."""

import torch
import ttnn

from ttnn_emulator.memory import Memory
from ttnn_emulator.options import strict

ComplexTensor = ttnn._ttnn.operations.complex.ComplexTensor


def among(args, kwargs) -> bool:
    return any(isinstance(part, ComplexTensor) for part in (*args, *kwargs.values()))


def emulate(memory: Memory, op, real_call, per_chip, args, kwargs):
    """Runs an op of one complex tensor and writes what its golden function makes of it.

    Raises NotImplementedError for an op of several, or with gradients.
    """
    name = op.python_fully_qualified_name
    z, *rest = (*args, *(part for part in kwargs.values() if isinstance(part, (ComplexTensor, ttnn.Tensor))))
    if rest or not isinstance(z, ComplexTensor):
        raise NotImplementedError(f"{name} of complex tensors is not emulated. Compute with their .real and .imag.")
    parts = [memory.read(z.real), memory.read(z.imag)]
    result = real_call(op, *args, **kwargs)
    golden = strict(op.golden_function)
    arguments = lambda row: ([torch.complex(*(part.float() for part in row))], {})
    chips = len(parts[0].which)
    values = per_chip(lambda value: parts_of(golden(value)), arguments, parts, chips)
    outputs = [result.real, result.imag] if isinstance(result, ComplexTensor) else [result]
    for tensor, shards in zip(outputs, values, strict=True):
        memory.write(tensor, shards)
    return result


def parts_of(value: torch.Tensor) -> list[torch.Tensor]:
    return [value.real.clone(), value.imag.clone()] if value.is_complex() else [value]
