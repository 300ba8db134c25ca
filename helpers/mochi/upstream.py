"""Tenstorrent's own Mochi, out of a checkout of tt-metal: what it needs, what of that is missing here, and the call.

    missing(mesh, checkout="tt-metal")                     # one sentence for each thing that is missing
    generate(mesh, Request("a butterfly ..."), checkout="tt-metal")

It runs on real chips, and with small weights on the emulated mesh (models/tiny-mochi; tools/foreign compares it with
diffusers there). Its call changed in May 2026. Before: tenstorrent/tt-metal,
models/tt_dit/pipelines/mochi/pipeline_mochi.py@79925a3f, which has run here on the emulated mesh. After: the size is
fixed when the pipeline is made, as tenstorrent/tt-inference-server's runner calls it; that has run on a stand-in only.
On chips neither has run. Its tests open their mesh without L1 set aside, helpers.mesh with 32 KB of it a core.
"""

import importlib
import inspect
import math
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from helpers.layers.weights import MOCHI, Weights, find_folder
from helpers.mesh import label, links
from helpers.mochi.pipeline import MAX_TOKENS, Request, diffusers_callback

LINKS = {"galaxy": 4, "t3000": 1, "quietbox2": 2}  # systems that it runs on: links it drives between neighbours
RELOADS = ("t3000", "quietbox2")  # memory there holds the denoiser or the decoder, not both
MODULE = "models.tt_dit.pipelines.mochi.pipeline_mochi"
FOLDERS = "models/tt_dit models/common models/perf"  # it and what it imports
CACHE = "TT_DIT_CACHE_DIR"  # the folder in which it keeps the denoiser's weights, cut for the mesh
WIDTHS = 128  # its decoder's convolutions take multiples of so many channels (models/tt_dit/layers/conv3d.py@79925a3f)
HANDED_ON = 2  # frames, from chip to chip before a causal convolution of three frames (vae_mochi.py@79925a3f)
PATIENCE = 1  # gigabytes of weights: with more than that this computer would compute for days


def missing(mesh, checkout: str | Path | None = None, weights: str | Path = MOCHI.name) -> list[str]:
    """One sentence for each thing that the pipeline needs and this machine lacks; empty where it can run."""
    return [
        *no_chips(mesh, weights),
        *no_links(mesh),
        *no_checkout(checkout, strict=mesh.backend == "silicon"),
        *no_weights(weights),
        *no_room(mesh, weights),
    ]


def generate(mesh, request: Request, checkout: str | Path, weights: str | Path = MOCHI.name) -> torch.Tensor:
    """A video (frames, height, width, 3) in 0..1, made by tt-metal's pipeline on an open mesh.

    A decoder of widths that theirs does not take runs in torch: that is an option of theirs, `use_reference_vae`.

    Raises RuntimeError naming all that is missing, and where the pipeline cannot do what is asked or returns something
    else; ValueError without guidance, which that pipeline asserts.
    """
    lacks = missing(mesh, checkout, weights)
    if lacks:
        raise RuntimeError("tt-metal's own Mochi cannot run here. " + " ".join(lacks))
    if request.guidance <= 1:
        raise ValueError("tt-metal's Mochi always guides. Choose a guidance above 1.")
    pipeline, folder = load(checkout), find_folder(weights)
    takes = inspect.signature(pipeline.create_pipeline).parameters
    options = {"mesh_device": mesh, "checkpoint_name": str(folder)} | decoding(mesh, folder, request)
    call = sized if "height" in takes else unsized
    unknown = [name for name in options if name not in takes]
    if unknown:
        raise RuntimeError(f"tt-metal's Mochi in this checkout has no {unknown[0]}, which these weights need.")
    return frames_of(call(pipeline, options, request), request)


def decoding(mesh, folder: Path, request: Request) -> dict:
    """What has to be said of the decoder, by the names that its create_pipeline has for it.

    A T3000 cuts the frames of a clip over its eight chips, and each hands on two frames: a clip of fewer latent frames
    is cut in height and width instead, over the mesh as it lies.
    """
    config = Weights(folder, "vae").config
    widths = config["decoder_block_out_channels"]
    blocks = zip([*widths, widths[-1]], config["layers_per_block"], strict=True)  # the last is the middle one
    if any(width % WIDTHS for width, layers in blocks if layers):  # without layers there is no convolution
        return {"use_reference_vae": True}
    latent_frames = (request.frames - 1) // math.prod(config["temporal_expansions"]) + 1
    if mesh.system.name == "t3000" and math.ceil(latent_frames / math.prod(mesh.shape)) < HANDED_ON:
        return {"vae_mesh_shape": tuple(mesh.shape)}
    return {}


