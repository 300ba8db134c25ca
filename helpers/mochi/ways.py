"""Where else a sentence can become a video, and what each way lacks here, one sentence for each missing thing."""

from pathlib import Path

import torch

from helpers.layers.weights import MOCHI
from helpers.mesh import find_backend, label
from helpers.mochi.parts import cut_over_sp
from helpers.mochi.upstream import missing, no_weights
from ttnn_emulator.systems import System


def ways(mesh, checkout: str | Path | None = None, weights: str | Path = MOCHI.name) -> dict[str, list[str]]:
    """Way -> what it lacks on this machine and the open mesh; nothing where it can run."""
    return {
        "silicon": no_silicon(mesh),
        "real weights": no_weights(weights) + no_chips_for_it(mesh),
        "upstream tt_dit": missing(mesh, checkout, weights),
        "CUDA": [] if torch.cuda.is_available() else [f"Card: PyTorch {torch.__version__} finds none here."],
    }


def no_silicon(mesh) -> list[str]:
    if mesh.backend == "silicon":
        return []
    if find_backend() == "silicon":
        return [f"Mesh: there are chips, and the open mesh is {label(mesh)}. Restart the kernel to open them."]
    return ["Chips: there are none. Tenstorrent's driver would show them as /dev/tenstorrent."]


def no_chips_for_it(mesh) -> list[str]:
    """Room for the real weights alone on each chip, and chips that compute"""
    each, room = gigabytes_per_chip(mesh.system), mesh.system.dram_bytes / 1e9
    lacks = []
    if each > room:
        lacks.append(f"Memory: on {mesh.system} the weights take {each:.1f} GB of each chip, and it has {room:.1f}.")
    if mesh.backend == "emulated":
        lacks.append(f"Chips: the open mesh is {label(mesh)}, so this CPU would compute all of it, for days.")
    return lacks


def gigabytes_per_chip(system: System) -> float:
    """What the real weights take of each chip: the text encoder cut over tp, the denoiser perhaps over sp too."""
    tp, sp = (system.mesh[system.axes[axis]] for axis in ("tp", "sp"))
    denoiser = MOCHI.gigabytes["transformer"]
    cut = tp * sp if cut_over_sp(system, denoiser * 1e9) else tp
    return MOCHI.gigabytes["text_encoder"] / tp + denoiser / cut + MOCHI.gigabytes["vae"]
