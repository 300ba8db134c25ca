"""What an instructor draws on the board, as pictures: `python -m tools.boards` writes pictures/board_NN_name.webp.

One idea each, drawn as by hand: a picture to copy onto the board, not to project. Which one belongs to which paragraph
of lessons/ is said there.
"""

import io
import logging
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from PIL import Image

from helpers.show import COLOURS, INK
from tools.series import ROOT

PICTURES = ROOT / "pictures"
BLUE, ORANGE, GREEN, PINK = COLOURS[:4]
PAPER = "#fdfdfa"


def sheet(width: float, height: float):
    """Axes without a frame, one unit a tenth of an inch."""
    figure, axes = plt.subplots(figsize=(width / 10, height / 10), facecolor=PAPER)
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    return figure, axes


def box(axes, x, y, text, colour="white", wide=5.0, high=5.0, size=13):
    axes.add_patch(Rectangle((x, y), wide, high, fc=colour, ec=INK, lw=1.6, alpha=0.9))
    axes.text(x + wide / 2, y + high / 2, text, ha="center", va="center", fontsize=size, color=INK)


def arrow(axes, start, end, colour=INK, bend=0.0, style="-|>"):
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle=style, mutation_scale=16, color=colour, lw=2, shrinkA=0,
                                   shrinkB=0, connectionstyle=f"arc3,rad={bend}"))  # fmt: skip


def write(axes, x, y, text, size=13, colour=INK, at="center"):
    axes.text(x, y, text, ha=at, va="center", fontsize=size, color=colour)


def person(axes, x, y, colour="white"):
    axes.add_patch(Circle((x, y + 3.6), 1.5, fc=colour, ec=INK, lw=1.6))
    axes.plot([x, x], [y + 2.1, y - 1.5], color=INK, lw=1.8)
    axes.plot([x - 2, x, x + 2], [y + 1.2, y + 0.6, y + 1.2], color=INK, lw=1.8)


def line_and_ring():
    """Lesson 01: four people and four cards, on a line and in a ring; what the busiest link carries."""
    figure, axes = sheet(96, 50)
    for chip, place in enumerate((8, 22, 36, 50)):
        person(axes, place, 26, COLOURS[chip])
        if chip:
            cards = chip, 4 - chip  # passed on from the left, and from the right
            arrow(axes, (place - 11.5, 30), (place - 2.5, 30))
            arrow(axes, (place - 2.5, 27), (place - 11.5, 27))
            write(axes, place - 7, 32.4, str(cards[0]))
            write(axes, place - 7, 24.6, str(cards[1]))
    write(axes, 29, 42, "a line: three claps", 16)
    write(axes, 29, 17, "the last one gets 3 cards\nover one link", 13)
    centre, radius = (77, 27), 10
    spots = [
        (centre[0] + radius * math.sin(k * math.pi / 2), centre[1] + radius * math.cos(k * math.pi / 2))
        for k in range(4)
    ]
    for chip, (x, y) in enumerate(spots):
        axes.add_patch(Circle((x, y), 2.2, fc=COLOURS[chip], ec=INK, lw=1.6, zorder=3))
        other = spots[(chip + 1) % 4]
        arrow(axes, (x, y), other, bend=-0.25, style="-")
        write(
            axes,
            centre[0] + 1.18 * (x + other[0] - 2 * centre[0]) / 1.45,
            centre[1] + 1.18 * (y + other[1] - 2 * centre[1]) / 1.45,
            "1½",
        )
    write(axes, 77, 42, "a ring: two claps", 16)
    write(axes, 77, 10, "the card from opposite comes torn:\nhalf from each side, 1½ each way", 13)
    return figure


def fused_product():
    """Lesson 02: the columns of q, k and v, cut plainly and cut in the right order."""
    figure, axes = sheet(80, 42)
    colours = dict(zip("qkv", (COLOURS[4], COLOURS[1], COLOURS[2])))
    plain = [f"{name}{head}" for name in "qkv" for head in range(4)]
    wanted = [f"{name}{head}" for head in range(4) for name in "qkv"]
    for y, row, title in (
        (26, plain, "cut as it stands: chip 0 asks, and nobody answers"),
        (7, wanted, "sorted first: each chip has its own head"),
    ):
        for n, name in enumerate(row):
            box(axes, 8 + 5.2 * n, y, name, colours[name[0]])
        for cut in (3, 6, 9):
            x = 8 + 5.2 * cut - 0.1
            axes.plot([x, x], [y - 2, y + 7], color=COLOURS[5], lw=3)
        for chip in range(4):
            write(axes, 8 + 15.6 * chip + 7.8, y - 3.2, f"chip {chip}", 11)
        write(axes, 40, y + 9.5, title, 14)
    return figure


