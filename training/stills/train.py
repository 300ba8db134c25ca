"""Make a miniature that starts from stills, from nothing: `python -m training.stills.train sd3`.

The autoencoder of frames and the latents of many clips are made once and shared; then follow the model's own stages
and its diffusers folder. Each stage is resumable: run the same command again. On CPU or CUDA.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import diffusers
import torch
import transformers

from training.animatediff import parts as animatediff_parts
from training.animatediff.make import make_animatediff
from training.export import outcome, weights_size, write_json
from training.loop import Place
from training.stills import parts
from training.stills.frames import encode_frames, train_autoencoder
from training.stills.sd3 import make_sd3

# configuration(preset) and make(place, config, autoencoder, out) -> done
MODELS = {
    "sd3": (parts.configuration, make_sd3),
    "animatediff": (animatediff_parts.configuration, make_animatediff),
}


def make(place: Place, config: dict, model: str, out) -> bool:
    """Run the stages in order; False if the deadline came first."""
    place.folder.mkdir(parents=True, exist_ok=True)
    write_json(place.folder / "config.json", config)
    autoencoder, done = train_autoencoder(place, config)
    if not done or not encode_frames(place, config, autoencoder):
        return False
    _, make_model = MODELS[model]
    if not make_model(place, config, autoencoder, out):
        return False
    write_json(Path(out) / "training.json", record(place, config, model, out))
    print(f"{out}: {weights_size(out) / 1e6:.1f} MB of weights")
    return True


def record(place: Place, config: dict, model: str, out) -> dict:
    """How a model came to be, for its card: steps and minutes of each stage, on what, and how large its parts are."""
    stages = {}
    for path in (place.folder / "autoencoder.pt", *sorted((place.folder / model).glob("*.pt"))):
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        stages[path.stem] = {"steps": state["step"], "minutes": round(state["spent"] / 60, 1)}
    device = torch.device(place.device)
    return {
        "stages": stages,
        "parts": {path.parent.name: _part(path.parent) for path in sorted(Path(out).glob("*/*.safetensors"))},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores",
        "torch": torch.__version__, "clips": config["latents"]["clips"], "frames": config["frames"],
        "seed": config["seed"],
    }  # fmt: skip


def _part(folder: Path) -> dict:
    """The class and the size of a part of a diffusers folder."""
    config = json.loads((folder / "config.json").read_text())
    name = config.get("_class_name") or config["architectures"][0]
    model = getattr(diffusers if hasattr(diffusers, name) else transformers, name).from_pretrained(folder)
    return {"class": name, "parameters": sum(p.numel() for p in model.parameters())}


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.stills.train", description=__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--preset", default="default", help="default or smoke")
    parser.add_argument("--run", default="runs/stills", help="folder of checkpoints")
    parser.add_argument("--out", help="the diffusers folder; default: models/tiny-MODEL")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes until this call stops")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    place = Place(Path(options.run), options.device, time.time() + options.stop_after * 60, options.quiet)
    configuration, _ = MODELS[options.model]
    done = make(place, configuration(options.preset), options.model, options.out or f"models/tiny-{options.model}")
    print(outcome(done))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
