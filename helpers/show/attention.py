"""Pictures to turn over of attention: the hands of RoPE, and the blocks of keys that reach a chip hop by hop."""

import math

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, Rectangle

from helpers.show import COLOURS, INK, LINK, signed
from helpers.show.hops import Film, film, strip

PAIRS = {"query": (COLOURS[0], "-"), "key": (COLOURS[5], "--")}


def hands(pairs: dict[str, tuple[torch.Tensor, torch.Tensor]], by: str) -> Figure:
    """A clock for each name: the query's pair and the key's, (2,) each, as hands, the angle between, and the score."""
    figure, clocks = plt.subplots(1, len(pairs), figsize=(2.5 * len(pairs) + 1.2, 3.2), squeeze=False,
                                  layout="constrained")  # fmt: skip
    for (title, both), clock in zip(pairs.items(), clocks[0]):
        clock.add_patch(Circle((0, 0), 1.25, fc="none", ec=LINK))
        angles = []
        for (name, (colour, style)), pair in zip(PAIRS.items(), both):
            x, y = pair.tolist()
            clock.annotate("", (x, y), (0, 0), arrowprops=dict(arrowstyle="-|>", color=colour, lw=2.5, ls=style,
                                                             shrinkA=0, shrinkB=0))  # fmt: skip
            clock.plot([], [], color=colour, lw=2.5, ls=style, label=name)
            angles.append(math.degrees(math.atan2(y, x)))
        start, between = angles[0], (angles[1] - angles[0]) % 360
        if between > 180:
            start, between = angles[1], 360 - between
        clock.add_patch(Arc((0, 0), 0.7, 0.7, theta1=start, theta2=start + between, color=INK, lw=1.2))
        score = f"{between:.0f}° apart\nscore {float(both[0] @ both[1]):.4f}"
        clock.set_title(title, fontsize=10)
        clock.set_xlabel(score, fontsize=10)
        clock.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), xticks=[], yticks=[], aspect="equal")
        clock.spines[:].set_visible(False)
    figure.legend(*clock.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return signed(figure, by)


def journey(met: list[tuple[int, float, float]], chip: int, hops: list[int], by: str) -> Figure:
    """Which blocks of keys lie where after each of `hops`, and what one chip makes of those that have reached it.

    met: (block, mean of the running maximum, largest error), one for each block in the order in which it met them.
    """
    chips = len(met)
    figure = plt.figure(figsize=(10.4, 1.25 * len(hops) + 3.1), layout="constrained")
    strips, curves = figure.subfigures(2, 1, height_ratios=(1.25 * len(hops), 2.8))
    shot = film("all_gather", chips, closed=False)
    for hop, axes in zip(hops, strips.subplots(len(hops), 1, squeeze=False)[:, 0]):
        strip(axes, shot, hop)
        wide = 2 * chips + 4
        axes.add_patch(Rectangle((chip * wide - 0.25, -0.25), 2 * chips + 0.5, 8.5, fill=False, ec=INK, lw=2, zorder=4))
        count = reached(shot, hop, chip)
        axes.set_title(f"after hop {hop}: chip {chip} has met {count} of {chips} blocks", fontsize=10, loc="left")
    panels = curves.subplots(1, 2)
    shown = reached(shot, hops[-1], chip)
    for panel, values, name in zip(panels, list(zip(*met))[1:], ("mean of the running maximum", "largest error")):
        panel.plot(range(1, shown + 1), values[:shown], "o-", color=COLOURS[0], lw=2)
        panel.set(xlabel="blocks met", xlim=(0.5, chips + 0.5), title=name)
        panel.grid(alpha=0.25)
    errors = [error for *_, error in met]
    panels[0].set_ylim(min(top for _, top, _ in met) - 0.1, max(top for _, top, _ in met) + 0.1)
    panels[1].set(yscale="log", ylim=(min(errors) / 10, 10 * max(errors)))
    return signed(figure, by)


def reached(shot: Film, hop: int, chip: int) -> int:
    """How many blocks a chip holds after a hop."""
    return int(shot.held[hop][chip].any(-1).all(0).sum())
