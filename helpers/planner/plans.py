"""What the real Stable Diffusions need in memory on any system, without their weights and without the system.

    need = dry_run("n150", "sd35_medium", dtype="bfloat8_b")
    need.weights, need.peak, need.fits, need.error      # as helpers/planner/memory.py has them for Mochi
    print(table(dry_runs("n150")))                      # all denoisers, SD 3.5's decoder and text encoders

SD 3.5's denoisers and decoder are this course's own, in ttnn, and its T5 is Mochi's. SD 1.4 and SDXL have UNets, and
two of the text encoders are CLIPs; there is none of either here: diffusers' and transformers' own are mirrored tensor
by tensor, whole on every chip (helpers/planner/mirror.py says how, and how far to trust it). One picture, for one of
guidance's two passes.
"""

import contextlib

import torch
import ttnn
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config

from helpers.frames.stills import SD3, Request, check_size, pixels_per_latent
from helpers.frames.transformer import Transformer
from helpers.frames.vae import Decoder
from helpers.layers.parallel import weights_in
from helpers.layers.weights import reference_shapes
from helpers.mesh import run_on
from helpers.mochi.t5 import T5Encoder
from helpers.planner.memory import NOT_COUNTED, Need, Shapes, aligned, gigabytes, measure
from helpers.planner.mirror import mirrored
from helpers.planner.real import STILLS as REAL
from ttnn_emulator.systems import find_system

TITLES = {
    "sd14": "SD 1.4", "sdxl": "SDXL", "sd35_medium": "SD 3.5 Medium", "sd35_large": "SD 3.5 Large",
    "vae": "SD 3.5's decoder", "clip_l": "its CLIP-L", "clip_g": "its CLIP-G", "t5": "its T5-XXL",
}  # fmt: skip
FORMATS = {"bfloat16": ttnn.bfloat16, "bfloat8_b": ttnn.bfloat8_b}  # of the weights of matmuls and convolutions
CLIP_TOKENS, T5_TOKENS = 77, 256
TOKENS = CLIP_TOKENS + T5_TOKENS  # of SD 3.5's denoisers
READ = {"clip_l": CLIP_TOKENS, "clip_g": CLIP_TOKENS, "t5": T5_TOKENS}  # tokens that a text encoder reads
SIDE = pixels_per_latent(REAL["vae"])  # of all four
DECODED = 1024  # the side of a picture for the decoder, which has no size of its own


def dry_run(
    system: str, part: str, *, height: int | None = None, width: int | None = None, dtype: str = "bfloat16"
) -> Need:
    """Loads a part on a system and runs it once, in a fresh process, without values. Takes seconds.

    part: "sd14", "sdxl", "sd35_medium" or "sd35_large", the denoisers; "vae", the decoder of SD 3.5; or "clip_l",
    "clip_g" and "t5", its text encoders.
    height, width: of the picture; the model's own unless given: 512 for SD 1.4, 1024 for the others.
    dtype: of the weights of matmuls and convolutions, "bfloat16" or "bfloat8_b". The rest is bfloat16.

    Raises ValueError for an unknown system, part or dtype, for a decoder in bfloat8_b, for a picture that is not made
    of whole patches, and for the size of a picture with a text encoder.
    """
    request = check(system, part, height, width, dtype)
    with contextlib.redirect_stdout(None):  # of opening the mesh
        return run_on(system, planned, part, request, numerics=False)


def dry_runs(system: str) -> list[Need]:
    """All parts, in both formats where they have them, in one fresh process."""
    wanted = [
        (part, check(system, part, None, None, dtype))
        for part in TITLES
        for dtype in FORMATS
        if (part, dtype) != ("vae", "bfloat8_b")
    ]
    with contextlib.redirect_stdout(None):
        return run_on(system, lambda mesh: [planned(mesh, *one) for one in wanted], numerics=False)


def table(needs: list[Need]) -> str:
    """What parts need, one a line, in GB on each chip."""
    columns = ("model", "for", "weights in", "weights", "peak", "of", "")
    return f"{aligned([columns, *map(row, needs)])}\n{NOT_COUNTED}"


def row(need: Need) -> tuple[str, ...]:
    size = f"{READ[need.part]} tokens" if need.part in READ else f"{need.request['width']} x {need.request['height']}"
    sizes = map(gigabytes, (need.weights, need.peak, need.capacity))
    return TITLES[need.part], size, need.request["dtype"], *sizes, need.verdict


