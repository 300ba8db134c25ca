"""The exercises of notebook 04 on halos. Each reference is one right answer; the tests prove every named mistake."""

import itertools

import torch
import ttnn

from helpers.collectives import all_gather, mesh_partition
from helpers.exercises import Exercise
from helpers.exercises.inputs import busiest, on_chips, rounded, tp_and_sp
from helpers.exercises.verdict import AtMost
from helpers.mesh import current_mesh
from helpers.tensors import shard

PLACES, CHANNELS = 32, 64  # of the small cases: a tile of positions in a frame, and their channels


def with_frames_before(x):
    last = all_gather(x[:, -2:], 1, "sp")  # two of each chip
    first = x[:, :1]  # on the first chips it is the video's, and nobody else asks for it
    before = ttnn.concat([first, first, last], 1)[:, :-2]  # in each chip's place what it lacks
    return ttnn.concat([mesh_partition(before, 1, "sp"), x], 1)


def frames_before_cases():
    """Cut out of the whole video, with its first frame put twice in front; five frames a chip, then four"""
    mesh, (_, sp), draw = current_mesh(), tp_and_sp(), rounded(41)
    cases = []
    for each in (5, 4):
        x = draw(1, each * sp, PLACES, CHANNELS)
        padded = torch.cat([x[:, :1], x[:, :1], x], 1)
        parts = [padded[:, n * each : (n + 1) * each + 2] for n in range(sp)]
        enough = AtMost(sp=busiest("sp", 2 * 2 * PLACES * CHANNELS))  # two frames of each chip, in bfloat16
        cases.append(((shard(x, mesh, sp=1),), (on_chips(torch.cat(parts, 1), mesh, sp=1), enough)))
    return cases


def in_front(choose):
    """A way to fill the halo: choose(last two of each chip, first frame of the video) in every chip's place"""

    def made(x):
        last, first = all_gather(x[:, -2:], 1, "sp"), all_gather(x[:, :1], 1, "sp")[:, :1]
        return ttnn.concat([mesh_partition(choose(last, first), 1, "sp"), x], 1)

    return made


def of_all_frames(x):
    """All frames go to everybody, though two of each chip are wanted"""
    whole, own = all_gather(x, 1, "sp"), x.shape[1]
    ends = [whole[:, n - 2 : n] for n in range(own, whole.shape[1], own)]
    before = ttnn.concat([whole[:, :1], whole[:, :1], *ends], 1)
    return ttnn.concat([mesh_partition(before, 1, "sp"), x], 1)


def first(x, dim, count):
    """The first `count` slices of x along dim"""
    return x[tuple(slice(count) if d == dim else slice(None) for d in range(len(x.shape)))]


def last(x, dim, count):
    """The last `count` slices of x along dim"""
    return x[tuple(slice(-count, None) if d == dim else slice(None) for d in range(len(x.shape)))]


def from_both_sides(x, dim, axis):
    firsts = all_gather(first(x, dim, 1), dim, axis)
    lasts = all_gather(last(x, dim, 1), dim, axis)
    chips = firsts.shape[dim]
    before = first(ttnn.concat([first(firsts, dim, 1), lasts], dim), dim, chips)
    after = last(ttnn.concat([firsts, last(lasts, dim, 1)], dim), dim, chips)
    own = [mesh_partition(edge, dim, axis) for edge in (before, after)]
    return ttnn.concat([own[0], x, own[1]], dim)


def both_sides_cases():
    """By slicing the whole frame, its own edge put once more around it"""
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(42)
    cases = []
    for dim, axis, chips, shape in ((1, "tp", tp, (1, 3 * tp, 32, 64)), (0, "sp", sp, (2 * sp, 3, 32, 64))):
        x, each = draw(*shape), shape[dim] // chips
        padded = torch.cat([x.narrow(dim, 0, 1), x, x.narrow(dim, shape[dim] - 1, 1)], dim)
        parts = [padded.narrow(dim, n * each, each + 2) for n in range(chips)]
        right = on_chips(torch.cat(parts, dim), mesh, **{axis: dim})
        cases.append(((shard(x, mesh, **{axis: dim}), dim, axis), right))
    return cases


def around(before, after):
    """A way to fill both sides: before(firsts, lasts, cut) and after(...) give what lies in each chip's place;
    cut(tensor, start, end) is a part of it along the dimension."""

    def made(x, dim, axis):
        firsts, lasts = (all_gather(part(x, dim, 1), dim, axis) for part in (first, last))

        def cut(y, start=None, end=None):
            return y[tuple(slice(start, end) if d == dim else slice(None) for d in range(len(y.shape)))]

        own = (mesh_partition(ttnn.concat(side(firsts, lasts, cut), dim), dim, axis) for side in (before, after))
        over, under = own
        return ttnn.concat([over, x, under], dim)

    return made


def lasts_before(firsts, lasts, cut):
    return [cut(firsts, 0, 1), cut(lasts, 0, -1)]


def firsts_after(firsts, lasts, cut):
    return [cut(firsts, 1), cut(lasts, -1)]


def borrowed(frames, height, width, earlier, rows, columns):
    grown = (frames + earlier) * (height + rows) * (width + columns)
    return grown - frames * height * width


def borrowed_cases():
    """Counted, place by place: those of the grown part that are not the chip's own"""
    cases = []
    for own, more in (((5, 4, 7), (2, 2, 0)), ((3, 6, 5), (2, 1, 1)), ((4, 3, 6), (2, 0, 0)), ((2, 5, 4), (0, 2, 2))):
        places = itertools.product(*(range(n + extra) for n, extra in zip(own, more)))
        others = sum(any(at >= n for at, n in zip(place, own)) for place in places)
        cases.append(((*own, *more), others))
    return cases


