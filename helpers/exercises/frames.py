"""The exercises of notebook 05. Each reference is one right answer; the tests prove every named mistake."""

import math

import numpy as np
import ttnn
from diffusers import FlowMatchEulerDiscreteScheduler

from helpers.exercises import Exercise
from helpers.exercises.on_chip import attention_over_chips, flicker, look, temporal_attention

__all__ = [
    "attention_over_chips", "box_at", "flicker", "look", "shifted", "temporal_attention", "weight_bytes",
]  # fmt: skip


def shifted(sigma, shift):
    return shift * sigma / (1 + (shift - 1) * sigma)


def shift_cases():
    """diffusers' scheduler shifts the sigmas 1, 0.999, ... 0.001 when it is made."""
    of = lambda shift, sigma: FlowMatchEulerDiscreteScheduler(shift=shift).sigmas[1000 - round(1000 * sigma)].item()
    return [((sigma, shift), of(shift, sigma)) for sigma, shift in ((0.5, 3.0), (0.2, 3.0), (0.7, 1.5), (1.0, 6.0))]


def box_at(start, end, frame, frames):
    share = frame / (frames - 1)
    return tuple(a + share * (b - a) for a, b in zip(start, end))


def box_cases():
    paths = (
        ((0.1, 0.2, 0.9, 0.8), (0.3, 0.25, 0.7, 0.55), 4, 16),
        ((24.0, 12.0, 72.0, 60.0), (2.0, 4.0, 92.0, 94.0), 6, 7),
        ((0.5, 0.1, 0.7, 0.3), (0.05, 0.3, 0.95, 0.8), 1, 31),
    )
    return [((*boxes, n, count), tuple(np.linspace(*boxes, count)[n].tolist())) for *boxes, n, count in paths]


def weight_bytes(parameters, dtype):
    return 2 * parameters if dtype == "bfloat16" else parameters + parameters // 16


def weight_cases():
    """From the size of a tile, as ttnn has it"""
    tile = lambda dtype: ttnn.Tile((32, 32)).get_tile_size(getattr(ttnn, dtype))
    sizes = [(tiles, dtype) for tiles in (3, 700, 2_000_000) for dtype in ("bfloat16", "bfloat8_b")]
    return [((1024 * tiles, dtype), tiles * tile(dtype)) for tiles, dtype in sizes]


shifted = Exercise(
    "shifted",
    shifted,
    shift_cases,
    mistakes={
        "the odds are divided by the shift. Multiply them: there is more noise afterwards, not less.": (
            lambda s, k: s / (k - (k - 1) * s)
        ),
        "these are the odds, not the share. Odds of 3 to 1 are a share of 3 / (3 + 1).": (
            lambda s, k: k * s / (1 - s) if s < 1 else math.inf
        ),
        "sigma itself is multiplied. It would pass 1. Multiply the odds.": lambda s, k: k * s,
        "the share is taken of the wrong whole. The odds are sigma to 1 - sigma; only the first is multiplied.": (
            lambda s, k: k * s / (1 + k * s)
        ),
        "sigma is as it was. Something has to happen to it.": lambda s, k: s,
    },
    hints=(
        "With sigma 0.5 the odds of noise to picture are 1 to 1. A shift of 3 makes them 3 to 1: the share is 3/4.",
        "The odds are sigma to (1 - sigma). Multiplied they are shift * sigma to (1 - sigma).",
        "The share is the first over the sum of both: shift * sigma / (shift * sigma + 1 - sigma).",
    ),
    discussion=(
        "Multiplying odds keeps 0 at 0 and 1 at 1, which multiplying the share does not. More pixels average more "
        "noise away, so large pictures need more of it to hide the same: that is what the shift is for."
    ),
)

box_at = Exercise(
    "box_at",
    box_at,
    box_cases,
    mistakes={
        "the camera never arrives. Frames count from 0, so the last one is number frames - 1.": lambda a, b, n, t: (
            tuple(x + n / t * (y - x) for x, y in zip(a, b))
        ),
        "the camera goes backwards. At frame 0 it is at the start.": lambda a, b, n, t: tuple(
            y + n / (t - 1) * (x - y) for x, y in zip(a, b)
        ),
        "the box keeps its size. The right and the bottom edge move for themselves.": lambda a, b, n, t: (
            *(x + n / (t - 1) * (y - x) for x, y in zip(a[:2], b[:2])),
            *(x + n / (t - 1) * (y - x) + z - x for x, y, z in zip(a[:2], b[:2], a[2:])),
        ),
        "that is how far the edges have moved. Add where they started.": lambda a, b, n, t: tuple(
            n / (t - 1) * (y - x) for x, y in zip(a, b)
        ),
        "the whole way is gone in every frame. Frame n has gone n of frames - 1 parts of it.": lambda a, b, n, t: tuple(
            x + n * (y - x) for x, y in zip(a, b)
        ),
    },
    hints=(
        "Each of the four edges goes its own way, from start to end, at a steady pace.",
        "What share of the way is gone at frame 0, at the last frame, and in the middle?",
        "share = frame / (frames - 1), and for each pair of edges a + share * (b - a).",
    ),
    discussion=(
        "frames boxes have frames - 1 steps between them, so the last frame is the end itself. np.linspace does the "
        "same. Equal steps start and stop with a jerk; an ease-in would put a curve on share and change nothing else."
    ),
)

weight_bytes = Exercise(
    "weight_bytes",
    weight_bytes,
    weight_cases,
    mistakes={
        "the exponents are missing: 16 numbers of bfloat8_b share one byte more.": lambda n, t: (
            2 * n if t == "bfloat16" else n
        ),
        "each number has an exponent of its own here. In bfloat8_b 16 of them share one.": lambda n, t: 2 * n,
        "a whole tile shares one exponent here. In bfloat8_b each row of 16 has its own.": lambda n, t: (
            2 * n if t == "bfloat16" else n + n // 1024
        ),
        "these are bits. A byte has 8 of them.": lambda n, t: 16 * n if t == "bfloat16" else 8 * n + 8 * n // 16,
        "bfloat16 has 16 bits, which are 2 bytes.": lambda n, t: 4 * n if t == "bfloat16" else n + n // 16,
    },
    hints=(
        "bfloat16: 16 bits a number, nothing else.",
        "bfloat8_b: 16 numbers are 16 bytes, and one byte for their exponent. That is 17 bytes for 16 numbers.",
        "2 * parameters, or parameters + parameters // 16.",
    ),
    discussion=(
        "16 numbers share one exponent of a byte, so 17 bytes in place of 32. bfloat4_b would be 9. What is saved is "
        "also what need not be read from memory, so speed follows size where a layer waits for its weights."
    ),
)
