"""The exercises of notebook 05 that run on chips. Each reference is one right answer; tests prove each mistake."""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather
from helpers.exercises import Exercise
from helpers.exercises.inputs import on_chips, rounded, tp_and_sp
from helpers.mesh import current_mesh
from helpers.tensors import replicate, shard

FRAMES, PLACES, CHANNELS = 32, 5, 64  # of the small cases, whose values are small: a frame hears more than itself


def look(picture, rows, columns):
    narrow = ttnn.matmul(picture, columns)  # (1, 3, H, w)
    turned = ttnn.matmul(ttnn.transpose(narrow, 2, 3), rows)  # (1, 3, w, h)
    return ttnn.transpose(turned, 2, 3)


def look_cases():
    """A box's pixels as torch's own interpolation of the cropped picture has them: a zoom, and a stretch"""
    mesh, draw, cases = current_mesh(), rounded(51), []
    picture = draw(1, 3, 96, 64).abs()
    for top, bottom, left, right, height, width in ((32, 96, 0, 64, 32, 32), (0, 64, 32, 64, 32, 96)):
        box = picture[:, :, top:bottom, left:right]
        seen = F.interpolate(box, (height, width), mode="bilinear", align_corners=False)
        rows, columns = torch.zeros(96, height), torch.zeros(64, width)
        rows[top:bottom], columns[left:right] = shares(bottom - top, height), shares(right - left, width)
        placed = [replicate(y, mesh) for y in (picture, rows[None, None], columns[None, None])]
        cases.append((tuple(placed), on_chips(seen, mesh)))
    return cases


def shares(length, pixels):
    """(length, pixels): how much of each old pixel is in each new one, as torch mixes a line of them"""
    lines = torch.eye(length)[:, None]  # each with one pixel lit
    return F.interpolate(lines, pixels, mode="linear", align_corners=False)[:, 0]


def temporal_attention(x):
    scores = ttnn.matmul(x, ttnn.transpose(x, 2, 3))
    weights = ttnn.softmax(ttnn.multiply(scores, x.shape[3] ** -0.5), dim=-1)
    return ttnn.matmul(weights, x)


def attention_cases():
    """torch's own attention, one place after the other"""
    mesh, x = current_mesh(), 0.4 * rounded(52)(1, PLACES, FRAMES, CHANNELS)
    return [((replicate(x, mesh),), on_chips(in_torch(x), mesh))]


def in_torch(x):
    """(1, places, frames, channels): each place by itself"""
    return torch.cat([F.scaled_dot_product_attention(one, one, one) for one in x.split(1, 1)], 1)


def attend(x, keys=None, scale=None, dim=-1):
    """Attention of the rows of each matrix in x to those of keys, on the chips"""
    keys = x if keys is None else keys
    scores = ttnn.matmul(x, ttnn.transpose(keys, 2, 3))
    scale = x.shape[3] ** -0.5 if scale is None else scale
    return ttnn.matmul(ttnn.softmax(ttnn.multiply(scores, scale), dim=dim), keys)


def of_a_frame(x):
    """The places of one frame attend to each other"""
    return ttnn.transpose(attend(ttnn.transpose(x, 1, 2)), 1, 2)


def as_one_row(x):
    """Everything attends to everything"""
    return ttnn.reshape(attend(ttnn.reshape(x, (1, 1, PLACES * FRAMES, CHANNELS))), (1, PLACES, FRAMES, CHANNELS))


def attention_over_chips(x):
    everyone = all_gather(x, 2, "sp")
    scores = ttnn.matmul(x, ttnn.transpose(everyone, 2, 3))
    weights = ttnn.softmax(ttnn.multiply(scores, x.shape[3] ** -0.5), dim=-1)
    return ttnn.matmul(weights, everyone)


def over_chips_cases():
    mesh, (_, sp) = current_mesh(), tp_and_sp()
    x = 0.5 * rounded(53)(1, PLACES, FRAMES * sp, CHANNELS)
    return [((shard(x, mesh, sp=2),), on_chips(in_torch(x), mesh, sp=2))]


def flicker(x):
    changes = ttnn.abs(ttnn.subtract(x[:, 1:], x[:, :-1]))
    return ttnn.rsub(ttnn.mean(changes), 1.0)


def flicker_cases():
    """Number by number"""
    cases = []
    for seed, frames, colours in ((3, 3, 1.0), (4, 4, 0.6)):
        video = np.random.default_rng(seed).random((frames, 32, 3)).round(2) * colours
        video[0] *= 0.2  # a dark beginning, so that frames are not alike
        changes = [abs(b - a) for before, after in pairwise(video) for a, b in zip(before.flat, after.flat)]
        right = torch.tensor(1 - sum(changes) / len(changes), dtype=torch.float32)
        x = replicate(torch.tensor(video)[None], current_mesh(), dtype=ttnn.float32)
        cases.append(((x,), on_chips(right, current_mesh())))
    return cases


def change(x):
    return ttnn.subtract(x[:, 1:], x[:, :-1])


def one_minus(y):
    return ttnn.rsub(y, 1.0)


