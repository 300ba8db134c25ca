"""What the real Stable Diffusions need in memory on any system, without their weights and without the system.

    need = dry_run("n150", "sd35_medium", dtype="bfloat8_b")
    need.weights, need.peak, need.fits, need.error      # as helpers/planner/memory.py has them for Mochi
    print(table(dry_runs("n150")))                      # all denoisers in both formats

SD 3.5's denoisers and decoder are this course's own, in ttnn. SD 1.4 and SDXL have UNets, of which there is none here:
diffusers' own are mirrored tensor by tensor (helpers/planner/mirror.py says how, and how far to trust it).
One picture, for one of guidance's two passes. The text encoders stay on the host.
"""

import contextlib

import torch
import ttnn
from diffusers import UNet2DConditionModel

from helpers.frames.stills import SD3, Request, check_size, pixels_per_latent
from helpers.frames.transformer import Transformer
from helpers.frames.vae import Decoder
from helpers.layers.parallel import weights_in
from helpers.layers.weights import reference_shapes
from helpers.mesh import run_on
from helpers.planner.memory import Need, Shapes, aligned, gigabytes, measure
from helpers.planner.mirror import mirrored
from helpers.planner.published import timing
from ttnn_emulator.systems import find_system

# The real models' config.json. What all have in common, a head for each layer, Medium's second attention in the first
# layers, the tables of positions, and the decoder, SDXL's with 16 latent channels: huggingface/diffusers
# scripts/convert_sd3_to_diffusers.py@3ab805a6. Large, and the 333 tokens of text, 77 of CLIP and 256 of T5:
# tenstorrent/tt-metal models/tt_dit/tests/models/sd35/test_transformer_sd35.py@28df7835.
# The UNets: what differs from the defaults of diffusers 0.42.1's UNet2DConditionModel. SD 1.4:
# CompVis/stable-diffusion configs/stable-diffusion/v1-inference.yaml@36de52cb. SDXL: Stability-AI/generative-models
# configs/inference/sd_xl_base.yaml@3df5c81a; 2816 is 1280 of the pooled text and 6 numbers of 256.
BOTH = dict(
    _class_name="SD3Transformer2DModel", sample_size=128, patch_size=2, in_channels=16, out_channels=16,
    attention_head_dim=64, joint_attention_dim=4096, pooled_projection_dim=2048, qk_norm="rms_norm",
)  # fmt: skip
REAL = {
    "sd14": dict(
        _class_name="UNet2DConditionModel", sample_size=64, block_out_channels=[320, 640, 1280, 1280],
        cross_attention_dim=768, attention_head_dim=8,
    ),
    "sdxl": dict(
        _class_name="UNet2DConditionModel", sample_size=128, block_out_channels=[320, 640, 1280],
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        transformer_layers_per_block=[1, 2, 10], attention_head_dim=[5, 10, 20],  # heads, in spite of the name
        cross_attention_dim=2048, use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    ),
    "sd35_medium": BOTH | dict(
        num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=384,
        dual_attention_layers=list(range(13)),
    ),
    "sd35_large": BOTH | dict(
        num_layers=38, num_attention_heads=38, caption_projection_dim=2432, pos_embed_max_size=192,
        dual_attention_layers=[],
    ),
    "vae": dict(
        _class_name="AutoencoderKL", latent_channels=16, out_channels=3, block_out_channels=[128, 256, 512, 512],
        layers_per_block=2, norm_num_groups=32, down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4, use_quant_conv=False, use_post_quant_conv=False,
        scaling_factor=1.5305, shift_factor=0.0609,
    ),
}  # fmt: skip
TITLES = {"sd14": "SD 1.4", "sdxl": "SDXL", "sd35_medium": "SD 3.5 Medium", "sd35_large": "SD 3.5 Large"}
FORMATS = {"bfloat16": ttnn.bfloat16, "bfloat8_b": ttnn.bfloat8_b}  # of the weights of matmuls and convolutions
TOKENS, CLIP_TOKENS = 333, 77
SIDE = pixels_per_latent(REAL["vae"])  # of all four
DECODED = 1024  # the side of a picture for the decoder, which has no size of its own


