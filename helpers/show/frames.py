"""Pictures of notebook 05: where a camera goes on a still, who attends to whom, how coherent videos of one prompt are,
and what fits in a chip's memory.
"""

import itertools

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from helpers.frames.motion import pixels, to_picture
from helpers.planner.memory import NOT_COUNTED, Need
from helpers.show import COLOURS, INK, LINK, PALE, signed
from ttnn_emulator.systems import find_system

BOXES = {"start": (COLOURS[0], "-"), "end": (COLOURS[5], "--")}
# measure: (its name, what winning means)
MEASURES = {
    "temporal_flickering": ("temporal flickering", "flickers least"),
    "subject_consistency": ("subject consistency", "keeps its subject best"),
    "motion_smoothness": ("motion smoothness", "moves most smoothly"),
    "dynamic_degree": ("dynamic degree", "moves most"),
}

FRAMES, SIDE, ASKING = 4, 6, (1, 2, 3)  # of the sketch of attention: frames, positions on a side, who asks
HEARD = {
    "in a picture model": lambda frame, row, column: frame == ASKING[0],
    "in a motion module": lambda frame, row, column: (row, column) == ASKING[1:],
    "in a video model": lambda frame, row, column: True,
}

Measures = dict[str, dict[str, float]]  # name of a video: what helpers.metrics.coherence says of it


def camera(picture, start, end, by: str) -> Figure:
    """A picture (H, W, 3) with the boxes of a Ken Burns, and beside it what the camera sees in each.

    Boxes are (left, top, right, bottom) as helpers.frames.motion takes them. Raises ValueError as it does.
    """
    picture = to_picture(picture)
    height, width, _ = picture.shape
    boxes = {name: pixels(box, picture, name) for name, box in (("start", start), ("end", end))}
    figure, (whole, *views) = plt.subplots(
        1, 3, figsize=(9.6, 3.4 * min(1.3, height / width) + 0.4), width_ratios=(1.2, 1, 1), layout="constrained"
    )
    whole.imshow(picture, extent=(0, width, height, 0))
    for view, (name, (left, top, right, bottom)) in zip(views, boxes.items()):
        colour, style = BOXES[name]
        box = Rectangle((left, top), right - left, bottom - top, fill=False, ec=colour, lw=2.5, ls=style, label=name)
        box.set_clip_on(False)
        whole.add_patch(box)
        view.imshow(picture, extent=(0, width, height, 0))
        view.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
        view.set_title(f"{name}: {right - left:.0f} x {bottom - top:.0f} pixels", fontsize=11)
        view.spines[:].set(color=colour, lw=2.5, ls=style)
    for a, b in ((0, 1), (2, 1), (0, 3), (2, 3)):  # from corner to corner
        (x0, x1), (y0, y1) = ([box[n] for box in boxes.values()] for n in (a, b))
        whole.plot((x0, x1), (y0, y1), color=LINK, lw=1, ls=":")
    whole.set(xlabel="x (pixels)", ylabel="y (pixels)", xlim=(0, width), ylim=(height, 0))
    whole.set_title("where the camera goes", fontsize=11)
    whole.legend(loc="lower left", fontsize=9)
    return signed(figure, by)


def who_hears_whom(by: str) -> Figure:
    """Small clips, one a kind of model: one position that asks, and the positions of all frames that answer it."""
    figure, panels = plt.subplots(len(HEARD), 1, figsize=(6.4, 5.4), layout="constrained")
    for panel, (title, hears) in zip(panels, HEARD.items()):
        count = 0
        for frame, row, column in itertools.product(range(FRAMES), range(SIDE), range(SIDE)):
            here, heard = (frame, row, column) == ASKING, hears(frame, row, column)
            count += heard
            colour = COLOURS[1] if here else COLOURS[4] if heard else PALE
            panel.add_patch(Rectangle((frame * (SIDE + 1) + column, row), 0.9, 0.9, fc=colour, ec="none"))
        for frame in range(FRAMES):
            panel.text(frame * (SIDE + 1) + SIDE / 2, SIDE + 0.3, f"frame {frame}", ha="center", va="top", fontsize=9)
        panel.set_title(f"{title}: the orange position hears {count} of {FRAMES * SIDE**2}", fontsize=11)
        panel.set(xlim=(-0.3, FRAMES * (SIDE + 1)), ylim=(SIDE + 1.3, -0.3), xticks=[], yticks=[], aspect="equal")
        panel.spines[:].set_visible(False)
    return signed(figure, by)


