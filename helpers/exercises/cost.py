"""The exercises of notebook 07. Each reference is one right answer; the tests prove every named mistake."""

import math

import torch
import ttnn

from helpers.collectives import all_gather, all_reduce
from helpers.exercises import Exercise
from helpers.exercises.inputs import busiest, layer_inputs, on_chips, rounded, tp_and_sp
from helpers.exercises.verdict import AtMost
from helpers.mesh import current_mesh
from helpers.tensors import shard


def waits_for(flop, moved, sent, flop_per_s, dram_per_s, links_per_s):
    seconds = {
        "arithmetic": flop / flop_per_s,
        "DRAM": moved / dram_per_s,
        "links": sent / links_per_s,
    }
    slowest = max(seconds, key=seconds.get)
    return seconds[slowest], slowest


def waiting_cases():
    """A call of each kind, made so that its slowest part is known: 3 ms, and the others shorter."""
    peak, dram, links = 70e12, 150e9, 9e9
    return [
        ((0.003 * peak, 0.001 * dram, 0.002 * links, peak, dram, links), (0.003, "arithmetic")),
        ((0.0005 * peak, 0.003 * dram, 0.001 * links, peak, dram, links), (0.003, "DRAM")),
        ((0.0021 * peak, 0.0004 * dram, 0.003 * links, peak, dram, links), (0.003, "links")),
    ]


def narrow_first(x, w):
    return all_reduce(ttnn.matmul(x, w), "tp")


def narrow_cases():
    """Features over tp, tokens over sp, and a matrix with few columns, its rows over tp"""
    tp, _ = tp_and_sp()
    mesh, x, w, _ = layer_inputs(seed=7, rows=32 * tp, width=96, hidden=32)
    w = w[..., :32]
    sent = AtMost(tp=2 * busiest("tp", 2 * 32 * 32), sp=0)  # a sum of 32 tp x 32 values, in slices
    return [((shard(x, mesh, sp=2, tp=3), shard(w, mesh, tp=2)), (on_chips(x @ w, mesh, sp=2), sent))]


def half_the_bytes(x):
    return all_gather(ttnn.typecast(x, ttnn.bfloat16), 3, "tp")


def half_cases():
    mesh, x, _, _ = layer_inputs(seed=8, rows=64, width=96, hidden=32)
    sent = AtMost(tp=busiest("tp", 2 * 64 * 96), sp=0)  # 2 bytes a number
    whole = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    return [((shard(whole, mesh, dtype=ttnn.float32, sp=2, tp=3),), (on_chips(whole, mesh, sp=2), sent))]


def weights_in_eight_bits(x, w):
    small = ttnn.typecast(w, ttnn.bfloat8_b)
    return ttnn.matmul(x, all_gather(small, 2, "sp"))


def eight_bits_cases():
    """Tokens over sp; a matrix whose rows lie over sp, too, and its columns over tp"""
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(71)
    x, w = draw(1, 1, 32 * sp, 64 * sp), draw(1, 1, 64 * sp, 32 * tp)  # of each chip 64 rows and 32 columns of w
    placed = shard(x, mesh, sp=2), shard(w, mesh, sp=2, tp=3)
    sent = AtMost(sp=busiest("sp", 2 * 1088), tp=0)  # two tiles of each chip, of 1,024 bytes and 64 exponents
    return [(placed, (on_chips(x @ w, mesh, sp=2, tp=3), sent))]


def one_exchange(parts):
    everyone = all_gather(ttnn.concat(parts, 2), 3, "tp")  # features stay in order
    return ttnn.split(everyone, parts[0].shape[2], 2)


def one_exchange_cases():
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(72)
    whole = [draw(1, 1, 32 * sp, 64 * tp) for _ in range(3)]
    sent = AtMost(tp=busiest("tp", 3 * 2 * 32 * 64), sp=0, calls=1)
    placed = [shard(x, mesh, sp=2, tp=3) for x in whole]
    return [((placed,), (tuple(on_chips(x, mesh, sp=2) for x in whole), sent))]


def too_many_chips(chip_seconds, calls, host_seconds):
    balance = math.sqrt(chip_seconds / (calls * host_seconds))
    return math.floor(balance) + 1


