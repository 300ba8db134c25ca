"""Pictures of a plan: how long which stage takes, what the calls reach of the chip, and what more chips bring."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from helpers.planner import rates
from helpers.planner.cost import KINDS
from helpers.planner.predict import Pass
from helpers.planner.scale import TOKENS, denoising
from helpers.planner.splits import Split, one_of
from helpers.planner.whole import Plan
from helpers.show import COLOURS, HATCHES, INK, signed
from ttnn_emulator.systems import System, find_system

KIND_COLOURS = dict(zip((*KINDS, "gaps"), COLOURS))
KIND_HATCHES = dict(zip((*KINDS, "gaps"), ("", "//", "xx", "\\\\", "..", "")))  # colours are never the only sign
MARKERS = {"attention": "o", "matmul": "s", "convolution": "^"}
PREDICTED = "predicted, not measured"


def timeline(plan: Plan) -> Figure:
    """One bar a stage: seconds of the device by kind of call, and a line where the host is slower."""
    stages = [stage for stage in plan.stages if stage.once is not None]
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.75 * len(stages)), layout="constrained")
    for place, stage in enumerate(stages):
        left = 0.0
        for kind, seconds in stage.once.by_kind().items():
            width = seconds * stage.times
            axes.barh(place, width, left=left, color=KIND_COLOURS[kind], hatch=KIND_HATCHES[kind], ec="white", lw=0.5,
                      label=kind, height=0.6)  # fmt: skip
            left += width
        if stage.bound == "host" and stage.seconds() > 0.1 * plan.total():
            host = stage.once.host() * stage.times
            axes.plot([host, host], [place - 0.4, place + 0.4], color=INK, lw=2.5)
            axes.annotate("the host is slower", (host, place), xytext=(-8, 0), textcoords="offset points", ha="right",
                          va="center", fontsize=10)  # fmt: skip
        axes.text(max(left, stage.seconds()), place, f"  {stage.seconds():.1f} s", va="center", fontsize=10)
    axes.set(yticks=range(len(stages)), yticklabels=[stage.name for stage in stages], xlabel="seconds, predicted")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1]))
    figure.legend(handles.values(), handles.keys(), fontsize=9, loc="outside lower left", ncols=6, frameon=False)
    whose = "our" if plan.program == "ours" else "tt-metal's"
    axes.set_title(f"Where the time goes: {whose} Mochi on {plan.system}", fontsize=12)
    return signed(figure, PREDICTED)


def roofline(plan: Plan) -> Figure:
    """A dot for each call of a denoising pass: FLOP for each byte of DRAM, and FLOP/s that it reaches."""
    return roofline_of(next(stage.once for stage in plan.stages if stage.name == "denoise"), plan.system)


def roofline_of(once: Pass, system: System) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    top, slope = rates.peak(system), system.chip.dram_bytes_per_s
    xs = [8, top / slope, 1e5]
    axes.plot(xs, [min(top, slope * x) for x in xs], color=INK, lw=2)
    axes.annotate(f"arithmetic, {top / 1e12:.0f} TFLOP/s at HiFi2", (1e5, top), ha="right", va="bottom", fontsize=9)
    axes.annotate(f"memory, {slope / 1e9:.0f} GB/s", (50, slope * 62), ha="right", fontsize=9)
    total = sum(n * time.seconds() for time, n in once.times)
    seen = set()
    for time, n in once.times:
        needs = {name: work for name, work, *_ in time.needs}
        if "arithmetic" not in needs or n * time.seconds() < total / 500:
            continue
        seen.add(time.kind)
        axes.scatter(needs["arithmetic"] / needs["DRAM"], needs["arithmetic"] / time.seconds(),
                     s=30 + 1500 * n * time.seconds() / total, color=KIND_COLOURS[time.kind], alpha=0.75, ec=INK,
                     marker=MARKERS[time.kind])  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="FLOP for each byte read or written in DRAM", ylabel="FLOP/s of a chip")
    handles = [plt.Line2D([], [], ls="", marker=mark, color=KIND_COLOURS[kind], mec=INK, label=kind)
               for kind, mark in MARKERS.items() if kind in seen]  # fmt: skip
    axes.legend(handles=handles, fontsize=9, loc="lower right", frameon=False)
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"The products of a denoising pass on a chip of {system.name}; area is time", fontsize=12)
    return signed(figure, PREDICTED)


def kept_plan(row: dict) -> Figure:
    """One row of recorded/plans.json: what a chip of the system must hold, and how long the stages take."""
    system = find_system(row["system"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained", width_ratios=(1, 2))
    most = system.dram_bytes / 1e9
    left.barh(0, most, color="#e9e9e9", ec=INK, height=0.5)
    if row["stages"] is None:
        left.text(most / 2, 0, "does not fit", ha="center", va="center", fontsize=12)
        right.text(0.5, 0.5, "nothing to time", ha="center", va="center", transform=right.transAxes, fontsize=12)
        right.set(xticks=[], yticks=[])
    else:
        left.barh(0, row["peak"] / 1e9, color=COLOURS[0], ec=INK, height=0.5)
        left.text(row["peak"] / 1e9, 0.36, f"{row['peak'] / 1e9:.1f} GB", ha="center", va="bottom", fontsize=10)
        stages_of(row, right)
    left.set(xlim=(0, most), ylim=(-0.5, 0.8), yticks=[], xlabel=f"GB of a chip's {most:.1f}", title="memory at most")
    for axes in (left, right):
        axes.spines[["top", "right", "left"]].set_visible(False)
    size = f"{row['frames']} frames of {row['width']} x {row['height']}"
    figure.suptitle(f"{size} on {system} ({system.title}), 50 steps", fontsize=12)
    return signed(figure, PREDICTED)


def stages_of(row: dict, axes) -> None:
    start, total = 0.0, sum(row["stages"].values())
    for (name, seconds), colour, hatch in zip(row["stages"].items(), COLOURS, HATCHES):
        axes.barh(0, seconds, left=start, color=colour, hatch=hatch, ec="white", height=0.5, label=name)
        start += seconds
    low, high = row["range"]
    axes.plot([low, high], [0.36, 0.36], color=INK, lw=1.5, marker="|")
    axes.text(total, 0.42, f"{total:.0f} s, {low} to {high}", ha="center", va="bottom", fontsize=10)
    if row["bound"] == "host":
        axes.text(0.01, -0.33, f"waits for the host; traced {row['traced']} s", fontsize=10, va="top", color=INK,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set(xlim=(0, 1.1 * high), ylim=(-0.6, 0.8), yticks=[], xlabel="seconds, predicted", title="time")
    axes.legend(fontsize=9, frameon=False, ncols=3, loc="lower right")


def all_plans(rows: list[dict]) -> Figure:
    """What stands for the explorer where nothing moves: the full video on each system that holds it."""
    rows = [row for row in rows if row["stages"] and row["frames"] == 163 and row["height"] == 480]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 0.9 + 0.42 * len(rows)), sharey=True, layout="constrained")
    for place, row in enumerate(rows):
        total, (low, high) = sum(row["stages"].values()), row["range"]
        left.barh(place, find_system(row["system"]).dram_bytes / 1e9, color="#e9e9e9", ec=INK, height=0.6)
        left.barh(place, row["peak"] / 1e9, color=COLOURS[0], ec=INK, height=0.6)
        right.barh(place, total, color=COLOURS[1], ec=INK, height=0.6)
        right.plot([low, high], [place, place], color=INK, lw=1.5, marker="|")
        right.text(high, place, f"  {total:.0f} s", va="center", fontsize=9)
    left.set(yticks=range(len(rows)), yticklabels=[row["system"] for row in rows], xlabel="GB at most, of a chip's all")
    right.set(xlabel="seconds, predicted")
    right.margins(x=0.15)
    left.invert_yaxis()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("163 frames of 848 x 480, 50 steps, this project's Mochi", fontsize=12)
    return signed(figure, PREDICTED)


def scaling(sps: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> Figure:
    """Seconds of a pass on 4 to 128 chips. Left one clip for all (strong scaling), right frames as chips (weak)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    chips = [4 * sp for sp in sps]
    strong, weak = [TOKENS] * len(sps), [TOKENS * sp // 8 for sp in sps]
    ways = ((False, COLOURS[5], "o", "each call sent by the host"), (True, COLOURS[0], "s", "traced"))
    for axes, tokens in ((left, strong), (right, weak)):
        for traced, colour, marker, text in ways:
            seconds = [denoising(sp, traced=traced, tokens=n).seconds() for sp, n in zip(sps, tokens)]
            axes.plot(chips, seconds, color=colour, marker=marker, label=text)
        first = seconds[0] * chips[0] / tokens[0]  # of the traced, the last: what a chip takes for a token
        axes.plot(chips, [first * n / c for n, c in zip(tokens, chips)], color="#666666", ls=":", label="ideal")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set(xticks=chips, xticklabels=chips, xlabel="chips, tp 4 everywhere")
        axes.spines[["top", "right"]].set_visible(False)
    left.set(ylabel="seconds of a pass, predicted", title="168 frames on more and more chips")
    left.set_yticks([0.5, 1, 2, 4, 8, 16], labels=["0.5", "1", "2", "4", "8", "16"])
    right.set(title="5 frames for each chip")
    left.legend(fontsize=9, frameon=False)
    figure.suptitle("tt-metal's Mochi on Wormhole, wired as inside a Galaxy", fontsize=12)
    return signed(figure, PREDICTED)


def split_ways(ways: list[Split], chosen: Split) -> Figure:
    """Each way to share a system between tp and sp: memory of a chip, and a pass's predicted seconds.

    Of the chips' seconds those in which they wait for links are hatched; a line stands where the host is done. The
    chosen way is in full colour, and the title says it in numbers.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 1.5 + 0.45 * len(ways)), sharey=True, layout="constrained",
                                         width_ratios=(1, 2))  # fmt: skip
    for place, way in enumerate(ways):
        strong = 1.0 if way == chosen else 0.35
        if way.peak is None:
            right.text(0, place, f"  {way.why}", va="center", fontsize=10, color=INK)
            continue
        waits = way.seconds["links"]
        left.barh(place, way.peak / 1e9, color=COLOURS[0], alpha=strong, height=0.6)
        right.barh(place, way.seconds["chips"] - waits, color=COLOURS[1], alpha=strong, height=0.6)
        right.barh(place, waits, left=way.seconds["chips"] - waits, color=COLOURS[2], hatch="//", ec="white",
                   alpha=strong, height=0.6)  # fmt: skip
        right.plot([way.seconds["host"]] * 2, [place - 0.4, place + 0.4], color=INK, lw=2.5, alpha=strong)
    left.axvline(one_of(chosen.system).dram_bytes / 1e9, color=COLOURS[5], ls="--", lw=2)
    left.set(yticks=range(len(ways)), yticklabels=[f"tp {way.tp}, sp {way.sp}" for way in ways])
    left.set(xlabel="GB at most; dashes: what a chip has", ylim=(len(ways) - 0.5, -0.5))
    right.set(xlabel="seconds of a pass, predicted; hatched: waiting for links; line: the host", xlim=(0, None))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    said = chosen.why
    if chosen.peak:
        chips, links, host = (chosen.seconds[kind] for kind in ("chips", "links", "host"))
        said = f"chips {chips:.2f} s, {links:.2f} of them waiting for links; host {host:.2f} s"
    figure.suptitle(f"{chosen.system}, tp {chosen.tp} x sp {chosen.sp}: {said}", fontsize=12)
    return signed(figure, PREDICTED)
