"""Pictures of the mesh and of what its chips hold. Each one says in its corner which mesh made it.

The pictures of one notebook are in the module of its topic: `from helpers.show import text as draw`.
"""

import itertools
import math

import matplotlib.pyplot as plt
import torch
import ttnn
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from helpers.mesh import label, links
from helpers.show.alt import with_words
from helpers.tensors import mesh_of, placement
from ttnn_emulator.systems import HOP_LATENCY_S, SYSTEMS

INK, PALE, LINK = "#222222", "#e9e9e9", "#8a8a8a"
# Okabe and Ito's palette: told apart with any kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
HATCHES = ("", "//", "xx", "..", "\\\\")  # beside colours, which are never the only sign


def signed(figure: Figure, by: str) -> Figure:
    """Writes who made the figure into its corner, and keeps pyplot from showing it a second time. It has words, too."""
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))
    figure.text(0.995, 0.01, by, ha="right", va="bottom", fontsize=8, color="#666666")
    plt.close(figure)
    return with_words(figure)


def chips(mesh: ttnn.MeshDevice, highlight: tuple[int, int] | None = None) -> Figure:
    """The chips in their grid, their links, and the mesh's two named axes."""
    rows, cols = mesh.shape
    figure, axes = plt.subplots(figsize=(max(4, 1.15 * cols + 1.2), rows + 1.2), layout="constrained")
    for ((r0, c0), (r1, c1)), count in links(mesh).items():
        wraps = abs(r0 - r1) + abs(c0 - c1) > 1  # the cable that closes a torus
        bend = "arc3,rad=0.2" if wraps else "arc3"
        wire = FancyArrowPatch(
            (c0, r0),
            (c1, r1),
            arrowstyle="-",
            color=LINK,
            lw=count,
            connectionstyle=bend,
            zorder=1,
            alpha=0.5 if wraps else 1,
        )
        axes.add_patch(wire)
    for r, c in itertools.product(range(rows), range(cols)):
        colour = COLOURS[1] if (r, c) == highlight else COLOURS[4]
        axes.add_patch(
            FancyBboxPatch(
                (c - 0.3, r - 0.26), 0.6, 0.52, "round,pad=0,rounding_size=0.08", fc=colour, ec=INK, zorder=2
            )
        )
        axes.text(c, r, f"{r}, {c}", ha="center", va="center", fontsize=10, color=INK, zorder=3)
    names = {index: name for name, index in mesh.system.axes.items()}
    groups = {names[0]: (-0.42, -0.4, 0.84, rows - 0.2), names[1]: (-0.46, rows - 1.37, cols - 0.08, 0.74)}
    shown = [(name, at) for (name, at), length in zip(groups.items(), (rows, cols)) if length > 1]
    for (name, (left, top, wide, high)), colour, style in zip(shown, (COLOURS[3], COLOURS[2]), ("--", ":")):
        outline = Rectangle((left, top), wide, high, fill=False, ec=colour, lw=2.5, ls=style, zorder=4)
        outline.set_label(f"one {name} group")
        axes.add_patch(outline)
    if shown:
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=10)
    axes.set_xlabel(f"columns: axis 1, {names[1]}", fontsize=11)
    axes.set_ylabel(f"rows: axis 0, {names[0]}", fontsize=11)
    axes.set(xlim=(-0.7, cols - 0.3), ylim=(rows - 0.3, -0.7), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)
    counts = sorted(set(links(mesh).values()))
    wires = f", {counts[0]} Ethernet links between neighbours" if counts else ""
    axes.set_title(f"{mesh.get_num_devices()} chip{'s' * (mesh.get_num_devices() > 1)}{wires}", fontsize=12)
    return signed(figure, label(mesh))


