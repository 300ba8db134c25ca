"""The exercises of notebook 04. Each reference is one right answer; the tests prove every named mistake."""

import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_reduce
from helpers.exercises import Exercise
from helpers.exercises.halos import borrowed, from_both_sides, with_frames_before
from helpers.exercises.inputs import on_chips, tp_and_sp
from helpers.mesh import current_mesh
from helpers.tensors import gather, replicate, shard

__all__ = [
    "borrowed", "frame_norm", "frames_of", "from_both_sides", "group_norm", "with_frames_before",
]  # fmt: skip


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


def frame_norm(x, chips):
    own = lambda y: ttnn.mean(y, dim=2, keepdim=True)
    mean = lambda y: ttnn.multiply(all_reduce(own(y), "tp"), 1 / chips)
    x = ttnn.subtract(x, mean(x))
    return ttnn.multiply(x, ttnn.rsqrt(ttnn.add(mean(ttnn.multiply(x, x)), 1e-5)))


def group_norm(x, average, chips):
    own = lambda y: ttnn.mean(y, dim=2, keepdim=True)
    over_frame = lambda y: ttnn.multiply(all_reduce(own(y), "tp"), 1 / chips)
    mean = lambda y: ttnn.matmul(over_frame(y), average)
    x = ttnn.subtract(x, mean(x))
    return ttnn.multiply(x, ttnn.rsqrt(ttnn.add(mean(ttnn.multiply(x, x)), 1e-5)))


def group_cases():
    """torch's own group norm, of four groups and then of sixteen"""
    cases = []
    for groups in (4, 16):
        (x, chips), _ = norm_cases()[0]
        whole = gather(x, sp=1, tp=2)  # (1, T, S, C)
        whole = whole + torch.linspace(-2, 2, 64)  # every channel has a level of its own
        right = F.group_norm(whole[0].transpose(1, 2), groups, eps=1e-5).transpose(1, 2)[None]
        average = torch.kron(torch.eye(groups), torch.full((64 // groups, 64 // groups), groups / 64))
        mesh = current_mesh()
        placed = shard(whole, mesh, dtype=ttnn.float32, sp=1, tp=2)
        averages = replicate(average[None, None], mesh, dtype=ttnn.float32)
        cases.append(((placed, averages, chips), on_chips(right, mesh, sp=1, tp=2)))
    return cases


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


def grouped(average, mean):
    return lambda y: ttnn.matmul(mean(y), average)


def normed(x, mean, center=None, spread=None):
    """Normed with one way to take the mean, and perhaps others: center for the point that the variance is taken around,
    spread for the mean of the squares."""
    around = ttnn.subtract(x, (center or mean)(x))
    variance = (spread or mean)(ttnn.multiply(around, around))
    return ttnn.multiply(ttnn.subtract(x, mean(x)), ttnn.rsqrt(ttnn.add(variance, 1e-5)))


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


group_norm = Exercise(
    "group_norm",
    group_norm,
    group_cases,
    needs_mesh=True,
    mistakes={
        "each channel has statistics of its own. A group's channels share them: the product with average.": (
            lambda x, average, chips: frame_norm.reference(x, chips)
        ),
        "the means are shared in a group, the variances are not.": lambda x, average, chips: normed(
            x, grouped(average, mean_over("tp", 1 / chips)), spread=mean_over("tp", 1 / chips)
        ),
        "the variances are shared in a group, but each channel is moved by its own mean.": lambda x, average, chips: (
            normed(x, mean_over("tp", 1 / chips), spread=grouped(average, mean_over("tp", 1 / chips)))
        ),
        "the channels are averaged before their squares are taken: what differs inside a group is lost.": (
            lambda x, average, chips: frame_norm.reference(ttnn.matmul(x, average), chips)
        ),
        "every chip norms its own rows. A frame's statistics need all its rows: an all_reduce along tp is missing.": (
            lambda x, average, chips: normed(x, grouped(average, own_mean))
        ),
    },
    hints=(
        "It is frame_norm with one thing more, in the one place where a mean is taken.",
        "The mean over positions is (1, T, 1, C). Times `average`, each channel has its group's mean.",
        "mean = lambda y: ttnn.matmul(mean over positions and chips of y, average), and all the rest as before.",
    ),
    discussion=(
        "A product with C x C numbers, nearly all of them zero, in place of a reshape: chips multiply tiles quickly, "
        "and do not like to take channels apart. It comes after the sum over places, so it is one row for each frame. "
        "Before or after all_reduce is the same, both are linear."
    ),
)