with_frames_before = Exercise(
    "with_frames_before",
    with_frames_before,
    frames_before_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "it is right, and sends too much: of a chip's frames others want the last two only.": (of_all_frames),
        "the halo is from the wrong side: these are the next chip's frames. A causal convolution looks back.": in_front(
            lambda last, first: ttnn.concat([last[:, 2:], last[:, -2:]], 1)
        ),
        "each chip got its own last two frames in front. They must move on by one chip.": in_front(
            lambda last, first: last
        ),
        "each chip has the last two frames of the chip two before. One chip back is enough.": in_front(
            lambda last, first: ttnn.concat([first, first, first, first, last[:, :-4]], 1)
        ),
        "the video's last frames are in front of its first. Nothing comes before: the first is repeated.": in_front(
            lambda last, first: ttnn.concat([last[:, -2:], last[:, :-2]], 1)
        ),
        "every chip repeats its own first frame. Only the video's first frame has nothing before it.": lambda x: (
            ttnn.concat([x[:, :1], x[:, :1], x], 1)
        ),
        "the two frames stand behind the chip's own. Before means in front.": lambda x: ttnn.concat(
            [x, with_frames_before.reference(x)[:, :2]], 1
        ),
    },
    hints=(
        "On paper with four chips: their last two frames are aa, bb, cc, dd. In their places should lie ff, aa, bb, "
        "cc, where f is the video's first frame.",
        "all_gather(x[:, -2:], 1, 'sp') is aa bb cc dd on every chip. Who needs f, and who has it?",
        "Put x[:, :1] twice in front, drop the last two, and mesh_partition(..., 1, 'sp') gives each chip its own two.",
    ),
    discussion=(
        "It is pass_on of notebook 03 with an end: a ring hands the last block to the first chip, a video does not. "
        "All chips get all edges here, and keep two. Halo in helpers/layers/halo.py takes ttnn's neighbor_pad_async, "
        "which sends to the one neighbour only. Where a chip has a single frame, the second one to borrow lies two "
        "chips away, and it takes two hops."
    ),
)


from_both_sides = Exercise(
    "from_both_sides",
    from_both_sides,
    both_sides_cases,
    needs_mesh=True,
    mistakes={
        "above and below have changed places: before a chip's slices come the last of the chip before.": around(
            firsts_after, lasts_before
        ),
        "before stand the first slices of the chip before. Its last one is the neighbour.": around(
            lambda firsts, lasts, cut: [cut(firsts, 0, 1), cut(firsts, 0, -1)], firsts_after
        ),
        "after stand the last slices of the chip after. Its first one is the neighbour.": around(
            lasts_before, lambda firsts, lasts, cut: [cut(lasts, 1), cut(lasts, -1)]
        ),
        "the frame is closed to a ring: over its first row stands its last. Repeat the edge there.": around(
            lambda firsts, lasts, cut: [cut(lasts, -1), cut(lasts, 0, -1)],
            lambda firsts, lasts, cut: [cut(firsts, 1), cut(firsts, 0, 1)],
        ),
        "each chip has its own edges once more. That is what decoding without a halo does.": lambda x, dim, axis: (
            ttnn.concat([first(x, dim, 1), x, last(x, dim, 1)], dim)
        ),
        "one side is missing. This convolution looks both ways.": lambda x, dim, axis: first(
            from_both_sides.reference(x, dim, axis), dim, x.shape[dim] + 1
        ),
    },
    hints=(
        "Two lists on paper: what stands before chip 0, 1, 2, 3, and what stands after. Both have an end of the frame.",
        "Before: the frame's first, then the lasts of all chips but the last one. After: the firsts of all chips but "
        "the first one, then the frame's last.",
        "all_gather(last(x, dim, 1), dim, axis) is all lasts. ttnn.concat, first or last to drop one, mesh_partition.",
    ),
    discussion=(
        "Twice the exercise before, and there is no direction in it: what lies above and what lies below count alike. "
        "The order of axes matters a little. Whoever borrows columns after rows borrows them with their corners, "
        "since the rows that have just come have columns, too."
    ),
)


borrowed = Exercise(
    "borrowed",
    borrowed,
    borrowed_cases,
    mistakes={
        "the corners are missing: what has been borrowed along one side is borrowed along the next one, too.": (
            lambda t, h, w, e, r, c: e * h * w + t * r * w + t * h * c
        ),
        "that is the grown part. Its own places are not borrowed.": lambda t, h, w, e, r, c: (
            (t + e) * (h + r) * (w + c)
        ),
        "frames that come from before have rows and columns at their sides, too.": lambda t, h, w, e, r, c: (
            e * h * w + t * ((h + r) * (w + c) - h * w)
        ),
        "each row and column is counted twice. `rows` and `columns` are those of both sides together.": (
            lambda t, h, w, e, r, c: (t + e) * (h + 2 * r) * (w + 2 * c) - t * h * w
        ),
    },
    hints=(
        "How large is the part with all that is borrowed around it?",
        "(frames + earlier) frames of (height + rows) times (width + columns) places.",
        "From that take what the chip had: frames * height * width.",
    ),
    discussion=(
        "Whole minus own counts each corner once, whatever the order of sending. Adding up sides counts them never, "
        "or twice. It is a surface, so for a given volume it is smallest where the part is as near to a cube as can be."
    ),
)
