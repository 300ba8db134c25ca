"""A part of tiny-mochi learns on: `python -m training.mochi.again decoder models/tiny-mochi`.

From the weights in a finished folder, which they go back to, and clips of the painter as it is today. The text encoder
learns to say the same more softly, the decoder to paint better from the same latents, the transformer to go on with
what the text encoder says; the autoencoder's encoder and the statistics of its latents stay. A part needs no other
one to learn at the same time, so decoder and transformer can, in a process each. From nothing: training.mochi.train.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel
from transformers import T5EncoderModel

from helpers.world.scenes import render
from training.config import configuration
from training.export import above_nought, finished, learned_on, loaded, outcome, write_json
from training.loop import Place, train
from training.mochi.autoencoder import Painter, crop, encode_clips, loss_of, reconstruction
from training.mochi.denoiser import Batches, Denoiser, TextEncoder, learn
from training.mochi.evaluate import fixed_clips
from training.mochi.soft import SETTINGS, soften
from training.mochi.wider import widened
from training.parts import new_tokenizer, tie_capitals

DECODER = {"batch": 2, "frames": 13, "rate": 5e-4, "muon": 0.01, "check_every": 100}
TRANSFORMER = {"rate": 1e-4, "muon": 0.001}  # a tenth and a twentieth of what it began with: it has learned
# How far from the old weights to the new ones it goes: half way there is better on unseen clips than either end after a
# short training, as Wortsman and others found (arXiv 2109.01903).
HALF_WAY = 0.5
CHECKED = 10  # held-out clips, one of each scene
PRESETS = ("default", "smoke")


def text_encoder(place: Place, config: dict, folder: Path, minutes: float) -> tuple[T5EncoderModel, bool]:
    """A new text encoder that says softly what the folder's says; and whether it is done."""
    teacher = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    student, done = soften(place, config, teacher.eval().requires_grad_(False), SETTINGS | {"minutes": minutes})
    tie_capitals(student, new_tokenizer())
    return student, done


def decoder(place: Place, config: dict, folder: Path, minutes: float) -> tuple[AutoencoderKLMochi, bool]:
    """The folder's autoencoder, its decoder as wide as the configuration says and learned on; whether it is done."""
    model = widened(loaded(AutoencoderKLMochi, folder / "vae"), config).to(place.device).train()
    model.encoder.requires_grad_(False)
    painter = Painter(place.device, config["frames"], DECODER["batch"])
    checks = render(fixed_clips(CHECKED, True), place.device, config["frames"]) * 2 - 1

    def loss_at(step, progress, generator):
        clips = painter.batch(step, DECODER["batch"])
        length = min(DECODER["frames"], config["frames"])
        target = crop(clips, clips.shape[-1], length, 1, step)
        with place.autocast():
            return loss_of(model, target, 0.0, generator)

    def check(model):
        with place.autocast():
            return {"psnr_held_out": reconstruction(model, checks)}

    settings = DECODER | {"steps": None, "minutes": minutes}
    done = train(place, "decoder", model, settings, loss_at, check)
    return model.eval(), done


def transformer(place: Place, config: dict, folder: Path, minutes: float) -> tuple[MochiTransformer3DModel, bool]:
    """The folder's transformer, learned on with its positions at the full rate; and whether it is done.

    The latents of the clips are encoded first, into the folder of the checkpoint, where they are not there yet.
    Raises ValueError where that folder holds latents of more or fewer clips.
    """
    vae = loaded(AutoencoderKLMochi, folder / "vae").eval()
    learned = loaded(MochiTransformer3DModel, folder / "transformer")
    if not encode_clips(place, config, vae):
        return learned, False
    text = TextEncoder(config)
    text.t5 = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    settings = config["transformer_training"] | TRANSFORMER | {"steps": None, "minutes": minutes}
    batches = Batches(place, settings["drop"], settings["often"])
    if len(batches.moments) != config["latents"]["clips"]:
        raise ValueError(
            f"{place.folder} holds latents of {len(batches.moments)} clips, not of {config['latents']['clips']}: "
            "take another --run or that many --clips"
        )
    batches.mean, batches.std = (
        torch.tensor(numbers, device=place.device).view(1, -1, 1, 1, 1)
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )
    denoiser = Denoiser(learned, text.eval().requires_grad_(False)).to(place.device)
    done = learn(place, settings, denoiser, batches)
    if done:
        began = loaded(MochiTransformer3DModel, folder / "transformer").to(place.device)
        for weight, before in zip(learned.parameters(), began.parameters(), strict=True):
            weight.data.lerp_(before.data, 1 - HALF_WAY)
    return learned, done


PARTS = {
    "text_encoder": (text_encoder, "text_encoder"),
    "decoder": (decoder, "vae"),
    "transformer": (transformer, "transformer"),
}


def give(part: str, model, folder: Path, before: dict, checkpoint: Path, config: dict) -> None:
    """Puts what has learned into the finished folder, in bfloat16 as the rest, and says so in its training.json.

    before: what that held. The checkpoint goes: the same command once more begins another stage, and takes up none
    that has been given.
    """
    place = PARTS[part][1]
    before["parts"][place]["parameters"] = sum(p.numel() for p in model.parameters())
    # the first clips of the same sequence: as many as it ever saw
    clips = max(before["clips"], config["latents"]["clips"]) if part == "transformer" else before["clips"]
    after = learned_on(before, f"{part}, again", checkpoint, clips)
    new = folder / f"{place}.new"
    model.to("cpu", torch.bfloat16).save_pretrained(new)
    for file in new.iterdir():
        os.replace(file, folder / place / file.name)
    new.rmdir()
    write_json(folder / "training.json", after)
    checkpoint.unlink()


def _options(parser: argparse.ArgumentParser, arguments) -> argparse.Namespace:
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path, help="the finished diffusers folder to start from, which is changed")
    parser.add_argument("--minutes", type=above_nought(float), default=30.0,
                        help="of training; a call after one that was stopped goes on to this sum")  # fmt: skip
    parser.add_argument("--clips", type=above_nought(int), default=6000, help="that the transformer learns from")
    parser.add_argument("--preset", choices=PRESETS, default="default", help="whose sizes the folder has")
    parser.add_argument("--run", type=Path, help="folder of checkpoints and latents; default: runs/FOLDER-again")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes until this call stops")
    options = parser.parse_args(arguments)
    options.run = options.run or Path("runs") / f"{options.folder.resolve().name}-again"
    return options


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.mochi.again", description=__doc__)
    options = _options(parser, arguments)
    before = finished(parser, options.folder)
    config = configuration(options.preset)
    width = json.loads((options.folder / "text_encoder" / "config.json").read_text())["d_model"]
    if width != config["text_encoder"]["d_model"]:
        parser.error(f"{options.folder} has other sizes than --preset {options.preset}")
    config["latents"]["clips"] = options.clips
    place = Place(options.run, deadline=time.time() + options.stop_after * 60)
    try:
        model, done = PARTS[options.part][0](place, config, options.folder, options.minutes)
    except ValueError as error:
        parser.error(str(error))
    if done:
        give(options.part, model, options.folder, before, options.run / f"{options.part}.pt", config)
    print(outcome(done))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
