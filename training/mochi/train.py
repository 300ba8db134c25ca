"""Make the miniature from nothing: `python -m training.mochi.train`.

Four stages, each resumable (run the same command again): the autoencoder, the latents of many clips, the text
encoder, the transformer; then the diffusers folder. On CPU or CUDA.
"""

import argparse
import math
import os
import time
from pathlib import Path

import torch

from training.config import configuration
from training.export import outcome, pack, save_pipeline, unpack, weights_size, write_json
from training.fast import quicken_autoencoder
from training.loop import Place
from training.mochi.autoencoder import encode_clips, train_autoencoder
from training.mochi.denoiser import TextEncoder, train_denoiser, train_text_encoder
from training.parts import new_autoencoder

STAGES = ("autoencoder", "latents", "reader", "transformer", "export")


def main(arguments=None) -> int:
    options = _options().parse_args(arguments)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    config = _configured(options, device)
    if options.unpack:
        print(unpack(options.unpack, config, options.out))
        return 0
    deadline = time.time() + options.stop_after * 60 if options.stop_after else math.inf
    place = Place(Path(options.run), device, deadline, options.quiet)
    done = make(place, config, options.out, options.stages or STAGES, options.compile)
    if done and options.pack:
        print(*pack(options.out, options.pack), sep="\n")
    print(outcome(done))
    return 0


def make(place: Place, config: dict, out, stages=STAGES, compiled: bool = False) -> bool:
    """Run the stages in order; False if the deadline came first."""
    place.folder.mkdir(parents=True, exist_ok=True)
    write_json(place.folder / "config.json", config)
    if "autoencoder" in stages:
        autoencoder, done = train_autoencoder(place, config)
        if not done:
            return False
        torch.save(autoencoder.state_dict(), place.folder / "vae.pt")
    if "latents" in stages and not encode_clips(place, config, _autoencoder(place, config)):
        return False
    if "reader" in stages:
        text_encoder, done = train_text_encoder(place, config)
        if not done:
            return False
        torch.save(text_encoder.state_dict(), place.folder / "text_encoder.pt")
    if "transformer" in stages or "export" in stages:
        denoiser, _, (mean, std), done = train_denoiser(place, config, _text_encoder(place, config), compiled)
        if not done and "export" not in stages:
            return False
        if "export" in stages:  # before the end too: a look at what there is so far
            vae = _autoencoder(place, config).cpu()
            save_pipeline(out, vae, denoiser.transformer.cpu(), denoiser.text_encoder.t5.cpu(), mean.cpu(), std.cpu())
            write_json(Path(out) / "training.json", record(place, config, vae, denoiser))
            print(f"{out}: {weights_size(out) / 1e6:.1f} MB of weights")
        return done
    return True


def record(place: Place, config: dict, vae, denoiser) -> dict:
    """How this model came to be, for its card: steps and minutes of each stage, on what, and how large it is."""
    stages = {}
    for stage in ("autoencoder", "reader", "transformer"):
        state = torch.load(place.folder / f"{stage}.pt", map_location="cpu", weights_only=True, mmap=True)
        stages[stage] = {"steps": state["step"], "minutes": round(state["spent"] / 60, 1)}
    parts = {"text_encoder": denoiser.text_encoder.t5, "transformer": denoiser.transformer, "vae": vae}
    device = torch.device(place.device)
    return {
        "stages": stages,
        "parts": {
            name: {"class": type(part).__name__, "parameters": sum(p.numel() for p in part.parameters())}
            for name, part in parts.items()
        },
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores",
        "torch": torch.__version__, "clips": config["latents"]["clips"], "seed": config["seed"],
    }  # fmt: skip


def _autoencoder(place: Place, config: dict):
    autoencoder = _finished(place, "vae.pt", new_autoencoder(config), "autoencoder")
    return quicken_autoencoder(autoencoder) if place.device != "cpu" else autoencoder


def _text_encoder(place: Place, config: dict) -> TextEncoder:
    return _finished(place, "text_encoder.pt", TextEncoder(config), "reader").requires_grad_(False)


def _finished(place: Place, name: str, model, stage: str):
    """A part whose training is over."""
    path = place.folder / name
    if not path.is_file():
        raise FileNotFoundError(f"no {name} in {place.folder}: run the stage '{stage}' to its end first")
    model.load_state_dict(torch.load(path, map_location=place.device, weights_only=True))
    return model.to(place.device).eval()


def _configured(options, device: str) -> dict:
    config = configuration(options.preset, device)
    for stage in ("autoencoder", "transformer"):
        settings = config[f"{stage}_training"]
        for name in ("minutes", "batch", "rate"):
            value = getattr(options, f"{stage}_{name}")
            settings[name] = settings[name] if value is None else value
    config["latents"]["clips"] = options.clips or config["latents"]["clips"]
    return config


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.mochi.train", description=__doc__)
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="default: all of them")
    parser.add_argument("--preset", default="default", help="default or smoke")
    parser.add_argument("--run", default="runs/miniature", help="folder of checkpoints")
    parser.add_argument("--out", default="models/tiny-mochi", help="the diffusers folder")
    parser.add_argument("--device", help="cpu or cuda; default: cuda where there is one")
    parser.add_argument("--stop-after", type=float, help="minutes until this call stops, to be resumed")
    parser.add_argument("--compile", action="store_true", help="torch.compile the transformer")
    parser.add_argument("--pack", help="also write the weights as flat files of 15 MB into this folder")
    parser.add_argument("--unpack", help="make the diffusers folder from such files, and nothing else")
    parser.add_argument("--clips", type=int, help="how many clips the transformer learns from")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    for stage in ("autoencoder", "transformer"):
        parser.add_argument(f"--{stage}-minutes", type=float)
        parser.add_argument(f"--{stage}-batch", type=int)
        parser.add_argument(f"--{stage}-rate", type=float)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
