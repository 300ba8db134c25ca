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

SAVE_EVERY = 120.0  # seconds
WARM_UP, COOL_DOWN = 0.03, 0.5  # shares of the training: the rate rises, later it falls


@dataclass
class Place:
    """Where a training runs: its folder, its device, and when this call has to end (seconds since the epoch)."""

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
        """bfloat16, on CUDA and on the CPU (with AVX-512 or AMX it is fast; without, it is emulated)."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)


class Average:
    """A running mean of the weights, which is what gets saved."""

    def __init__(self, model: nn.Module, decay: float = 0.9995):
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


def optimizer_for(model: nn.Module, rate: float, slow: tuple[str, ...] = (), decay: float = 0.01):
    """AdamW; no decay for vectors, and a hundredth of the rate for the parameters named in `slow`."""
    groups: dict[tuple, list] = {}
    for name, p in model.named_parameters():
        key = (decay if p.ndim > 1 else 0.0, 0.01 if name.endswith(slow) and slow else 1.0)
        groups.setdefault(key, []).append(p)
    fused = next(model.parameters()).is_cuda
    settings = [{"params": ps, "weight_decay": wd, "factor": f} for (wd, f), ps in groups.items()]
    return torch.optim.AdamW(settings, lr=rate, betas=(0.9, 0.98), fused=fused)


def train(
    place: Place, stage: str, model: nn.Module, settings: dict, loss_at, check=None, extra=None, slow=()
):
    """Train until settings["minutes"] are spent (or, if given, "steps" made), over as many calls as it takes.

    Returns whether all is done. loss_at(step, progress, generator) -> (loss, numbers to show). check(model) -> numbers for the log, taken with
    the averaged weights. extra: a dictionary of floats that is saved along.
    """
    optimizer = optimizer_for(model, settings["rate"], slow)
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
        for group in optimizer.param_groups:
            group["lr"] = settings["rate"] * rate_at(progress) * group["factor"]
        generator = torch.Generator(place.device).manual_seed(step + 1)
        loss, numbers = loss_at(step, progress, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if step % 20 == 0 and not torch.isfinite(
            norm
        ):  # a look at the number waits for the device: not often
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
