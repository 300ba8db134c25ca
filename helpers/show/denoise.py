"""Pictures of notebook 03: tokens and where they lie, the block and its collectives, the ring, the way to the video."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image

from helpers.show import COLOURS, HATCHES, INK, LINK, PALE, signed
from helpers.show.live import Slider

PAPER = "on paper"


def tokens(grid: tuple[int, int, int], chips: int, by: str) -> Figure:
    """Every token of a video's latents (frames, rows, columns) in the colour of the chip along sp that has it, and the
    number of the first in each row. Tokens are padded to whole tiles of 32 on every chip; these places stand behind.
    """
    frames, rows, columns = grid
    length = frames * rows * columns
    block = -(-length // (32 * chips)) * 32
    padding = block * chips - length
    wide = [columns] * frames + [-(-padding // rows)] * (padding > 0)  # of each panel, in places
    figure, panels = plt.subplots(1, len(wide), figsize=(0.31 * sum(wide) + 0.6, 0.31 * rows + 1.5), squeeze=False,
                                  width_ratios=wide)  # fmt: skip
    number = 0
    for frame, (panel, width) in enumerate(zip(panels[0], wide)):
        for place in range(rows * columns if frame < frames else padding):
            draw_place(panel, *divmod(place, width), number, COLOURS[number // block % len(COLOURS)], frame < frames)
            number += 1
        panel.set(xlim=(0, width), ylim=(rows, 0), aspect="equal", xticks=[], yticks=[])
        panel.set_title(f"latent frame {frame}" if frame < frames else "padding", fontsize=9)
        panel.spines[:].set_visible(False)
    empty = [chip for chip in range(chips) if chip * block >= length]
    shown = [Rectangle((0, 0), 1, 1, fc=COLOURS[chip % len(COLOURS)], ec=LINK, alpha=0.7) for chip in range(chips)]
    names = [f"chip {chip}{' (nothing but padding)' * (chip in empty)}" for chip in range(chips)]
    figure.legend(shown, names, loc="lower left", ncols=chips, frameon=False, fontsize=9, handlelength=1,
                  columnspacing=1)  # fmt: skip
    where = f"on each of {chips} chips" if chips > 1 else "on one chip"
    figure.suptitle(f"{length} tokens, {block} places {where}: {padding} places are padding", fontsize=12)
    figure.subplots_adjust(0.01, 0.16, 0.99, 0.8, wspace=0.08)
    return signed(figure, by)


def draw_place(panel, row: int, column: int, number: int, colour: str, token: bool) -> None:
    """A place of a chip: full of its colour with a token, pale and hatched with padding; a row's first is numbered."""
    look = {"fc": colour, "ec": "white", "alpha": 0.7} if token else {"fc": (colour, 0.25), "ec": LINK, "hatch": "////"}
    inset = 0 if token else 0.05
    panel.add_patch(Rectangle((column + inset, row + inset), 1 - 2 * inset, 1 - 2 * inset, lw=0.8, **look))
    if column == 0:
        behind = None if token else {"fc": "white", "ec": "none", "pad": 0.5}
        panel.text(0.5, row + 0.5, number, ha="center", va="center", fontsize=8, color=INK, bbox=behind)


