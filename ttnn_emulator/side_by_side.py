"""The same work on several lines of chips: done once, on their tensors side by side, where these are small.

Torch takes longer to be called than for what there is to do with small tensors, and along the lines of a mesh all is
alike but the numbers. So one line hands on and adds up for several: each of its tensors is a stack, the lines in front.
What works so counts dimensions from the end.
"""

from collections.abc import Callable

import torch

from ttnn_emulator.shards import AT_ONCE_UP_TO

Held = list[list[torch.Tensor]]  # for each argument, the tensors of a line's chips


def on_lines(function: Callable, new_line: Callable, lines: list[Held]) -> list[tuple]:
    """For each line (the Line that worked for it, what function(that Line, *its tensors) gave for each of its chips).

    new_line(lead): a Line whose tensors have so many dimensions in front. It counts what crosses a wire of one of the
    lines that it worked for. Lines that hold the same objects share.
    """
    keys = [tuple(id(tensor) for tensors in held for tensor in tensors) for held in lines]
    distinct, alike, results = dict(zip(keys, lines)), {}, {}
    for key in distinct:
        alike.setdefault(pattern(key), []).append(key)
    small = sum(tensors[0].numel() for tensors in lines[0]) <= AT_ONCE_UP_TO
    for several in alike.values():
        for some in [several] if small else [[key] for key in several]:
            line, held = new_line(int(len(some) > 1)), [distinct[key] for key in some]
            values = stacked(function, line, held) if len(some) > 1 else [function(line, *held[0])]
            results.update((key, (line, of_line)) for key, of_line in zip(some, values))
    return [results[key] for key in keys]


def stacked(function, line, lines: list[Held]) -> list[list]:
    """What function gives for each of several lines, in which the same places hold the same object."""
    stacks, apart = {}, {}
    for of_argument in zip(*lines):
        for column in zip(*of_argument):
            if id(column[0]) not in stacks:
                stacks[id(column[0])] = torch.stack(column)

    def unbound(value, number: int):
        if isinstance(value, (list, tuple)):
            return [unbound(part, number) for part in value]
        if id(value) not in apart:
            apart[id(value)] = value.unbind()
        return apart[id(value)][number]

    values = function(line, *([stacks[id(x)] for x in tensors] for tensors in lines[0]))
    return [[unbound(value, number) for value in values] for number in range(len(lines))]


def pattern(key: tuple[int, ...]) -> tuple[int, ...]:
    """Which places are alike: for each the first that is."""
    first = {}
    return tuple(first.setdefault(number, place) for place, number in enumerate(key))
