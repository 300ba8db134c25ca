"""What the real Mochi-1 needs in memory on any system, without its weights and without the system.

    need = dry_run("galaxy", "transformer", frames=163, height=480, width=848)
    need.weights, need.peak, need.capacity      # bytes on each chip: after loading, at most, all there is
    need.fits, need.error                       # ttnn's own out-of-memory message where it does not fit
    needs = whole_program("t3000")              # the same for each stage, with all that earlier ones leave there

Nothing here is estimated. The models of helpers/mochi load weights that have shapes but no values, and run one forward
pass, on the emulated mesh with numerics off. ttnn's own allocator places every tensor and refuses what does not fit.

What it cannot see: memory that an op takes and gives back while it runs, and program code. Peaks are lower bounds by
that much. For the code there is a figure, UNSEEN, which stands under every table.
"""

import contextlib
import dataclasses
import math
from dataclasses import dataclass, field

import torch
from transformers import T5Config

from helpers.layers.weights import MOCHI, reference_shapes
from helpers.mesh import run_on
from helpers.mochi.parts import Parts, cut_over_sp, freed_on
from helpers.mochi.pipeline import MAX_TOKENS, PER_LATENT, PER_LATENT_SIDE, check_request
from helpers.mochi.t5 import T5Encoder
from helpers.mochi.transformer import Transformer
from helpers.mochi.vae import Decoder
from helpers.planner.allocator import allocated, follow, words_of
from helpers.planner.calls import Calls, counted, listening
from helpers.planner.real import MOCHI as REAL
from ttnn_emulator.systems import find_system

# What the models work on in torch first: .conv.weight in Mochi's decoder, the others in that of stills
ON_HOST = ("relative_attention_bias", ".conv.weight", "conv1.weight", "conv2.weight",
           "conv_in.weight", "conv_out.weight")  # fmt: skip


# Bytes a chip that a mock does not count: kernels' binaries (tenstorrent/tt-metal
# models/tt_dit/models/MiniMaxH3_mock_oom.md@26ddb7c3, a video model of 32 chips sized as here, then run).
UNSEEN = (17_000_000, 57_000_000)
NOT_COUNTED = f"Not counted: {UNSEEN[0] / 1e6:.0f} to {UNSEEN[1] / 1e6:.0f} MB of program code on each chip."


@dataclass(frozen=True)
class Need:
    """What one part of a model takes on each chip of a system, in bytes."""

    system: str
    part: str
    request: dict
    weights: int | None  # after loading; None where not even they fit
    history: list[int] = field(repr=False)  # after each op of one forward pass, weights included
    capacity: int  # DRAM of one chip that ttnn offers
    error: str | None  # ttnn's own words where it does not fit
    calls: Calls = field(repr=False)  # of that pass

    @property
    def fits(self) -> bool:
        return self.error is None

    @property
    def peak(self) -> int | None:
        """The most during one forward pass, weights included. None where it does not fit."""
        return max(self.history) if self.fits else None

    @property
    def verdict(self) -> str:
        if not self.fits:
            return "does not fit"
        return "fits" if self.peak + UNSEEN[1] <= self.capacity else "fits without its program code"

    def __str__(self) -> str:
        sizes = [f"{label} {gigabytes(getattr(self, label))}" for label in ("weights", "peak")]
        asked = ", ".join(f"{name}={value}" for name, value in self.request.items())
        head = f"{self.part}({asked}) on each chip of {find_system(self.system)}"
        error = "" if self.fits else f" ttnn says: {self.error}"
        return f"{head}: {', '.join(sizes)} of {gigabytes(self.capacity)} GB: {self.verdict}.{error} {NOT_COUNTED}"


def gigabytes(num_bytes: int | None) -> str:
    return "-" if num_bytes is None else f"{num_bytes / 1e9:.2f}"


def table(needs: list[Need]) -> str:
    """What parts need, one a line, in GB on each chip."""
    columns = ("system", "part", "request", "weights", "peak", "capacity", "")
    rows = [
        (
            need.system,
            need.part,
            " ".join(f"{name}={value}" for name, value in need.request.items()),
            *map(gigabytes, (need.weights, need.peak, need.capacity)),
            need.verdict,
        )
        for need in needs
    ]
    return f"{aligned([columns, *rows])}\n{NOT_COUNTED}"


def aligned(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells as lines, columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows)


def dry_run(
    system: str,
    part: str,
    *,
    frames: int = 163,
    height: int = 480,
    width: int = 848,
    fsdp: bool | None = None,
    config: dict | None = None,
) -> Need:
    """Loads a part of Mochi on a system and runs it once, in a fresh process, without values. Takes seconds.

    part: "text_encoder", "transformer" or "vae".
    frames, height, width: of the video. The text encoder always gets 256 tokens.
    fsdp: whether the transformer's blocks are cut over sp too; as the pipeline does unless given.
    config: of another Mochi than the real one, as its config.json.

    Raises ValueError for an unknown system or part, and for a video that Mochi cannot make.
    """
    find_system(system)
    if part not in MOCHI.parts:
        raise ValueError(f"Mochi has no part {part!r}. Choose one of: {', '.join(MOCHI.parts)}.")
    check_request(frames, height, width, steps=2)
    config = config or REAL[part]
    weights = Shapes(reference_shapes(part, config))
    request = {} if part == "text_encoder" else dict(frames=frames, height=height, width=width)
    if part == "transformer":
        request["fsdp"] = cut_over_sp(find_system(system), weights.num_bytes) if fsdp is None else fsdp
    with contextlib.redirect_stdout(None):  # of opening the mesh
        return run_on(system, measure, part, weights, config, request, numerics=False)