def too_many_cases():
    """Counted up, one chip at a time"""
    cases = []
    for work, calls, host in ((48.6, 4017, 29e-6), (2.3, 310, 12e-6), (700.0, 9_001, 55e-6)):
        chips = 1
        while calls * chips * host <= work / chips:
            chips += 1
        cases.append(((work, calls, host), chips))
    return cases


waits_for = Exercise(
    "waits_for",
    waits_for,
    waiting_cases,
    mistakes={
        "the three are added up. A chip computes, reads and sends at the same time.": lambda f, m, s, a, b, c: (
            f / a + m / b + s / c,
            max((f / a, "arithmetic"), (m / b, "DRAM"), (s / c, "links"))[1],
        ),
        "that is the part that is done first. The call ends with the last one.": lambda f, m, s, a, b, c: min(
            (f / a, "arithmetic"), (m / b, "DRAM"), (s / c, "links")
        ),
        "rates are divided by amounts. Seconds are an amount divided by a rate.": lambda f, m, s, a, b, c: max(
            (a / f, "arithmetic"), (b / m, "DRAM"), (c / s, "links")
        ),
        "seconds first, then what it waits for.": lambda f, m, s, a, b, c: max(
            (f / a, "arithmetic"), (m / b, "DRAM"), (s / c, "links")
        )[::-1],
    },
    hints=(
        "Each of the three would take how long alone?",
        "Three seconds: flop / flop_per_s, moved / dram_per_s, sent / links_per_s. Which one ends last?",
        "Keep them in a dictionary by name, and take max(seconds, key=seconds.get).",
    ),
    discussion=(
        "This is the roofline model of Williams and others (2009) with a third roof for the links. It is true only "
        "where the three overlap fully. An op that first reads everything and then computes takes the sum. The "
        "shares in rates.py were measured on whole ops, so what does not overlap is in them."
    ),
)

narrow_first = Exercise(
    "narrow_first",
    narrow_first,
    narrow_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "it is right, and sends too much: 96 features of each chip travel to make 32. Multiply first.": lambda x, w: (
            ttnn.matmul(all_gather(x, 3, "tp"), all_gather(w, 2, "tp"))
        ),
        "each chip has only its part of the sum: the products of its own features.": lambda x, w: ttnn.matmul(x, w),
        "the sum goes along the wrong axis. Chips along sp have other tokens.": lambda x, w: all_reduce(
            ttnn.matmul(x, w), "sp"
        ),
        "the parts lie side by side now. They are parts of one sum, so they must be added.": lambda x, w: all_gather(
            ttnn.matmul(x, w), 3, "tp"
        ),
    },
    hints=(
        "What is smaller, a chip's features or what the matrix makes of them?",
        "A chip has some features and the matching rows of w. Their product is a part of a sum.",
        "ttnn.matmul(x, w), and then the sum along tp.",
    ),
    discussion=(
        "tt-metal's Mochi gathers 3,072 features on every chip and then makes 48 of them (proj_out in the recorded "
        "calls). Once a pass that costs little. In every layer it would be the largest part of the bill: that is why "
        "the order of a matmul and a collective is worth a thought wherever a layer gets narrower."
    ),
)

half_the_bytes = Exercise(
    "half_the_bytes",
    half_the_bytes,
    half_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "it is right, and four bytes a number travel. Make the numbers smaller before the journey.": lambda x: (
            ttnn.typecast(all_gather(x, 3, "tp"), ttnn.bfloat16)
        ),
        "the features lie over tp. Along sp there are other tokens.": lambda x: all_gather(
            ttnn.typecast(x, ttnn.bfloat16), 3, "sp"
        ),
        "nothing was gathered: each chip still has its own features.": lambda x: ttnn.typecast(x, ttnn.bfloat16),
        "that joins tokens. Features are the last dimension, 3.": lambda x: all_gather(
            ttnn.typecast(x, ttnn.bfloat16), 2, "tp"
        ),
    },
    hints=(
        "How many bytes has a float32, how many a bfloat16?",
        "ttnn.typecast(x, ttnn.bfloat16) makes the same tensor with half the bytes.",
        "First the cast, then all_gather(..., 3, 'tp').",
    ),
    discussion=(
        "The values are rounded to 8 bits of mantissa, which the next layer's bfloat16 matmul would have done anyway. "
        "bfloat8_b halves the bytes again and rounds harder: sixteen numbers share an exponent."
    ),
)

