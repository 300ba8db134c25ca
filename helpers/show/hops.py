"""The four collectives, hop by hop: what each chip of a line or a ring holds, and what crosses which wire.

Which way things go is not known here: the emulator's own line of chips (ttnn_emulator/hops.py) hands on tensors that
say what they are made of, and every hop is written down. When a sum sets out is: the one for the farthest chip first,
as ttnn 0.81.1's kernel has it (ttnn/cpp/ttnn/operations/experimental/ccl/reduce_scatter_minimal_async/device/kernels/
line_reduce_scatter_minimal_async_writer.cpp in its wheel). In one hop every chip hands on once.
"""

from collections import defaultdict
from dataclasses import dataclass

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from helpers.show import COLOURS, INK, PALE, signed
from helpers.show.live import Live, played
from ttnn_emulator.hops import FORWARD, Line

COLLECTIVES = ("all_gather", "reduce_scatter", "all_reduce", "mesh_partition")
SHAPES = ("a line", "a ring")
MADE_BY = "ways: the emulator's wires; order: ttnn's kernels"
PARTS = (*COLOURS[:7], "#4d4d4d")  # of chips; the palette's own grey would be lost on a chip's


@dataclass(frozen=True)
class Film:
    """held[hop]: (chips, halves, slices, parts) bool: of which chips' parts the slice is made that the chip holds.

    handed[hop]: (from, to, slice, share) of what crosses a wire to get there; before the first hop nothing has.
    busiest[hop]: slices that have crossed the busiest wire so far, in one direction; halves count as halves. Of two
    films in a row the sum: what one waits for. The busiest wire may be another one in each.
    whole: parts that make a finished slice, one or as many as there are chips.
    """

    held: list[torch.Tensor]
    handed: list[list[tuple[int, int, int, float]]]
    busiest: list[float]
    whole: int

    def then(self, later: "Film") -> "Film":
        """This film, and after it another that begins with what this one leaves."""
        carried = [self.busiest[-1] + more for more in later.busiest[1:]]
        return Film(self.held + later.held[1:], self.handed + later.handed[1:], self.busiest + carried, self.whole)


class Watched(Line):
    """A line of chips that writes down what is handed on. A tensor is (2, halves, slices, parts), cut in the first."""

    def __init__(self, chips: int, closed: bool):
        super().__init__(chips, closed, lambda shape: shape[0] / 2, lambda shape: (0, 1) if shape[0] > 1 else None)
        self.journeys = defaultdict(list)  # (slice, its halves, way) -> [(from, to, what was handed)]

    def hand(self, tensor, place, way):
        handed = super().hand(tensor, place, way)
        if handed is not None:
            content = tensor.sum(0).bool()
            halves, number, _ = content.nonzero().T.tolist()
            self.journeys[number[0], tuple(sorted(set(halves))), way].append((place, handed[0], content))
        return handed


def film(collective: str, chips: int, closed: bool) -> Film:
    """A collective along a line of chips, or around a ring. Raises ValueError for one that is not among the four."""
    if collective == "all_gather":
        return gathered(torch.eye(chips, dtype=torch.bool), 1, closed)
    if collective == "reduce_scatter":
        return summed(chips, closed)
    if collective == "all_reduce":
        return summed(chips, closed).then(gathered(torch.ones(chips, chips, dtype=torch.bool), chips, closed))
    if collective == "mesh_partition":
        everything, own = torch.ones(chips, 2, chips, chips, dtype=torch.bool), torch.zeros(chips, 2, chips, chips)
        for chip in range(chips):
            own[chip, :, chip] = 1
        return Film([everything, own.bool()], [[], []], [0, 0], chips)
    raise ValueError(f"{collective} is none of the collectives: {', '.join(COLLECTIVES)}")


def gathered(made_of: torch.Tensor, whole: int, closed: bool) -> Film:
    """all_gather. made_of: (slices, parts) bool, what each chip's own slice is made of."""
    chips = len(made_of)
    line, held = Watched(chips, closed), torch.zeros(chips, 2, chips, chips, dtype=torch.bool)
    blocks = torch.zeros(chips, 2, 2, chips, chips)
    for chip in range(chips):
        held[chip, :, chip] = made_of[chip]
        for half in (0, 1):
            blocks[chip, half, half, chip] = made_of[chip].float()
    line.everywhere(list(blocks))
    return developed(line, held, whole, lambda hops, last: 0, leaves=False)


def summed(chips: int, closed: bool) -> Film:
    """reduce_scatter: each chip has a part of every slice. A partial sum that is handed on is gone from here."""
    line, held = Watched(chips, closed), torch.zeros(chips, 2, chips, chips, dtype=torch.bool)
    parts = torch.zeros(chips, chips, 2, 2, chips, chips)
    for chip in range(chips):
        held[chip, :, :, chip] = True
        for number in range(chips):
            for half in (0, 1):
                parts[chip, number, half, half, number, chip] = 1
    line.sums([list(of_chip) for of_chip in parts])
    # The sums for the far chips set out first, so that each wire carries one slice at a time and all arrive together.
    return developed(line, held, chips, lambda hops, last: last - hops, leaves=True)


def developed(line: Watched, held: torch.Tensor, whole: int, begins, leaves: bool) -> Film:
    """The journeys of a line as a film. begins(hops of a journey, hops of the longest) -> the hop before its first."""
    last = max(map(len, line.journeys.values()), default=0)
    by_hop, crossed = [[] for _ in range(last + 1)], defaultdict(float)
    for (number, halves, _), hops in line.journeys.items():
        for hop, (start, end, content) in enumerate(hops, begins(len(hops), last) + 1):
            by_hop[hop].append((start, end, number, content, len(halves) / 2))
    states, handed, busiest = [held], [], []
    for hop in by_hop:
        state = states[-1].clone()
        for start, _, _, content, _ in hop:
            if leaves:
                state[start] &= ~content
        for start, end, _, content, share in hop:
            state[end] |= content
            crossed[start, end] += share
        states.append(state)
        shares = defaultdict(float)
        for start, end, number, _, share in hop:
            shares[start, end, number] += share
        handed.append(sorted((*journey, share) for journey, share in shares.items()))
        busiest.append(max(crossed.values(), default=0))
    return Film(states[1:], handed, busiest, whole)