def holdings(tensors: dict[str, ttnn.Tensor], highlight: tuple[int, int] | None = None) -> Figure:
    """For each named tensor the grid of chips, and in each chip the part of the last two dimensions that it holds.

    Equal parts have equal colours. Raises ValueError as helpers.tensors.mesh_of does.
    """
    mesh = mesh_of(next(iter(tensors.values())))
    across = min(len(tensors), 2)
    least = 3.6 / mesh.shape[1]  # inches a chip: titles need room where chips are few
    down = -(-len(tensors) // across)
    rows, cols = mesh.shape
    figure, panels = plt.subplots(
        down,
        across,
        figsize=(max(0.62, least) * cols * across + 1, (0.62 * rows + 0.7) * down + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for panel in panels.flat:
        panel.axis("off")
    for (title, tensor), panel in zip(tensors.items(), panels.flat):
        draw_holding(panel, tensor, highlight)
        panel.set_title(title, fontsize=11)
    return signed(figure, label(mesh))


def shade(number: int, kinds: int) -> float:
    """A place on a colour scale from 0 to 1 for one kind of several: neighbours far from each other."""
    step = next(step for step in (5, 3, 7, 11, 13, 1) if math.gcd(step, kinds) == 1)
    return step * number % kinds / max(1, kinds - 1)


def draw_holding(panel, tensor: ttnn.Tensor, highlight) -> None:
    """One small square a chip: the whole tensor in grey, and on it the part that the chip holds."""
    held = {chip: [(part.start, part.stop) for part in parts[-2:]] for chip, parts in placement(tensor).items()}
    height, width = (max(part[i][1] for part in held.values()) for i in (0, 1))
    kinds = sorted({tuple(part) for part in held.values()})
    for (r, c), part in held.items():
        colour = plt.cm.viridis(shade(kinds.index(tuple(part)), len(kinds))) if len(kinds) > 1 else COLOURS[0]
        left, top, side = c + 0.12, r + 0.12, 0.76
        (y0, y1), (x0, x1) = part
        corner = left + side * x0 / width, top + side * y0 / height
        panel.add_patch(Rectangle((left, top), side, side, fc=PALE, ec=LINK, lw=0.8))
        panel.add_patch(Rectangle(corner, side * (x1 - x0) / width, side * (y1 - y0) / height, fc=colour))
        if (r, c) == highlight:
            panel.add_patch(Rectangle((left, top), side, side, fill=False, ec=COLOURS[5], lw=2.5, zorder=3))
    rows, cols = (1 + max(chip[i] for chip in held) for i in (0, 1))
    panel.set(xlim=(0, cols), ylim=(rows, 0), aspect="equal")


def running_sums(parts: list[torch.Tensor], whole: torch.Tensor, mesh: ttnn.MeshDevice) -> Figure:
    """Where single numbers stand when the parts of one chip after the other are added, and where they should end.

    parts: of each chip along one axis, (numbers,) each; whole: (numbers,), what torch finds.
    """
    added = torch.stack([torch.zeros_like(parts[0]), *parts]).double().cumsum(0)  # (1 + chips, numbers)
    figure, axes = plt.subplots(figsize=(7.2, 4), layout="constrained")
    for number, way in enumerate(added.T):
        axes.plot(way, "-o", color=COLOURS[number % 3], lw=1.4, ms=4, alpha=0.85)
    where = {"marker": "x", "s": 70, "lw": 2, "color": INK, "zorder": 3, "label": "torch, on one chip"}
    axes.scatter([len(parts)] * len(whole), whole, **where)
    axes.set_title(f"{len(whole)} numbers of y, one chip's terms after the other", fontsize=12)
    axes.set(xlabel="chips whose part is added", ylabel="sum so far", xticks=range(len(parts) + 1))
    axes.axhline(0, color=LINK, lw=0.8)
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    return signed(figure, label(mesh))


def traffic(named: dict[str, dict], by: str) -> Figure:
    """For each name the grid of chips, and on each link an arrow for what crossed it, thicker and darker for more.

    named: name -> ((row, column), (row, column)) -> bytes, as `mesh.traffic.by_link()` gives them; one scale for all.
    """
    rows, cols = (
        1 + max((chip[i] for sent in named.values() for link in sent for chip in link), default=0) for i in (0, 1)
    )
    largest = max((size for sent in named.values() for size in sent.values()), default=1)
    unit, scale = ("kB", 1e3) if largest < 1e6 else ("MB", 1e6)
    figure, panels = plt.subplots(len(named), 1, figsize=(max(4, cols + 2.2), (0.8 * rows + 1.1) * len(named) + 0.3),
                                  squeeze=False, layout="constrained")  # fmt: skip
    colours = plt.cm.ScalarMappable(plt.Normalize(0, largest / scale), "viridis_r")
    for (title, sent), panel in zip(named.items(), panels[:, 0]):
        for (start, end), size in sent.items():
            draw_link(panel, start, end, colours.to_rgba(size / scale), 0.8 + 3.2 * size / largest)
        for r, c in itertools.product(range(rows), range(cols)):
            panel.add_patch(Rectangle((c - 0.16, r - 0.16), 0.32, 0.32, fc=PALE, ec=INK, zorder=3))
            panel.text(c, r, f"{r},{c}", ha="center", va="center", fontsize=7, color=INK, zorder=4)
        panel.set(xlim=(-0.8, cols - 0.2), ylim=(rows - 0.2, -0.8), xticks=[], yticks=[], aspect="equal")
        panel.spines[:].set_visible(False)
        most = max(sent.values(), default=0) / scale
        panel.set_title(f"{title}: {most:,.0f} {unit} on the busiest link", fontsize=11)
    figure.colorbar(colours, ax=panels, label=f"{unit} in one direction", shrink=0.8)
    return signed(figure, by)


def draw_link(panel, start: tuple[int, int], end: tuple[int, int], colour, width: float) -> None:
    """An arrow beside the straight way between two chips. A cable that closes a ring leaves at one edge of the mesh
    and comes in at the other."""
    (r0, c0), (r1, c1) = start, end
    down, right = r1 - r0, c1 - c0
    if abs(down) + abs(right) > 1:
        down, right = -((down > 0) - (down < 0)), -((right > 0) - (right < 0))
        ways = [((r0, c0), (r0 + 0.62 * down, c0 + 0.62 * right)), ((r1 - 0.62 * down, c1 - 0.62 * right), (r1, c1))]
    else:
        ways = [(start, end)]
    aside = 0.07 * right, -0.07 * down  # (rows, columns): all keep to the right
    for (y0, x0), (y1, x1) in ways:
        panel.add_patch(FancyArrowPatch(
            (x0 + aside[1], y0 + aside[0]), (x1 + aside[1], y1 + aside[0]), arrowstyle="-|>", mutation_scale=9,
            shrinkA=0, shrinkB=9, color=colour, lw=width, zorder=2,
        ))  # fmt: skip


def link_times(messages: list[int], names=("t3000", "galaxy")) -> Figure:
    """Predicted time of one hop against the size of the message, from links, bandwidth and latency on paper."""
    figure, axes = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
    sides = (("-", "right", 1.3), ("--", "left", 0.7))  # how a line is drawn, and where its dot is labelled
    for name, colour, (style, side, above) in zip(names, COLOURS, sides):
        rate = SYSTEMS[name].hop_bytes_per_s
        microseconds = [1e6 * (HOP_LATENCY_S + size / rate) for size in messages]
        axes.loglog(messages, microseconds, style, color=colour, lw=2.2, label=f"{name}: {rate / 1e9:g} GB/s")
        even = HOP_LATENCY_S * rate  # bytes: latency and bandwidth weigh the same
        axes.plot(even, 2e6 * HOP_LATENCY_S, "o", color=colour, ms=8, mec=INK, mew=0.6)
        where = {"ha": side, "va": "center", "fontsize": 9, "color": INK}
        axes.text(even, above * 2e6 * HOP_LATENCY_S, f"  {even / 1e3:.0f} kB  ", **where)
    floor = 1e6 * HOP_LATENCY_S
    axes.axhline(floor, color=LINK, lw=1, ls=":")
    axes.text(messages[-1], 1.15 * floor, f"latency of one hop: {floor:.1f} µs", ha="right", fontsize=9, color=INK)
    axes.set(xlabel="message (bytes)", ylabel="predicted time of one hop (µs)")
    axes.set_title("Small messages pay for latency, large ones for bandwidth", fontsize=12)
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    return signed(figure, "predicted on paper, not measured")
