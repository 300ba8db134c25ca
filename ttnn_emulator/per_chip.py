"""A golden function chip by chip: called once for all chips that hold the same in every input."""

import functools
import itertools
import math
import operator
import warnings

import torch

from ttnn_emulator.shards import AT_ONCE_UP_TO, Shards


@functools.lru_cache(1024)
def stand_in(number: int, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    """For the input of that number: a tensor without values, which fails where they are asked for."""
    return torch.empty(shape, dtype=dtype, device="meta")


MAPPED_FROM = 8  # so many calls take longer than one with torch.vmap
one_by_one = set()  # golden functions that torch.vmap refuses

# Ops that take values of several chips in one dimension more, in front, and so need no torch.vmap, which takes longer
# than most of what they do: number by number, or counting dimensions from the end, all operands of one rank; or along
# the last dimensions of the first operand, with others that are the same for all.
NUMBER_BY_NUMBER = {f"ttnn.{name}" for name in ("add", "subtract", "multiply", "silu", "gelu", "tanh")}
HEADS = ("nlp_create_qkv_heads", "nlp_concat_heads", "rotary_embedding_llama")
OF_ONE_RANK = NUMBER_BY_NUMBER | {f"ttnn.experimental.{name}" for name in HEADS}
OF_THE_FIRST = {f"ttnn.{name}" for name in ("matmul", "linear", "rms_norm", "layer_norm", "experimental.conv3d")}
PRODUCTS = {"ttnn.matmul", "ttnn.linear"}  # of the first operand, and nothing of it transposed


def per_chip(golden, arguments, inputs: list[Shards], num_chips: int, name: str = "") -> list[Shards]:
    """Each output on all chips; the golden function is called once for chips that hold the same in every input.

    Small calls are made at once, on stacked values: torch takes longer to be called than for what there is to do.
    name: of the op, where its operands stand in their usual order.
    """
    numbers, which = joined(tuple(shards.which for shards in inputs)) if inputs else (((),), (0,) * num_chips)
    call, outputs = (golden, arguments, inputs, numbers, which), None
    if len(numbers) == 1:
        return row_by_row(*call)
    sizes = [math.prod(shards.shape) for shards in inputs]
    if name in PRODUCTS and sizes[0] <= AT_ONCE_UP_TO:
        outputs = multiplied(*call)
    if outputs is None and name in OF_THE_FIRST and sizes[0] <= AT_ONCE_UP_TO:
        outputs = led_by_the_first(*call)
    if outputs is None and sum(sizes) <= AT_ONCE_UP_TO:
        outputs = all_at_once(*call, name)
    return row_by_row(*call) if outputs is None else outputs


def row_by_row(golden, arguments, inputs: list[Shards], numbers, which) -> list[Shards]:
    """numbers: the different rows, in each the number of every input's value; which: the row that each chip has."""
    with Untouched(inputs):
        rows = ([shards.distinct[number] for shards, number in zip(inputs, row)] for row in numbers)
        results = [torch_tensors_in(of_one_value_each(golden, arguments, row)) for row in rows]
    return [Shards(list(output), which) for output in zip(*results)]


def all_at_once(golden, arguments, inputs: list[Shards], numbers, which, name: str) -> list[Shards] | None:
    """By one call for all rows; None where it cannot be, or where there are too few rows for torch.vmap."""
    alike = name in OF_ONE_RANK and len({len(shards.shape) for shards in inputs}) == 1
    if not alike and (len(numbers) < MAPPED_FROM or golden in one_by_one):
        return None
    rows = [shards.rows(places) for shards, places in zip(inputs, zip(*numbers))]
    with Untouched(inputs):
        stacks = (broadcast if alike else mapped)(golden, arguments, rows)
    return stacks and [Shards(None, which, stack) for stack in stacks]


class Untouched:
    """Raises RuntimeError where its `with` block writes over a value."""

    def __init__(self, inputs: list[Shards]):
        self.values = [value for shards in inputs for value in shards.kept]
        self.versions = [value._version for value in self.values]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if error is None and self.versions != [value._version for value in self.values]:
            raise RuntimeError("it wrote over its inputs")


@functools.lru_cache(1024)
def by_the_others(numbers: tuple[tuple[int, ...], ...], which: tuple[int, ...]) -> tuple[dict, tuple[int, ...]]:
    """Rows that differ in the first input alone: {numbers of the others: those of the first}, and `which` so ordered"""
    groups = {}
    for place, (first, *others) in enumerate(numbers):
        groups.setdefault(tuple(others), {})[first] = place
    order = {place: new for new, place in enumerate(place for rows in groups.values() for place in rows.values())}
    return {others: tuple(rows) for others, rows in groups.items()}, tuple(order[number] for number in which)


def multiplied(golden, arguments, inputs: list[Shards], numbers, which) -> list[Shards] | None:
    """Products with a matrix, and perhaps a row that is added, by one call: rows of equal matrices below each other.

    None where chips hold several matrices each, or the matrices meet different numbers of first factors.
    """
    first, *others = inputs
    groups, which = by_the_others(numbers, which)
    met, shapes = list(groups.values()), [shards.shape for shards in others]
    alone = all(len(shape) == len(first.shape) > 1 and math.prod(shape[:-2]) == 1 for shape in shapes)
    if not shapes or not alone or any(shape[-2] != 1 for shape in shapes[1:]) or len(set(map(len, met))) > 1:
        return None
    met_by_all = len(set(met)) == 1
    value, _ = first.rows(met[0] if met_by_all else tuple(itertools.chain(*met)))
    rows = [value.reshape(1, 1 if met_by_all else len(groups), -1, first.shape[-1]).expand(1, len(groups), -1, -1)]
    for shards, places in zip(others, zip(*groups)):
        value, _ = shards.rows(places)
        rows.append(value.reshape(1, -1, *shards.shape[-2:]))
    with Untouched(inputs):
        product = of_one_value_each(golden, arguments, rows)
    return [Shards(None, which, product.reshape(-1, *first.shape[:-1], product.shape[-1]))]


def led_by_the_first(golden, arguments, inputs: list[Shards], numbers, which) -> list[Shards] | None:
    """The output, by one call for all rows that differ in the first input alone.

    None where few do, or where another input has more dimensions, which a stack would meet.
    """
    groups, which = by_the_others(numbers, which)
    larger = any(len(shards.shape) > len(inputs[0].shape) for shards in inputs)
    if larger or len(groups) > len(numbers) // 2:
        return None
    led, stacks = [inputs[0].rows(places) for places in groups.values()], []
    with Untouched(inputs):
        for numbers_of_others, (value, dim) in zip(groups, led):
            others = (shards.distinct[number] for shards, number in zip(inputs[1:], numbers_of_others))
            stacks.append(of_one_value_each(golden, arguments, [value if dim == 0 else value[None], *others]))
    return [Shards(None, which, stacks[0] if len(stacks) == 1 else torch.cat(stacks))]


def broadcast(golden, arguments, rows: list[tuple[torch.Tensor, int | None]]) -> tuple[torch.Tensor, ...]:
    """Each output of all rows, stacked, of a function that does not mind a dimension in front."""
    return tuple(torch_tensors_in(of_one_value_each(golden, arguments, [value for value, _ in rows])))


def mapped(golden, arguments, rows: list[tuple[torch.Tensor, int | None]]) -> tuple[torch.Tensor, ...] | None:
    """Each output of all rows, stacked, by one call; None where torch cannot do that, which is remembered."""
    call = lambda *row: tuple(torch_tensors_in(of_one_value_each(golden, arguments, row)))
    try:
        with warnings.catch_warnings(action="error"):  # torch warns where it would go row by row itself
            return torch.vmap(call, in_dims=tuple(dim for _, dim in rows))(*(value for value, _ in rows))
    except Exception:  # it looks at values, draws numbers, writes in place; or is wrong, and says so chip by chip too
        one_by_one.add(golden)
        return None


def of_one_value_each(golden, arguments, row: list[torch.Tensor]):
    args, kwargs = arguments(row)
    return golden(*args, **kwargs)


@functools.lru_cache(1024)
def joined(patterns: tuple[tuple[int, ...], ...]) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Of several tensors' `Shards.which`: the different rows of numbers that chips have, and which one each has."""
    by_chip = list(zip(*patterns))
    number = {row: number for number, row in enumerate(dict.fromkeys(by_chip))}
    return tuple(number), tuple(number[row] for row in by_chip)


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