def two_heaps():
    """Lesson 03: a heap counted against an old maximum is corrected by one factor."""
    figure, axes = sheet(84, 40)
    scores = ((3, 5, 4), (8, 6))
    for x, heap, top in ((6, scores[0], 5), (34, scores[1], 8)):
        for n, score in enumerate(heap):
            box(axes, x + 6 * n, 18, f"{score}", PAPER)
        write(axes, x + 3 * len(heap), 27, f"top = {top}", 13, BLUE)
        write(axes, x + 3 * len(heap), 14, "sum of exp(s - top)", 11)
        write(axes, x + 3 * len(heap), 10.5, f"{sum(math.exp(score - top) for score in heap):.3f}", 14)
    write(axes, 28.5, 20.5, "+", 20)
    arrow(axes, (49, 20), (56, 20))
    both = [score for heap in scores for score in heap]
    total = sum(math.exp(score - 8) for score in both)
    write(axes, 69, 27, "top = 8", 13, BLUE)
    write(axes, 69, 20.5, "first heap × exp(5 - 8)", 13)
    write(axes, 69, 16.5, "+ second heap", 13)
    write(axes, 69, 10.5, f"{total:.3f}", 14)
    write(axes, 42, 35, "nobody counts again", 16)
    return figure


def guidance():
    """Lesson 03: two arrows from one point, and the third that goes on beyond them."""
    figure, axes = sheet(74, 46)
    start, without, prompt = np.array((8, 10)), np.array((26, 14)), np.array((24, 19.5))
    beyond = without + 4.5 * (prompt - without)
    arrow(axes, start, without, BLUE)
    arrow(axes, start, prompt, ORANGE)
    arrow(axes, start, beyond, GREEN)
    axes.plot(*zip(without, beyond), color=INK, lw=1.2, ls="--")
    write(axes, 28, 12, "without the prompt: strength 0", 12, BLUE, "left")
    write(axes, 27.5, 20, "with it: strength 1", 12, COLOURS[5], "left")
    write(axes, 20.5, 39, "strength 4.5: on along the dashed line", 12, GREEN, "left")
    axes.plot(*start, "o", color=INK, ms=9)
    write(axes, 8, 6, "x now", 12)
    return figure


def halo_cards():
    """Lesson 04: two cards each, and the last two are shown to the right."""
    figure, axes = sheet(86, 34)
    for chip in range(4):
        x = 6 + 21 * chip
        for n in (0, 1):
            box(axes, x + 5.4 * n, 8, str(2 * chip + n), COLOURS[chip])
        write(axes, x + 5.2, 5, f"chip {chip}", 12)
        if chip:
            arrow(axes, (x - 13, 14), (x - 4, 17.6), bend=-0.2)
            for n in (0, 1):
                axes.add_patch(Rectangle((x + 5.4 * n, 16), 5, 5, fc=PAPER, ec=COLOURS[chip - 1], lw=2, ls="--"))
                write(axes, x + 5.4 * n + 2.5, 18.5, str(2 * chip - 2 + n))
    write(axes, 43, 29, "each card + the two before it: only the past is asked", 15)
    return figure


def strips():
    """Lesson 04: strips without contrast, and a frame with much."""
    figure, axes = sheet(84, 36)
    for y, values, colour in ((18, (1, 1, 1), COLOURS[4]), (11, (9, 9, 9), COLOURS[1])):
        for n, value in enumerate(values):
            box(axes, 6 + 6 * n, y, str(value), colour)
        write(axes, 27, y + 2.5, f"variance {np.var(values):g}", 13, at="left")
    write(axes, 64, 25, "mean of the variances", 12)
    write(axes, 64, 21, f"{np.mean([np.var((1, 1, 1)), np.var((9, 9, 9))]):g}", 18, COLOURS[5])
    write(axes, 64, 14, "variance of all six", 12)
    write(axes, 64, 10, f"{np.var((1, 1, 1, 9, 9, 9)):g}", 18, GREEN)
    write(axes, 42, 31.5, "everything is between the strips", 16)
    return figure


