"""tiny-sd3 learns on: `python -m training.stills.again models/tiny-sd3`.

From the weights in a finished folder and clips of the painter as it is today. Text encoders and autoencoder stay as
they are, and so do the latents' statistics: the transformer goes on seeing what it saw. For a model from nothing see
training.stills.train.
"""

import argparse
import json
import math
import re
import time
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from transformers import CLIPTextModelWithProjection, T5EncoderModel

from helpers.world.scenes import SCENES
from training.export import above_nought, finished, learned_on, loaded, outcome, write_json
from training.loop import Place
from training.stills.frames import encode_frames
from training.stills.parts import configuration, new_transformer
from training.stills.sd3 import Batches, TextEncoder, save_pipeline, train_denoiser


def finished_encoder(folder: Path, config: dict) -> TextEncoder:
    """The text encoders of a folder in float32, frozen."""
    encoder = TextEncoder(config)
    for place, name in enumerate(("text_encoder", "text_encoder_2")):
        encoder.clips[place] = CLIPTextModelWithProjection.from_pretrained(folder / name, dtype=torch.float32)
    encoder.t5 = T5EncoderModel.from_pretrained(folder / "text_encoder_3", dtype=torch.float32)
    return encoder.eval().requires_grad_(False)


@torch.no_grad()
def deepened(learned: SD3Transformer2DModel, config: dict) -> SD3Transformer2DModel:
    """The same outputs from as many blocks as the configuration has: each new one stands behind an old one.

    A new block adds nothing yet, for its gates are zero (they learn first). The last block stays the last: it alone
    has no text to hand on. Raises ValueError where there are more old blocks than asked for.
    """
    old, count = list(learned.transformer_blocks), config["transformer"]["num_layers"]
    if len(old) == count:
        return learned
    if len(old) > count:
        raise ValueError(f"{len(old)} blocks have learned and {count} are asked for: blocks can only be added")
    torch.manual_seed(config["seed"] + 3)
    whole = new_transformer(config)
    places = [round(k * (count - 1) / (len(old) - 1)) for k in range(len(old))]
    for place, block in zip(places, old, strict=True):
        whole.transformer_blocks[place] = block
    for place in set(range(count)) - set(places):
        block = whole.transformer_blocks[place]
        for norm in (block.norm1, block.norm1_context):  # shift, scale, gate of attention; shift, scale, gate after
            for gate in (norm.linear.weight, norm.linear.bias):
                parts = gate.chunk(6)
                parts[2].zero_(), parts[5].zero_()
    rest = {name: value for name, value in learned.state_dict().items() if not name.startswith("transformer_blocks.")}
    whole.load_state_dict(rest, strict=False)
    return whole


@torch.no_grad()
def finer(learned: SD3Transformer2DModel, config: dict) -> SD3Transformer2DModel:
    """The same blocks on tokens of fewer latents, as the configuration has them: single ones out of patches.

    A token starts with what its patch would hold if all its latents were alike, and says the mean of what the patch
    would say of them. Where it lies it has to learn anew: there are more places now. Raises ValueError for any other
    change of patches.
    """
    patch, wanted = learned.config.patch_size, config["transformer"]["patch_size"]
    if patch == wanted:
        return learned
    if wanted != 1:
        raise ValueError(
            f"patches of {patch} x {patch} can be taken apart into single latents, not into {wanted} x {wanted}"
        )
    layers = {"num_layers": len(learned.transformer_blocks)}
    whole = new_transformer({**config, "transformer": config["transformer"] | layers})
    own = whole.state_dict()
    state = learned.state_dict() | {"pos_embed.pos_embed": own["pos_embed.pos_embed"]}
    state["pos_embed.proj.weight"] = state["pos_embed.proj.weight"].sum((2, 3), keepdim=True)
    for name in ("proj_out.weight", "proj_out.bias"):
        state[name] = state[name].unflatten(0, (patch * patch, -1)).mean(0)
    whole.load_state_dict(state)
    return whole


