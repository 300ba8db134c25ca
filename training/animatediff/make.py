"""tiny-animatediff from nothing, stage after stage, or from a finished folder that learns on.

The second is a program: `python -m training.animatediff.make models/tiny-animatediff --autoencoder models/tiny-sd3/vae`
paints the clips as the painter is today and goes through the last stage again, from the weights in the folder. For
the first see training.stills.train.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
from transformers import CLIPTextModel

from training.animatediff.parts import TextEncoder, configuration, save_pipeline
from training.animatediff.stages import Clips, train_motion, train_text_encoder, train_unet
from training.animatediff.together import train_together
from training.export import above_nought, finished, learned_on, loaded, outcome, write_json
from training.loop import Place
from training.stills.frames import encode_frames


def make_animatediff(place: Place, config: dict, vae: AutoencoderKL, out) -> bool:
    """The stages in a folder of their own, from the shared latents, and the diffusers folder; False if not done."""
    here = replace(place, folder=place.folder / "animatediff")
    encoder, done = train_text_encoder(here, config)
    if not done:
        return False
    clips = clips_of(place, config)
    unet, done = train_unet(here, config, encoder, clips)
    if not done:
        return False
    adapter, done = train_motion(here, config, encoder, unet, clips)
    return done and finish(here, config, vae, (encoder, unet, adapter), clips, out)


def finish(place: Place, config: dict, vae: AutoencoderKL, parts: tuple, clips: Clips, out) -> bool:
    """The last stage and the diffusers folder. parts: text encoder, UNet, motion adapter, as they start."""
    done = train_together(place, config, *parts, clips)
    if done:
        save_pipeline(out, vae, *parts, clips.mean.cpu(), clips.std.cpu())
    return done


def clips_of(place: Place, config: dict) -> Clips:
    """The clips in a folder of latents, drawn and captioned as the configuration says for all stages."""
    settings = config["unet_training"]
    return Clips(place, settings["drop"], settings["often"])


def finished_parts(folder: Path, config: dict) -> tuple[TextEncoder, UNet2DConditionModel, MotionAdapter]:
    """What a folder holds, in float32, the text encoder frozen."""
    encoder = TextEncoder(config).eval().requires_grad_(False)
    encoder.clip = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).requires_grad_(False)
    return encoder, loaded(UNet2DConditionModel, folder / "unet"), loaded(MotionAdapter, folder / "motion_adapter")


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.animatediff.make", description=__doc__)
    parser.add_argument("folder", type=Path, help="the finished diffusers folder to start from")
    parser.add_argument("--autoencoder", required=True, help="the autoencoder's folder, before it was normalised")
    parser.add_argument("--minutes", type=above_nought(float), default=104.0,
                        help="of training; a call after one that was stopped goes on to this sum")  # fmt: skip
    parser.add_argument("--clips", type=above_nought(int), default=3000, help="that it learns from")
    parser.add_argument("--run", default="runs/animatediff", type=Path, help="folder of checkpoints")
    parser.add_argument("--out", type=Path, help="the diffusers folder to write; default: the one it starts from")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes until this call stops")
    options = parser.parse_args(arguments)
    before = finished(parser, options.folder)
    config, out = configuration(), options.out or options.folder
    config["latents"]["clips"] = options.clips
    config["together_training"]["minutes"] = options.minutes
    place = Place(options.run, deadline=time.time() + options.stop_after * 60)
    vae = loaded(AutoencoderKL, options.autoencoder).eval()
    parts = finished_parts(options.folder, config)
    done = encode_frames(place, config, vae)
    if done:
        clips = clips_of(place, config)
        done = finish(place, config, vae, parts, clips, out)
    if done:
        checkpoint = place.folder / "together.pt"
        write_json(out / "training.json", learned_on(before, "together", checkpoint, len(clips.moments)))
        checkpoint.unlink()  # given: the next call begins anew
    print(outcome(done))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