def check(system: str, part: str, height: int | None, width: int | None, dtype: str) -> dict:
    """The request, sizes filled in. Raises ValueError as dry_run says."""
    find_system(system)
    if part not in REAL:
        raise ValueError(f"There is no part {part!r} here. Choose one of: {', '.join(REAL)}.")
    if dtype not in FORMATS:
        raise ValueError(f"There is no format {dtype!r} here. Choose one of: {', '.join(FORMATS)}.")
    if part == "vae" and dtype != "bfloat16":
        raise ValueError("The decoder's convolutions are laid out in bfloat16. Leave dtype out.")
    if part in READ:
        if (height, width) != (None, None):
            raise ValueError(f"A text encoder reads {READ[part]} tokens, not a picture. Leave height and width out.")
        return dict(dtype=dtype)
    own = REAL[part].get("sample_size", DECODED // SIDE) * SIDE
    size = dict(height=own if height is None else height, width=own if width is None else width)
    check_size(Request("", **size), SIDE * smallest_step(REAL[part]))
    return size | dict(dtype=dtype)


def smallest_step(config: dict) -> int:
    """Latents in one patch; in a UNet, in one position of its coarsest level; in the decoder one."""
    is_unet = config["_class_name"] == "UNet2DConditionModel"
    return 2 ** (len(config["block_out_channels"]) - 1) if is_unet else config.get("patch_size", 1)


def planned(mesh, part: str, request: dict) -> Need:
    """dry_run's on an open mesh"""
    weights = Shapes(shapes(part)) if part in OURS else None
    return measure(mesh, part, weights, REAL[part], request, LOADERS[part])


def shapes(part: str) -> dict[str, tuple[int, ...]]:
    """Of one of SD 3.5's parts that are written in ttnn here"""
    return reference_shapes(OURS[part], REAL[part], SD3)


def transformer(mesh, weights, config, dtype, **size):
    with weights_in(FORMATS[dtype]):
        model = Transformer(mesh, weights, config)

    def run():
        hidden = torch.zeros(1, TOKENS, config["joint_attention_dim"])
        prompt = model.prompt(hidden, torch.zeros(1, config["pooled_projection_dim"]))
        model(latents(config["in_channels"], **size), prompt, 500.0)

    return run


def vae(mesh, weights, config, dtype, **size):
    model = Decoder(mesh, weights, config)
    return lambda: model(latents(config["latent_channels"], **size))


def unet(mesh, weights, config, dtype, **size):
    with torch.device("meta"):
        model = UNet2DConditionModel.from_config(config)

    def inputs():
        text = torch.zeros(1, CLIP_TOKENS, config["cross_attention_dim"])
        asked = dict(
            sample=latents(model.config.in_channels, **size), timestep=torch.zeros(1), encoder_hidden_states=text
        )
        if "addition_embed_type" not in config:
            return asked
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        return asked | dict(added_cond_kwargs=dict(text_embeds=torch.zeros(1, pooled), time_ids=torch.zeros(1, 6)))

    return mirrored(mesh, model, FORMATS[dtype], inputs)


def clip(mesh, weights, config, dtype):
    with torch.device("meta"):
        model = CLIPTextModelWithProjection(CLIPTextConfig(**config))
    inputs = lambda: dict(input_ids=torch.zeros(1, CLIP_TOKENS, dtype=torch.int64))
    return mirrored(mesh, model, FORMATS[dtype], inputs)


def t5(mesh, weights, config, dtype):
    with weights_in(FORMATS[dtype]):
        model = T5Encoder(mesh, weights, T5Config.from_dict(config))
    return lambda: model(torch.zeros(1, T5_TOKENS, dtype=torch.int64), torch.ones(1, T5_TOKENS))


OURS = {"sd35_medium": "transformer", "sd35_large": "transformer", "vae": "vae", "t5": "text_encoder_3"}
LOADERS = {
    "sd14": unet, "sdxl": unet, "sd35_medium": transformer, "sd35_large": transformer, "vae": vae,
    "clip_l": clip, "clip_g": clip, "t5": t5,
}  # fmt: skip


def latents(channels: int, height: int, width: int) -> torch.Tensor:
    """(1, channels, h, w)"""
    return torch.zeros(1, channels, height // SIDE, width // SIDE)
