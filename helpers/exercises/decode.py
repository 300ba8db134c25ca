"""The exercises of notebook 04. Each reference is one right answer; the tests prove every named mistake."""

import math
import statistics

import torch
import ttnn

from helpers.collectives import all_reduce
from helpers.exercises import Exercise
from helpers.exercises.halos import halo_bytes, with_halo
from helpers.exercises.inputs import on_chips, tp_and_sp
from helpers.mesh import current_mesh
from helpers.tensors import shard

__all__ = ["activation_bytes", "frame_norm", "frames_of", "halo_bytes", "whole_statistics", "with_halo"]


def frames_of(latent):
    if latent == 0:
        return 0, 1
    return 6 * latent - 5, 6 * latent + 1


def frames_cases():
    """By dealing out frames: one to the first latent frame, six to each of the others."""
    frames, dealt = iter(range(1000)), []
    for latent in range(28):
        dealt.append([next(frames) for _ in range(6 if latent else 1)])
    return [((latent,), (dealt[latent][0], dealt[latent][-1] + 1)) for latent in (0, 1, 2, 5, 27)]


def whole_statistics(counts, means, variances):
    total = sum(counts)
    mean = sum(n * m for n, m in zip(counts, means)) / total
    squares = [v + (m - mean) ** 2 for m, v in zip(means, variances)]  # from the whole's mean
    return mean, sum(n * square for n, square in zip(counts, squares)) / total


def whole_mean(counts, means):
    return sum(n * m for n, m in zip(counts, means)) / sum(counts)


def statistics_cases():
    """Against the mean and variance of all values in one list."""
    cases = []
    for strips in (
        ([1.0, 4.0, 2.0], [7.0, 9.0, 12.0], [-3.0, 0.5, 1.0]),
        ([2.0, 3.0], [10.0, 11.0, 15.0, 17.0, 2.0], [6.0, -1.0, 0.0]),
    ):
        values = [value for strip in strips for value in strip]
        args = tuple(list(map(of, strips)) for of in (len, statistics.fmean, statistics.pvariance))
        cases.append((args, (statistics.fmean(values), statistics.pvariance(values))))
    return cases


def frame_norm(x, chips):
    own = lambda y: ttnn.mean(y, dim=2, keepdim=True)
    mean = lambda y: ttnn.multiply(all_reduce(own(y), "tp"), 1 / chips)
    x = ttnn.subtract(x, mean(x))
    return ttnn.multiply(x, ttnn.rsqrt(ttnn.add(mean(ttnn.multiply(x, x)), 1e-5)))


def norm_cases():
    """Every frame, every row and every channel has a level and a contrast of its own."""
    mesh, (tp, sp) = current_mesh(), tp_and_sp()
    generator = torch.Generator().manual_seed(8)
    draw = lambda *shape: torch.randn(shape, generator=generator)
    strip = 1.5 * draw(1, 2 * sp, tp, 1, 64)
    x = draw(1, 2 * sp, tp, 32, 64) * (0.4 + strip.abs()) + 2 * strip + 3 * draw(1, 2 * sp, 1, 1, 1)
    x = x.flatten(2, 3)
    whole = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
    return [((shard(x, mesh, dtype=ttnn.float32, sp=1, tp=2), tp), on_chips(whole, mesh, sp=1, tp=2))]


def own_mean(y):
    return ttnn.mean(y, dim=2, keepdim=True)


def mean_over(axis, factor):
    return lambda y: ttnn.multiply(all_reduce(own_mean(y), axis), factor)


def normed(x, mean, center=None):
    """Normed with one way to take the mean, and perhaps another for the point that the variance is taken around."""
    around = ttnn.subtract(x, (center or mean)(x))
    variance = mean(ttnn.multiply(around, around))
    return ttnn.multiply(ttnn.subtract(x, mean(x)), ttnn.rsqrt(ttnn.add(variance, 1e-5)))


def activation_bytes(frames, height, width, channels, time, space):
    sizes = []
    for c, t, s in zip(channels, time, space):
        frames, height, width = frames * t, height * s, width * s
        sizes.append(2 * frames * height * width * c)
    return sizes


def activation_cases():
    """Measured on tensors without memory that really grow."""
    cases = []
    for latents, channels, time, space in (
        ((28, 60, 106), (512, 256, 128), (3, 2, 1), (2, 2, 2)),
        ((6, 12, 10), (128, 96, 32), (3, 2, 1), (1, 2, 4)),
    ):
        x, sizes = torch.empty(latents, dtype=torch.bfloat16, device="meta"), []
        for c, t, s in zip(channels, time, space):
            x = x.repeat_interleave(t, 0).repeat_interleave(s, 1).repeat_interleave(s, 2)
            sizes.append(x[..., None].expand(*x.shape, c).contiguous().nbytes)
        cases.append(((*latents, channels, time, space), tuple(sizes)))
    return cases