look = Exercise(
    "look",
    look,
    look_cases,
    mistakes={
        "the picture lies on its side: turned once for the rows, it has to be turned back.": lambda p, r, c: (
            ttnn.transpose(look.reference(p, r, c), 2, 3)
        ),
        "only the width has been seen to. The rows want a product, too.": lambda p, r, c: ttnn.matmul(p, c),
        "only the height has been seen to. The columns want a product, too.": lambda p, r, c: ttnn.transpose(
            ttnn.matmul(ttnn.transpose(p, 2, 3), r), 2, 3
        ),
    },
    hints=(
        "ttnn.matmul(picture, columns) mixes columns: (1, 3, H, W) times (1, 1, W, w). What is its shape?",
        "A product from the right always works on the last dimension. So turn the picture, and rows are columns.",
        "ttnn.transpose(y, 2, 3), ttnn.matmul(..., rows), and ttnn.transpose again.",
    ),
    discussion=(
        "Any straight zoom, pan or resize is two such products: mixing along the width does not care about the height. "
        "Nearly all shares are zero, which a gather would use and a matrix product does not; but chips are "
        "built for products of whole tiles."
    ),
)

temporal_attention = Exercise(
    "temporal_attention",
    temporal_attention,
    attention_cases,
    mistakes={
        "the positions of one frame attend to each other. A picture model does that; here frames attend.": of_a_frame,
        "everything attends to everything. Only frames of the same position do.": as_one_row,
        "the scores are not divided by the square root of the channels.": lambda x: attend(x, scale=1.0),
        "the scores are divided by the channels, not by their square root.": lambda x: attend(x, scale=1 / x.shape[3]),
        "the softmax runs over the frames that ask. The weights of each asking frame have the sum 1.": lambda x: attend(
            x, dim=-2
        ),
        "what comes out is what went in: each frame has heard itself only.": lambda x: x,
        "the weights are missing: a softmax turns scores into shares.": lambda x: ttnn.matmul(
            ttnn.multiply(ttnn.matmul(x, ttnn.transpose(x, 2, 3)), x.shape[3] ** -0.5), x
        ),
    },
    hints=(
        "Each position has a matrix (frames, channels). ttnn.matmul multiplies all positions' matrices at once.",
        "Scores: the matrix times itself transposed, over the root of the channels. Then softmax, then times the "
        "matrix.",
        "ttnn.transpose(x, 2, 3); ttnn.multiply(scores, x.shape[3] ** -0.5); ttnn.softmax(..., dim=-1)",
    ),
    discussion=(
        "Positions never look at each other here, so they are the batch, and time is the sequence. On "
        "many chips, positions are what one would cut: nothing would have to be sent."
    ),
)

attention_over_chips = Exercise(
    "attention_over_chips",
    attention_over_chips,
    over_chips_cases,
    needs_mesh=True,
    mistakes={
        "frames hear only those on their own chip. The others have to come first: all_gather along sp.": lambda x: (
            attend(x)
        ),
        "the scores are not divided by the square root of the channels.": lambda x: attend(
            x, keys=all_gather(x, 2, "sp"), scale=1.0
        ),
        "every chip answers for all frames. Only its own frames ask; all frames are heard.": lambda x: attend(
            all_gather(x, 2, "sp")
        ),
        "the softmax runs over the frames that ask. The weights of each asking frame have the sum 1.": lambda x: attend(
            x, keys=all_gather(x, 2, "sp"), dim=-2
        ),
    },
    hints=(
        "Who asks, and who is heard? A chip's own frames ask. All frames are heard.",
        "all_gather(x, 2, 'sp') has all frames. The scores are (own frames, all frames).",
        "As before, with everyone = all_gather(x, 2, 'sp') in place of x in both products, on the right.",
    ),
    discussion=(
        "Everything travels once, and each chip computes its share of the answers. Cut by positions instead, nothing "
        "would travel here; but the spatial layers before and after want whole frames. Ring attention, in notebook "
        "03, hands blocks round so that no chip has to hold all of them."
    ),
)

flicker = Exercise(
    "flicker",
    flicker,
    flicker_cases,
    mistakes={
        "that is the difference of frames. A still picture should get 1, so take it from 1.": lambda x: ttnn.mean(
            ttnn.abs(change(x))
        ),
        "brighter and darker cancel each other. Take absolute values before the mean.": lambda x: one_minus(
            ttnn.mean(change(x))
        ),
        "frames are compared with the first one. Compare neighbours.": lambda x: one_minus(
            ttnn.mean(ttnn.abs(ttnn.subtract(x[:, 1:], x[:, :1])))
        ),
        "differences are squared. Take their absolute values.": lambda x: one_minus(
            ttnn.mean(ttnn.multiply(change(x), change(x)))
        ),
        "that is nearly 1 for any video. Are neighbours compared, and was nothing divided by 255?": lambda x: one_minus(
            ttnn.multiply(ttnn.mean(ttnn.abs(change(x))), 1 / 255)
        ),
        "that is the largest change. Take the mean of all.": lambda x: one_minus(ttnn.max(ttnn.abs(change(x)))),
    },
    hints=(
        "x[:, 1:] are all frames but the first, x[:, :-1] all but the last. They have one shape.",
        "How far apart are they, on average, whatever the sign? ttnn.abs, ttnn.mean.",
        "ttnn.mean(y) without dim is the mean of all. ttnn.rsub(y, 1.0) is 1 - y.",
    ),
    discussion=(
        "It measures change, not wrongness: a photograph gets a full mark. So it is read together with the degree of "
        "motion, and never alone."
    ),
)
