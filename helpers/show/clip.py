"""Pictures of a whole clip's making: what ran where, and what was sent."""

import itertools

from matplotlib.figure import Figure

from helpers.mesh import label
from helpers.show import COLOURS, HATCHES, INK, plt, signed
from helpers.show.timeline import WHERE, Timeline


def timeline(line: Timeline) -> Figure:
    """Every run of every stage, end to end, on the lane where it ran.

    On chips with its seconds. On an emulated mesh without: lengths are this computer's, and only the order is a chip's.
    """
    emulated = line.mesh.backend == "emulated"
    figure, axes = plt.subplots(figsize=(9, 2.6), layout="constrained")
    looks = {name: {"color": c, "hatch": h} for name, c, h in zip(line.names, COLOURS, itertools.cycle(HATCHES))}
    at = 0.0
    for stage in line.stages:
        lane = WHERE.index(stage.where)
        axes.barh(lane, stage.seconds, left=at, height=0.6, edgecolor="white", lw=0.4, **looks[stage.name])
        at += stage.seconds
    for name, look in looks.items():
        runs = line.runs(name)
        seconds, times = sum(run.seconds for run in runs), f", {len(runs)} times" if len(runs) > 1 else ""
        axes.barh(0, 0, edgecolor="white", **look, label=f"{name}{times}" + ("" if emulated else f": {seconds:.1f} s"))
    axes.set(yticks=range(len(WHERE)), yticklabels=WHERE, ylim=(1.5, -0.5), xlim=(0, at))
    axes.set_xlabel("in this order; lengths are this CPU's" if emulated else "seconds")
    if emulated:
        axes.set_xticks([])
    axes.set_title("One clip, from the sentence to the file", fontsize=12)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=len(looks), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return signed(figure, label(line.mesh))


def traffic(line: Timeline) -> Figure:
    """Megabytes over the busiest link of each axis in each stage."""
    stages = [name for name in line.names if line.runs(name)[0].where == "mesh"]
    figure, axes = plt.subplots(figsize=(7.2, 0.8 * len(stages) + 1.5), layout="constrained")
    ways = zip(("tp", "sp"), COLOURS, HATCHES, (-0.2, 0.2))
    for axis, colour, hatch, aside in ways:  # side by side: no link is on both axes
        sizes = [line.sent(name, axis=axis) / 1e6 for name in stages]
        places = [row + aside for row in range(len(stages))]
        axes.barh(places, sizes, height=0.36, color=colour, hatch=hatch, edgecolor="white", label=f"along {axis}")
        for place, size in zip(places, sizes):
            axes.text(size, place, f" {size:.1f} MB", va="center", fontsize=10, color=INK)
    most = max((line.sent(name, axis=axis) for name in stages for axis in ("tp", "sp")), default=0) / 1e6
    axes.set(yticks=range(len(stages)), yticklabels=stages)
    axes.set(xlabel="over the busiest link, in one direction (MB)", xlim=(0, 1.18 * most or 1))
    axes.invert_yaxis()
    axes.set_title("What the busiest link of each axis carries for one clip", fontsize=12)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return signed(figure, label(line.mesh))
