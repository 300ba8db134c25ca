"""Pictures of notebook 02: what T5 does with distances, where its tokens look, and which words move the others."""

from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.show import COLOURS, INK, LINK, PALE, signed
from helpers.show.live import Live


def buckets(bucket: Callable[[int], int], reach: int, by: str) -> Figure:
    """The bucket of every distance from -reach to reach, in tokens, as steps."""
    distances = range(-reach, reach + 1)
    figure, axes = plt.subplots(figsize=(7.6, 3.4), layout="constrained")
    for side, colour, name in ((-1, COLOURS[0], "keys before the query"), (1, COLOURS[5], "keys after it")):
        ours = [d for d in distances if (d > 0) == (side > 0)]
        axes.step(ours, [bucket(d) for d in ours], where="mid", color=colour, lw=2, label=name)
    axes.set(xlabel="distance: key's place minus query's place (tokens)", ylabel="bucket")
    axes.set_title("Near distances have a bucket each, far ones share", fontsize=12)
    axes.legend(frameon=False, loc="upper left")
    axes.grid(alpha=0.25)
    return signed(figure, by)


def heads(values: torch.Tensor, title: str, unit: str, by: str, pieces: list[str] | None = None) -> Figure:
    """One heat map for each head of `values` (heads, queries, keys), all on one scale.

    Values of both signs get colours that part at zero. `pieces` names the tokens; without it they are counted.
    """
    values = values.float()
    both = values.min() < 0
    # One value far from all others would leave the rest pale. Shares go from 0 to 1, and are drawn as they are.
    largest = (values.abs().flatten().quantile(0.98) if both else values.max()).item()
    side = 2.6 if pieces is None else 3.3
    across = min(len(values), 4 if pieces is None else 2)
    down = -(-len(values) // across)
    figure, panels = plt.subplots(
        down, across, figsize=(side * across + 1.2, (side + 0.3) * down + 0.8), squeeze=False, layout="constrained"
    )
    for number, (panel, matrix) in enumerate(zip(panels.flat, values)):
        image = panel.imshow(
            matrix, cmap="PuOr" if both else "cividis", vmin=-largest if both else 0, vmax=largest, aspect="equal"
        )
        panel.set_title(f"head {number}", fontsize=11)
        panel.set(xlabel="key", ylabel="query")
        if pieces is not None:
            name_tokens(panel, pieces, pieces)
    for panel in panels.flat:
        panel.label_outer()
    figure.suptitle(title, fontsize=12)
    figure.colorbar(image, ax=panels, label=unit, shrink=0.9, extend="both" if both else "neither")
    return signed(figure, by)


def moved(distance: torch.Tensor, pieces: list[str], by: str) -> Figure:
    """Heat map of `distance` (hidden token, token): how far each token moves when another cannot be seen.

    In per cent of the token's own length. The diagonal, a token that does not see itself, is left grey.
    """
    percent = 100 * distance.float().clone()
    percent.fill_diagonal_(float("nan"))
    side = 0.36 * len(pieces) + 2.2
    figure, axes = plt.subplots(figsize=(side + 1.2, side), layout="constrained")
    axes.set_facecolor(PALE)
    image = axes.imshow(percent, cmap="cividis", vmin=0)
    name_tokens(axes, pieces, pieces)
    axes.set(xlabel="this token's vector moves", ylabel="when this token is hidden")
    axes.set_title("Which words move the others", fontsize=12)
    figure.colorbar(image, ax=axes, label="distance moved (% of the vector's length)", shrink=0.9)
    return signed(figure, by)


class PromptBox(Live):
    """A prompt to write: its tokens, their places and the mask, and which of them move which.

    read(prompt) -> (distance, pieces), as `moved` takes them. places: how many tokens the encoder is given.
    """

    def __init__(self, prompt: str, read: Callable, places: int, by: str):
        self.read, self.places, self.by = read, places, by
        wide = {"width": "95%"}
        self.prompt = ipywidgets.Text(prompt, description="prompt", continuous_update=False, layout=wide)
        super().__init__([self.prompt], self.draw)

    def draw(self) -> Figure:
        """The pictures of the prompt that stands in the box."""
        if not self.prompt.value.strip():
            return self.nothing()
        distance, pieces = self.read(self.prompt.value)
        figure = moved(distance, pieces, self.by)
        width, height = figure.get_size_inches()
        figure.set_size_inches(max(width, 9.6), height + 1.6)
        figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95 - 1.5 / (height + 1.6)))
        row = figure.add_axes((0.03, 1 - 1.35 / (height + 1.6), 0.94, 1.05 / (height + 1.6)))
        row.set_in_layout(False)
        tokens_in_places(row, pieces, self.places)
        return figure

    def nothing(self) -> Figure:
        figure, axes = plt.subplots(figsize=(9.6, 1), layout="constrained")
        axes.text(0, 0.5, "Nothing is written. Write a sentence above, and press enter.", fontsize=11, va="center")
        axes.axis("off")
        return signed(figure, self.by)


def tokens_in_places(axes, pieces: list[str], places: int) -> None:
    """A box for each place: dark with its token where the mask is 1, pale where padding stands; letters are marked."""
    for place in range(places):
        real = place < len(pieces)
        spelled = real and not pieces[place].startswith("▁") and pieces[place].isalpha()
        colour = PALE if not real else COLOURS[1] if spelled else COLOURS[4]
        axes.add_patch(Rectangle((place + 0.04, 0), 0.92, 1, fc=colour, ec=LINK, lw=0.6))
        if real:
            axes.text(place + 0.5, 0.5, pieces[place], rotation=90, ha="center", va="center", fontsize=8, color=INK)
    axes.set(xlim=(0, places), ylim=(0, 1), yticks=[], xticks=[])
    axes.spines[:].set_visible(False)
    left = max(0, places - len(pieces))
    count = f"{len(pieces)} of {places} places hold a token (mask 1), {left} are padding (mask 0)"
    count += "" if left else "; what is longer is cut"
    axes.set_title(f"{count}; orange: a letter of a word that is spelled", fontsize=10, loc="left")


def name_tokens(axes, columns: list[str], rows: list[str]) -> None:
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=9)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)


def memory(parts: dict[str, tuple[float, float]], capacity: float, by: str) -> Figure:
    """One bar for each system, (weights, highest) in bytes of one chip, against what the chip has."""
    figure, axes = plt.subplots(figsize=(7.2, 0.7 * len(parts) + 1.6), layout="constrained")
    for row, (weights, highest) in enumerate(parts.values()):
        axes.barh(row, weights / 1e9, color=COLOURS[0], height=0.55, label=None if row else "weights")
        work = (highest - weights) / 1e9
        axes.barh(row, work, left=weights / 1e9, color=COLOURS[1], hatch="//", edgecolor="white", height=0.55,
                  label=None if row else "while it works")  # fmt: skip
        said = f"{weights / 1e9:.2f} + {work:.2f} GB"
        axes.text(highest / 1e9 + 0.1, row, said, va="center", fontsize=10, color=INK)
    axes.axvline(capacity / 1e9, color=COLOURS[5], lw=2, ls="--", label=f"a chip has {capacity / 1e9:.2f} GB")
    axes.set(yticks=range(len(parts)), yticklabels=list(parts), xlabel="DRAM of one chip (GB)")
    axes.set_xlim(0, 1.25 * capacity / 1e9)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_color(LINK)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)
    return signed(figure, by)
