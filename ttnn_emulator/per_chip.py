"""A golden function chip by chip: called once for all chips that hold the same in every input."""

import functools
import operator

import torch

from ttnn_emulator.memory import Shards


@functools.lru_cache(1024)
def stand_in(number: int, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    """For the input of that number: a tensor without values, which fails where they are asked for."""
    return torch.empty(shape, dtype=dtype, device="meta")


def per_chip(golden, arguments, inputs: list[Shards], num_chips: int) -> list[Shards]:
    """Each output on all chips; the golden function is called once for chips that hold the same in every input."""
    numbers, which = joined(tuple(shards.which for shards in inputs)) if inputs else ([()], (0,) * num_chips)
    calls = [arguments([shards.distinct[number] for shards, number in zip(inputs, row)]) for row in numbers]
    values = [value for shards in inputs for value in shards.distinct]
    versions = [value._version for value in values]
    results = [golden(*args, **kwargs) for args, kwargs in calls]
    if versions != [value._version for value in values]:
        raise RuntimeError("it wrote over its inputs")
    return [Shards(list(values), which) for values in zip(*map(torch_tensors_in, results))]


def of_one_value_each(golden, arguments, row: list[torch.Tensor]):
    args, kwargs = arguments(row)
    return golden(*args, **kwargs)


@functools.lru_cache(1024)
def joined(patterns: tuple[tuple[int, ...], ...]) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Of several tensors' `Shards.which`: the different rows of numbers that chips have, and which one each has."""
    by_chip = list(zip(*patterns))
    number = {row: number for number, row in enumerate(dict.fromkeys(by_chip))}
    return list(number), tuple(number[row] for row in by_chip)


def maker(part, number_of):
    """A function of a chip's values of all inputs that makes an argument, the value in the place of its stand-in."""
    if id(part) in number_of:
        return operator.itemgetter(number_of[id(part)])
    if isinstance(part, (list, tuple)):
        makers = [maker(element, number_of) for element in part]
        return lambda row: type(part)([make(row) for make in makers])
    if isinstance(part, torch.Tensor) and part.is_meta:
        raise NotImplementedError("its preparation of arguments computes with values; do that in the function itself")
    return lambda row: part


def torch_tensors_in(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for part in value for tensor in torch_tensors_in(part)] if isinstance(value, (list, tuple)) else []
