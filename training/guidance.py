"""What guidance brings: `python -m training.guidance` writes models/guidance.json and .webp, for notebook 03.

Ten prompts of colours that tiny-mochi has not seen together, sixteen seeds each, at four strengths, with the stock
pipeline. The detectors say what each clip shows. One clip would be an anecdote; of 160 the share that is right has a
standard error of four points at most. The picture has one of the prompts: a row for each strength, a column for each
of eight seeds, the middle frame of each clip. `--picture` makes it alone, in a minute.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.video import to_uint8
from helpers.world.prompts import caption
from helpers.world.scenes import Clip
from training.compare import spread
from training.export import write_json
from training.mochi.evaluate import Sampler, fixed_clips, judge

STRENGTHS = (1.0, 2.0, 4.5, 9.0)
PROMPTS, SEEDS, STEPS, FRAMES = 10, 16, 12, 31
OUT = Path("models/guidance.json")
SHOWN, COLUMNS = 7, 8  # which of the prompts is shown, and in how many seeds


def at_strength(sampler: Sampler, clips: list[Clip], strength: float, seeds: int) -> list[dict[str, float]]:
    """For each seed the share of the clips that show what was asked, by aspect"""
    prompts, rates = [caption(clip, plain=True) for clip in clips], []
    for seed in range(seeds):
        # another noise for each prompt too, the same at all strengths
        own = [1000 * seed + place for place in range(len(clips))]
        rates.append(judge(sampler(prompts, guidance=strength, seeds=own), clips))
        print(f"strength {strength:g}, seed {seed}: {rates[-1]}", flush=True)
    return rates


def compare(sampler: Sampler, prompts: int = PROMPTS, seeds: int = SEEDS) -> dict:
    """-> what guidance.json holds: for each strength and aspect the mean, and the standard deviation over seeds."""
    clips = fixed_clips(prompts, unseen=True)
    found = {f"{strength:g}": spread(at_strength(sampler, clips, strength, seeds)) for strength in STRENGTHS}
    settings = {"prompts": prompts, "seeds": seeds, "steps": sampler.steps, "frames": sampler.frames}
    return {"strengths": found, "settings": settings}


def picture(sampler: Sampler, clip: Clip) -> Image.Image:
    """Middle frames, (strengths x seeds) of 96 x 96 pixels: the same seeds in each row."""
    prompts, seeds = [caption(clip, plain=True)] * COLUMNS, [1000 * seed + SHOWN for seed in range(COLUMNS)]
    rows = [sampler(prompts, guidance=strength, seeds=seeds)[:, FRAMES // 2] for strength in STRENGTHS]
    return Image.fromarray(to_uint8(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])[None])[0])


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.guidance", description=__doc__)
    parser.add_argument("folder", nargs="?", default="models/tiny-mochi", type=Path)
    parser.add_argument("--picture", action="store_true", help="make the picture only")
    options = parser.parse_args(arguments)
    sampler = Sampler(options.folder, STEPS, 1.0, FRAMES, PROMPTS, "float32", "cpu")
    if not options.picture:
        write_json(OUT, compare(sampler))
    shown = fixed_clips(PROMPTS, unseen=True)[SHOWN]
    picture(sampler, shown).save(OUT.with_suffix(".webp"), quality=85)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