weights_in_eight_bits = Exercise(
    "weights_in_eight_bits",
    weights_in_eight_bits,
    eight_bits_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "it is right, and two bytes a weight travel. Make them smaller before the journey.": lambda x, w: ttnn.matmul(
            x, all_gather(w, 2, "sp")
        ),
        "each chip has multiplied by its own rows, as often as there are chips. The others' rows are missing.": (
            lambda x, w: ttnn.matmul(x, ttnn.concat([w] * (x.shape[3] // w.shape[2]), 2))
        ),
        "the columns have come together, too. They lie over tp, and may stay there.": lambda x, w: ttnn.matmul(
            x, all_gather(all_gather(ttnn.typecast(w, ttnn.bfloat8_b), 2, "sp"), 3, "tp")
        ),
    },
    hints=(
        "What is missing to multiply? x has all features, w a part of the rows.",
        "all_gather(w, 2, 'sp') brings all rows. How many bytes has a weight on the way?",
        "ttnn.typecast(w, ttnn.bfloat8_b) first, then all_gather, then ttnn.matmul.",
    ),
    discussion=(
        "Whether a model bears it is not for the links to say. Sixteen numbers share an exponent, so the small ones "
        "among them lose most of their digits. Kept so from the start, the weights take half of the memory, too."
    ),
)

one_exchange = Exercise(
    "one_exchange",
    one_exchange,
    one_exchange_cases,
    needs_mesh=True,
    counts_traffic=True,
    mistakes={
        "it is right, in three exchanges. Lay the three together first.": lambda parts: [
            all_gather(x, 3, "tp") for x in parts
        ],
        "the features are shuffled: side by side, each chip's slice holds a piece of all three. Lay them under each "
        "other.": lambda parts: ttnn.split(
            all_gather(ttnn.concat(parts, 3), 3, "tp"), tp_and_sp()[0] * parts[0].shape[3], 3
        ),
        "the features lie over tp. Along sp there are other tokens.": lambda parts: ttnn.split(
            all_gather(ttnn.concat(parts, 2), 3, "sp"), parts[0].shape[2], 2
        ),
        "nothing was exchanged: each chip still has its own features.": lambda parts: list(parts),
    },
    hints=(
        "Three tensors of one shape can be one tensor.",
        "Along which dimension must they lie together, so that gathering features does not mix them?",
        "ttnn.concat(parts, 2), all_gather(..., 3, 'tp'), and ttnn.split(..., rows of one, 2).",
    ),
    discussion=(
        "The same bytes. What is saved is the beginning and the waiting of two exchanges, which for small tensors is "
        "most of what they take (notebook 01, section 5). concat and split are calls as well: free it is only where "
        "the three were one tensor from the start, as q, k and v are that one matrix makes."
    ),
)

too_many_chips = Exercise(
    "too_many_chips",
    too_many_chips,
    too_many_cases,
    mistakes={
        "the device's work is divided over the chips, too. So chips count twice: take the root.": lambda w, c, h: (
            math.floor(w / (c * h)) + 1
        ),
        "that is the last number of chips at which the host keeps up. One more is asked for.": lambda w, c, h: (
            math.floor(math.sqrt(w / (c * h)))
        ),
        "chips are whole.": lambda w, c, h: math.sqrt(w / (c * h)),
        "the host sends each call to each chip: calls times chips.": lambda w, c, h: math.floor(w / h) + 1,
    },
    hints=(
        "With n chips the device takes chip_seconds / n. How long does the host take?",
        "The host takes calls * n * host_seconds. For which n are the two equal?",
        "n * n = chip_seconds / (calls * host_seconds). The next whole number above is the answer.",
    ),
    discussion=(
        "Twice the work on the chips moves the border by a factor of 1.4 only. Tracing takes the host out: the calls "
        "are recorded once, on the chips, and then replayed without it. Fewer and larger calls help as much: that is "
        "what fused ops are for."
    ),
)
