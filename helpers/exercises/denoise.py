"""The exercises of notebook 03. Each reference is one right answer; the tests prove every named mistake."""

import torch

from helpers.exercises import Exercise
from helpers.exercises.block import block, turned_on_chips
from helpers.exercises.ring import pass_on, ring_attention

__all__ = ["block", "merge", "pass_on", "ring_attention", "turned_on_chips"]


def merge(one, other):
    (out_1, max_1, sum_1), (out_2, max_2, sum_2) = one, other
    top = torch.maximum(max_1, max_2)
    scale_1, scale_2 = torch.exp(max_1 - top), torch.exp(max_2 - top)
    return scale_1 * out_1 + scale_2 * out_2, top, scale_1 * sum_1 + scale_2 * sum_2


def merge_cases():
    """Two blocks of keys, the larger scores now in the one, now in the other; right is softmax over both at once."""
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(7, 11, generator=generator) + torch.linspace(-2, 2, 7)[:, None] * (torch.arange(11) < 4)
    values = torch.randn(11, 3, generator=generator)

    def over(keys):
        top = scores[:, keys].amax(1, keepdim=True)
        weights = torch.exp(scores[:, keys] - top)
        return weights @ values[keys], top, weights.sum(1, keepdim=True)

    return [((over(slice(0, 4)), over(slice(4, 11))), over(slice(0, 11)))]


merge = Exercise(
    "merge",
    merge,
    merge_cases,
    mistakes={
        "the two parts have different maxima. Bring both to the larger one before adding.": lambda one, other: (
            one[0] + other[0],
            torch.maximum(one[1], other[1]),
            one[2] + other[2],
        ),
        "the factor is upside down: a part with the smaller maximum must shrink. exp(its maximum - the larger one).": (
            lambda one, other: scaled_sum(one, other, -1)
        ),
        "the outputs are scaled, the sums are not. Both were made with the old maximum.": lambda one, other: (
            scaled_sum(one, other, 1)[0],
            torch.maximum(one[1], other[1]),
            one[2] + other[2],
        ),
        "the outputs are divided by their sums already. That comes once, after the last block.": lambda one, other: (
            scaled_sum((one[0] / one[2], *one[1:]), (other[0] / other[2], *other[1:]), 1)
        ),
    },
    hints=(
        "exp(score - old) is exp(score - new) times a number that is the same for all keys. Which one?",
        "That number is exp(old - new). It applies to the output and to the sum of the part.",
        "top = torch.maximum(max_1, max_2); each part times exp(its maximum - top); then add, and return all three.",
    ),
    discussion=(
        "Exponentials of large scores do not fit any number format, so each heap is kept relative to its own largest "
        "score. Two heaps have two of them: bring both to the larger one first, then everything adds. It does not "
        "matter in which order heaps arrive, which is what lets the blocks of a ring come as they like."
    ),
)


def scaled_sum(one, other, sign):
    top = torch.maximum(one[1], other[1])
    a, b = torch.exp(sign * (one[1] - top)), torch.exp(sign * (other[1] - top))
    return a * one[0] + b * other[0], top, a * one[2] + b * other[2]
