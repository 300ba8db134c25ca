"""Makes docs/_static/denoise.mp4 and its poster: one clip on its way from noise, after several steps side by side.

    .venv/bin/python -m docs.clips

The website shows one panel at a time, moved by a slider. About two minutes on two cores.
"""

from pathlib import Path

import torch
from PIL import Image

from helpers import video
from helpers.mesh import label, open_mesh
from helpers.mochi.pipeline import Mochi

PROMPT, SEED, STEPS = "a red butterfly landing on a blue flower", 7, 20
SHOWN = (1, 12, 14, 15, 16, 17, 18, 20)  # after how many steps; docs/index.md has the same list
FOLDER = Path(__file__).resolve().parent / "_static"


def main() -> None:
    mesh = open_mesh("galaxy")
    mochi, latents = Mochi(mesh, FOLDER.parent.parent / "models" / "tiny-mochi"), {}
    mochi(PROMPT, seed=SEED, steps=STEPS, callback=lambda step, now: latents.update({step + 1: now.clone()}))
    panels = [(mochi.decoder(latents[step])[0].permute(1, 2, 3, 0) / 2 + 0.5).clamp(0, 1) for step in SHOWN]
    frames = video.to_uint8(torch.cat(panels, dim=2))  # (T, H, panels * W, 3)
    file = video.write(FOLDER / "denoise.mp4", frames, made_by=label(mesh))
    Image.fromarray(frames[-1]).save(FOLDER / "denoise.jpg", quality=90)
    print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