def strip(axes, shot: Film, hop: int) -> None:
    """The chips side by side after that many hops. In a chip a column for each slice, full where it is finished."""
    chips, wide = len(shot.held[hop]), 2 * len(shot.held[hop]) + 4  # pixels a chip: halves, and a gap
    picture = np.ones((8, chips * wide - 4, 3))
    for chip, slices in enumerate(shot.held[hop]):
        picture[:, chip * wide : chip * wide + 2 * chips] = to_rgb(PALE)
        for half, number in np.ndindex(2, chips):
            parts = slices[half, number].nonzero().flatten().tolist()
            filled = [part for part in parts for _ in range(round(8 * len(parts) / shot.whole / len(parts)))]
            for level, part in enumerate(filled):
                picture[7 - level, chip * wide + 2 * number + half] = to_rgb(PARTS[part % len(PARTS)])
    axes.imshow(picture, extent=(0, chips * wide - 4, 0, 8), aspect="auto", interpolation="nearest", zorder=2)
    for start, end, number, share in shot.handed[hop]:
        wire(axes, start, end, f"{'½ ' if share < 1 else ''}{number}", wide, chips)
    middles = [chip * wide + chips for chip in range(chips)]
    axes.set_xticks(middles, [f"chip {chip}" for chip in range(chips)], fontsize=8)
    axes.set(xlim=(-5, chips * wide + 1), ylim=(-1.2, 9.6), yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def wire(axes, start: int, end: int, text: str, wide: int, chips: int) -> None:
    """What crosses a wire: the slice and an arrow, forward above, backward below."""
    closes = abs(end - start) > 1
    way = (1 if end > start else -1) * (-1 if closes else 1)
    level = 6 if way == FORWARD else 2
    gaps = [start if way == FORWARD else start - 1] + ([end - 1 if way == FORWARD else end] if closes else [])
    for gap in gaps:  # the wire that closes a ring leaves at one edge and comes in at the other
        left = gap * wide + 2 * chips + 0.2 if gap >= 0 else -4 + 0.2
        ends = (left, left + 3.6)[::way]
        axes.annotate("", (ends[1], level), (ends[0], level), zorder=3,
                      arrowprops=dict(arrowstyle="-|>", color=INK, lw=1.2, shrinkA=0, shrinkB=0))  # fmt: skip
        axes.text(left + 1.8, level + 0.6, text, ha="center", va="bottom", fontsize=8, color=INK)


def title(collective: str, shape: str, shot: Film, hop: int) -> str:
    """Where the film is, and what it has cost."""
    last = len(shot.held) - 1
    if collective == "mesh_partition":
        return f"{collective}, {'after' if hop else 'before'}: nothing is sent"
    count = f"{shot.busiest[hop]:g} slice{'' if shot.busiest[hop] == 1 else 's'} over the busiest link"
    count += " of each half, one after the other" if collective == "all_reduce" else ""
    if not hop:
        return f"{collective} on {shape}, before the first of {last} hops"
    return f"{collective} on {shape}, after hop {hop} of {last}: {count}"


def shots(wanted: list[tuple[str, str, int]], chips: int) -> Figure:
    """One strip of chips for each (collective, shape, hop), one under the other."""
    figure, panels = plt.subplots(len(wanted), 1, figsize=(10.4, 1.15 * len(wanted) + 0.6), squeeze=False,
                                  layout="constrained")  # fmt: skip
    for (collective, shape, hop), axes in zip(wanted, panels[:, 0]):
        shot = film(collective, chips, shape == "a ring")
        strip(axes, shot, hop)
        axes.set_title(title(collective, shape, shot, hop), fontsize=10, loc="left")
    signed(figure, MADE_BY)
    below = 0.2 / figure.get_figheight()  # what is signed stands under the chips' names, however low the figure is
    figure.get_layout_engine().set(rect=(0, below, 1, 1 - below))
    return figure


class Hops(Live):
    """A collective, a line or a ring, and a slider over its hops that plays. Eight chips, whatever the mesh."""

    chips = 8

    def __init__(self):
        self.collective = ipywidgets.Dropdown(options=COLLECTIVES, description="collective")
        self.shape = ipywidgets.Dropdown(options=SHAPES, description="wired as")
        self.hop = ipywidgets.SelectionSlider(options=self.hops(), description="after hop")
        for control in (self.collective, self.shape):
            control.observe(lambda change: setattr(self.hop, "options", self.hops()), "value")
        controls = [self.collective, self.shape, *played(self.hop)]
        still = [("all_gather", "a line", hop) for hop in (0, 1, 3, 7)] + [("all_gather", "a ring", 4)]
        still += [("reduce_scatter", "a line", hop) for hop in (0, 4, 7)]
        still += [("all_reduce", "a line", 10), ("mesh_partition", "a line", 1)]
        super().__init__(controls, self.draw, shots(still, self.chips))

    def hops(self) -> list[int]:
        return list(range(len(film(self.collective.value, self.chips, self.shape.value == "a ring").held)))

    def draw(self) -> Figure:
        """The strip of what is chosen now."""
        return shots([(self.collective.value, self.shape.value, self.hop.value)], self.chips)