def dry_run(
    system: str, part: str, *, height: int | None = None, width: int | None = None, dtype: str = "bfloat16"
) -> Need:
    """Loads a part on a system and runs it once, in a fresh process, without values. Takes seconds.

    part: "sd14", "sdxl", "sd35_medium" or "sd35_large", the denoisers, or "vae", the decoder of SD 3.5.
    height, width: of the picture; the model's own unless given: 512 for SD 1.4, 1024 for the others.
    dtype: of the weights of matmuls and convolutions, "bfloat16" or "bfloat8_b". The rest is bfloat16.

    Raises ValueError for an unknown system, part or dtype, for a decoder in bfloat8_b, for heads that do not divide
    over the system's chips, and for a picture that is not made of whole patches.
    """
    request = check(system, part, height, width, dtype)
    with contextlib.redirect_stdout(None):  # of opening the mesh
        return run_on(system, planned, part, request, numerics=False)


def dry_runs(system: str) -> list[Need]:
    """All denoisers in both formats, in one fresh process. Left out is what cannot be cut: Large's 38 heads by 4."""
    find_system(system)
    wanted = [
        (part, check(system, part, None, None, dtype)) for part in TITLES if cuts(system, part) for dtype in FORMATS
    ]
    with contextlib.redirect_stdout(None):
        return run_on(system, lambda mesh: [planned(mesh, *one) for one in wanted], numerics=False)


def table(needs: list[Need]) -> str:
    """What denoisers need, one a line, in GB on each chip, and the seconds that are published for that system."""
    columns = ("model", "picture", "weights in", "weights", "peak", "of", "", "published")
    return aligned([columns, *map(row, needs)])


def row(need: Need) -> tuple[str, ...]:
    picture = f"{need.request['width']} x {need.request['height']}"
    sizes = map(gigabytes, (need.weights, need.peak, need.capacity))
    known = timing(need.part, need.system)
    seconds = f"{known.seconds:g} s ({known.what})" if known else "-"
    verdict = "fits" if need.fits else "does not fit"
    return TITLES[need.part], picture, need.request["dtype"], *sizes, verdict, seconds


def check(system: str, part: str, height: int | None, width: int | None, dtype: str) -> dict:
    """The request, sizes filled in. Raises ValueError as dry_run says."""
    find_system(system)
    if part not in REAL:
        raise ValueError(f"There is no part {part!r} here. Choose one of: {', '.join(REAL)}.")
    if dtype not in FORMATS:
        raise ValueError(f"There is no format {dtype!r} here. Choose one of: {', '.join(FORMATS)}.")
    if part == "vae" and dtype != "bfloat16":
        raise ValueError("The decoder's convolutions are laid out in bfloat16. Leave dtype out.")
    if not cuts(system, part):
        raise ValueError(
            f"The {REAL[part]['num_attention_heads']} heads of {part} do not divide over {system}'s chips."
        )
    own = REAL[part].get("sample_size", DECODED // SIDE) * SIDE
    size = dict(height=own if height is None else height, width=own if width is None else width)
    check_size(Request("", **size), SIDE * smallest_step(REAL[part]))
    return size if part == "vae" else size | dict(dtype=dtype)


def cuts(system: str, part: str) -> bool:
    """Whether a part's heads divide over tp. UNets are whole on every chip, and the decoder cuts rows."""
    chips = find_system(system).mesh[find_system(system).axes["tp"]]
    return REAL[part].get("num_attention_heads", chips) % chips == 0


def smallest_step(config: dict) -> int:
    """Latents in one patch; in a UNet, in one position of its coarsest level; in the decoder one."""
    is_unet = config["_class_name"] == "UNet2DConditionModel"
    return 2 ** (len(config["block_out_channels"]) - 1) if is_unet else config.get("patch_size", 1)


def planned(mesh, part: str, request: dict) -> Need:
    """dry_run's on an open mesh"""
    load = LOADERS[REAL[part]["_class_name"]]
    weights = None if load is unet else Shapes(shapes(part))
    return measure(mesh, part, weights, REAL[part], request, load)


def shapes(part: str) -> dict[str, tuple[int, ...]]:
    """Of one of SD 3.5's parts"""
    return reference_shapes("vae" if part == "vae" else "transformer", REAL[part], SD3)


def transformer(mesh, weights, config, dtype, **size):
    with weights_in(FORMATS[dtype]):
        model = Transformer(mesh, weights, config)

    def run():
        hidden = torch.zeros(1, TOKENS, config["joint_attention_dim"])
        prompt = model.prompt(hidden, torch.zeros(1, config["pooled_projection_dim"]))
        model(latents(config["in_channels"], **size), prompt, 500.0)

    return run


def vae(mesh, weights, config, **size):
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


LOADERS = {"SD3Transformer2DModel": transformer, "AutoencoderKL": vae, "UNet2DConditionModel": unet}


def latents(channels: int, height: int, width: int) -> torch.Tensor:
    """(1, channels, h, w)"""
    return torch.zeros(1, channels, height // SIDE, width // SIDE)