def memory(needs: list[Need], titles: dict[str, str]) -> Figure:
    """A bar for each part on one system: weights, what one pass adds, and where the chip's memory ends.

    titles: of the parts. One that does not fit has no numbers, and its bar runs into the wall.
    """
    wall = needs[0].capacity / 1e9
    figure, axes = plt.subplots(figsize=(8.2, 0.42 * len(needs) + 1.4), layout="constrained")
    for row, need in enumerate(needs):
        if need.fits:
            weights, peak = need.weights / 1e9, need.peak / 1e9
            axes.barh(row, weights, height=0.62, color=COLOURS[0])
            axes.barh(row, peak - weights, left=weights, height=0.62, color=COLOURS[4], hatch="//", edgecolor="white")
            axes.text(peak + 0.15, row, f"{weights:.1f} + {peak - weights:.1f}", va="center", fontsize=9)
        else:
            axes.barh(row, wall, height=0.62, color="white", ec=COLOURS[5], hatch="///", lw=1.2)
            box = dict(fc="white", ec="none", pad=1.5)
            axes.text(wall / 2, row, "out of memory", va="center", ha="center", fontsize=9, bbox=box)
    axes.axvline(wall, color=INK, lw=1.5, ls="--")
    names = [f"{titles[need.part]}, {need.request['dtype']}" for need in needs]
    axes.set_yticks(range(len(needs)), names, fontsize=10)
    axes.set(xlim=(0, 1.12 * wall), ylim=(len(needs) - 0.5, -0.5), xlabel="GB on the chip")
    labels = {"weights": (COLOURS[0], ""), "one pass, at its peak": (COLOURS[4], "//")}
    handles = [Rectangle((0, 0), 1, 1, fc=fc, hatch=h, ec="white", label=label) for label, (fc, h) in labels.items()]
    handles.append(Line2D([], [], color=INK, ls="--", label=f"{needs[0].system}: {wall:.1f} GB"))
    below = (0.5, -0.6 / (0.42 * len(needs)))  # as far below the axis for many bars as for few
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=below, ncols=3, frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return signed(figure, f"dry runs on emulated {find_system(needs[0].system)}. {NOT_COUNTED}")


def coherence(measures: Measures, by: str) -> Figure:
    """One panel a measure, one dot a video. Each panel has its own scale: the differences are small."""
    names = list(measures)
    figure, panels = plt.subplots(
        1, len(MEASURES), sharey=True, figsize=(10.4, 0.42 * len(names) + 1.5), layout="constrained"
    )
    for panel, (measure, (title, _)) in zip(panels, MEASURES.items()):
        values = [measures[name][measure] for name in names]
        low, span = min(values), max(max(values) - min(values), 1e-3)
        for row, value in enumerate(values):
            panel.plot(value, row, "o", ms=9, color=COLOURS[row % len(COLOURS)], mec=INK, mew=0.6)
            panel.annotate(f"{value:.3f}", (value, row), (8, 0), textcoords="offset points", va="center", fontsize=9)
        panel.set_xlim(low - 0.12 * span, low + 1.6 * span)
        panel.set_xticks([tick for tick in MaxNLocator(2).tick_values(low, low + span) if low <= tick <= 1])
        dress(panel, names, measure, title)
    return signed(figure, by)


