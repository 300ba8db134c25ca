"""The moving picture at the top of README: a clip, and beside it the 32 chips that made it. And clips alone.

    .venv/bin/python -m tools.picture   # writes butterfly.webp, clip.webp, two_blues.webp in pictures/; two minutes

Every chip shows what it holds itself, read from it: while the clip comes out of the noise and then while it plays.
The column whose six frames are playing is lit. Animated WebP and no GIF: a palette of 256 colours puts spots on what a
model painted smoothly.
"""

import itertools
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from helpers import video
from helpers.mesh import label, open_mesh
from helpers.mochi import vae
from helpers.mochi.pipeline import PER_LATENT, Mochi, Request, first_noise
from helpers.tensors import shards_of
from tools.series import ROOT

PROMPT, SEED, STEPS, FRAMES = "a red butterfly landing on a blue flower", 1, 20, 31
SHOWN_STEPS = (0, 4, 8, 10, 12, 13, 14, 15, 16, 17, 18)  # of the denoiser; most of them change little
FPS, PLAYED = 12, 2  # how often the clip plays before it starts over
MOST_BYTES = 2_000_000
OUT = ROOT / "pictures" / "butterfly.webp"
CLIP = ROOT / "pictures" / "clip.webp"  # with which each notebook opens
TWO_BLUES = ROOT / "pictures" / "two_blues.webp"  # at the end of notebook 02, whose two prompts these are
BLUES = "a blue butterfly landing on a yellow flower", "a yellow butterfly landing on a blue flower"
BLUE_SEED = 3

SIDE, CHIP, GAP, MARGIN, LINE = (
    288,
    64,
    8,
    24,
    34,
)  # pixels: clip, chip, between chips, around, a line of text
PAPER, CHIP_PAPER, INK, DIM, LIT = "#12181f", "#26303a", "#e8edf2", "#8d9aa6", "#e69f00"


class Watched:
    """A Mochi whose decoder also says what every chip holds: `held`, {(row, column): (T, h, w, 3) in 0..1}."""

    def __init__(self, mesh):
        self.mochi, self.held = Mochi(mesh, ROOT / "models" / "tiny-mochi"), {}

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """(1, channels, T, h, w) -> (frames, H, W, 3) in 0..1"""
        gather = vae.gather

        def watching(tensor, **dims):
            self.held = {chip: (part[0].float() / 2 + 0.5).clamp(0, 1) for chip, part in shards_of(tensor).items()}
            return gather(tensor, **dims)

        with mock.patch.object(vae, "gather", watching):
            decoded = self.mochi.decoder(latents)
        return (decoded[0].permute(1, 2, 3, 0) / 2 + 0.5).clamp(0, 1)


def film(mesh) -> tuple[list[Image.Image], list[Image.Image]]:
    """All frames of the picture: out of the noise, then the clip, PLAYED times. And the clip's alone."""
    model, steps = Watched(mesh), []
    keep = lambda step, latents: steps.append(latents.clone())
    request = Request(PROMPT, steps=STEPS, seed=SEED, frames=FRAMES, callback=keep)
    noise = first_noise(model.mochi.transformer.config["in_channels"], request)
    model.mochi.denoise(noise, request)
    by, shown = label(mesh), []
    for step in SHOWN_STEPS:
        frames, now = model.decode(steps[step]), len(shown) + FRAMES - 2 * len(SHOWN_STEPS)
        text = f"out of the noise: step {step + 1} of {STEPS}"
        shown += [drawn(frames[now + n], model.held, now + n, text, by, every=True) for n in range(2)]
    frames = model.decode(steps[-1])
    played = [drawn(frame, model.held, now, PROMPT, by) for now, frame in enumerate(frames)]
    return shown + PLAYED * played, [enlarged(frame, SIDE, SIDE) for frame in frames]