def unsized(pipeline, options: dict, request: Request):
    """The call before May 2026: the size comes with the prompt."""
    if request.traced:
        raise RuntimeError("tt-metal's Mochi in this checkout captures no trace: leave traced.")
    return pipeline.create_pipeline(**options)(
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


def sized(pipeline, options: dict, request: Request):
    """The call since: the size is fixed when the pipeline is made, and prompts come as lists."""
    if request.callback is not None:
        raise RuntimeError("tt-metal's Mochi in this checkout shows no latents between its steps: leave the callback.")
    size = {"height": request.height, "width": request.width, "num_frames": request.frames}
    made = pipeline.create_pipeline(**options, **size, max_sequence_length=MAX_TOKENS)
    return made(
        prompts=[request.prompt],
        negative_prompts=[request.negative_prompt],
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        seed=request.seed,
        traced=request.traced,
    )


def frames_of(batch, request: Request) -> torch.Tensor:
    """The frames asked for: (frames, height, width, 3) in 0..1, from bytes, numbers or pictures.

    Its own decoder keeps the five frames that diffusers drops in front (vae_mochi.py@09c01813): 36 for 31.
    """
    frames = torch.as_tensor(np.stack([np.asarray(frame) for frame in batch[0]]))
    frames = frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
    if len(frames) < request.frames or frames.shape[1:] != (request.height, request.width, 3):
        wanted = (request.frames, request.height, request.width, 3)
        raise RuntimeError(f"tt-metal's Mochi returned frames of shape {tuple(frames.shape)} for {wanted}.")
    return frames[-request.frames :]


def load(checkout: str | Path):
    """The pipeline's class. The checkout comes last on the path: what is installed here goes before what it brings."""
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    return importlib.import_module(MODULE).MochiPipeline


def no_chips(mesh, weights: str | Path) -> list[str]:
    """A system that it knows, and chips that compute, where this computer would not be done in minutes"""
    known = ", ".join(LINKS)
    if mesh.system.name not in LINKS:
        return [f"Chips: {mesh.system} is open, and it runs on {known}."]
    if mesh.backend == "silicon" or gigabytes(weights) < PATIENCE:
        return []
    return [f"Chips: the open mesh is {label(mesh)}, and this CPU would compute these weights for days."]


def no_links(mesh) -> list[str]:
    wanted, found = LINKS.get(mesh.system.name, 0), links(mesh)
    weak = [pair for pair, count in found.items() if count < wanted]
    if not weak:
        return []
    (a, b), few = weak[0], found[weak[0]]
    return [f"Links: it drives {wanted} between neighbours, and chips {a} and {b} have {few} ({len(weak)} such pairs)."]


def no_checkout(checkout: str | Path | None, strict: bool) -> list[str]:
    """strict: its release is known and that of the ttnn installed here, as chips would want it"""
    here = version("ttnn")
    if checkout is None:
        return [f"Checkout: no folder is named. Get one with: {how_to_get(here)}"]
    if not (Path(checkout) / (MODULE.replace(".", "/") + ".py")).is_file():
        return [f"Checkout: {checkout} has no {MODULE.replace('.', '/')}.py."]
    there = describe(checkout)
    known = there != UNKNOWN or strict
    if known and there.removeprefix("v").split(".")[:2] != here.split(".")[:2]:
        return [f"Checkout: {checkout} is at {there}, which does not fit the ttnn {here} that is installed here."]
    try:
        load(checkout)
    except ImportError as error:
        return [f"Checkout: its pipeline cannot be imported here ({error})."]
    return []


def how_to_get(release: str) -> str:
    """The command that gets the files that it needs, about 10 MB, and no more"""
    clone = f"git clone --depth 1 --filter=blob:none --sparse --branch v{release}"
    return f"{clone} https://github.com/tenstorrent/tt-metal && git -C tt-metal sparse-checkout set {FOLDERS}"


UNKNOWN = "no known version"


def describe(checkout: str | Path) -> str:
    """The last release in a checkout's history, as git says it: v0.81.1, or v0.81.1-5-g0123abc for later commits."""
    command = ["git", "-C", str(checkout), "describe", "--tags"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or UNKNOWN


def no_weights(weights: str | Path) -> list[str]:
    try:
        folder = find_folder(weights)
        for part in MOCHI.parts:
            Weights(folder, part)
    except (FileNotFoundError, ValueError) as error:
        return [f"Weights: {error}"]
    return []


def no_room(mesh, weights: str | Path) -> list[str]:
    """Host memory for loading, and disk for the cut weights"""
    lacks, cache, host = [], os.environ.get(CACHE), 2 * gigabytes(weights)  # it reads all parts in float32
    size = gigabytes(weights, parts=["transformer"])
    if free_memory() < host:
        lacks.append(f"Memory: loading takes {host:.0f} GB of this computer's, {free_memory():.0f} are free.")
    if cache is None and mesh.system.name in RELOADS:
        lacks.append(f"Disk: {CACHE} names no folder. On {mesh.system} it loads the denoiser anew for each video.")
    if cache is not None and not list(Path(cache).glob("mochi-1-preview/transformer/*")) and free_disk(cache) < size:
        lacks.append(f"Disk: the cut weights take {size:.0f} GB, and {cache} has {free_disk(cache):.0f} GB left.")
    return lacks


def gigabytes(weights: str | Path, parts=MOCHI.parts) -> float:
    """What parts of a folder take in bfloat16; where it is not there, or not whole, what the real ones take."""
    try:
        folder = find_folder(weights)
        return sum(Weights(folder, part).num_bytes for part in parts) / 1e9
    except (FileNotFoundError, ValueError):
        return sum(MOCHI.gigabytes[part] for part in parts)


def free_memory() -> float:
    """Gigabytes that this computer's programs can still have"""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024 / 1e9


def free_disk(folder: str | Path) -> float:
    """Gigabytes left where a folder is or would be made"""
    there = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
    return shutil.disk_usage(there).free / 1e9