def who_talks():
    """Lesson 05: rows are frames, seats are places; who talks to whom in three kinds of model."""
    figure, axes = sheet(104, 44)
    ask = (1, 2)
    rules = {
        "a picture model": lambda row, seat: row == ask[0],
        "a motion module": lambda row, seat: seat == ask[1],
        "a video model": lambda row, seat: True,
    }
    for k, (name, hears) in enumerate(rules.items()):
        heard = 0
        for row in range(4):
            for seat in range(5):
                x, y = 9 + 34 * k + 5.4 * seat, 31 - 6.5 * row
                listening = hears(row, seat)
                heard += listening
                colour = COLOURS[5] if (row, seat) == ask else COLOURS[4] if listening else PAPER
                axes.add_patch(Circle((x, y), 2, fc=colour, ec=INK, lw=1.5))
        write(axes, 9 + 34 * k + 10.8, 38.5, name, 15)
        write(axes, 9 + 34 * k + 10.8, 5, f"hears {heard} of 20", 13)
    write(axes, 2.4, 21, "frames", 12)
    axes.texts[-1].set_rotation(90)
    return figure


def twice_as_long():
    """Lesson 06: a square of pairs and a bar of tokens, and both for twice as many tokens."""
    figure, axes = sheet(84, 44)
    for x, side, name in ((6, 8, "n tokens"), (34, 16, "2 n tokens")):
        axes.add_patch(Rectangle((x, 12), side, side, fc=COLOURS[1], ec=INK, lw=1.6))
        axes.add_patch(Rectangle((x + side + 3, 12), 3, side, fc=COLOURS[4], ec=INK, lw=1.6))
        write(axes, x + side / 2 + 3, 7.5, name, 14)
        write(axes, x + side / 2, 12 + side / 2, f"{(side // 8) ** 2}", 16)
        write(axes, x + side + 4.5, 12 + side / 2, f"{side // 8}", 16)
    write(axes, 72, 27, "0.71 × 4", 15, COLOURS[5])
    write(axes, 72, 23, "+ 0.29 × 2", 15, BLUE)
    write(axes, 72, 18, f"= {0.71 * 4 + 0.29 * 2:.1f}", 18)
    write(axes, 42, 39, "pairs of tokens: four times. tokens: twice", 16)
    return figure


def buckets():
    """Lesson 07: a call fills three buckets and is over when the last one is empty."""
    figure, axes = sheet(84, 46)
    for x, name, level, hole in ((10, "arithmetic", 9, 3.4), (36, "memory", 15, 1.4), (62, "links", 5, 2.2)):
        axes.add_patch(Rectangle((x, 14), 13, level, fc=COLOURS[4], ec="none"))
        axes.plot([x, x, x + 6.5 - hole / 2], [34, 14, 14], color=INK, lw=2.5)
        axes.plot([x + 13, x + 13, x + 6.5 + hole / 2], [34, 14, 14], color=INK, lw=2.5)
        for drop in (11, 8.5):
            axes.add_patch(Circle((x + 6.5, drop), hole / 4, fc=COLOURS[4], ec="none"))
        write(axes, x + 6.5, 4.5, name, 15)
    arrow(axes, (56, 38), (50, 30), COLOURS[5])
    write(axes, 62, 39.5, "the last one to be empty decides", 15, COLOURS[5])
    return figure


BOARDS: dict[str, Callable] = {
    "01_line_and_ring": line_and_ring,
    "02_fused_product": fused_product,
    "03_two_heaps": two_heaps,
    "03_guidance": guidance,
    "04_halo_cards": halo_cards,
    "04_strips": strips,
    "05_who_talks": who_talks,
    "06_twice_as_long": twice_as_long,
    "07_buckets": buckets,
}


def draw(name: str) -> Image.Image:
    """A sketch by its name, in a shaky hand."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # the hand's own fonts may be missing
    with plt.xkcd(scale=0.7, length=120, randomness=2):
        plt.rcParams["path.effects"] = []  # no white rim: it would cover thin lines
        figure = BOARDS[name]()
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, bbox_inches="tight", pad_inches=0.15)
        plt.close(figure)
    return Image.open(file).convert("RGB")


def main(folder: Path = PICTURES) -> None:
    for name in BOARDS:
        path = folder / f"board_{name}.webp"
        draw(name).save(path, lossless=True, method=6)
        print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


if __name__ == "__main__":
    main()
