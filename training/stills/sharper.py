"""The decoder of stills learns on: `python -m training.stills.sharper models/tiny-sd3 models/tiny-animatediff`.

From the weights in finished folders that share one autoencoder, and frames of the painter as it is today. The encoder
stays as it is, and so do the latents: what has learned to paint them still does. For an autoencoder from nothing see
training.stills.train.
"""

import argparse
import math
import os
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from training.export import above_nought, finished, learned_on, loaded, outcome, write_json
from training.loop import Place, train
from training.mochi import autoencoder as videos
from training.stills.frames import PAINTED, OneFrame, psnr_held_out

STAGE = "decoder, again"
SETTINGS = {"batch": 8, "rate": 5e-4, "muon": 0.01, "check_every": 250}


def learn_on(place: Place, folder: Path, minutes: float) -> tuple[AutoencoderKL, bool]:
    """The folder's autoencoder with a decoder that has learned on, averaged; and whether the minutes are spent."""
    model = OneFrame(loaded(AutoencoderKL, folder / "vae")).to(place.device).train()
    model.autoencoder.encoder.requires_grad_(False)
    painter = videos.Painter(place.device, PAINTED, SETTINGS["batch"])

    def loss_at(step, progress, generator):
        clips = painter.batch(step, SETTINGS["batch"])
        target = videos.crop(clips, clips.shape[-1], 1, 1, step)  # one whole frame of each
        with place.autocast():
            return videos.loss_of(model, target, 0.0, generator)

    settings = SETTINGS | {"steps": None, "minutes": minutes}
    done = train(place, STAGE, model, settings, loss_at, psnr_held_out(place))
    return model.autoencoder.eval(), done


def weights_of(folder: Path) -> Path:
    return folder / "vae" / "diffusion_pytorch_model.safetensors"


def give(learned: AutoencoderKL, folder: Path, before: dict, checkpoint: Path) -> None:
    """Puts its decoder into a finished folder, in the dtype that it had, and says so in its training.json.

    before: what that held.
    """
    path = weights_of(folder)
    weights = load_file(path)
    for name, value in learned.decoder.state_dict(prefix="decoder.").items():
        weights[name] = value.to(weights[name].dtype).contiguous()
    save_file(weights, path.with_suffix(".new"), metadata={"format": "pt"})
    os.replace(path.with_suffix(".new"), path)
    write_json(folder / "training.json", learned_on(before, STAGE, checkpoint, before["clips"]))


def differing(folders: list[Path]) -> list[Path]:
    """The folders whose autoencoder is not the first one's: a decoder would not know their latents."""
    first = load_file(weights_of(folders[0]))
    same = lambda other: all(name in other and torch.equal(value, other[name]) for name, value in first.items())
    return [folder for folder in folders[1:] if not same(load_file(weights_of(folder)))]


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.stills.sharper", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="finished diffusers folders that share an autoencoder")
    parser.add_argument("--minutes", type=above_nought(float), default=45.0,
                        help="of training; a call after one that was stopped goes on to this sum")  # fmt: skip
    parser.add_argument("--run", default="runs/stills-sharper", type=Path, help="folder of the checkpoint")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes until this call stops")
    options = parser.parse_args(arguments)
    records = [finished(parser, folder) for folder in options.folders]
    if others := differing(options.folders):
        parser.error(f"{others[0]} has another autoencoder than {options.folders[0]}: let it learn by itself")
    place = Place(options.run, deadline=time.time() + options.stop_after * 60)
    autoencoder, done = learn_on(place, options.folders[0], options.minutes)
    if done:
        checkpoint = options.run / f"{STAGE}.pt"
        for folder, before in zip(options.folders, records, strict=True):
            give(autoencoder, folder, before, checkpoint)
        checkpoint.unlink()  # given: the next call begins anew
    print(outcome(done))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
