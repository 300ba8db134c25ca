"""The exercises of notebook 05. Each reference is one right answer; the tests prove every named mistake."""

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
import ttnn
from diffusers import FlowMatchEulerDiscreteScheduler

from helpers.exercises import Exercise


def shifted(sigma, shift):
    return shift * sigma / (1 + (shift - 1) * sigma)


def shift_cases():
    """diffusers' scheduler shifts the sigmas 1, 0.999, ... 0.001 when it is made."""
    of = lambda shift, sigma: FlowMatchEulerDiscreteScheduler(shift=shift).sigmas[1000 - round(1000 * sigma)].item()
    return [((sigma, shift), of(shift, sigma)) for sigma, shift in ((0.5, 3.0), (0.2, 3.0), (0.7, 1.5), (1.0, 6.0))]


def stills_needed(seconds, fps, hold, fade):
    return math.ceil((seconds * fps - fade) / (hold - fade))


def film_cases():
    """By gluing one still after the other, frame by frame, until the film is long enough"""
    cases = []
    for seconds, fps, hold, fade in ((10, 12, 24, 6), (5, 24, 16, 8), (7, 30, 45, 20), (3, 12, 9, 2)):
        film, stills = [0] * hold, 1
        while len(film) < seconds * fps:
            film = film[:-fade] + [stills] * hold
            stills += 1
        cases.append(((seconds, fps, hold, fade), stills))
    return cases


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


def temporal_attention(x):
    x = x.transpose(0, 1)
    weights = (x @ x.transpose(1, 2) / x.shape[2] ** 0.5).softmax(dim=-1)
    return (weights @ x).transpose(0, 1)


def attention_cases():
    """torch's own attention, one position after the other"""
    cases = []
    for seed, shape in ((1, (5, 7, 3)), (2, (8, 2, 6))):
        x = 1.5 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        each = [F.scaled_dot_product_attention(one, one, one) for one in x.transpose(0, 1)[:, None]]
        cases.append(((x,), torch.cat(each).transpose(0, 1)))
    return cases


def attend(x, scale=None, dim=-1):
    """Attention of the rows of each matrix in x to each other"""
    scores = x @ x.transpose(-2, -1) / (x.shape[-1] ** 0.5 if scale is None else scale)
    return scores.softmax(dim=dim) @ x


def over_time(attention):
    return lambda x: attention(x.transpose(0, 1)).transpose(0, 1)


def flicker(video):
    return 1 - np.abs(video[1:] - video[:-1]).mean()


def flicker_cases():
    """Number by number"""
    cases = []
    for seed, frames in ((3, 3), (4, 4)):
        video = np.random.default_rng(seed).random((frames, 2, 1, 3)).round(2)
        changes = [abs(b - a) for before, after in pairwise(video) for a, b in zip(before.flat, after.flat)]
        cases.append(((video,), 1 - float(sum(changes)) / len(changes)))
    return cases


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

stills_needed = Exercise(
    "stills_needed",
    stills_needed,
    film_cases,
    mistakes={
        "the fades are forgotten. There, two stills share the same frames.": lambda s, r, h, f: math.ceil(s * r / h),
        "that is one fade too many: n stills have n - 1 gaps.": lambda s, r, h, f: math.ceil(s * r / (h - f)),
        "rounded down, the film is a little too short.": lambda s, r, h, f: (s * r - f) // (h - f),
        "a fade makes the film longer in this sum. It lays two stills over each other: it takes frames away.": (
            lambda s, r, h, f: math.ceil((s * r + f) / (h + f))
        ),
        "seconds are counted as frames. There are fps frames in each second.": lambda s, r, h, f: math.ceil(
            (s - f) / (h - f)
        ),
    },
    hints=(
        "How many frames have one still, two stills, three stills?",
        "The first still brings hold frames, every further one hold - fade.",
        "n stills have fade + n * (hold - fade) frames. Find the smallest n for seconds * fps, with math.ceil.",
    ),
    discussion=(
        "n stills overlap in n - 1 fades: n * hold - (n - 1) * fade frames. Solved for n, and rounded up. Counting up "
        "in a loop until the film is long enough gives the same and is harder to get wrong."
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

temporal_attention = Exercise(
    "temporal_attention",
    temporal_attention,
    attention_cases,
    mistakes={
        "the positions of one frame attend to each other. A picture model does that; here frames attend.": attend,
        "everything attends to everything. Only frames of the same position do.": lambda x: attend(
            x.flatten(0, 1)
        ).view_as(x),
        "frames and positions are mixed up: reshape keeps the numbers in their order. Use transpose.": lambda x: attend(
            x.reshape(x.shape[1], x.shape[0], -1)
        ).reshape(x.shape),
        "the result has positions first. Transpose it back.": lambda x: attend(x.transpose(0, 1)),
        "the scores are not divided by the square root of the channels.": over_time(lambda x: attend(x, scale=1)),
        "the scores are divided by the channels, not by their square root.": over_time(
            lambda x: attend(x, scale=x.shape[-1])
        ),
        "the softmax runs over the frames that ask. The weights of each asking frame have the sum 1.": over_time(
            lambda x: attend(x, dim=-2)
        ),
    },
    hints=(
        "Bring positions to the front, so that each position has one small matrix, (frames, channels).",
        "Of that matrix: scores of all frames with all frames, over the root of channels; softmax; times the matrix.",
        "x = x.transpose(0, 1); w = (x @ x.transpose(1, 2) / x.shape[2] ** 0.5).softmax(-1); (w @ x).transpose(0, 1)",
    ),
    discussion=(
        "Positions never look at each other here, so they are the batch, and time is the sequence. reshape in place "
        "of transpose has the same shape and mixes the two. On chips, positions are what one would cut: nothing would "
        "have to be sent."
    ),
)

flicker = Exercise(
    "flicker",
    flicker,
    flicker_cases,
    mistakes={
        "that is the difference of frames. A still picture should get 1, so take it from 1.": lambda v: np.abs(
            np.diff(v, axis=0)
        ).mean(),
        "brighter and darker cancel each other. Take absolute values before the mean.": lambda v: (
            1 - np.diff(v, axis=0).mean()
        ),
        "the mean is taken before the absolute value. Take absolute values first.": lambda v: (
            1 - abs(np.diff(v, axis=0).mean())
        ),
        "frames are compared with the first one. Compare neighbours.": lambda v: 1 - np.abs(v[1:] - v[0]).mean(),
        "differences are squared. Take their absolute values.": lambda v: 1 - (np.diff(v, axis=0) ** 2).mean(),
        "colours lie between 0 and 1 here, so nothing is divided by 255.": lambda v: (
            1 - np.abs(np.diff(v, axis=0)).mean() / 255
        ),
        "that is the largest change. Take the mean of all.": lambda v: 1 - np.abs(np.diff(v, axis=0)).max(),
    },
    hints=(
        "video[1:] are all frames but the first, video[:-1] all but the last. They have one shape.",
        "How far apart are they, on average, whatever the sign?",
        "1 - np.abs(video[1:] - video[:-1]).mean()",
    ),
    discussion=(
        "It measures change, not wrongness: a photograph gets a full mark. So it is read together with the degree of "
        "motion, and never alone."
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