def dress(panel, names: list[str], measure: str, title: str) -> None:
    """A row for each video, from the top down, and what the numbers of the measure mean."""
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_yticks(range(len(names)), names, fontsize=10)
    panel.set_title(title, fontsize=11)
    meaning = "share of blocks that move" if measure == "dynamic_degree" else "1: as a still picture"
    panel.set_xlabel(meaning, fontsize=9)
    panel.grid(axis="y", alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def table(measures: Measures) -> str:
    """The same as text, a line for each video."""
    wide = max(len(name) for name in measures) + 2
    heads = zip(*(title.split() for title, _ in MEASURES.values()))  # two words, one over the other
    lines = [" " * wide + "".join(f"{word:>14}" for word in words) for words in heads]
    for name, row in measures.items():
        lines.append(f"{name:{wide}}" + "".join(f"{row[measure]:14.3f}" for measure in MEASURES))
    return "\n".join(lines)


def finding(measures: Measures) -> str:
    """What the numbers say, in one sentence: who wins what, who is last in what, and what most motion goes with."""
    said = [f"'{name}' {joined(phrases)}" for name, phrases in placed(measures, max, 0).items()]
    said += [f"'{name}' is last in {joined(titles)}" for name, titles in placed(measures, min, 1).items()]
    flicker, motion = ({n: row[m] for n, row in measures.items()} for m in ("temporal_flickering", "dynamic_degree"))
    end = ""
    if max(motion, key=motion.get) == min(flicker, key=flicker.get):
        end = "; what moves most is what flickers most"
    elif min(motion, key=motion.get) == max(flicker, key=flicker.get):
        end = "; what flickers least is what moves least"
    return "; ".join(said) + end + "."


def joined(parts: list[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def placed(measures: Measures, best, which: int) -> dict[str, list[str]]:
    """Name of a video -> the measures in which it is first (best=max) or last (min), as phrases with the number."""
    found = {}
    for measure, names in MEASURES.items():
        name = best(measures, key=lambda name: measures[name][measure])
        found.setdefault(name, []).append(f"{(names[1], names[0])[which]} ({measures[name][measure]:.3f})")
    return found


def over_prompts(comparison: dict, by: str) -> Figure:
    """For each measure and way a dot at the mean over prompts, with a line of one standard deviation each way.

    comparison: what `training.compare` has written.
    """
    ways, names = comparison["ways"], list(comparison["ways"])
    shown = {measure: title for measure, (title, _) in MEASURES.items()}
    shown["followed_consistency"] = "consistency,\nwindow on the subject"
    figure, panels = plt.subplots(1, len(shown), sharey=True, figsize=(11.4, 3.0), layout="constrained")
    for panel, (measure, title) in zip(panels, shown.items()):
        for row, name in enumerate(names):
            mean, spread = (ways[name][measure][what] for what in ("mean", "std"))
            panel.errorbar(mean, row, xerr=spread, fmt="o", ms=8, color=COLOURS[row % len(COLOURS)], mec=INK, capsize=3)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        dress(panel, names, measure, title)
    return signed(figure, by)


def budgets(comparison: dict) -> str:
    """What went into each way, a line for each: a result is no more than what was put in."""
    widths = {"clips": 8, "steps": 8, "minutes": 9, "parameters": 12}
    lines = [
        f"{'':20}{'model':17}" + "".join(f"{head:>{width}}" for head, width in widths.items()) + f"{'sampling':>10}"
    ]
    for way, row in comparison["budgets"].items():
        numbers = "".join(f"{row[head]:{width},}" for head, width in widths.items())
        lines.append(f"{way:20}{row['model']:17}{numbers}{comparison['settings']['steps']:10}")
    return "\n".join(lines)


def shows_the_prompt(comparison: dict) -> str:
    """In how many per cent of the clips the detectors see what was asked for, a line for each way."""
    aspects = comparison["settings"]["aspects"]
    lines = [" " * 20 + "".join(f"{aspect:>10}" for aspect in aspects)]
    for way, measures in comparison["ways"].items():
        lines.append(f"{way:20}" + "".join(f"{100 * measures[aspect]['mean']:8.0f} %" for aspect in aspects))
    return "\n".join(lines)
