"""Compares what a learner's function returned with what is right, and says where they part."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import ttnn

from helpers.exercises.stopped import Place
from helpers.mesh import current_mesh
from helpers.tensors import shards_of
from ttnn_emulator.traffic import Link


@dataclass(frozen=True)
class Verdict:
    right: bool
    words: str  # what to tell the learner
    begun: bool = True  # False for an exercise as it was handed out
    places: tuple[Place, ...] = ()  # where an exception came from
    links: dict[Link, int] = field(default_factory=dict)  # bytes that the learner's own code sent
    by: str = ""  # on which mesh


class AtMost(dict):
    """axis -> bytes over the busiest link that are enough: what an exercise that counts traffic allows.

    "calls" -> exchanges that are enough, where their number counts, too.
    """

    def allows(self, axis: str) -> float:
        return self.get(axis, math.inf if axis == "calls" else 0)


def outcome(result):
    """What of a result counts: of each tensor on the mesh, what every chip holds, (chips, ...)."""
    if isinstance(result, ttnn.Tensor):
        return torch.stack(list(shards_of(result).values())).float()
    return tuple(map(outcome, result)) if isinstance(result, (list, tuple)) else result


def same(result, right) -> bool:
    """Equal, for tensors within 2 % of the largest value: bfloat16 keeps 8 bits."""
    if isinstance(right, torch.Tensor):
        if not isinstance(result, torch.Tensor) or result.shape != right.shape:
            return False
        return torch.allclose(result.float(), right.float(), rtol=0, atol=0.02 * right.abs().max().item())
    if isinstance(right, float):
        return isinstance(result, (int, float)) and math.isclose(result, right, rel_tol=1e-6)
    if isinstance(right, AtMost):
        return all(sent <= right.allows(axis) for axis, sent in result.items())
    if isinstance(right, tuple):
        return isinstance(result, tuple) and len(result) == len(right) and all(map(same, result, right))
    return type(result) is type(right) and result == right


def difference(results: list, cases: list, function: Callable) -> str:
    """What the first wrong result should have been. Arguments have the names that `function` gives them."""
    (args, right), result = next((case, r) for case, r in zip(cases, results) if not same(r, case[1]))
    if isinstance(right, tuple) and isinstance(right[-1], AtMost):
        (result, sent), (right, enough) = result, right
        if same(result, right):
            return f"The values are right. {too_much(sent, enough)}"
    if of_chips(right):
        return difference_on_mesh(result, right)
    if "tensor" in sort_of(right):
        wanted, found = sort_of(right), sort_of(result)
        return "The shapes are right, the values are not." if wanted == found else f"Wanted: {wanted}. Got: {found}."
    whole = " Whole numbers are wanted: divide with //." if result == right else ""
    return f"For {named(args, function)} it should give {right}, and gave {result}.{whole}"


def of_chips(right) -> bool:
    """Whether tensors on the mesh are wanted: then there is a part for each chip."""
    if isinstance(right, tuple):
        return bool(right) and all(map(of_chips, right))
    chips = current_mesh().get_num_devices()
    return isinstance(right, torch.Tensor) and right.ndim > 0 and right.shape[0] == chips > 1


def too_much(sent: dict[str, int], enough: AtMost) -> str:
    axis = next(axis for axis, size in sent.items() if size > enough.allows(axis))
    if axis == "calls":
        return f"{sent[axis]} times the chips exchange something, and {enough[axis]} is enough."
    return f"{sent[axis]:,} bytes go over the busiest link along {axis}, and {enough.get(axis, 0):,} are enough."


def named(args: tuple, function: Callable) -> str:
    """Arguments as a call would name them: length=96, axis=0"""
    names = inspect.signature(function).parameters
    return ", ".join(f"{name}={value}" for name, value in zip(names, args))


def difference_on_mesh(result, right: torch.Tensor | tuple[torch.Tensor, ...]) -> str:
    if isinstance(right, tuple):
        if not isinstance(result, tuple) or len(result) != len(right):
            return f"It should return {len(right)} tensors on the mesh."
        n = next(n for n, pair in enumerate(zip(result, right)) if not same(*pair))
        return f"Of the {len(right)} tensors number {n + 1}: {difference_on_mesh(result[n], right[n])}"
    if not isinstance(result, torch.Tensor) or result.shape[:1] != right.shape[:1]:
        return f"It should return a tensor on the mesh, and returned {type(result).__name__}."
    if result.shape != right.shape:
        return f"Each chip should hold {tuple(right.shape[1:])}, and holds {tuple(result.shape[1:])}."
    wrong = [chip for chip, (mine, its) in enumerate(zip(result, right)) if not same(mine, its)]
    return f"The shapes are right, the values are wrong on {len(wrong)} of {len(right)} chips."


def sort_of(value) -> str:
    """What kind of thing: tensors with their shapes, anything else by its type."""
    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)}"
    return " and ".join(map(sort_of, value)) if isinstance(value, tuple) else type(value).__name__
