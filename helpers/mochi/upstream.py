"""Tenstorrent's own Mochi, out of a checkout of tt-metal: what it needs, what of that is missing here, and the call.

    missing(mesh, checkout="tt-metal")                     # one sentence for each thing that is missing
    generate(mesh, Request("a butterfly ..."), checkout="tt-metal")

What it needs is read from tenstorrent/tt-metal, models/tt_dit/pipelines/mochi/pipeline_mochi.py@0d617aff, and the call
is that of models/tt_dit/tests/models/mochi/test_performance_mochi.py@00b0fa3f. The checks have run; the call has run on
a stand-in only, never on chips. That test opens its mesh without L1 set aside, helpers.mesh with 32 KB of it a core.
"""

import importlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from helpers.layers.weights import MOCHI, Weights, find_folder
from helpers.mesh import label, links
from helpers.mochi.pipeline import Request, diffusers_callback

LINKS = {"galaxy": 4, "t3000": 1, "quietbox2": 2}  # systems that it runs on: links it drives between neighbours
RELOADS = ("t3000", "quietbox2")  # memory there holds the denoiser or the decoder, not both
MODULE = "models.tt_dit.pipelines.mochi.pipeline_mochi"
CACHE = "TT_DIT_CACHE_DIR"  # the folder in which it keeps the denoiser's weights, cut for the mesh
HOST_GIGABYTES = 2 * sum(MOCHI.gigabytes.values())  # it reads all parts in float32


def missing(mesh, checkout: str | Path | None = None, weights: str | Path = MOCHI.name) -> list[str]:
    """One sentence for each thing that the pipeline needs and this machine lacks; empty where it can run."""
    return [*no_chips(mesh), *no_links(mesh), *no_checkout(checkout), *no_weights(weights), *no_room(mesh)]


def generate(mesh, request: Request, checkout: str | Path, weights: str | Path = MOCHI.name) -> torch.Tensor:
    """A video (frames, height, width, 3) in 0..1, made by tt-metal's pipeline on an open mesh.

    Raises RuntimeError naming all that is missing, and ValueError without guidance, which that pipeline asserts.
    """
    lacks = missing(mesh, checkout, weights)
    if lacks:
        raise RuntimeError("tt-metal's own Mochi cannot run here. " + " ".join(lacks))
    if request.guidance <= 1:
        raise ValueError("tt-metal's Mochi always guides. Choose a guidance above 1.")
    pipeline = load(checkout).create_pipeline(mesh_device=mesh, checkpoint_name=str(find_folder(weights)))
    frames = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        num_frames=request.frames,
        height=request.height,
        width=request.width,
        seed=request.seed,
        callback_on_step_end=diffusers_callback(request),
        output_type="np",
    ).frames
    return torch.as_tensor(frames[0]).float()


def load(checkout: str | Path):
    """The pipeline's class. The checkout comes last on the path: what is installed here goes before what it brings."""
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    return importlib.import_module(MODULE).MochiPipeline


def no_chips(mesh) -> list[str]:
    known = ", ".join(LINKS)
    if mesh.system.name not in LINKS:
        return [f"Chips: {mesh.system} is open, and it runs on {known}."]
    return [] if mesh.backend == "silicon" else [f"Chips: the open mesh is {label(mesh)}, and it needs real ones."]


def no_links(mesh) -> list[str]:
    wanted, found = LINKS.get(mesh.system.name, 0), links(mesh)
    weak = [pair for pair, count in found.items() if count < wanted]
    if not weak:
        return []
    (a, b), few = weak[0], found[weak[0]]
    return [f"Links: it drives {wanted} between neighbours, and chips {a} and {b} have {few} ({len(weak)} such pairs)."]


def no_checkout(checkout: str | Path | None) -> list[str]:
    if checkout is None:
        return ["Checkout: no folder is named. Get one with: git clone https://github.com/tenstorrent/tt-metal"]
    if not (Path(checkout) / (MODULE.replace(".", "/") + ".py")).is_file():
        return [f"Checkout: {checkout} has no {MODULE.replace('.', '/')}.py."]
    here, there = version("ttnn"), describe(checkout)
    if there.removeprefix("v").split(".")[:2] != here.split(".")[:2]:
        return [f"Checkout: {checkout} is at {there}, which does not fit the ttnn {here} that is installed here."]
    try:
        load(checkout)
    except ImportError as error:
        return [f"Checkout: its pipeline cannot be imported here ({error})."]
    return []


def describe(checkout: str | Path) -> str:
    """The last release in a checkout's history, as git says it: v0.81.1, or v0.81.1-5-g0123abc for later commits."""
    command = ["git", "-C", str(checkout), "describe", "--tags"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "no known version"


def no_weights(weights: str | Path) -> list[str]:
    try:
        folder = find_folder(weights)
        for part in MOCHI.parts:
            Weights(folder, part)
    except (FileNotFoundError, ValueError) as error:
        return [f"Weights: {error}"]
    return []


def no_room(mesh) -> list[str]:
    """Host memory for loading, and disk for the cut weights"""
    lacks, cache, size = [], os.environ.get(CACHE), MOCHI.gigabytes["transformer"]
    if free_memory() < HOST_GIGABYTES:
        lacks.append(f"Memory: loading takes {HOST_GIGABYTES:.0f} GB of this computer's, {free_memory():.0f} are free.")
    if cache is None and mesh.system.name in RELOADS:
        lacks.append(f"Disk: {CACHE} names no folder. On {mesh.system} it loads the denoiser anew for each video.")
    if cache is not None and not list(Path(cache).glob("mochi-1-preview/transformer/*")) and free_disk(cache) < size:
        lacks.append(f"Disk: the cut weights take {size:.0f} GB, and {cache} has {free_disk(cache):.0f} GB left.")
    return lacks


def free_memory() -> float:
    """Gigabytes that this computer's programs can still have"""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024 / 1e9


def free_disk(folder: str | Path) -> float:
    """Gigabytes left where a folder is or would be made"""
    there = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
    return shutil.disk_usage(there).free / 1e9