def learn_on(place: Place, config: dict, folder: Path, before: dict, out: Path) -> bool:
    """Encode the clips, train, write the diffusers folder and its training.json; False if the deadline came first.

    before: the training.json of the folder that it starts from. The checkpoint goes when its weights have been given.
    """
    vae = loaded(AutoencoderKL, folder / "vae").eval()
    mean, std = vae.config.shift_factor, 1 / vae.config.scaling_factor
    if not encode_frames(place, config, vae):
        return False
    settings = config["transformer_training"]
    batches = Batches(place, settings["drop"], settings["often"])
    batches.mean, batches.std = mean, std
    here, encoder = replace(place, folder=place.folder / "sd3"), finished_encoder(folder, config)
    learned = deepened(finer(loaded(SD3Transformer2DModel, folder / "transformer"), config), config)
    denoiser, done = train_denoiser(here, config, batches, encoder, learned)
    if done:
        save_pipeline(out, vae, denoiser, mean, std)
        checkpoint = here.folder / "transformer.pt"
        after = learned_on(before, "transformer, again", checkpoint, len(batches.moments))
        after["parts"]["transformer"]["parameters"] = sum(p.numel() for p in denoiser.transformer.parameters())
        write_json(out / "training.json", after)
        checkpoint.unlink()
    return done


def how_often(word: str) -> tuple[str, float]:
    """sun=9 -> ("sun", 9.0). Raises argparse's error for what is no scene or no number above 0."""
    scene, _, number = word.partition("=")
    if scene not in SCENES or not re.fullmatch(r"\d+(\.\d+)?", number) or not float(number):
        raise argparse.ArgumentTypeError(f"{word!r} is not scene=times, times above 0; scenes: {', '.join(SCENES)}")
    return scene, float(number)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.stills.again", description=__doc__)
    parser.add_argument("folder", type=Path, help="the finished diffusers folder to start from")
    parser.add_argument("--minutes", type=above_nought(float), default=96.0,
                        help="of training; a call after one that was stopped goes on to this sum")  # fmt: skip
    parser.add_argument("--clips", type=above_nought(int), default=3000, help="that it learns from")
    parser.add_argument("--blocks", type=int, help="of the transformer; new ones change nothing until they learn")
    parser.add_argument("--patch", type=int, help="latents a side of a token; 1 takes patches apart")
    parser.add_argument("--often", nargs="+", type=how_often, default=[], metavar="SCENE=TIMES",
                        help="how many times as often as others a scene is drawn")  # fmt: skip
    parser.add_argument("--preset", default="default", help="default or smoke: the sizes that the folder has")
    parser.add_argument("--run", default="runs/stills-again", type=Path, help="folder of checkpoints and latents")
    parser.add_argument("--out", type=Path, help="the diffusers folder to write; default: the one it starts from")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes until this call stops")
    options = parser.parse_args(arguments)
    before = finished(parser, options.folder)
    shape = json.loads((options.folder / "transformer" / "config.json").read_text())
    blocks = shape["num_layers"]
    if options.blocks is not None and options.blocks < blocks:
        parser.error(f"{blocks} blocks have learned, and blocks can only be added: not {options.blocks}")
    if options.patch not in (None, 1, shape["patch_size"]):
        parser.error(f"tokens have {shape['patch_size']} latents a side, and can have 1: not {options.patch}")
    config = configuration(options.preset)
    config["transformer"] |= {
        "num_layers": options.blocks or blocks,
        "patch_size": options.patch or shape["patch_size"],
    }
    config["latents"]["clips"] = options.clips
    # it has learned: at the full rates it would first forget
    config["transformer_training"] |= {"steps": None, "minutes": options.minutes, "rate": 5e-4, "muon": 0.007}
    config["transformer_training"]["often"] |= dict(options.often)
    place = Place(options.run, deadline=time.time() + options.stop_after * 60)
    done = learn_on(place, config, options.folder, before, options.out or options.folder)
    print(outcome(done))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
