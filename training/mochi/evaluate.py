"""How good is the miniature? `python -m training.mochi.evaluate models/tiny-mochi`.

Samples fixed prompts with the stock pipeline and judges the pixels with detectors.py: seen and held-out prompts,
guidance on and off, ten seeds of one prompt, coherence beside real clips, the autoencoder alone. Prints a table,
writes a JSON file and a contact sheet.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from helpers.metrics import coherence
from helpers.world.detectors import detect
from helpers.world.prompts import caption
from helpers.world.scenes import FPS, SCENES, Clip, render, sample
from training.export import write_json
from training.mochi.autoencoder import reconstruction

ASPECTS = ("scene", "motion", "subject", "second")
GOALS = {"seen": (0.98, 0.97, 0.95, 0.90), "held out": (0.97, 0.95, 0.90, 0.80)}
SEEN_SEED, UNSEEN_SEED, REAL_SEED = 20_000_000, 30_000_000, 40_000_000
TWO_OF_THE_NOTE = (
    "a butterfly landing on a flower, wings gently moving in the breeze",
    "a forest coming alive at dawn",
)
TEN_SEEDS_OF = "a butterfly landing on a flower"
SHAPES_CHANGE = ("butterfly", "ball", "fish")  # the scenes that are hardest to keep sharp


def fixed_clips(count: int, unseen: bool) -> list[Clip]:
    """The fixed list: the scenes in turn, `count` in all."""
    first, names = (UNSEEN_SEED if unseen else SEEN_SEED), list(SCENES)
    return [sample(first + k, unseen, names[k % len(names)]) for k in range(count)]


def judge(videos, clips: list[Clip]) -> dict[str, float]:
    """Share of videos (B, T, H, W, 3) that show what their clip says, for each aspect.

    A motion counts only in the right scene; a colour that is not found is wrong.
    """
    right = dict.fromkeys(ASPECTS, 0)
    for video, clip in zip(videos, clips, strict=True):
        found = detect(video)
        for aspect in ASPECTS:
            same_scene = aspect != "motion" or found.scene == clip.scene
            right[aspect] += same_scene and getattr(found, aspect) == getattr(clip, aspect)
    return {aspect: count / len(clips) for aspect, count in right.items()}


class Sampler:
    """The stock pipeline with the settings of one evaluation."""

    def __init__(self, folder, steps: int, guidance: float, frames: int, batch: int, dtype: str, device: str):
        from diffusers import MochiPipeline

        self.pipeline = MochiPipeline.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.steps, self.guidance, self.frames, self.batch = steps, guidance, frames, batch
        self.seconds: list[float] = []

    def __call__(self, prompts: list[str], guidance: float | None = None, seeds=None) -> np.ndarray:
        """Prompts -> videos (B, T, 96, 96, 3) in 0..1; the seed of each is its place unless given."""
        seeds, videos = list(seeds or range(len(prompts))), []
        for at in tqdm(range(0, len(prompts), self.batch), desc="sampling", leave=False):
            some = prompts[at : at + self.batch]
            generators = [torch.Generator().manual_seed(seed) for seed in seeds[at : at + self.batch]]
            started = time.time()
            videos.append(
                self.pipeline(
                    some, height=96, width=96, num_frames=self.frames, num_inference_steps=self.steps,
                    guidance_scale=self.guidance if guidance is None else guidance, generator=generators,
                    output_type="np",
                ).frames
            )  # fmt: skip
            self.seconds.append((time.time() - started) / len(some))
        return np.concatenate(videos)


def follows(sampler: Sampler, seen: int, unseen: int) -> dict:
    """How well prompts are followed, with guidance and at scale 1."""
    rows = {}
    for name, count, held in (("seen", seen, False), ("held out", unseen, True)):
        if count:
            clips = fixed_clips(count, held)
            rows[name] = judge(sampler([caption(clip, plain=True) for clip in clips]), clips)
    clips = fixed_clips(seen, False)
    rows["seen, guidance 1"] = judge(sampler([caption(c, plain=True) for c in clips], guidance=1.0), clips)
    return rows


def coherence_beside_real(sampler: Sampler, count: int) -> dict:
    """Mean coherence measures of sampled clips, of real ones of the same descriptions, and their ratio."""
    clips = fixed_clips(count, False)
    made = sampler([caption(clip, plain=True) for clip in clips])
    real = render(clips, frames=sampler.frames).permute(0, 2, 3, 4, 1).numpy()
    means = [mean_coherence(videos) for videos in (made, real)]
    return {key: {"sampled": means[0][key], "real": means[1][key], "ratio": means[0][key] / means[1][key]}
            for key in means[0]}  # fmt: skip


def mean_coherence(videos) -> dict[str, float]:
    rows = [coherence(video) for video in videos]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def seeds_differ(sampler: Sampler) -> dict:
    """Ten seeds of one prompt: the mean absolute difference of pairs, smallest and on average."""
    videos = sampler([TEN_SEEDS_OF] * 10, seeds=range(100, 110))
    apart = [np.abs(a - b).mean() for k, a in enumerate(videos) for b in videos[:k]]
    colours = {detect(video).subject for video in videos}
    return {"smallest": float(min(apart)), "mean": float(np.mean(apart)), "subject colours": len(colours)}


def autoencoder_psnr(sampler: Sampler, count: int) -> float:
    """PSNR in dB over clips of held-out combinations, never trained on."""
    clips = [sample(REAL_SEED + k, unseen=True) for k in range(count)]
    vae = sampler.pipeline.vae
    videos = render(clips, frames=sampler.frames).to(vae.device, vae.dtype) * 2 - 1
    return reconstruction(vae, videos)


def moving_psnr(vae, scene: str, frames: int, count: int = 8) -> float:
    """PSNR in dB of what moves alone, over held-out clips of one scene, encoded to the mean and decoded.

    A pixel moves where what was painted differs from the frame before or the one after; most of a clip's pixels do
    not, and hide in the PSNR of all of them how sharp a wing in flight is. A shadow of it elsewhere is not counted.
    """
    clips = [sample(REAL_SEED + k, True, scene) for k in range(count)]
    videos = render(clips, frames=frames).to(vae.device, vae.dtype) * 2 - 1
    return reconstruction(vae, videos, moving)


def moving(video: torch.Tensor) -> torch.Tensor:
    """(B, 3, T, H, W) in -1..1 -> (B, T, H, W), True where a channel differs by over 0.05 of 0..1 from a neighbour."""
    step = video.float().diff(dim=2).abs().amax(1) > 0.1  # (B, T - 1, H, W)
    mask = torch.zeros_like(video[:, 0], dtype=torch.bool)
    mask[:, 1:] |= step
    mask[:, :-1] |= step
    return mask


def contact_sheet(sampler: Sampler, path):
    """24 prompts: the two of the note, two of each scene, two of held-out colours; eight frames each."""
    from helpers.video import SHEET
    from helpers.video import contact_sheet as sheet

    clips = fixed_clips(20, False) + fixed_clips(12, True)[10:]
    prompts = [*TWO_OF_THE_NOTE, *(caption(clip, plain=True) for clip in clips)]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet(sampler(prompts), prompts, columns=8).save(path, **SHEET)


def evaluate(sampler: Sampler, seen: int = 200, unseen: int = 100, others: int = 40) -> dict:
    sampler([TEN_SEEDS_OF])  # first of all a clip by itself, as someone would make it: what memory that takes
    alone = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    result = {"follows": follows(sampler, seen, unseen)}
    result["coherence"] = coherence_beside_real(sampler, others)
    result["ten seeds"] = seeds_differ(sampler)
    result["autoencoder psnr"] = autoencoder_psnr(sampler, others)
    result["moving psnr"] = {scene: moving_psnr(sampler.pipeline.vae, scene, sampler.frames) for scene in SHAPES_CHANGE}
    result["seconds for each clip"] = float(np.median(sampler.seconds))
    result["peak memory GB"] = alone
    result["settings"] = {
        "steps": sampler.steps, "guidance": sampler.guidance, "frames": sampler.frames, "fps": FPS,
        "prompts": [seen, unseen], "dtype": str(sampler.pipeline.dtype).removeprefix("torch."),
        "torch": torch.__version__, "threads": torch.get_num_threads(),
    }  # fmt: skip
    return result


def table(result: dict) -> str:
    """The figures as a Markdown table and a few lines."""
    lines = ["| prompts | " + " | ".join(ASPECTS) + " |", "|---" * 5 + "|"]
    for name, row in result["follows"].items():
        cells = [f"{100 * row[aspect]:.1f} %" for aspect in ASPECTS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if name in GOALS:
            lines.append(f"| (goal, {name}) | " + " | ".join(f"{100 * g:.0f} %" for g in GOALS[name]) + " |")
    lines += ["", "| measure | sampled | real | ratio |", "|---|---|---|---|"]
    for name, row in result["coherence"].items():
        lines.append(f"| {name} | {row['sampled']:.4f} | {row['real']:.4f} | {row['ratio']:.3f} |")
    apart = result["ten seeds"]
    sharp = ", ".join(f"{scene} {value:.2f} dB" for scene, value in result["moving psnr"].items())
    lines += [
        "",
        f"autoencoder: {result['autoencoder psnr']:.2f} dB on held-out clips; of what moves alone {sharp}",
        f"ten seeds of one prompt differ by {apart['mean']:.3f} on average, {apart['smallest']:.3f} at least",
        f"{result['seconds for each clip']:.2f} s for a clip; {result['peak memory GB']:.2f} GB at the peak of one",
    ]
    return "\n".join(lines)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.mochi.evaluate")
    parser.add_argument("folder", nargs="?", default="models/tiny-mochi")
    parser.add_argument("--json", help="default: evaluation.json in the folder")
    parser.add_argument("--sheet", help="default: samples.jpg in the folder")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.5)
    parser.add_argument("--frames", type=int, default=31)
    parser.add_argument("--seen", type=int, default=200)
    parser.add_argument("--unseen", type=int, default=100)
    parser.add_argument("--others", type=int, default=40, help="clips for coherence and for the autoencoder")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    sampler = Sampler(options.folder, options.steps, options.guidance, options.frames, options.batch,
                      options.dtype, options.device)  # fmt: skip
    result = evaluate(sampler, options.seen, options.unseen, options.others)
    contact_sheet(sampler, options.sheet or Path(options.folder) / "samples.jpg")
    path = Path(options.json or Path(options.folder) / "evaluation.json")
    write_json(path, result)
    print(table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