class Shapes:
    """Weights for a dry run: tensors on torch's meta device, which has no memory."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], config: dict | None = None):
        self.shapes, self.config = shapes, config
        self.num_bytes = 2 * sum(map(math.prod, shapes.values()))  # on the mesh, in bfloat16

    def __getitem__(self, name: str) -> torch.Tensor:
        device = "cpu" if any(part in name for part in ON_HOST) else "meta"
        return torch.zeros(self.shapes[name], dtype=torch.bfloat16, device=device)


def measure(mesh, part: str, weights, config: dict, request: dict, load=None) -> Need:
    """Loads and runs a part on an open mesh, with values or without, and reads ttnn's allocator after every op.

    load: (mesh, weights, config, **request) -> what runs it once; one of Mochi's LOADERS unless given.
    """
    load = load or LOADERS[part]
    return measured(mesh, part, request, lambda: load(mesh, weights, config, **request), allocated(mesh))


def measured(mesh, part: str, request: dict, load, before: int) -> Need:
    """load() -> what runs it once. before: bytes that were given away before, and do not count."""
    after_loading, history, error, heard = None, [], None, []
    try:
        run = load()
        after_loading = allocated(mesh) - before
        with follow(mesh, history), listening(mesh) as heard:
            run()
    except RuntimeError as refusal:
        if "Out of Memory" not in str(refusal):
            raise
        error = words_of(refusal)
    history = [size - before for size in history]
    capacity = mesh.system.dram_bytes
    return Need(mesh.system.name, part, request, after_loading, history, capacity, error, counted(heard))


def whole_program(
    system: str,
    *,
    frames: int = 163,
    height: int = 480,
    width: int = 848,
    fsdp: bool | None = None,
    frees_denoiser: bool | None = None,
    configs: dict[str, dict] | None = None,
) -> list[Need]:
    """Mochi from two prompts to the video in one fresh process -> what each stage takes, with all that is there then.

    A stage's `weights` are what is on the chips when it begins: the three models, unless one was freed, and what the
    stages before left, such as prompts and tables of positions. Where the models and the prompts do not
    fit, no stage does. A denoiser that does not fit does not keep the decoder from being tried.

    frees_denoiser: whether it leaves the chips before decoding; as the pipeline does on that system unless given.
    configs: of another Mochi than the real one. The rest as in dry_run, and it raises as dry_run does.
    """
    check_request(frames, height, width, steps=2)
    frees = freed_on(find_system(system)) if frees_denoiser is None else ("transformer",) * frees_denoiser
    size = dict(frames=frames, height=height, width=width)
    with contextlib.redirect_stdout(None):
        return run_on(system, stages, configs or REAL, size, fsdp, frees, numerics=False)


def stages(mesh, configs: dict[str, dict], size: dict, fsdp: bool | None, frees: tuple[str, ...]) -> list[Need]:
    """whole_program's on an open mesh: what helpers.mochi.pipeline loads, keeps and frees, in its order"""
    weights = {part: Shapes(reference_shapes(part, config), config) for part, config in configs.items()}
    ids, mask = torch.zeros(1, MAX_TOKENS, dtype=torch.int64), torch.ones(1, MAX_TOKENS)
    hidden = torch.zeros(1, MAX_TOKENS, configs["transformer"]["text_embed_dim"])
    noise = latents(configs["transformer"]["in_channels"], **size)
    parts, prompts, before = None, [], allocated(mesh)

    def encode():
        for _ in ("wanted", "unwanted"):
            parts.text_encoder(ids, mask)
            prompts.append(parts.transformer.prompt(hidden, mask))

    def start():
        nonlocal parts
        parts = Parts(mesh, weights, fsdp)
        return encode

    def make_room():
        prompts.clear()
        parts.free(*frees)
        decoder = parts.decoder
        return lambda: decoder(noise)

    first = measured(mesh, "text_encoder", size, start, before)
    if not first.fits:
        return [dataclasses.replace(first, part=part) for part in MOCHI.parts]
    denoise = lambda: parts.transformer(noise, prompts[0], 500.0)
    return [first, measured(mesh, "transformer", size, lambda: denoise, before),
            measured(mesh, "vae", size, make_room, before)]  # fmt: skip


def text_encoder(mesh, weights, config):
    model = T5Encoder(mesh, weights, T5Config.from_dict(config))
    return lambda: model(torch.zeros(1, MAX_TOKENS, dtype=torch.int64), torch.ones(1, MAX_TOKENS))


def transformer(mesh, weights, config, fsdp, **size):
    model = Transformer(mesh, weights, config, fsdp=fsdp)

    def run():
        hidden = torch.zeros(1, MAX_TOKENS, config["text_embed_dim"])
        prompt = model.prompt(hidden, torch.ones(1, MAX_TOKENS))
        model(latents(config["in_channels"], **size), prompt, 500.0)

    return run


def vae(mesh, weights, config, **size):
    model = Decoder(mesh, weights, config)
    return lambda: model(latents(config["latent_channels"], **size))


LOADERS = {"text_encoder": text_encoder, "transformer": transformer, "vae": vae}


def latents(channels: int, frames: int, height: int, width: int) -> torch.Tensor:
    """(1, channels, T, h, w)"""
    side = PER_LATENT_SIDE
    return torch.zeros(1, channels, (frames - 1) // PER_LATENT + 1, height // side, width // side)
