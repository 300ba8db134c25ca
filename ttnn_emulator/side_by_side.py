"""The same work on several lines of chips: done once, on their tensors side by side, where these are small.

Torch takes longer to be called than for what there is to do with small tensors, and along the lines of a mesh all is
alike but the numbers. So one line hands on and adds up for several: each of its tensors is a stack, the lines in front.
What works so counts dimensions from the end.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from ttnn_emulator.shards import AT_ONCE_UP_TO, Shards

Chips = tuple[int, ...]  # of a line, in their order


class Group(NamedTuple):
    """Lines that work as one."""

    holds: list[list[tuple[int, ...]]]  # for each argument and place: of each different line the number of its value
    lines: tuple[tuple[Chips, ...], ...]  # for each different line all that hold the same


def on_lines(function: Callable, new_line: Callable, lines: tuple[Chips, ...], held: list[Shards]):
    """(what function(line, *tensors of its chips) gives each chip, [(lines, the Line that worked for each of them)]).

    For each chip the function gives a tensor, or several in a list or tuple: then the first is a tuple of Shards.
    new_line(lead): a Line whose tensors have so many dimensions in front. Lines that hold the same share.
    """
    small = sum(math.prod(shards.shape) for shards in held) <= AT_ONCE_UP_TO
    found, given, worked = groups(tuple(shards.which for shards in held), lines, small), [], []
    for group in found:
        several = len(group.lines) > 1
        line = new_line(int(several))
        given.append(function(line, *(tensors(*of_argument, several) for of_argument in zip(held, group.holds))))
        worked += [(chips, line) for alike in group.lines for chips in alike]
    if isinstance(given[0][0], torch.Tensor):
        return together(found, given), worked
    outputs = zip(*(zip(*of_group, strict=True) for of_group in given), strict=True)
    return tuple(together(found, list(output)) for output in outputs), worked


@functools.lru_cache(256)
def groups(which: tuple[Chips, ...], lines: tuple[Chips, ...], small: bool) -> list[Group]:
    """which: of each argument, see Shards. Small tensors' lines that hold the same in the same places are a group."""
    lines_with, alike = {}, {}
    for chips in lines:
        key = tuple(tuple(numbers[chip] for chip in chips) for numbers in which)
        lines_with.setdefault(key, []).append(chips)
    for key in lines_with:
        alike.setdefault(tuple(map(pattern, key)) if small else key, []).append(key)
    return [
        Group([list(zip(*of_argument)) for of_argument in zip(*keys)], tuple(tuple(lines_with[key]) for key in keys))
        for keys in alike.values()
    ]


def pattern(key: tuple[int, ...]) -> tuple[int, ...]:
    """For each place how many different ones come before the first like it."""
    numbers = {}
    return tuple(numbers.setdefault(number, len(numbers)) for number in key)


def tensors(shards: Shards, places: list[tuple[int, ...]], several: bool) -> list[torch.Tensor]:
    """What the chips of a line hold; of several lines side by side. What is the same is one object."""
    value = shards.some if several else lambda numbers: shards.distinct[numbers[0]]
    made = {numbers: value(numbers) for numbers in dict.fromkeys(places)}
    return [made[numbers] for numbers in places]


def together(found: list[Group], given: list[list[torch.Tensor]]) -> Shards:
    """given: for each group a tensor for each place of a line, which holds what all its lines get."""
    if len(found) == 1 and len(found[0].lines) > 1:
        objects = list({id(tensor): tensor for tensor in given[0]}.values())
        which, by_lines = arranged(found[0].lines, pattern(tuple(map(id, given[0]))))
        if len(objects) == 1:
            return Shards(None, which, objects[0])
        return Shards(None, which, torch.stack(objects, 1).flatten(0, 1) if by_lines else torch.cat(objects))
    by_chip = {}
    for group, values in zip(found, given):
        apart = {id(value): value.unbind() if len(group.lines) > 1 else [value] for value in values}
        for number, alike in enumerate(group.lines):
            for chips in alike:
                by_chip.update((chip, apart[id(value)][number]) for chip, value in zip(chips, values, strict=True))
    return Shards.of([by_chip[chip] for chip in range(len(by_chip))])


@functools.lru_cache(256)
def arranged(lines: tuple[tuple[Chips, ...], ...], objects: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
    """(`Shards.which` of a group's chips, whether what a line gets lies together, or what a place gets).

    objects: for each place the number of the tensor that holds what it gets, a line behind the other. What lies in the
    order of the chips needs no sorting later.
    """
    num_objects, by_lines, by_places = max(objects) + 1, {}, {}
    for number, alike in enumerate(lines):
        for chips in alike:
            for chip, one in zip(chips, objects, strict=True):
                by_lines[chip] = number * num_objects + one
                by_places[chip] = one * len(lines) + number
    by_lines, by_places = ([which[chip] for chip in range(len(which))] for which in (by_lines, by_places))
    in_order = pattern(tuple(by_places)) == tuple(by_places)
    return tuple(by_places if in_order else by_lines), not in_order
