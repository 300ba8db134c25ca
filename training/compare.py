"""Four ways to a clip, from the same prompts: `python -m training.compare` writes models/comparison.json.

Each way is asked for the same 30 prompts with the same number of sampling steps: independent stills (tiny-sd3, a seed
for each frame), one still under a moving camera, AnimateDiff, and a native clip (tiny-mochi, every second frame). The
stock pipelines make them. Every clip is measured by itself, so that each figure has a mean and a spread over prompts.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AnimateDiffPipeline, MochiPipeline, StableDiffusion3Pipeline
from tqdm.auto import tqdm

from helpers.frames.motion import ken_burns
from helpers.metrics import coherence, followed_consistency
from helpers.world.detectors import subject_centres
from helpers.world.prompts import caption
from helpers.world.scenes import Clip, render
from training.mochi.evaluate import ASPECTS, fixed_clips, judge

FRAMES, STEPS = 16, 14
CAMERA = (0.0, 0.0, 1.0, 1.0), (0.15, 0.15, 0.85, 0.85)  # a slow zoom
WAYS = {"independent stills": "tiny-sd3", "Ken Burns": "tiny-sd3", "AnimateDiff": "tiny-animatediff",
        "native Mochi": "tiny-mochi"}  # fmt: skip


def load(kind, folder: Path):
    pipeline = kind.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Makers:
    """way -> maker(clip, seed) -> (16, 96, 96, 3) in 0..1, all from the clip's plain caption."""

    def __init__(self, models: Path, steps: int):
        self.steps = steps
        self.stills = load(StableDiffusion3Pipeline, models / "tiny-sd3")
        self.animated = load(AnimateDiffPipeline, models / "tiny-animatediff")
        self.native = load(MochiPipeline, models / "tiny-mochi")
        self.of = {"independent stills": self.independent, "Ken Burns": self.under_camera,
                   "AnimateDiff": self.tied, "native Mochi": self.whole}  # fmt: skip

    def pictures(self, clip: Clip, seeds) -> np.ndarray:
        return self.stills(
            [caption(clip, plain=True)] * len(seeds), height=96, width=96, num_inference_steps=self.steps,
            guidance_scale=4.5, generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            max_sequence_length=self.stills.tokenizer_3.model_max_length, output_type="np",
        ).images  # fmt: skip

    def independent(self, clip: Clip, seed: int) -> np.ndarray:
        return self.pictures(clip, range(FRAMES * seed, FRAMES * (seed + 1)))

    def under_camera(self, clip: Clip, seed: int) -> np.ndarray:
        return ken_burns(self.pictures(clip, [FRAMES * seed])[0], *CAMERA, frames=FRAMES, size=(96, 96))

    def tied(self, clip: Clip, seed: int) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            return self.animated(
                caption(clip, plain=True), num_frames=FRAMES, num_inference_steps=self.steps, guidance_scale=3.0,
                generator=torch.Generator().manual_seed(seed), output_type="np",
            ).frames[0]  # fmt: skip

    def whole(self, clip: Clip, seed: int) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            made = self.native(
                caption(clip, plain=True), height=96, width=96, num_frames=2 * FRAMES - 1,
                num_inference_steps=self.steps, guidance_scale=4.5,
                generator=torch.Generator().manual_seed(seed), output_type="np",
            )  # fmt: skip
        return made.frames[0][::2]


def measured(video: np.ndarray, clip: Clip) -> dict[str, float]:
    """All measures of one clip, and whether it shows what was asked for: 1 or 0 for each aspect."""
    video = np.asarray(video, np.float32)
    followed = followed_consistency(video, subject_centres(video, clip.subject))
    return coherence(video) | {"followed_consistency": followed} | judge(video[None], [clip])


def spread(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """measure -> its mean over clips, and the standard deviation of one clip."""
    values = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
    return {name: {"mean": float(each.mean()), "std": float(each.std(ddof=1))} for name, each in values.items()}


def compare(models: Path, prompts: int, steps: int) -> dict:
    """-> what comparison.json holds. Half of the prompts are of held-out colours."""
    clips = fixed_clips(prompts - prompts // 2, False) + fixed_clips(prompts // 2, True)
    makers, result, seconds = Makers(models, steps), {}, {}
    for way, make in makers.of.items():
        started = time.time()
        rows = [measured(make(clip, seed), clip) for seed, clip in enumerate(tqdm(clips, desc=way, leave=False))]
        result[way], seconds[way] = spread(rows), (time.time() - started) / prompts
    painted = render(clips, frames=FRAMES).permute(0, 2, 3, 4, 1).numpy()
    result["painted clips"] = spread([measured(video, clip) for video, clip in zip(painted, clips, strict=True)])
    return {
        "ways": result, "seconds for each clip, measuring with it": seconds,
        "budgets": {way: budget(models / model) for way, model in WAYS.items()},
        "settings": {"prompts": prompts, "steps": steps, "frames": FRAMES, "aspects": ASPECTS},
    }  # fmt: skip


def budget(folder: Path) -> dict:
    """What went into a model: clips seen, minutes and steps of all stages together, parameters."""
    training = json.loads((folder / "training.json").read_text())
    stages = training["stages"].values()
    return {
        "model": folder.name, "clips": training["clips"], "steps": sum(stage["steps"] for stage in stages),
        "minutes": round(sum(stage["minutes"] for stage in stages)),
        "parameters": sum(part["parameters"] for part in training["parts"].values()),
    }  # fmt: skip


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__)
    parser.add_argument("--models", default="models", type=Path)
    parser.add_argument("--prompts", default=30, type=int)
    parser.add_argument("--steps", default=STEPS, type=int)
    options = parser.parse_args(arguments)
    result = compare(options.models, options.prompts, options.steps)
    (options.models / "comparison.json").write_text(json.dumps(result, indent=1) + "\n")
    for way, measures in result["ways"].items():
        print(f"{way:20}", "  ".join(f"{name} {each['mean']:.3f}±{each['std']:.3f}" for name, each in measures.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
