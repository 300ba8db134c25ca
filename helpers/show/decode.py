"""Pictures of notebook 04: latents and the frames they stand for, halos, seams, and memory."""

from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.show import COLOURS, INK, LINK, PALE, signed
from helpers.show.live import Live

PER_ROW = {"frames": 2, "channels": 3}  # pictures side by side in one column of `latent_frames`


def latent_frames(clip: torch.Tensor, latents: torch.Tensor, by: str) -> Figure:
    """Every latent frame under the video frames that it stands for: one under the first, six under each other.

    clip (3, T, H, W) in 0..1; latents (C, (T - 1) / 6 + 1, h, w), of which all channels are drawn.
    """
    count = latents.shape[1]
    figure, panels = plt.subplots(
        2, count, figsize=(1.45 * count + 0.5, 5.5), layout="constrained", height_ratios=(1, 0.9)
    )
    limit = latents.abs().flatten().quantile(0.99).item()  # a few large values would leave the rest pale
    for k, (above, below) in enumerate(panels.T):
        first, end = max(0, 6 * k - 5), 6 * k + 1
        frames = clip[:, first:end].permute(1, 2, 3, 0)
        above.imshow(mosaic(frames, PER_ROW["frames"], 3, white=1.0))
        name = f"frames {first} to {end - 1}" if k else "frame 0"
        above.set_title(name, fontsize=10)
        planes = mosaic(latents[:, k], PER_ROW["channels"], 4, white=float("nan"))
        below.imshow(planes, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
        below.set_title(f"latent frame {k}", fontsize=10)
    for panel in panels.flat:
        panel.axis("off")
    _, channels, height, width = latents.permute(1, 0, 2, 3).shape
    figure.suptitle(f"Above pixels, below the {channels} channels of {height} x {width} latents", fontsize=12)
    return signed(figure, by)


def mosaic(pictures: torch.Tensor, across: int, down: int, white: float) -> torch.Tensor:
    """(N, H, W, ...) -> one picture with `across` of them in a row, a thin gap between them, the rest empty."""
    height, width = pictures.shape[1:3]
    gap = max(1, height // 24)
    whole = pictures.new_full(((height + gap) * down - gap, (width + gap) * across - gap, *pictures.shape[3:]), white)
    for n, picture in enumerate(pictures):
        top, left = n // across * (height + gap), n % across * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole


def footprint(change: torch.Tensor, place: tuple[int, int, int], frames: list[int], by: str) -> Figure:
    """Where and when a video changes, (T, H, W), if one latent number at (frame, row, column) moves.

    Some frames as pictures, on a logarithmic scale with exact zeros in grey; under them every frame's mean.
    """
    latent, row, column = place
    figure = plt.figure(figsize=(8.0, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, len(frames), height_ratios=(1, 0.95))
    largest = change.max().item()
    scale, colours = LogNorm(largest / 1e4, largest), plt.get_cmap("viridis").with_extremes(bad=PALE)
    panels = [figure.add_subplot(grid[0, n]) for n in range(len(frames))]
    for panel, frame in zip(panels, frames):
        seen = change[frame].clamp(min=largest / 1e4).masked_fill(change[frame] == 0, float("nan"))
        image = panel.imshow(seen, norm=scale, cmap=colours, interpolation="nearest")
        panel.add_patch(Rectangle((8 * column - 0.5, 8 * row - 0.5), 8, 8, fill=False, ec="white", lw=1.5))
        panel.set_title(f"frame {frame}", fontsize=10)
        panel.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=panels, label="mean |change|", shrink=0.85)
    axes = figure.add_subplot(grid[1, :])
    each = change.mean((1, 2))
    changed = each > 0
    axes.semilogy(torch.arange(len(each))[changed], each[changed], "o-", color=COLOURS[0], ms=4)
    axes.axvspan(6 * latent - 5.5, 6 * latent + 0.5, color=COLOURS[1], alpha=0.3, label=f"frames of latent {latent}")
    if not changed.all():
        axes.axvspan(-0.5, changed.float().argmax().item() - 0.5, color=PALE, label="exactly 0")
    axes.set(xlabel="video frame", ylabel="mean |change|", xlim=(-0.5, len(each) - 0.5))
    axes.legend(frameon=False, fontsize=10)
    return signed(figure, by)


class Poke(Live):
    """Three sliders choose a latent number; the picture shows what changes in the video when it moves.

    poke(frame, row, column) -> change (T, H, W). size: latent frames, rows and columns.
    """

    def __init__(self, poke: Callable, place: tuple[int, int, int], size: tuple[int, int, int], by: str):
        self.poke, self.by = poke, by
        names = "latent frame", "row", "column"
        self.sliders = [
            ipywidgets.IntSlider(at, 0, count - 1, description=name, continuous_update=False)
            for at, count, name in zip(place, size, names)
        ]
        super().__init__(self.sliders, self.draw, photo=True)

    def draw(self) -> Figure:
        """The footprint of what is chosen now: the frame before its own, some of its own, and the last of all."""
        place = tuple(slider.value for slider in self.sliders)
        change = self.poke(*place)
        first, end, last = max(0, 6 * place[0] - 5), 6 * place[0] + 1, len(change) - 1
        return footprint(
            change, place, sorted({max(0, first - 1), first, min(first + 2, end - 1), end - 1, last}), self.by
        )


def enlarged(pictures: dict[str, torch.Tensor], borders: list[int], by: str) -> Figure:
    """Pictures (H, W, 3) in 0..1 side by side, every pixel a square. Marks at the left: rows where a strip begins."""
    figure, panels = plt.subplots(1, len(pictures), figsize=(4.7 * len(pictures), 5), squeeze=False,
                                  layout="constrained")  # fmt: skip
    for (name, picture), panel in zip(pictures.items(), panels[0]):
        panel.imshow(picture, interpolation="nearest")
        panel.set(xticks=[], yticks=[row - 0.5 for row in borders], yticklabels=borders, title=name)
        panel.tick_params(length=8, width=2, color=COLOURS[5])
    panels[0][0].set_ylabel("row of pixels")
    return signed(figure, by)


def halos(held: list[list[int]], before: int = 2) -> Figure:
    """The frames that each chip holds, by number. The first `before` came from elsewhere: they have that chip's colour.

    held: for each chip its frames, halo first.
    """
    figure, axes = plt.subplots(figsize=(8.6, 0.62 * len(held) + 1.0), layout="constrained")
    owner = {frame: COLOURS[chip % 4] for chip, frames in enumerate(held) for frame in frames[before:]}
    for chip, frames in enumerate(held):
        y = len(held) - 1 - chip
        for n, frame in enumerate(frames):
            own, x = n >= before, frames[before] - before + n
            look = dict(fc=owner[frame]) if own else dict(fc="white", hatch="////")
            axes.add_patch(Rectangle((x - 0.44, y - 0.36), 0.88, 0.72, ec=owner[frame], lw=2, **look))
            behind = None if own else dict(fc="white", ec="none", pad=1.5)
            colour = "white" if own else INK
            axes.text(x, y, str(frame), ha="center", va="center", fontsize=12, weight="bold", color=colour, bbox=behind)
    axes.set(xlim=(-before - 0.7, held[-1][-1] + 0.7), ylim=(-0.6, len(held) - 0.4))
    axes.set_yticks(range(len(held)), [f"chip {chip}" for chip in reversed(range(len(held)))], fontsize=11)
    axes.set(xticks=[], title="Filled: the chip's own frames. Hatched: its halo")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return signed(figure, "the numbers count frames")


def seams_in_space(error: torch.Tensor, borders: list[int], by: str, columns: list[int] = ()) -> Figure:
    """Map of |error| (H, W), and beside it each row's mean; dashed where parts of the picture meet.

    borders, columns: the rows and columns (pixels) at which a new part begins.
    """
    figure, (picture, profile) = plt.subplots(
        1, 2, figsize=(7.2, 3.6), layout="constrained", width_ratios=(1.35, 1), sharey=True
    )
    most = torch.as_tensor(error).flatten().quantile(0.99).item()  # a few pixels would leave the rest dark
    image = picture.imshow(error, cmap="viridis", vmin=0, vmax=most, interpolation="nearest")
    figure.colorbar(image, ax=picture, label="mean |error| (pixels: 0 to 1)", shrink=0.85, extend="max")
    profile.plot(error.mean(1), range(len(error)), color=COLOURS[0], lw=2)
    for at in borders:
        picture.axhline(at - 0.5, color="white", lw=1.2, ls="--")
        profile.axhline(at - 0.5, color=LINK, lw=1.2, ls="--")
    for at in columns:
        picture.axvline(at - 0.5, color="white", lw=1.2, ls="--")
    picture.set(xlabel="column (pixels)", ylabel="row (pixels)")
    profile.set(xlabel="mean |error| of the row", xlim=(0, None))
    profile.grid(alpha=0.25)
    return signed(figure, by)


def seams_in_time(errors: dict[str, torch.Tensor], borders: list[int], by: str) -> Figure:
    """Mean |error| of every frame, one line for each name; dashed where a new chip's frames begin."""
    figure, axes = plt.subplots(figsize=(8.2, 3.3), layout="constrained")
    for (name, error), colour, mark in zip(errors.items(), (COLOURS[5], COLOURS[0]), "os"):
        axes.plot(error, mark + "-", color=colour, ms=4, lw=1.8, label=name)
    for at in borders:
        axes.axvline(at - 0.5, color=LINK, lw=1.2, ls="--")
    axes.set(xlabel="video frame", ylabel="mean |error|", ylim=(0, None), xlim=(-0.5, len(error) - 0.5))
    axes.legend(frameon=False, fontsize=10)
    axes.grid(alpha=0.25)
    return signed(figure, by)


def memory(sizes: dict[str, int], capacity: int) -> Figure:
    """Bytes of each named thing as bars, in GB, against what one chip has."""
    figure, axes = plt.subplots(figsize=(8.2, 0.5 * len(sizes) + 1.5), layout="constrained")
    gigabytes = [size / 1e9 for size in sizes.values()]
    colours = [COLOURS[5] if size > capacity else COLOURS[0] for size in sizes.values()]
    bars = axes.barh(list(sizes), gigabytes, color=colours, height=0.62)
    axes.bar_label(bars, [f"{value:.2f}" for value in gigabytes], padding=4, fontsize=10)
    axes.axvline(capacity / 1e9, color=INK, lw=1.5, ls="--", label=f"memory of one chip: {capacity / 1e9:.2f} GB")
    axes.set(xlabel="GB", xlim=(0, 1.15 * max(*gigabytes, capacity / 1e9)))
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    return signed(figure, "paper, not measured")
