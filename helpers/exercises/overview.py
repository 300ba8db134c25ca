"""progress(): what a learner has answered over the series, as one picture."""

import functools
import re
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from helpers import answers
from helpers.exercises.predictions import near, numbers
from helpers.show import COLOURS, INK, LINK, signed
from helpers.words import say

# What became of an exercise -> marker, colour. The shapes differ, too.
STATES = {
    "right at the first try": ("o", COLOURS[0]),
    "right, with hints or more tries": ("^", COLOURS[4]),
    "answer looked up": ("s", COLOURS[1]),
    "not right yet": ("X", COLOURS[5]),
    "not begun": (".", LINK),
}
FURTHEST = 100  # times off: guesses beyond stand at the edge


def progress() -> Figure | None:
    """Draws what is kept in the learner's file. None where nothing is kept, which is said."""
    kept = answers.read()
    if kept is None:
        say("Nothing is kept here: this is not the folder of your own copies, which `make lab` opens.")
        return None
    rows = max(6, 2.2 + 0.26 * len(kept["predictions"]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, min(rows, 10)), layout="constrained")
    draw_exercises(left, kept["exercises"])
    draw_predictions(right, kept["predictions"])
    return signed(figure, f"from {answers.FILE}")


@functools.cache
def exercises_of() -> dict[str, list[str]]:
    """Notebook -> keys of its exercises, read from the modules' source: importing all of them takes seconds."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        notebook = re.match(r'"""The exercises of notebook (\d\d)', source)
        if notebook:
            names = re.findall(r"^(\w+) = Exercise\(", source, re.MULTILINE)
            found.setdefault(notebook[1], []).extend(f"{path.stem}.{name}" for name in names)
    return dict(sorted(found.items()))


def state(row: dict | None) -> str:
    if row is None:
        return "not begun"
    if row["answer"]:
        return "answer looked up"
    if not row["right"]:
        return "not right yet"
    return "right at the first try" if row["tries"] == 1 and not row["hints"] else "right, with hints or more tries"


def draw_exercises(axes, kept: dict) -> None:
    """A row for each notebook, a mark for each exercise."""
    notebooks = exercises_of()
    for y, keys in enumerate(notebooks.values()):
        for x, key in enumerate(keys, 1):
            marker, colour = STATES[state(kept.get(key))]
            axes.plot(x, y, marker, color=colour, ms=6 if marker == "." else 12, mec=INK, mew=0.6)
            words = key.partition(".")[2].replace("_", "\n", 1).replace("_", " ")
            axes.text(x, y + 0.2, words, ha="center", va="top", fontsize=6.5, color=INK)
    for name, (marker, colour) in STATES.items():
        axes.plot([], [], marker, color=colour, label=name, ms=8, mec=INK, mew=0.6)
    done = sum(row["right"] for row in kept.values())
    axes.set_title(f"Exercises: {done} of {sum(map(len, notebooks.values()))} right", fontsize=12)
    axes.set(yticks=range(len(notebooks)), yticklabels=notebooks, ylabel="notebook", xticks=[])
    axes.set(xlim=(0.4, 0.6 + max(map(len, notebooks.values()))), ylim=(len(notebooks) - 0.2, -0.6))
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2)


def draw_predictions(axes, kept: dict) -> None:
    """How many times too high or too low each guess was; those that are no numbers, right or not."""
    low, high = 1 / FURTHEST, FURTHEST
    for y, one in enumerate(kept.values()):
        guess, actual = one["guess"], one["actual"]
        close = near(guess, actual, 0.1)
        marker, colour = ("o", COLOURS[0]) if close else ("X", COLOURS[5])
        countable = numbers(guess, actual) and guess > 0 and actual > 0
        x = min(high, max(low, guess / actual)) if countable else (1 if close else high)
        axes.plot(x, y, marker, color=colour, ms=9, mec=INK, mew=0.6, clip_on=False)
    axes.axvline(1, color=LINK, lw=1, zorder=0)
    close = sum(near(one["guess"], one["actual"], 0.1) for one in kept.values())
    axes.set_title(f"Predictions: {close} of {len(kept)} within 10 %", fontsize=12)
    questions = [question if len(question) <= 46 else f"{question[:45]}…" for question in kept]
    axes.set(xscale="log", xlim=(low, high), xlabel="your guess, times what happened")
    axes.set(yticks=range(len(kept)), ylim=(max(len(kept), 1) - 0.4, -0.6))
    axes.set_yticklabels(questions, fontsize=8)
    axes.set_xticks([0.01, 0.1, 1, 10, 100], ["1/100\nor less", "1/10", "right", "10", "100 or more,\nor another word"])
    axes.spines[["top", "right", "left"]].set_visible(False)