def waves(cosines: torch.Tensor, pairs: list[int], title: str, by: str) -> Figure:
    """The cosine of the angle by which pairs of numbers are turned, (pairs, frames, rows, columns), and their numbers.

    Above over the first frame, below over width and time in the middle row.
    """
    count, _, rows, _ = cosines.shape
    figure, panels = plt.subplots(2, count, figsize=(1.65 * count + 1.3, 4.1), layout="constrained", squeeze=False)
    for pair, cosine, (above, below) in zip(pairs, cosines, panels.T):
        for panel, plane in ((above, cosine[0]), (below, cosine[:, rows // 2])):
            image = panel.imshow(plane, cmap="PuOr", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
            panel.set(xticks=[], yticks=[])
        above.set_title(f"pair {pair}", fontsize=10)
        below.set_xlabel("width", fontsize=9)
    panels[0][0].set_ylabel("height", fontsize=9)
    panels[1][0].set_ylabel("time", fontsize=9)
    figure.suptitle(title, fontsize=12)
    figure.colorbar(image, ax=panels, label="cosine of the angle", shrink=0.9)
    return signed(figure, by)


def reach(scores: torch.Tensor, later: tuple[int, ...], by: str) -> Figure:
    """Scores of one query with equal keys at every other place, (heads, frames, rows, columns) of differences.

    Columns are heads, rows are by how many latent frames the key is later. All on one scale.
    """
    figure, panels = plt.subplots(
        len(later), len(scores), figsize=(1.9 * len(scores) + 1.4, 1.9 * len(later) + 0.6),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    limit = scores.abs().max().item()
    for row, frames in zip(panels, later):
        for head, panel in enumerate(row):
            image = panel.imshow(scores[head, frames], cmap="PuOr", vmin=-limit, vmax=limit)
            panel.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"{frames} latent frames later" if frames else "same latent frame", fontsize=9)
    for head, panel in enumerate(panels[0]):
        panel.set_title(f"head {head}", fontsize=10)
    figure.suptitle("How well a key fits the query in the centre, by its place alone", fontsize=12)
    figure.colorbar(image, ax=panels, label="score (1: the same place)", shrink=0.9)
    return signed(figure, by)


# What each step of a block does: its text, and what it takes part in.
STEPS = (
    ("norm", "own tokens"), ("q, k, v\ncolumns", "own heads"), ("turn\nq and k", "own heads"),
    ("K, V\ntravel", "over sp"), ("attention", "own heads"), ("out\nrows", "own heads"), ("all_reduce", "over tp"),
    ("norm", "own tokens"), ("up, gate\ncolumns", "own heads"), ("silu, ×", "own heads"), ("down\nrows", "own heads"),
    ("all_reduce", "over tp"),
)  # fmt: skip
PARTS = {
    "own tokens": ("a chip's tokens, all features", PALE),
    "own heads": ("a chip's tokens, its heads or columns", COLOURS[4]),
    "over sp": ("chips along sp exchange", COLOURS[1]),
    "over tp": ("chips along tp exchange", COLOURS[3]),
}


def block() -> Figure:
    """The steps of a block of the video stream, half by half, coloured by who takes part."""
    figure, axes = plt.subplots(figsize=(10.4, 3.7), layout="constrained")
    split = next(n for n, (text, _) in enumerate(STEPS) if text == "all_reduce") + 1
    for row, steps in enumerate((STEPS[:split], STEPS[split:])):
        for column, (text, part) in enumerate(steps):
            box = FancyBboxPatch(
                (column, 2 * row), 0.72, 0.8, "round,pad=0.04", fc=PARTS[part][1], ec=INK, lw=0.9, alpha=0.75
            )
            axes.add_patch(box)
            axes.text(column + 0.36, 2 * row + 0.4, text, ha="center", va="center", fontsize=9.5, color=INK)
            arrow(axes, (column + 0.78, 2 * row + 0.4), (column + 0.95, 2 * row + 0.4))
        end = len(steps)
        axes.text(end + 0.1, 2 * row + 0.4, "+", ha="center", va="center", fontsize=20, color=INK)
        axes.plot([-0.55, -0.55, end + 0.1], [2 * row + 0.4, 2 * row - 0.42, 2 * row - 0.42], color=LINK, lw=1.5)
        arrow(axes, (end + 0.1, 2 * row - 0.42), (end + 0.1, 2 * row + 0.22))
        arrow(axes, (-0.75, 2 * row + 0.4), (-0.06, 2 * row + 0.4))
    axes.text(-0.85, 0.4, "x", ha="right", va="center", fontsize=13, color=INK)
    first, second = split + 0.1, 2.4  # the second half goes on with what the first one's plus gives
    axes.plot([first, first, -0.75, -0.75], [0.62, 1.18, 1.18, second], color=LINK, lw=1.5)
    shown = [Rectangle((0, 0), 1, 1, fc=colour, ec=INK, alpha=0.75) for _, colour in PARTS.values()]
    axes.legend(shown, [text for text, _ in PARTS.values()], loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=2,
                frameon=False, fontsize=10)  # fmt: skip
    axes.set(xlim=(-1.2, split + 0.5), ylim=(3.0, -0.7), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return signed(figure, PAPER)


def arrow(axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color=LINK, lw=1.5, shrinkA=0,
                                   shrinkB=0))  # fmt: skip


def schedule(sigmas: torch.Tensor, title: str) -> Figure:
    """How far from noise (0) to video (1) each step begins, beside steps of equal length."""
    steps = len(sigmas) - 1
    figure, axes = plt.subplots(figsize=(7.4, 3.7), layout="constrained")
    axes.plot([0, steps], [0, 1], "--", color=COLOURS[7], lw=1.8, label="equal steps")
    axes.plot(range(steps + 1), sigmas, "o-", color=COLOURS[0], lw=2, ms=4, label="linear, then quadratic")
    axes.axvspan(0, steps // 2, color=COLOURS[1], alpha=0.18, lw=0, label="first half of the steps")
    axes.set(xlabel="step", ylabel="s: 0 noise, 1 video", xlim=(0, steps), ylim=(-0.03, 1.03))
    axes.set_title(title, fontsize=12)
    axes.legend(frameon=False, loc="upper left")
    axes.grid(alpha=0.25)
    return signed(figure, "from the scheduler's own numbers")


def filmstrip(rows: dict[str, np.ndarray], captions: list[str], by: str) -> Figure:
    """Pictures (n, H, W, 3) in 0..1 side by side, one named row over the other, with a caption over each column."""
    across = len(captions)
    side = max(1.3, 5 / max(across, len(rows)))  # inches: one step's two pictures must fit on a screen, too
    figure, panels = plt.subplots(
        len(rows), across, figsize=(side * across + 0.4, side * len(rows) + 0.5), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for (name, pictures), row in zip(rows.items(), panels):
        for picture, panel in zip(pictures, row):
            panel.imshow(np.asarray(picture).clip(0, 1), interpolation="bicubic")
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        row[0].set_ylabel(name, fontsize=9)
    for caption, panel in zip(captions, panels[0]):
        panel.set_title(caption, fontsize=9)
    return signed(figure, by)


def guidance(found: dict) -> Figure:
    """Share of clips that show what was asked, by strength of guidance: models/guidance.json (training/guidance.py).

    Bars are two standard errors of the mean over seeds to each side.
    """
    settings, strengths = found["settings"], found["strengths"]
    figure, axes = plt.subplots(figsize=(7.4, 3.9), layout="constrained")
    places = range(len(strengths))
    for n, (aspect, colour, marker) in enumerate(zip(next(iter(strengths.values())), COLOURS, "so^D")):
        means = [100 * row[aspect]["mean"] for row in strengths.values()]
        errors = [200 * row[aspect]["std"] / settings["seeds"] ** 0.5 for row in strengths.values()]
        above = [min(error, 100 - mean) for mean, error in zip(means, errors)]  # nothing is right in more than all
        at = [place + 0.06 * (n - 1.5) for place in places]  # beside each other, or bars would cover bars
        name = "second colour" if aspect == "second" else aspect
        axes.errorbar(at, means, (errors, above), fmt=marker + "-", color=colour, lw=1.5, ms=7, capsize=3, label=name)
    axes.set_xticks(places, strengths)
    axes.set(xlabel="strength of guidance", ylabel="% of clips that show it")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(alpha=0.25)
    clips = settings["prompts"] * settings["seeds"]
    axes.set_title(f"{clips} clips each: {settings['prompts']} prompts, {settings['seeds']} seeds", fontsize=12)
    return signed(figure, "diffusers' pipeline on a CPU, judged by detectors; bars: two standard errors")


class Seeds(Slider):
    """One prompt in several seeds, and a slider over strengths of guidance: models/guidance.webp."""

    def __init__(self, folder: str | Path, side: int = 96):
        folder = Path(folder)
        strengths = list(json.loads((folder / "guidance.json").read_text())["strengths"])
        whole = np.asarray(Image.open(folder / "guidance.webp").convert("RGB")) / 255
        # (strengths, seeds, side, side, 3)
        frames = whole.reshape(len(strengths), side, -1, side, 3).swapaxes(1, 2)
        rows = {f"strength {strength}": row for strength, row in zip(strengths, frames)}
        seeds, by = [f"seed {n}" for n in range(frames.shape[1])], "diffusers' pipeline on a CPU, middle frames"
        strip = lambda name: filmstrip({name: rows[name]}, seeds, by)
        super().__init__("guidance", list(rows), strip, filmstrip(rows, seeds, by))


def growth(frames: list[int], curves: dict[str, list[float]], by: str) -> Figure:
    """Curves over the number of frames, each relative to its first value."""
    figure, axes = plt.subplots(figsize=(7.4, 3.7), layout="constrained")
    for (name, values), colour, marker in zip(curves.items(), COLOURS, "so^D"):
        axes.plot(frames, [value / values[0] for value in values], marker + "-", color=colour, lw=2, ms=7, label=name)
    axes.set(
        xlabel="frames of the video", ylabel=f"times as much as for {frames[0]} frames", xscale="log", yscale="log"
    )
    axes.set_xticks(frames, frames)
    most = max(value / values[0] for values in curves.values() for value in values)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= 1.5 * most]
    axes.set_yticks(ticks, ticks)
    axes.minorticks_off()
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    return signed(figure, by)


def on_the_links(seconds: dict[str, dict[str, float]], title: str) -> Figure:
    """Predicted time on the links, one bar for each name, made of the seconds of each kind of exchange."""
    figure, axes = plt.subplots(figsize=(8, 0.62 * len(seconds) + 1.6), layout="constrained")
    kinds = list(dict.fromkeys(kind for parts in seconds.values() for kind in parts))
    for row, parts in enumerate(seconds.values()):
        left = 0.0
        for kind, colour, hatch in zip(kinds, (COLOURS[3], COLOURS[1], COLOURS[2], COLOURS[5]), HATCHES):
            width = 1e3 * parts.get(kind, 0.0)
            look = {"color": colour, "hatch": hatch, "edgecolor": "white"}
            axes.barh(row, width, left=left, height=0.6, label=None if row else kind, **look)
            left += width
        axes.text(left, row, f"  {left:.0f} ms", va="center", fontsize=10, color=INK)
    axes.set(yticks=range(len(seconds)), yticklabels=list(seconds), xlabel="predicted time on the links (ms)")
    axes.set_xlim(right=1.15 * axes.get_xlim()[1])
    axes.invert_yaxis()
    axes.set_title(title, fontsize=12)
    axes.legend(frameon=False, loc="upper right", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return signed(figure, "predicted on paper, not measured")
