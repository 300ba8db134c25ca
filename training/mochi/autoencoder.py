"""Stages one and two: train the autoencoder on clips painted on the fly, then encode many clips once."""

import math
import os

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from helpers.world.prompts import caption
from helpers.world.scenes import Clip, render, sample
from training.fast import quicken_autoencoder
from training.loop import Place, train
from training.parts import TOKENS, new_autoencoder, new_tokenizer

TRAINING, CHECKING = 1_000_000, 500  # seeds of the training clips start here, those of the checks there
KL_LEAST, KL_MOST = 1e-7, 1e-2


def training_clips(first: int, last: int) -> list[Clip]:
    """The clips that every stage learns from, by number: from first to before last."""
    return [sample(TRAINING + number) for number in range(first, last)]


def draw_weights(count: int, often: dict[str, float], device) -> torch.Tensor:
    """How often each of the first `count` training clips is drawn: (count,), 1 for scenes not in `often`."""
    return torch.tensor([often.get(clip.scene, 1.0) for clip in training_clips(0, count)], device=device)


class Painter:
    """Training clips by their number, painted `ahead` at once and kept until they are asked for."""

    def __init__(self, device, frames: int, ahead: int):
        self.device, self.frames, self.ahead = device, frames, ahead
        self.first, self.videos = None, None

    def batch(self, step: int, count: int) -> torch.Tensor:
        """The `count` clips of a step, (count, 3, T, 96, 96) in -1..1."""
        ahead = max(count, self.ahead // count * count)
        start = step * count
        first = start // ahead * ahead
        if (first, ahead) != self.first:
            clips = training_clips(first, first + ahead)
            self.first, self.videos = (first, ahead), render(clips, self.device, self.frames) * 2 - 1
        return self.videos[start - first : start - first + count]


def crop(videos: torch.Tensor, side: int, frames: int, count: int, seed: int) -> torch.Tensor:
    """(B, 3, T, H, W) -> (B * count, 3, frames, side, side), cut at random places."""
    _, _, length, height, width = videos.shape
    draw, cuts = np.random.default_rng([seed, 4]), []
    for _ in range(count if (frames, side) != (length, height) else 1):
        t, y, x = (int(draw.integers(room + 1)) for room in (length - frames, height - side, width - side))
        cuts.append(videos[:, :, t : t + frames, y : y + side, x : x + side])
    return torch.cat(cuts).contiguous(memory_format=torch.channels_last_3d)


def importance(target: torch.Tensor) -> torch.Tensor:
    """Weights of the pixels, mean 1: edges and what moves count more. (B, 3, T, H, W) -> (B, 1, T, H, W)."""
    target = target.float()
    weight = torch.ones_like(target[:, :1])
    for dim in (2, 3, 4):
        step = target.diff(dim=dim).abs().amax(1, keepdim=True).clamp(max=0.5)
        size = step.shape[dim]
        weight.narrow(dim, 1, size).add_(2 * step)
        weight.narrow(dim, 0, size).add_(2 * step)
    return weight / weight.mean()


def loss_of(autoencoder, target: torch.Tensor, kl_weight: float, generator, tint: float = 0.0):
    """target: (B, 3, T, H, W) in -1..1. tint: how much more errors of hue count than errors of brightness."""
    latents = autoencoder.encode(target).latent_dist
    mean, logvar = latents.mean.float(), latents.logvar.float()
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    z = mean + torch.exp(0.5 * logvar) * noise
    error = autoencoder.decode(z).sample.float() - target
    plain = error.detach().square().mean() / 4  # in units of 0..1
    grey = error.mean(1, keepdim=True)
    error = grey + (1 + tint) * (error - grey)
    weight = importance(target)
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    absolute, square = (weight * error.abs()).mean(), (weight * error.square()).mean()
    loss = absolute + 4 * square + kl_weight * kl
    return loss, {"loss": loss.detach(), "kl": kl.detach(), "psnr": -10 * torch.log10(plain + 1e-9)}


def steered(weight: float, kl: float, target: float) -> float:
    """The weight of the KL term, a little higher where the latents hold more nats than the target, else lower."""
    return min(max(weight * (1.05 if kl > target else 0.97), KL_LEAST), KL_MOST)


def train_autoencoder(place: Place, config: dict):
    """Stage one; returns (autoencoder with averaged weights, done)."""
    torch.manual_seed(config["seed"])
    settings, frames = config["autoencoder_training"], config["frames"]
    autoencoder = new_autoencoder(config).to(place.device).train()
    if place.device != "cpu":
        quicken_autoencoder(autoencoder)
    control, painter = {"kl_weight": 1e-4}, Painter(place.device, frames, settings["ahead"])
    checks = render([sample(CHECKING + k, unseen=True) for k in range(16)], place.device, frames) * 2 - 1

    def loss_at(step, progress, generator):
        _, side, length = next(phase for phase in settings["phases"] if progress < phase[0])
        length = min(length, frames)
        autoencoder.encoder.requires_grad_(progress < settings["encoder_until"])
        whole = side == checks.shape[-1]
        count = settings["batch"] if whole else max(1, settings["batch"] * 4 // settings["crops"])
        target = crop(painter.batch(step, count), side, length, settings["crops"], step)
        with place.autocast():
            loss, numbers = loss_of(autoencoder, target, control["kl_weight"], generator, max(0.0, 1 - 2 * progress))
        if step % 5 == 0:  # steer the latents towards so many nats each
            control["kl_weight"] = steered(control["kl_weight"], float(numbers["kl"]), settings["kl_target"])
        return loss, {**numbers, "kl_weight": control["kl_weight"]}

    def check(model):
        with place.autocast():
            return {"psnr_held_out": reconstruction(model, checks)}

    done = train(place, "autoencoder", autoencoder, settings, loss_at, check, control)
    return autoencoder.eval(), done


@torch.no_grad()
def reconstruction(autoencoder, videos: torch.Tensor, where=None) -> float:
    """Mean PSNR in dB of videos (B, 3, T, H, W) in -1..1, encoded to the mean and decoded, one by one.

    where(video) -> (1, T, H, W), True at the pixels that count; all of them without it.
    """
    values = []
    for video in videos.split(1):
        mean = autoencoder.encode(video).latent_dist.mode()
        again = autoencoder.decode(mean).sample.float().clamp(-1, 1)
        square = (again - video).square().mean(1)
        square = square if where is None else square[where(video)]
        values.append(-10 * math.log10(float(square.mean()) / 4 + 1e-12))
    return sum(values) / len(values)


@torch.no_grad()
def encode_clips(place: Place, config: dict, autoencoder) -> bool:
    """Stage two: latents and captions of many clips, in files of 500; True when all are there."""
    settings, frames = config["latents"], config["frames"]
    tokenizer, folder = new_tokenizer(), place.folder / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    parts = range(0, settings["clips"], 500)
    for first in tqdm(parts, desc="latents", unit="x500", disable=place.quiet):
        path = folder / f"{first:06d}.safetensors"
        if path.is_file():
            continue
        if place.now_over():
            return False
        clips = training_clips(first, min(first + 500, settings["clips"]))
        moments = []
        for at in range(0, len(clips), settings["batch"]):
            videos = render(clips[at : at + settings["batch"]], place.device, frames) * 2 - 1
            with place.autocast():
                moments.append(autoencoder.encode(videos).latent_dist.parameters.half().cpu())
        tokens = [tokenize(tokenizer, [caption(c, v) for v in range(settings["captions"])]) for c in clips]
        save_file({"moments": torch.cat(moments).contiguous(), "tokens": torch.stack(tokens)}, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)  # a stop in between leaves no half a file
    return True


def tokenize(tokenizer, captions: list[str]) -> torch.Tensor:
    """Captions -> (N, 24) int16, padded with 0."""
    ids = tokenizer(captions, padding="max_length", truncation=True, max_length=TOKENS).input_ids
    return torch.tensor(ids, dtype=torch.int16)


def load_clips(place: Place) -> tuple[torch.Tensor, torch.Tensor]:
    """moments: (N, 24, T', H', W') float16; tokens: (N, captions, 24) int16; on the device."""
    files = sorted((place.folder / "latents").glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"no latents in {place.folder}: run the stage 'latents' first")
    parts = [load_file(file) for file in files]
    return tuple(torch.cat([part[name] for part in parts]).to(place.device) for name in ("moments", "tokens"))


def drawn(moments: torch.Tensor, generator, dim: int = 1) -> torch.Tensor:
    """Latents from their posteriors: moments hold means and logarithms of variances one after the other along dim."""
    mean, logvar = moments.float().chunk(2, dim=dim)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + torch.exp(0.5 * logvar.clamp(-30, 20)) * noise


def statistics(moments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each of the 12 channels of sampled latents: (12,) each."""
    mean, logvar = moments.float().chunk(2, dim=1)
    variance = mean.var((0, 2, 3, 4)) + logvar.clamp(-30, 20).exp().mean((0, 2, 3, 4))
    return mean.mean((0, 2, 3, 4)), variance.sqrt()