def drawn(frame: torch.Tensor, held: dict, now: int, text: str, by: str, every: bool = False) -> Image.Image:
    """One frame: the clip on the left, what each chip holds at that moment on the right.

    frame: (H, W, 3) in 0..1; now: its number; every: all chips are lit, and not only the column of this frame.
    """
    rows, cols = (1 + max(chip[i] for chip in held) for i in (0, 1))
    left = 2 * MARGIN + SIDE
    size = left + cols * (CHIP + GAP) - GAP + MARGIN, MARGIN + SIDE + 2 * LINE
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    picture.paste(enlarged(frame, SIDE, SIDE), (MARGIN, MARGIN))
    column, within = (now + PER_LATENT - 1) // PER_LATENT, (now + PER_LATENT - 1) % PER_LATENT
    for row, col in itertools.product(range(rows), range(cols)):
        x, y = left + col * (CHIP + GAP), MARGIN + row * (CHIP + GAP)
        lit = col == column or (every and col <= (FRAMES - 1) // PER_LATENT)
        draw.rounded_rectangle((x, y, x + CHIP - 1, y + CHIP - 1), 8, CHIP_PAPER, LIT if lit else None, width=2)
        if col > (FRAMES - 1) // PER_LATENT:
            continue  # more columns than pieces of six frames: what these chips hold is cut off at the end
        part = held[row, col]
        strip = enlarged(part[within if lit else 0 if col > column else -1], (CHIP - 12) // 4, CHIP - 12)
        if not lit:
            strip = Image.blend(strip, Image.new("RGB", strip.size, CHIP_PAPER), 0.45)
        picture.paste(strip, (x + 6, y + (CHIP - strip.height) // 2))
    small, tiny, line = ImageFont.load_default(14), ImageFont.load_default(12), MARGIN + SIDE + 12
    draw.text((MARGIN, line), text, INK, small)
    draw.text((left, line), "what each chip paints: a row a quarter of the height, a column six frames", INK, small)
    draw.text((left, line + 22), f"{by}; {FRAMES} frames are six pieces: two columns wait", DIM, tiny)
    return picture


def enlarged(pixels: torch.Tensor, height: int, width: int) -> Image.Image:
    """(h, w, 3) in 0..1 -> a picture of that size"""
    whole = Image.fromarray(video.to_uint8(np.asarray(pixels)[None])[0])
    return whole.resize((width, height), Image.Resampling.BICUBIC)


def write(path: Path, pictures: list[Image.Image]) -> int:
    """Writes the animation, endless. -> its size in bytes. Raises ValueError where it is larger than MOST_BYTES."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    how = {"duration": round(1000 / FPS), "loop": 0, "quality": 90, "method": 6}
    try:
        pictures[0].save(part, "WEBP", save_all=True, append_images=pictures[1:], **how)
        size = part.stat().st_size
        if size > MOST_BYTES:
            raise ValueError(f"{path.name} would take {size:,} bytes, and at most {MOST_BYTES:,} are allowed.")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def two_blues(mesh) -> list[Image.Image]:
    """Two clips side by side from one noise, of two sentences in which only the colours have changed places."""
    model = Mochi(mesh, ROOT / "models" / "tiny-mochi")
    clips = [model(prompt, seed=BLUE_SEED) for prompt in BLUES]
    gap = Image.new("RGB", (2 * SIDE + GAP, SIDE), "white")
    pictures = []
    for pair in zip(*clips):
        picture = gap.copy()
        for number, frame in enumerate(pair):
            picture.paste(enlarged(frame, SIDE, SIDE), (number * (SIDE + GAP), 0))
        pictures.append(picture)
    return pictures


def main() -> None:
    mesh = open_mesh("galaxy")
    for path, pictures in zip((OUT, CLIP, TWO_BLUES), (*film(mesh), two_blues(mesh))):
        print(f"{path.relative_to(ROOT)}, {write(path, pictures):,} bytes")


if __name__ == "__main__":
    main()
