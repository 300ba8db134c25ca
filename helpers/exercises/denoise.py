"""The exercises of notebook 03. Each reference is one right answer; the tests prove every named mistake."""

import torch

from helpers.exercises import Exercise


def count_tokens(frames, height, width):
    latent_frames = (frames - 1) // 6 + 1
    return latent_frames * (height // 16) * (width // 16)


def token_cases():
    """Counted: the first frame of each latent frame, the first row and column of each patch"""
    cases = []
    for size in ((163, 480, 848), (49, 96, 160), (13, 320, 64)):
        first = [0, *range(1, size[0], 6)], range(0, size[1], 16), range(0, size[2], 16)
        cases.append((size, len(first[0]) * len(first[1]) * len(first[2])))
    return cases


def rotate(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def rotate_cases():
    """A pair is a complex number, and turning it is one product."""
    generator = torch.Generator().manual_seed(1)
    x, angle = torch.randn(2, 5, 12, generator=generator), torch.randn(2, 5, 6, generator=generator)
    turned = torch.view_as_complex(x.unflatten(-1, (-1, 2))) * torch.exp(1j * angle)
    return [((x, angle.cos(), angle.sin()), torch.view_as_real(turned).flatten(-2))]


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


def real_keys(length, block, chip):
    return max(0, min(block, length - chip * block))


def real_key_cases():
    """Counted key by key: a full block, one that is partly padding, one that is nothing else"""
    return [
        ((length, block, chip), sum(chip * block <= key < (chip + 1) * block for key in range(length)))
        for length, block, chip in ((468, 64, 2), (468, 64, 7), (216, 32, 7), (216, 32, 6), (100, 96, 1))
    ]


def euler_step(x, flow, now, following):
    return x + (following - now) * flow


def euler_cases():
    """On the straight way from a noise to some data, whatever the step, one lands on the way again."""
    generator = torch.Generator().manual_seed(3)
    noise, data = torch.randn(2, 4, 5, 3, generator=generator)
    at = lambda s: (1 - s) * noise + s * data
    return [((at(now), data - noise, now, following), at(following)) for now, following in ((0.1, 0.35), (0.5, 0.9))]


def guided(with_prompt, without, strength):
    return without + strength * (with_prompt - without)


def guided_cases():
    """torch's own interpolation, which goes on beyond the end for weights above one"""
    generator = torch.Generator().manual_seed(4)
    with_prompt, without = torch.randn(2, 4, 3, 5, generator=generator)
    return [((with_prompt, without, s), torch.lerp(without, with_prompt, s)) for s in (4.5, 1.0, 2.5)]


count_tokens = Exercise(
    "count_tokens",
    count_tokens,
    token_cases,
    mistakes={
        "the first frame has a latent frame of its own. Count the others in sixes, then add it.": lambda t, h, w: (
            t // 6 * (h // 16) * (w // 16)
        ),
        "these are latents. A patch of 2 x 2 of them is one token.": lambda t, h, w: (
            ((t - 1) // 6 + 1) * (h // 8) * (w // 8)
        ),
        "patches are cut in space only: every latent frame has its own tokens.": lambda t, h, w: (
            ((t - 1) // 6 + 1) // 2 * (h // 16) * (w // 16)
        ),
        "time is compressed too: six frames share a latent frame.": lambda t, h, w: t * (h // 16) * (w // 16),
        "a token is 2 latents of 8 pixels wide and as many high: 16 x 16 pixels.": lambda t, h, w: (
            ((t - 1) // 6 + 1) * (h // 16) * (w // 8)
        ),
    },
    hints=(
        "Three numbers multiply: latent frames, rows of tokens, tokens in a row.",
        "Frame 0 makes the first latent frame, and every six of the others make one more.",
        "A token covers 16 x 16 pixels: 8 for each latent, and two latents a side.",
    ),
    discussion=(
        "Nothing here depends on the prompt or on the steps: the shape of the clip alone says how much work a pass "
        "is. Counting from 1 + 162 / 6 in floats gives the same for lengths of 6 k + 1; whole numbers also say what "
        "happens to others."
    ),
)

rotate = Exercise(
    "rotate",
    rotate,
    rotate_cases,
    mistakes={
        "the vector is cut into halves. Mochi turns neighbours: x[..., 0::2] with x[..., 1::2].": lambda x, c, s: (
            halves_turned(x, c, s)
        ),
        "it turns the other way round: a cos - b sin comes first, a sin + b cos second.": lambda x, c, s: (
            rotate.reference(x, c, -s)
        ),
        "the pairs are right, but the results do not go back between each other: stack, then flatten.": (
            lambda x, c, s: torch.cat([x[..., 0::2] * c - x[..., 1::2] * s, x[..., 0::2] * s + x[..., 1::2] * c], -1)
        ),
        "one of the four products has the wrong sign: only b sin is subtracted.": lambda x, c, s: torch.stack(
            [x[..., 0::2] * c + x[..., 1::2] * s, x[..., 0::2] * s + x[..., 1::2] * c], -1
        ).flatten(-2),
    },
    hints=(
        "x[..., 0::2] are the first numbers of all pairs, x[..., 1::2] the second ones.",
        "A pair (a, b), turned by an angle, is (a cos - b sin, a sin + b cos).",
        "torch.stack([first, second], -1).flatten(-2) puts the two back between each other.",
    ),
    discussion=(
        "Seen as a complex number, a pair is multiplied by one of length 1, so lengths stay and only angles differ. "
        "torch.view_as_complex does it in a line. On the chips it is a product with a small matrix that swaps "
        "neighbours, and halves in place of neighbours would do as well, if the weights had been trained so."
    ),
)


def halves_turned(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


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


real_keys = Exercise(
    "real_keys",
    real_keys,
    real_key_cases,
    mistakes={
        "a chip whose whole block is padding has no real key, not a negative number of them.": lambda n, b, c: min(
            b, n - c * b
        ),
        "a chip never has more keys than its block is long.": lambda n, b, c: max(0, n - c * b),
        "padding is at the end of the whole sequence, so only the last chips have any.": lambda n, b, c: (
            b if (c + 1) * b <= n else n % b
        ),
        "chips are counted from 0: chip 0 has the keys from 0 on.": lambda n, b, c: max(0, min(b, n - (c - 1) * b)),
        "that is the number of padded keys. How many are real?": lambda n, b, c: b - max(0, min(b, n - c * b)),
    },
    hints=(
        "Chip c holds the keys from c * block on, block of them. The keys from `length` on are padding.",
        "From the chip's first key to the end there are length - chip * block real keys.",
        "That can be more than a block, or negative: bring it between 0 and block.",
    ),
    discussion=(
        "Padding is all at the end, so at most one chip has a block with both kinds. A list of masks, chip by chip, "
        "would work too; a count also says which blocks could be skipped."
    ),
)

euler_step = Exercise(
    "euler_step",
    euler_step,
    euler_cases,
    mistakes={
        "it goes backwards, towards the noise. The step is following - now.": lambda x, v, now, following: (
            x + (now - following) * v
        ),
        "that is as far as the whole way from 0 to following. Only the part from now on is left to go.": (
            lambda x, v, now, following: x + following * v
        ),
        "it jumps to the end of the way at once. That is the predicted video, not the next step.": (
            lambda x, v, now, following: x + (1 - now) * v
        ),
        "the step has no length. Multiply the flow by following - now.": lambda x, v, now, following: x + v,
    },
    hints=(
        "The flow says how x changes when s goes from 0 to 1.",
        "s changes by following - now.",
        "Start from x, add the flow times the change of s.",
    ),
    discussion=(
        "The flow points from noise to picture and is the same all along a straight way, so on a straight way one "
        "step of any size would do. The real way bends, and many small steps follow it. Methods that look twice per "
        "step go further with fewer."
    ),
)

guided = Exercise(
    "guided",
    guided,
    guided_cases,
    mistakes={
        "the difference is the wrong way round: it leads away from the prompt.": lambda p, u, s: u + s * (u - p),
        "it starts from the flow with the prompt, so strength 1 already overshoots. Start from the one without.": (
            lambda p, u, s: p + s * (p - u)
        ),
        "only the difference is left. It is a direction to go from the flow without a prompt.": lambda p, u, s: (
            s * (p - u)
        ),
        "with and without the prompt are swapped.": lambda p, u, s: p + s * (u - p),
    },
    hints=(
        "Strength 0 is the flow without the prompt, strength 1 the flow with it. Between and beyond: a straight line.",
        "The direction of the line is with_prompt - without.",
        "Start from `without` and go `strength` times that direction.",
    ),
    discussion=(
        "At 1 it is the flow with the prompt, at 0 the one without, and beyond 1 it goes on in the same direction. (1 "
        "- strength) * without + strength * with_prompt is the same. It costs a second pass at each step, all the "
        "way."
    ),
)
