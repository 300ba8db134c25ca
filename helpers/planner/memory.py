"""What the real Mochi-1 needs in memory on any system, without its weights and without the system.

    need = dry_run("galaxy", "transformer", frames=163, height=480, width=848)
    need.weights, need.peak, need.capacity      # bytes on each chip: after loading, at most, all there is
    need.fits, need.error                       # ttnn's own out-of-memory message where it does not fit

Nothing here is estimated. The models of helpers/mochi load weights that have shapes but no values, and run one forward
pass, on the emulated mesh with numerics off. ttnn's own allocator places every tensor and refuses what does not fit.

What it cannot see: memory that an op takes and gives back while it runs, and program code. Peaks are lower bounds by
that much.
"""

import contextlib
import math
from dataclasses import dataclass, field

import torch
import ttnn
import ttnn.decorators
from transformers import T5Config

from helpers.layers.weights import MOCHI, reference_shapes
from helpers.mesh import run_on
from helpers.mochi.pipeline import MAX_TOKENS, PER_LATENT, PER_LATENT_SIDE, check_request, cut_over_sp
from helpers.mochi.t5 import T5Encoder
from helpers.mochi.transformer import Transformer
from helpers.mochi.vae import Decoder
from ttnn_emulator.systems import find_system

# The real models' config.json. Denoiser and decoder: genmoai/mochi@0c86aebf, and the defaults of diffusers 0.42.1's
# classes, which are Mochi-1's. Text encoder: google/t5-v1_1-xxl, to which genmoai/mochi@0c86aebf goes for it.
REAL = {
    "text_encoder": dict(
        architectures=["T5EncoderModel"], model_type="t5", d_model=4096, d_kv=64, num_heads=64, d_ff=10240,
        num_layers=24, vocab_size=32128, feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6,
        relative_attention_num_buckets=32, relative_attention_max_distance=128,
    ),
    "transformer": dict(
        _class_name="MochiTransformer3DModel", num_layers=48, num_attention_heads=24, attention_head_dim=128,
        pooled_projection_dim=1536, patch_size=2, in_channels=12, out_channels=None, qk_norm="rms_norm",
        text_embed_dim=4096, time_embed_dim=256, activation_fn="swiglu", max_sequence_length=256,
    ),
    "vae": dict(
        _class_name="AutoencoderKLMochi", in_channels=15, out_channels=3, latent_channels=12,
        encoder_block_out_channels=[64, 128, 256, 384], decoder_block_out_channels=[128, 256, 512, 768],
        layers_per_block=[3, 3, 4, 6, 3], temporal_expansions=[1, 2, 3], spatial_expansions=[2, 2, 2],
        add_attention_block=[False, True, True, True, True], act_fn="silu", scaling_factor=1.0,
        latents_mean=[
            -0.06730895953510081, -0.038011381506090416, -0.07477820912866141, -0.05565264470995561,
            0.012767231469026969, -0.04703542746246419, 0.043896967884726704, -0.09346305707025976,
            -0.09918314763016893, -0.008729793427399178, -0.011931556316503654, -0.0321993391887285,
        ],
        latents_std=[
            0.9263795028493863, 0.9248894543193766, 0.9393059390890617, 0.959253732819592,
            0.8244560132752793, 0.917259975397747, 0.9294154431013696, 1.3720942357788521,
            0.881393668867029, 0.9168315692124348, 0.9185249279345552, 0.9274757570805041,
        ],
    ),
}  # fmt: skip
# What the models work on in torch first: .conv.weight in Mochi's decoder, the others in that of stills
ON_HOST = ("relative_attention_bias", ".conv.weight", "conv1.weight", "conv2.weight",
           "conv_in.weight", "conv_out.weight")  # fmt: skip


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

    @property
    def fits(self) -> bool:
        return self.error is None

    @property
    def peak(self) -> int | None:
        """The most during one forward pass, weights included. None where it does not fit."""
        return max(self.history) if self.fits else None

    def __str__(self) -> str:
        sizes = [f"{label} {gigabytes(getattr(self, label))}" for label in ("weights", "peak")]
        asked = ", ".join(f"{name}={value}" for name, value in self.request.items())
        head = f"{self.part}({asked}) on each chip of {find_system(self.system)}"
        verdict = "fits" if self.fits else f"does not fit. ttnn says: {self.error}"
        return f"{head}: {', '.join(sizes)} of {gigabytes(self.capacity)} GB: {verdict}"


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
            "fits" if need.fits else "does not fit",
        )
        for need in needs
    ]
    return aligned([columns, *rows])


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
        num_bytes = 2 * sum(map(math.prod, weights.shapes.values()))
        request["fsdp"] = cut_over_sp(find_system(system), num_bytes) if fsdp is None else fsdp
    with contextlib.redirect_stdout(None):  # of opening the mesh
        return run_on(system, measure, part, weights, config, request, numerics=False)


class Shapes:
    """Weights for a dry run: tensors on torch's meta device, which has no memory."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]):
        self.shapes = shapes

    def __getitem__(self, name: str) -> torch.Tensor:
        device = "cpu" if any(part in name for part in ON_HOST) else "meta"
        return torch.zeros(self.shapes[name], dtype=torch.bfloat16, device=device)


def measure(mesh, part: str, weights, config: dict, request: dict, load=None) -> Need:
    """Loads and runs a part on an open mesh, with values or without, and reads ttnn's allocator after every op.

    load: (mesh, weights, config, **request) -> what runs it once; one of Mochi's LOADERS unless given.
    """
    after_loading, history, error = None, [], None
    before = allocated(mesh)
    try:
        run = (load or LOADERS[part])(mesh, weights, config, **request)
        after_loading = allocated(mesh) - before
        with follow(mesh, history):
            run()
    except RuntimeError as refusal:
        if "Out of Memory" not in str(refusal):
            raise
        error = words_of(refusal)
    history = [size - before for size in history]
    return Need(mesh.system.name, part, request, after_loading, history, mesh.system.dram_bytes, error)


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


def allocated(mesh) -> int:
    """Bytes of each chip's DRAM that ttnn has given away."""
    view = ttnn.get_memory_view(mesh, ttnn.BufferType.DRAM)
    return view.total_bytes_allocated_per_bank * view.num_banks


@contextlib.contextmanager
def follow(mesh, history: list[int]):
    """Appends `allocated(mesh)` to history after each ttnn op in the block that made a buffer: only then is there more.

    What was freed since the op before shows with the next buffer. Asking takes as long as many an op.
    """
    call, newest = ttnn.decorators.FastOperation.__call__, 0

    def followed(op, *args, **kwargs):
        nonlocal newest
        result = call(op, *args, **kwargs)
        made = max((buffer_number(part) for part in results_of(result)), default=0)
        if made > newest:
            newest = made
            history.append(allocated(mesh))
        return result

    ttnn.decorators.FastOperation.__call__ = followed
    try:
        yield
    finally:
        ttnn.decorators.FastOperation.__call__ = call


def results_of(result) -> list:
    return result if isinstance(result, list | tuple) else [result]


def buffer_number(result) -> int:
    """ttnn numbers buffers as it makes them. 0 for what is no tensor on a device."""
    on_device = isinstance(result, ttnn.Tensor) and ttnn.is_tensor_storage_on_device(result) and result.is_allocated()
    return result.buffer_unique_id() if on_device else 0


def words_of(error: RuntimeError) -> str:
    """ttnn's sentence without the place in its source and the backtrace."""
    return str(error).split("info:")[-1].split("backtrace:")[0].strip()
