"""Pictures of a whole clip's making: what ran where, and what was sent."""

from matplotlib.figure import Figure

from helpers.mesh import label
from helpers.show import COLOURS, INK, plt, signed
from helpers.show.timeline import WHERE, Timeline


def timeline(line: Timeline) -> Figure:
    """Every run of every stage, end to end, on the lane where it ran.

    On chips with its seconds. On an emulated mesh without: lengths are this computer's, and only the order is a chip's.
    """
    emulated = line.mesh.backend == "emulated"
    figure, axes = plt.subplots(figsize=(9, 2.6), layout="constrained")
    colours = dict(zip(line.names, COLOURS))
    at = 0.0
    for stage in line.stages:
        lane = WHERE.index(stage.where)
        axes.barh(lane, stage.seconds, left=at, height=0.6, color=colours[stage.name], edgecolor="white", lw=0.4)
        at += stage.seconds
    for name, colour in colours.items():
        runs = line.runs(name)
        seconds, times = sum(run.seconds for run in runs), f", {len(runs)} times" if len(runs) > 1 else ""
        axes.barh(0, 0, color=colour, label=f"{name}{times}" + ("" if emulated else f": {seconds:.1f} s"))
    axes.set(yticks=range(len(WHERE)), yticklabels=WHERE, ylim=(1.5, -0.5), xlim=(0, at))
    axes.set_xlabel("in this order; lengths are this CPU's" if emulated else "seconds")
    if emulated:
        axes.set_xticks([])
    axes.set_title("One clip, from the sentence to the file", fontsize=12)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=len(colours), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return signed(figure, label(line.mesh))


def traffic(line: Timeline) -> Figure:
    """Megabytes over the busiest link in each stage, by axis."""
    stages = [name for name in line.names if line.runs(name)[0].where == "mesh"]
    figure, axes = plt.subplots(figsize=(7.2, 0.55 * len(stages) + 1.5), layout="constrained")
    done = [0.0] * len(stages)
    for axis, colour in zip(("tp", "sp"), COLOURS):
        sizes = [line.sent(name, axis=axis) / 1e6 for name in stages]
        axes.barh(range(len(stages)), sizes, left=done, height=0.6, color=colour, label=f"along {axis}")
        done = [before + size for before, size in zip(done, sizes)]
    for row, total in enumerate(done):
        axes.text(total, row, f" {total:.1f} MB", va="center", fontsize=10, color=INK)
    axes.set(yticks=range(len(stages)), yticklabels=stages)
    axes.set(xlabel="over the busiest link, in one direction (MB)", xlim=(0, 1.18 * max(done) or 1))
    axes.invert_yaxis()
    axes.set_title("What a link carries for one clip", fontsize=12)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return signed(figure, label(line.mesh))