def without_spare(frames, height, width, channels, time, space):
    *others, last = activation_bytes.reference(frames, height, width, channels, time, space)
    return [*others, last - 5 * last // (frames * math.prod(time))]


frames_of = Exercise(
    "frames_of",
    frames_of,
    frames_cases,
    mistakes={
        "it is upside down. One latent frame stands for six video frames.": lambda k: (k // 6, k // 6 + 1),
        "the first latent frame has one video frame only: all others start five earlier.": lambda k: (6 * k, 6 * k + 6),
        "latent frame 0 is frame 0 only. No frames come before the video.": lambda k: (6 * k - 5, 6 * k + 1),
        "the second number is the last frame, not the end.": lambda k: (max(0, 6 * k - 5), 6 * k),
    },
    hints=(
        "Write frames 0 to 12 in a row. Frame 0 belongs to latent frame 0, alone. Then come groups of six.",
        "Latent frame 1 has frames 1 to 6, latent frame 2 has 7 to 12. Where does latent frame k end?",
        "It ends before frame 6 k + 1 and starts six earlier; latent frame 0 starts at 0.",
    ),
    discussion=(
        "The first frame stands alone so that a single picture is a video of length one. max(0, 6 * k - 5) for the "
        "start saves the special case. All that this notebook says about time depends on this one off-by-five."
    ),
)


whole_statistics = Exercise(
    "whole_statistics",
    whole_statistics,
    statistics_cases,
    mistakes={
        "the mean of the means is right only where all strips have the same number of values.": lambda n, m, v: (
            statistics.fmean(m),
            whole_statistics.reference(n, m, v)[1],
        ),
        "strips are averaged as if all had the same number of values.": lambda n, m, v: whole_statistics.reference(
            [1] * len(n), m, v
        ),
        "the mean of the variances forgets that the strips' means differ.": (
            lambda n, m, v: (whole_mean(n, m), whole_mean(n, v))
        ),
        "a variance of variances says how different the strips' spreads are. It is not a spread of the values.": (
            lambda n, m, v: (whole_mean(n, m), statistics.pvariance(v))
        ),
        "the variance of the means forgets how far values lie from their own strip's mean.": (
            lambda n, m, v: whole_statistics.reference(n, m, [0] * len(v))
        ),
    },
    hints=(
        "Each strip counts as often as it has values.",
        "The mean square distance from any point c is: variance + (mean - c) squared.",
        "Take c as the mean of the whole, and average over the strips with their counts as weights.",
    ),
    discussion=(
        "Means add up with their counts as weights. Variances do not: what lies between the strips' means is missing. "
        "Sending the sums of x and of x * x would also work, with one exchange in place of two, but it takes the "
        "difference of two large numbers, which bfloat16 cannot afford."
    ),
)


frame_norm = Exercise(
    "frame_norm",
    frame_norm,
    norm_cases,
    needs_mesh=True,
    mistakes={
        "every chip norms its own rows. A frame's statistics need all its rows: an all_reduce along tp is missing.": (
            lambda x, chips: normed(x, own_mean)
        ),
        "the sum over the chips is not divided by their number.": lambda x, chips: normed(x, mean_over("tp", 1)),
        "the sum runs along sp, over other frames. Chips that share a frame lie along tp.": lambda x, chips: normed(
            x, mean_over("sp", 1 / chips)
        ),
        "each chip measures the variance around its own mean. Take the frame's mean away first.": lambda x, chips: (
            normed(x, mean_over("tp", 1 / chips), center=own_mean)
        ),
        "the mean is taken away, but the spread is left as it was.": lambda x, chips: ttnn.subtract(
            x, mean_over("tp", 1 / chips)(x)
        ),
    },
    hints=(
        "ttnn.mean(x, dim=2, keepdim=True) is the mean of this chip's rows. All chips have equally many.",
        "So the frame's mean is all_reduce(that, 'tp') times 1 / chips. You need it twice.",
        "Subtract the mean, take the mean of the squares, multiply by ttnn.rsqrt of it.",
    ),
    discussion=(
        "Two sums over tp, both of one number for each frame and channel: next to the halo's rows that is nothing. "
        "The mean has to be known before the spread, so the second sum waits for the first. All chips have equally "
        "many rows here; with strips of different heights the means would need weights."
    ),
)


activation_bytes = Exercise(
    "activation_bytes",
    activation_bytes,
    activation_cases,
    mistakes={
        "the steps build on each other: the second one grows what the first one left.": lambda f, h, w, c, t, s: [
            2 * f * t[n] * h * s[n] * w * s[n] * c[n] for n in range(len(c))
        ],
        "the bytes are missing: two for each value in bfloat16.": lambda *args: [
            size // 2 for size in activation_bytes.reference(*args)
        ],
        "height and width both grow.": lambda *args: [
            size // math.prod(args[5][: n + 1]) for n, size in enumerate(activation_bytes.reference(*args))
        ],
        "the five spare frames are thrown away at the very end. Until then they are in memory.": without_spare,
    },
    hints=(
        "Keep frames, height and width in three variables and let each step change them.",
        "A step multiplies frames by t, height by s and width by s. Then there are c channels.",
        "After each step: 2 * frames * height * width * c.",
    ),
    discussion=(
        "Each step multiplies what the one before has left, so the last one decides. That is why a decoder is cut "
        "over chips although its weights are small, and why the order of growing matters: wide channels early, large "
        "pictures late."
    ),
)
