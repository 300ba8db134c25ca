"""What a call computes: a function from the values of its inputs to those of its outputs, on all chips.

It holds none of ttnn's tensors, so that a trace can keep it and compute again after they are gone (traces.py).
"""

import copy
import functools

import torch
import ttnn
import ttnn.decorators

from ttnn_emulator.arguments import replaced
from ttnn_emulator.options import strict
from ttnn_emulator.per_chip import maker, of_one_value_each, per_chip
from ttnn_emulator.shards import Shards
from ttnn_emulator.wires import Mesh, Wires

# With these ttnn asks for no answer where it would not compare one.
COMPARISON_HINTS = {"_ttnn_skip_comparison", "_ttnn_input_is_bfloat8_b"}

strictly = functools.cache(strict)


class Accepted:
    """What fails in its `with` block is the golden function's doing, for ttnn has accepted the call: RuntimeError."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, Exception):
            said = f"ttnn accepted this call of {self.name}, but its golden function did not: {error}"
            raise RuntimeError(said) from error


class PerChip:
    """A golden function that sees one chip at a time: called once for chips that hold the same in every input."""

    def __init__(self, golden, arguments, num_chips: int, outputs: list[torch.dtype], usual: str):
        """arguments: as `arguments_of` makes them; outputs: in which dtype each is kept; usual: see per_chip."""
        self.golden, self.arguments, self.num_chips = golden, arguments, num_chips
        self.outputs, self.usual = outputs, usual

    def __call__(self, inputs: list[Shards]) -> list[Shards]:
        return per_chip(self.golden, self.arguments, in_one_precision(inputs, self.outputs), self.num_chips, self.usual)

    def of_one_value_each(self, row: list[torch.Tensor]):
        """What a chip would compute of one value for each input"""
        return of_one_value_each(self.golden, self.arguments, row)


class OverMesh:
    """An op in which chips exchange data; its golden function sees the values of all chips at once."""

    of_one_value_each = None  # one chip alone computes nothing

    def __init__(self, op, arguments, outputs: list[torch.dtype], wires: Wires, mesh: Mesh, first: tuple[int, ...]):
        """first: the shape of the first tensor among its arguments"""
        self.name, self.golden = op.python_fully_qualified_name.rpartition(".")[2], strictly(op.golden_function)
        self.arguments, self.outputs, self.wires, self.mesh, self.first = arguments, outputs, wires, mesh, first

    def __call__(self, inputs: list[Shards]) -> list[Shards]:
        mesh = copy.copy(self.mesh)
        mesh.steps = []
        args, kwargs = self.arguments(in_one_precision(inputs, self.outputs))
        result = self.golden(*args, mesh=mesh, **kwargs)
        self.wires.record(self.name, self.first, mesh.chips, mesh.steps)
        outputs = result if isinstance(result, tuple) else (result,)
        return [values if isinstance(values, Shards) else Shards.of(values) for values in outputs]


def arguments_of(args, kwargs, number_of: dict):
    """A call's arguments as a function of a row of what stands for its tensors. number_of: id -> place in the row"""
    makers = [maker(part, number_of) for part in args]
    named = {name: maker(part, number_of) for name, part in kwargs.items() if name not in COMPARISON_HINTS}
    return lambda row: ([make(row) for make in makers], {name: make(row) for name, make in named.items()})


@functools.cache
def on_copies(op):
    """The golden function of an op that may write over its inputs, or needs their gradients."""

    def golden(*args, **kwargs):
        copies = replaced(args, kwargs, lambda part: part.clone() if isinstance(part, torch.Tensor) else part)
        args, kwargs = ttnn.decorators.prepare_backward_golden_inputs(copies) if is_backward(op) else copies
        with torch.set_grad_enabled(is_backward(op)):
            return strictly(op.golden_function)(*args, **kwargs)

    return golden


def is_backward(op) -> bool:
    return op.python_fully_qualified_name.endswith("_bw")


def in_one_precision(inputs: list[Shards], outputs: list[torch.dtype]) -> list[Shards]:
    """The inputs as they are, or, where an input or an output is kept as float32, all floats as float32.

    torch multiplies no matrices of two dtypes, and what is asked for in float32 must not be computed in bfloat16.
    """
    dtypes = {*outputs, *(values.dtype for values in inputs)}
    if torch.float32 not in dtypes or torch.bfloat16 not in dtypes:
        return inputs
    widened = lambda value: value.float() if value.dtype == torch.bfloat16 else value
    return [values.elementwise(widened) for values in inputs]
