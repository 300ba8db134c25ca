"""How good is tiny-animatediff? `python -m training.animatediff.evaluate models/tiny-animatediff`.

Makes clips of 100 fixed prompts with the stock pipeline, 30 of them of held-out colours, and judges the pixels with
detectors.py. Beside them stand painted clips, and the same clips under each other's captions. Coherence is compared
with painted clips and with the UNet alone, frame by frame. Writes evaluation.json, samples.jpg and the model card.
"""

import argparse
import json
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from diffusers import AnimateDiffPipeline
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from tqdm.auto import tqdm

from helpers.video import SHEET, contact_sheet
from helpers.world.prompts import caption
from helpers.world.scenes import Clip, render
from training.animatediff.card import card
from training.export import write_json, write_text
from training.loop import autocast
from training.mochi.evaluate import ASPECTS, fixed_clips, judge, mean_coherence

FRAMES = 16


class Sampler:
    """The stock pipeline with the settings of one evaluation. sampler(clips) -> (B, T, 96, 96, 3) in 0..1"""

    def __init__(self, folder, steps: int, guidance: float):
        self.pipeline = AnimateDiffPipeline.from_pretrained(folder, dtype=torch.float32)
        self.pipeline.set_progress_bar_config(disable=True)
        self.steps, self.guidance, self.seconds = steps, guidance, []

    def __call__(self, clips: list[Clip]) -> np.ndarray:
        videos = []
        for seed, clip in enumerate(tqdm(clips, desc="sampling", leave=False)):
            started = time.time()
            with autocast("cpu"):  # twice as fast
                made = self.pipeline(
                    caption(clip, plain=True), num_frames=FRAMES, num_inference_steps=self.steps,
                    guidance_scale=self.guidance, generator=torch.Generator().manual_seed(seed), output_type="np",
                )  # fmt: skip
            videos.append(made.frames[0])
            self.seconds.append(time.time() - started)
        return np.stack(videos)


@contextmanager
def without_motion(unet):
    """While the block runs, each frame is made by itself."""
    modules = [module for module in unet.modules() if isinstance(module, AnimateDiffTransformer3D)]
    try:
        for module in modules:
            module.forward = lambda hidden_states, *others, **named: hidden_states
        yield
    finally:
        for module in modules:
            vars(module).pop("forward", None)


def painted(clips: list[Clip]) -> np.ndarray:
    return render(clips, frames=FRAMES).permute(0, 2, 3, 4, 1).numpy()


def evaluate(
    sampler: Sampler, seen: int = 70, unseen: int = 30, others: int = 10
) -> tuple[dict, np.ndarray, list[Clip]]:
    """-> (what evaluation.json holds, the clips made, what they were asked for). others: clips for coherence."""
    clips = fixed_clips(seen, False) + fixed_clips(unseen, True)
    videos, real = sampler(clips), painted(clips)
    with without_motion(sampler.pipeline.unet):
        alone = sampler(clips[:others])
    shuffled = [clips[place] for place in np.random.default_rng(0).permutation(len(clips))]
    result = {
        "follows": {
            "all": judge(videos, clips),
            "seen": judge(videos[:seen], clips[:seen]),
            "held out": judge(videos[seen:], clips[seen:]),
            "painted clips": judge(real, clips),
            "shuffled captions": judge(videos, shuffled),
        },
        "coherence": {
            "with motion modules": mean_coherence(videos[:others]),
            "without, frame by frame": mean_coherence(alone),
            "painted clips": mean_coherence(real[:others]),
        },
        "seconds for each clip": float(np.median(sampler.seconds)),
        "settings": {
            "steps": sampler.steps, "guidance": sampler.guidance, "frames": FRAMES, "prompts": [seen, unseen],
            "coherence": others, "torch": torch.__version__, "threads": torch.get_num_threads(),
        },
    }  # fmt: skip
    return result, videos, clips


def table(result: dict) -> str:
    """The figures as two Markdown tables and a line."""
    lines = ["| clips | " + " | ".join(ASPECTS) + " |", "|---" * (1 + len(ASPECTS)) + "|"]
    for name, row in result["follows"].items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * row[aspect]:.0f} %" for aspect in ASPECTS) + " |")
    measures = list(next(iter(result["coherence"].values())))
    lines += ["", "| clips | " + " | ".join(measures).replace("_", " ") + " |", "|---" * (1 + len(measures)) + "|"]
    for name, row in result["coherence"].items():
        lines.append(f"| {name} | " + " | ".join(f"{row[measure]:.3f}" for measure in measures) + " |")
    threads = result["settings"]["threads"]
    return "\n".join([*lines, "", f"{result['seconds for each clip']:.1f} s for a clip, {threads} threads"])


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.animatediff.evaluate")
    parser.add_argument("folder", nargs="?", default="models/tiny-animatediff", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--seen", type=int, default=70)
    parser.add_argument("--unseen", type=int, default=30)
    options = parser.parse_args(arguments)
    result, videos, clips = evaluate(
        Sampler(options.folder, options.steps, options.guidance), options.seen, options.unseen
    )
    write_json(options.folder / "evaluation.json", result)
    labels = [caption(clip, plain=True) for clip in clips]
    contact_sheet(videos[:20], labels[:20], columns=8).save(options.folder / "samples.jpg", **SHEET)
    training = json.loads((options.folder / "training.json").read_text())
    write_text(options.folder / "README.md", card(training, result, table(result)))
    print(table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
