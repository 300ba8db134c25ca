"""The exercises of notebook 04 on halos. Each reference is one right answer; the tests prove every named mistake."""

import torch

from helpers.exercises import Exercise


def with_halo(parts):
    grown, before = [], [parts[0][0]] * 2
    for part in parts:
        grown.append(before + part)
        before = (before + part)[-2:]
    return grown


def halo_cases():
    """Cut out of the whole video, with its first frame put twice in front."""
    cases = []
    for video, chips in (([3, 1, 4, 1, 5, 9], 3), ([2, 7, 1, 8, 2, 8, 4, 5, 9, 6, 3, 0], 4), ([6, 4, 7, 2], 4)):
        each = len(video) // chips
        padded = [video[0], video[0], *video]
        parts = [video[n * each : (n + 1) * each] for n in range(chips)]
        cases.append(((parts,), tuple(padded[n * each : (n + 1) * each + 2] for n in range(chips))))
    return cases


def in_front(choose):
    """A way to fill the halo: choose(parts, n) stands before chip n's own frames."""
    return lambda parts: [choose(parts, n) + part for n, part in enumerate(parts)]


def of_next(parts, n):
    return parts[n + 1][:2] if n + 1 < len(parts) else [parts[-1][-1]] * 2


def of_previous(parts, n, which=slice(-2, None)):
    return parts[n - 1][which] if n else [parts[0][0]] * 2


def halo_bytes(frames, height, width, channels):
    over_sp = 2 * height * width * channels * 2
    over_tp = 2 * (frames + 2) * width * channels * 2
    return over_sp, over_tp


def halo_bytes_cases():
    """Counted in tensors: what is cut off and sent."""
    cases = []
    for shape in ((3, 5, 7, 32), (1, 3, 12, 96), (24, 15, 106, 64)):
        x = torch.empty(shape, dtype=torch.bfloat16, device="meta")
        frames = x[-2:] if shape[0] > 1 else torch.cat([x, x])  # of a chip with one frame: its own and the one before
        x = torch.cat([frames, x])
        cases.append((shape, (frames.nbytes, x[:, :1].nbytes + x[:, -1:].nbytes)))
    return cases


with_halo = Exercise(
    "with_halo",
    with_halo,
    halo_cases,
    mistakes={
        "the halo is from the wrong side: these are the next chip's frames. A causal convolution looks back.": (
            lambda parts: [part + of_next(parts, n) for n, part in enumerate(parts)]
        ),
        "the halo is from the wrong side: the frames in front are those of the next chip.": in_front(of_next),
        "these are the first two frames of the chip before. Its last two come right before this chip's.": in_front(
            lambda parts, n: of_previous(parts, n, slice(2))
        ),
        "every chip repeats its own first frame. Only the video's first frame has nothing before it.": in_front(
            lambda parts, n: [parts[n][0]] * 2
        ),
        "one frame is too few. The convolution is three frames long: it looks at two before.": in_front(
            lambda parts, n: of_previous(parts, n)[-1:]
        ),
        "before the video there are zeros here. Mochi repeats the video's first frame.": lambda parts: [
            [0, 0] + parts[0],
            *with_halo.reference(parts)[1:],
        ],
        "where a chip has one frame only, the second one lies two chips away.": in_front(of_previous),
    },
    hints=(
        "Go through the chips from left to right and remember the last two frames that you have seen.",
        "Before the first chip those two are the video's first frame, twice.",
        "Each chip gets before + part. Then before becomes (before + part)[-2:].",
    ),
    discussion=(
        "A chip with one frame cannot give two, so the second one comes from two chips away: walk from left to right "
        "and keep the last two frames seen. On the chips this is two exchanges between neighbours in place of one."
    ),
)


halo_bytes = Exercise(
    "halo_bytes",
    halo_bytes,
    halo_bytes_cases,
    mistakes={
        "the two frames that have just come have rows too.": lambda t, h, w, c: (4 * h * w * c, 4 * t * w * c),
        "the next chip wants two frames, not one.": lambda t, h, w, c: (2 * h * w * c, 4 * (t + 2) * w * c),
        "one row goes up and one goes down.": lambda t, h, w, c: (4 * h * w * c, 2 * (t + 2) * w * c),
        "these are values. Each takes two bytes in bfloat16.": lambda t, h, w, c: (2 * h * w * c, 2 * (t + 2) * w * c),
    },
    hints=(
        "Over sp a chip sends two frames to the next chip: height x width x channels values each.",
        "Then it has frames + 2. Over tp it sends the top row of all of them up, and the bottom row down.",
        "2 * height * width * channels values over sp, 2 * (frames + 2) * width * channels over tp, 2 bytes each.",
    ),
    discussion=(
        "Time first, then space: rows are sent after the two earlier frames have come, so those have rows to send as "
        "well. Space first would work and send the corners the other way round. Leaving the corners out is the "
        "mistake that no shape shows."
    ),
)
