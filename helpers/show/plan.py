"""Pictures of a plan: how long which stage takes, what the calls reach of the chip, and what more chips bring."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from helpers.planner import rates
from helpers.planner.cost import KINDS
from helpers.planner.plan import Plan
from helpers.planner.predict import Pass
from helpers.planner.scale import denoising
from helpers.show import COLOURS, INK, signed
from ttnn_emulator.systems import System

KIND_COLOURS = dict(zip((*KINDS, "gaps"), COLOURS))
HATCHES = dict(zip((*KINDS, "gaps"), ("", "//", "xx", "\\\\", "..", "")))  # colours are never the only sign
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
            axes.barh(place, width, left=left, color=KIND_COLOURS[kind], hatch=HATCHES[kind], ec="white", lw=0.5,
                      label=kind, height=0.6)  # fmt: skip
            left += width
        if stage.bound == "host":
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
    axes.annotate(f"memory, {slope / 1e9:.0f} GB/s", (40, slope * 60), ha="center", fontsize=9)
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


def scaling(sps: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> Figure:
    """Strong scaling: seconds of a pass of one clip on 4 to 128 chips, traced and not, and what halving would give."""
    figure, axes = plt.subplots(figsize=(8, 4.4), layout="constrained")
    chips = [4 * sp for sp in sps]
    for traced, colour, marker, text in ((False, COLOURS[5], "o", "each call sent by the host"),
                                         (True, COLOURS[0], "s", "traced")):  # fmt: skip
        axes.plot(
            chips, [denoising(sp, traced=traced).seconds() for sp in sps], color=colour, marker=marker, label=text
        )
    first = denoising(sps[0], traced=True).seconds()
    axes.plot(chips, [first * chips[0] / n for n in chips], color="#666666", ls=":", label="half for twice the chips")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set(xticks=chips, xticklabels=chips, xlabel="chips, tp 4 everywhere", ylabel="seconds of a pass, predicted")
    axes.set_yticks([0.5, 1, 2, 4, 8, 16], labels=["0.5", "1", "2", "4", "8", "16"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=9, frameon=False)
    axes.set_title("One clip of 168 frames, tt-metal's Mochi, on more and more Wormhole chips", fontsize=12)
    return signed(figure, PREDICTED)
