"""A training loop that can be stopped at any moment and goes on where it was."""

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm.auto import tqdm

from training.optimizer import Muon, multiplies_bfloat16

SAVE_EVERY = 120.0  # seconds
# not matrices: a row for each token, a frequency for each pair of numbers
TABLES = ("embed_tokens", "shared", "token_embedding", "position_embedding", "pos_frequencies")
WARM_UP, COOL_DOWN = 0.03, 0.5  # shares of the training: the rate rises, later it falls


def autocast(device: str):
    """bfloat16 on CUDA and on a CPU that multiplies it."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=multiplies_bfloat16(kind))


@dataclass
class Place:
    """Where a training runs: its folder, its device, and when this call has to end (as time.time())."""

    folder: Path
    device: str = "cpu"
    deadline: float = math.inf
    quiet: bool = False

    def now_over(self) -> bool:
        return time.time() >= self.deadline

    def log(self, stage: str, **values):
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps({"stage": stage, **values}) + "\n")

    def autocast(self):
        return autocast(self.device)


class Average:
    """A running mean of the weights, which is what gets saved."""

    def __init__(self, model: nn.Module, decay: float = 0.998):
        self.decay, self.count = decay, 0
        self.weights = {name: p.detach().clone().float() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module):
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        live = [p.detach().float() for p in model.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), live, 1 - decay)

    def copy_to(self, model: nn.Module):
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(self.weights[name])


def rate_at(progress: float) -> float:
    """Share of the full learning rate: a short rise, a plateau, a cosine down to nothing."""
    rise = min(1.0, progress / WARM_UP) if WARM_UP else 1.0
    fall = max(0.0, (progress - COOL_DOWN) / (1 - COOL_DOWN))
    return max(rise * 0.5 * (1 + math.cos(math.pi * min(fall, 1.0))), 1e-3)


def optimizer_for(model: nn.Module, settings: dict, slow: tuple[str, ...] = ()) -> "Both":
    """Muon for matrices and kernels; AdamW for vectors and tables, a hundredth of its rate for `slow`."""
    kernels, groups = [], {}
    for name, p in model.named_parameters():
        gently = bool(slow) and name.endswith(slow)
        if p.ndim > 1 and not gently and not any(table in name for table in TABLES):
            kernels.append(p)
        else:
            groups.setdefault(0.01 if gently else 1.0, []).append(p)
    adam = [{"params": ps, "factor": settings["rate"] * factor} for factor, ps in groups.items()]
    parts = []
    if kernels:
        parts.append(Muon([{"params": kernels, "factor": settings["muon"]}], weight_decay=0.01))
    if adam:
        parts.append(torch.optim.AdamW(adam, betas=(0.9, 0.98), weight_decay=0.0))
    return Both(*parts)


class Both:
    """Two optimizers that step together."""

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts

    def set_rate(self, share: float):
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["factor"] * share

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self):
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]):
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def train(place: Place, stage: str, model: nn.Module, settings: dict, loss_at, check=None, extra=None, slow=()):
    """Train until settings["minutes"] are spent (or "steps" made), over as many calls as it takes.

    Returns whether all is done. loss_at(step, progress, generator) -> (loss, numbers to show).
    check(model) -> numbers for the log, taken with the averaged weights. extra: floats that are saved along.
    """
    optimizer = optimizer_for(model, settings, slow)
    average, extra = Average(model), extra if extra is not None else {}
    path, spent, step = place.folder / f"{stage}.pt", 0.0, 0
    if path.is_file():
        step, spent = _load(path, model, optimizer, average, extra, place.device)
    started, saved, before = time.time(), time.time(), spent
    steps, seconds = settings.get("steps"), settings["minutes"] * 60

    def progress_now() -> float:
        return step / steps if steps else spent / seconds

    bar = tqdm(total=1000, desc=stage, unit="‰", disable=place.quiet)
    while (progress := progress_now()) < 1 and not place.now_over():
        bar.update(round(progress * 1000) - bar.n)
        optimizer.set_rate(rate_at(progress))
        generator = torch.Generator(place.device).manual_seed(step + 1)
        optimizer.zero_grad()
        loss, numbers = loss_at(step, progress, generator)
        if loss.requires_grad:  # else loss_at has gone all the way back itself
            loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if step % 20 == 0 and not torch.isfinite(norm):  # a look at the number waits for the device: not often
            raise FloatingPointError(f"{stage}: the gradient at step {step} is not finite")
        optimizer.step()
        average.update(model)
        step += 1
        if step % 20 == 0 or spent == 0.0:
            numbers = {key: round(float(value), 5) for key, value in numbers.items()}
            bar.set_postfix(step=step, **numbers)
            place.log(stage, step=step, seconds=round(spent, 1), **numbers)
        if check and step % settings["check_every"] == 0:
            place.log(stage, step=step, seconds=round(spent, 1), **checked(model, average, check))
        spent = before + time.time() - started
        if time.time() - saved > SAVE_EVERY:
            _save(path, model, optimizer, average, extra, step, spent)
            saved = time.time()
    bar.close()
    _save(path, model, optimizer, average, extra, step, spent)
    if check:
        place.log(stage, step=step, seconds=round(spent, 1), **checked(model, average, check))
    average.copy_to(model)
    return progress_now() >= 1


def checked(model: nn.Module, average: Average, check) -> dict:
    """Run a check with the averaged weights in the model, then put the live ones back."""
    live = [p.detach().clone() for p in model.parameters()]
    average.copy_to(model)
    model.eval()
    with torch.no_grad():
        numbers = check(model)
        for p, value in zip(model.parameters(), live, strict=True):
            p.copy_(value)
    model.train()
    return numbers


def _save(path: Path, model, optimizer, average, extra, step, spent):
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.weights,
        "count": average.count, "extra": dict(extra), "step": step, "spent": spent,
    }  # fmt: skip
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)  # a stop in between leaves the old one whole


def _load(path: Path, model, optimizer, average, extra, device) -> tuple[int, float]:
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    average.weights, average.count = state["average"], state["count"]
    extra.update(state["extra"])
    return state["step"], state["spent"]
