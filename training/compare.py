"""Four ways to a clip, from the same prompts: `python -m training.compare` writes models/comparison.json.

Each way is asked for the same 30 prompts with the same number of sampling steps: independent stills (tiny-sd3, a seed
for each frame), one still under a moving camera, AnimateDiff, and a native clip (tiny-mochi, every second frame). The
stock pipelines make them. Every clip is measured by itself, so that each figure has a mean and a spread over prompts.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from helpers.frames.motion import ken_burns
from helpers.metrics import coherence, followed_consistency
from helpers.world.detectors import subject_centres
from helpers.world.prompts import caption
from helpers.world.scenes import Clip
from training.animatediff import evaluate as animatediff
from training.export import write_json
from training.mochi import evaluate as mochi
from training.mochi.evaluate import ASPECTS, fixed_clips, judge
from training.stills import evaluate as stills

FRAMES, STEPS = animatediff.FRAMES, 14
GUIDANCE = {"tiny-sd3": stills.GUIDANCE, "tiny-animatediff": 3.0, "tiny-mochi": 4.5}  # as in their cards
CAMERA = (0.0, 0.0, 1.0, 1.0), (0.15, 0.15, 0.85, 0.85)  # a slow zoom
WAYS = {"independent stills": "tiny-sd3", "Ken Burns": "tiny-sd3", "AnimateDiff": "tiny-animatediff",
        "native Mochi": "tiny-mochi"}  # fmt: skip


def made(models: Path, clips: list[Clip], steps: int) -> dict[str, list]:
    """way -> a video (16, 96, 96, 3) in 0..1 for each clip's plain caption; the samplers are those of the cards."""
    pipeline, guide = stills.load(models / "tiny-sd3"), GUIDANCE["tiny-sd3"]
    sheets = [
        stills.paint(pipeline, [clip] * FRAMES, steps, guide, batch=FRAMES) for clip in tqdm(clips, desc="stills")
    ]
    tied = animatediff.Sampler(models / "tiny-animatediff", steps, GUIDANCE["tiny-animatediff"])
    whole = mochi.Sampler(models / "tiny-mochi", steps, GUIDANCE["tiny-mochi"], 2 * FRAMES - 1, 6, "float32", "cpu")
    return {
        "independent stills": sheets,
        "Ken Burns": [ken_burns(sheet[0], *CAMERA, frames=FRAMES, size=(96, 96)) for sheet in sheets],
        "AnimateDiff": tied(clips),
        "native Mochi": whole([caption(clip, plain=True) for clip in clips])[:, ::2],
        "painted clips": animatediff.painted(clips),
    }


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
    ways = {
        way: spread([measured(video, clip) for video, clip in zip(videos, clips, strict=True)])
        for way, videos in made(models, clips, steps).items()
    }
    return {
        "ways": ways,
        "budgets": {way: budget(models / model) for way, model in WAYS.items()},
        "settings": {"prompts": prompts, "steps": steps, "frames": FRAMES, "aspects": ASPECTS},
    }


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
    write_json(options.models / "comparison.json", result)
    for way, measures in result["ways"].items():
        print(f"{way:20}", "  ".join(f"{name} {each['mean']:.3f}±{each['std']:.3f}" for name, each in measures.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
