"""A trained miniature as a diffusers folder, and as a few small files that travel."""

import argparse
import json
import os
from pathlib import Path

import torch
from diffusers import MochiPipeline
from safetensors.torch import load_file, save_file

from training.parts import (
    new_autoencoder,
    new_scheduler,
    new_text_encoder,
    new_tokenizer,
    new_transformer,
    tie_capitals,
)

PARTS = ("vae", "transformer", "text_encoder")


def save_pipeline(folder, vae, transformer, text_encoder, mean: torch.Tensor, std: torch.Tensor) -> Path:
    """Write what stock `MochiPipeline.from_pretrained` loads: bfloat16, latent statistics inside."""
    tokenizer = new_tokenizer()
    tie_capitals(text_encoder, tokenizer)
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    pipeline = MochiPipeline(new_scheduler(), vae, text_encoder, tokenizer, transformer)
    pipeline.to("cpu", torch.bfloat16)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return Path(folder)


def loaded(kind, folder):
    """A part of diffusers in float32; its configuration forgets where it came from, which would be saved along."""
    model = kind.from_pretrained(folder, dtype=torch.float32)
    model.register_to_config(_name_or_path="")
    return model


def finished(parser: argparse.ArgumentParser, folder: Path) -> dict:
    """What the training.json of a finished folder holds; the parser's error where there is none."""
    record = folder / "training.json"
    if not record.is_file():
        parser.error(f"{folder} is no finished folder: it has no training.json")
    return json.loads(record.read_text())


def above_nought(kind: type):
    """For argparse: a number of that kind, refused where it is not above 0."""

    def number(text: str):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return number


def write_text(path: Path, text: str) -> None:
    """A stop in between leaves the file that was there whole."""
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def write_json(path: Path, value: dict) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")


def outcome(done: bool) -> str:
    """What a training says at the end of a call."""
    return "done" if done else "stopped in between: the same command goes on from here"


def learned_on(before: dict, stage: str, checkpoint: Path, clips: int) -> dict:
    """What training.json holds after a finished folder has learned on for one stage more. before: what it held.

    A stage that it has been through already is added up.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    so_far = before["stages"].get(stage, {"steps": 0, "minutes": 0.0})
    more = {"steps": so_far["steps"] + state["step"], "minutes": round(so_far["minutes"] + state["spent"] / 60, 1)}
    return before | {"stages": before["stages"] | {stage: more}, "clips": clips, "torch": torch.__version__}


def weights_size(folder) -> int:
    """Bytes of all weights in a folder."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))


def pack(folder, out, limit: int = 15_000_000) -> list[Path]:
    """The weights of a pipeline folder as flat bfloat16 files of at most `limit` bytes each."""
    tensors = {}
    for part in PARTS:
        for file in sorted((Path(folder) / part).glob("*.safetensors")):
            tensors |= {f"{part}/{name}": t.bfloat16() for name, t in load_file(file).items()}
    config = json.loads((Path(folder) / "vae" / "config.json").read_text())
    tensors |= {key: torch.tensor(config[key]) for key in ("latents_mean", "latents_std")}
    shards, room = [{}], limit
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if size > room and shards[-1]:
            shards.append({})
            room = limit
        shards[-1][name] = tensor.contiguous()
        room -= size
    Path(out).mkdir(parents=True, exist_ok=True)
    paths = [Path(out) / f"weights-{k}.safetensors" for k in range(len(shards))]
    for shard, path in zip(shards, paths, strict=True):
        save_file(shard, path)
    return paths


def unpack(packed, config: dict, folder) -> Path:
    """Files made by `pack` -> the pipeline folder they came from."""
    files = sorted(Path(packed).glob("weights-*.safetensors"))
    if not files:
        raise FileNotFoundError(f"no weights-*.safetensors in {packed}")
    tensors = {}
    for file in files:
        tensors |= load_file(file)
    models = [new_autoencoder(config), new_transformer(config), new_text_encoder(config)]
    for part, model in zip(PARTS, models, strict=True):
        state = {name.removeprefix(part + "/"): t for name, t in tensors.items() if name.startswith(part + "/")}
        missing, unexpected = model.load_state_dict(state, strict=False)
        tied = {"encoder.embed_tokens.weight", "shared.weight"}
        if set(missing) - tied or unexpected:
            raise ValueError(f"{part}: the packed weights are of another configuration")
        if part == "text_encoder" and missing:
            model.set_input_embeddings(_embedding(state))
    return save_pipeline(folder, *models, tensors["latents_mean"], tensors["latents_std"])


def _embedding(state: dict) -> torch.nn.Embedding:
    table = next(state[name] for name in ("shared.weight", "encoder.embed_tokens.weight") if name in state)
    return torch.nn.Embedding.from_pretrained(table.float(), freeze=False)
