"""The stages that tiny-sd3 and tiny-animatediff share: an autoencoder of single frames, and many clips encoded once."""

import os
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm.auto import tqdm

from helpers.world.detectors import detect_still, width_over_height
from helpers.world.prompts import caption
from helpers.world.scenes import Clip, render, sample
from training.loop import Place, train
from training.mochi import autoencoder as videos
from training.stills.parts import new_autoencoder, new_clip_tokenizer, new_t5_tokenizer

PART = 500  # clips whose latents share a file
PAINTED = 4  # frames of each training clip of the autoencoder
SIDE_VIEW = 1.3  # width over height from which a fish has a tail to see: 1.6 from its side, 1 while it turns


class OneFrame(nn.Module):
    """An autoencoder of pictures with the face of one of videos: (B, 3, 1, H, W) in and out."""

    def __init__(self, autoencoder: AutoencoderKL):
        super().__init__()
        self.autoencoder = autoencoder

    def encode(self, video: torch.Tensor):
        return self.autoencoder.encode(video.squeeze(2).contiguous())  # channels last is slower in two dimensions

    def decode(self, latents: torch.Tensor):
        return SimpleNamespace(sample=self.autoencoder.decode(latents).sample.unsqueeze(2))


def held_out_frames(count: int, device="cpu") -> torch.Tensor:
    """The middle frames of clips of held-out colours: (count, 3, 1, 96, 96) in -1..1."""
    clips = [sample(videos.CHECKING + k, unseen=True) for k in range(count)]
    return render(clips, device, 3)[:, :, 1:2] * 2 - 1


def psnr_held_out(place: Place):
    """A check for `train`: of an autoencoder in training the PSNR of 16 frames that it does not learn from, in dB."""
    frames = held_out_frames(16, place.device)

    def check(trained: OneFrame) -> dict[str, float]:
        with place.autocast():
            return {"psnr_held_out": videos.reconstruction(trained, frames)}

    return check


def train_autoencoder(place: Place, config: dict) -> tuple[AutoencoderKL, bool]:
    """Stage one; returns (autoencoder with averaged weights, done)."""
    torch.manual_seed(config["seed"])
    settings = config["autoencoder_training"]
    model = OneFrame(new_autoencoder(config)).to(place.device).train()
    control, painter = {"kl_weight": 1e-4}, videos.Painter(place.device, PAINTED, settings["batch"])

    def loss_at(step, progress, generator):
        _, side, crops = next(phase for phase in settings["phases"] if progress < phase[0])
        model.autoencoder.encoder.requires_grad_(progress < settings["encoder_until"])
        target = videos.crop(painter.batch(step, settings["batch"]), side, 1, crops, step)
        with place.autocast():
            loss, numbers = videos.loss_of(model, target, control["kl_weight"], generator, max(0.0, 1 - 2 * progress))
        if step % 5 == 0:
            control["kl_weight"] = videos.steered(control["kl_weight"], float(numbers["kl"]), settings["kl_target"])
        return loss, {**numbers, "kl_weight": control["kl_weight"]}

    done = train(place, "autoencoder", model, settings, loss_at, psnr_held_out(place), control)
    return model.autoencoder.eval(), done


@torch.no_grad()
def encode_frames(place: Place, config: dict, autoencoder: AutoencoderKL) -> bool:
    """Stage two: latents and captions of many clips' frames, in files of 500 clips; True when all are there."""
    settings, folder = config["latents"], place.folder / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    for first in tqdm(range(0, settings["clips"], PART), desc="latents", unit=f"x{PART}", disable=place.quiet):
        path = folder / f"{first:06d}.safetensors"
        if path.is_file():
            continue
        if place.now_over():
            return False
        clips = videos.training_clips(first, min(first + PART, settings["clips"]))
        made = [_encoded(place, clip, config["frames"], autoencoder) for clip in clips]
        texts = [caption(clip, variant) for clip in clips for variant in range(settings["captions"])]
        save_file(
            {
                "moments": torch.stack([moments for moments, _ in made]),
                "shows": torch.stack([shows for _, shows in made]),
                "tokens": tokenize(texts).unflatten(0, (len(clips), -1)),
            },
            path.with_suffix(".new"),
        )
        os.replace(path.with_suffix(".new"), path)  # a stop in between leaves no half a file
    return True


def _encoded(place: Place, clip: Clip, count: int, autoencoder) -> tuple[torch.Tensor, torch.Tensor]:
    """A clip -> the moments of its frames, (T, 32, 12, 12) float16, and which of them show what the caption says."""
    frames = render([clip], place.device, count)[0].transpose(0, 1).contiguous()  # (T, 3, 96, 96)
    with place.autocast():
        moments = autoencoder.encode(frames * 2 - 1).latent_dist.parameters.half().contiguous().cpu()
    pictures = frames.permute(0, 2, 3, 1).cpu().numpy()
    return moments, torch.tensor([shows(picture, clip) for picture in pictures])


def shows(picture: np.ndarray, clip: Clip) -> bool:
    """Does (96, 96, 3) in 0..1 show what the clip's caption says: scene, subject, and of a fish more than its back?"""
    seen = detect_still(picture)
    if (seen.scene, seen.subject) != (clip.scene, clip.subject):
        return False
    return clip.scene != "fish" or width_over_height(picture, clip.subject) > SIDE_VIEW


def tokenize(captions: list[str]) -> torch.Tensor:
    """Captions -> (N, 2, 24) int16: CLIP's tokens and T5's."""
    both = (new_clip_tokenizer(), new_t5_tokenizer())
    return torch.stack([videos.tokenize(tokenizer, captions) for tokenizer in both], dim=1)


def load_frames(place: Place) -> dict[str, torch.Tensor]:
    """All clips, on the device: moments (N, T, 32, 12, 12) float16, shows (N, T) bool, tokens (N, captions, 2, 24).

    A frame `shows` what the caption says where the detector finds scene and subject in it: at night hills and a
    forest are just dark. A fish that turns has neither eye nor tail for a while, and shows no fish. Raises
    FileNotFoundError where there are none.
    """
    files = sorted((place.folder / "latents").glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"no latents in {place.folder}: run the stage 'latents' first")
    parts = [load_file(file) for file in files]
    return {name: torch.cat([part[name] for part in parts]).to(place.device) for name in parts[0]}


def statistics(moments: torch.Tensor) -> tuple[float, float]:
    """Mean and standard deviation of sampled latents, one of each over all channels, as SD 3 has it."""
    mean, std = videos.statistics(moments.transpose(1, 2))  # of each channel
    return float(mean.mean()), float((std.square().mean() + mean.var(correction=0)).sqrt())
