"""What the real Stable Diffusion 3.5 needs in memory on any system, without its weights and without the system.

    plan = dry_run("n150", "sd35_medium", height=1024, width=1024)
    plan.weights, plan.peak, plan.fits, plan.error      # as helpers/planner.py has them for Mochi

Denoisers and decoder in bfloat16. The text encoders stay on the host.
"""

import contextlib

import torch

from helpers.frames.stills import SD3, Request, check_size, pixels_per_latent
from helpers.frames.transformer import Transformer
from helpers.frames.vae import Decoder
from helpers.mesh import run_on
from helpers.mochi.weights import reference_shapes
from helpers.planner import Plan, Shapes, measure
from helpers.systems import find_system

# The real models' config.json. What all have in common, a head for each layer, Medium's second attention in the first
# layers, the tables of positions, and the decoder, SDXL's with 16 latent channels: huggingface/diffusers
# scripts/convert_sd3_to_diffusers.py@3ab805a6. Large, and the 333 tokens of text, 77 of CLIP and 256 of T5:
# tenstorrent/tt-metal models/tt_dit/tests/models/sd35/test_transformer_sd35.py@28df7835.
BOTH = dict(
    _class_name="SD3Transformer2DModel", sample_size=128, patch_size=2, in_channels=16, out_channels=16,
    attention_head_dim=64, joint_attention_dim=4096, pooled_projection_dim=2048, qk_norm="rms_norm",
)  # fmt: skip
REAL = {
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
TOKENS = 333
SIDE = pixels_per_latent(REAL["vae"])


def dry_run(system: str, part: str, *, height: int = 1024, width: int = 1024) -> Plan:
    """Loads a part on a system and runs it once, in a fresh process, without values. Takes seconds.

    part: "sd35_medium" or "sd35_large", the denoisers, or "vae", the decoder of both.
    Raises ValueError for an unknown system or part, and for a picture that is not made of whole patches.
    """
    find_system(system)
    if part not in REAL:
        raise ValueError(f"Stable Diffusion 3.5 has no part {part!r} here. Choose one of: {', '.join(REAL)}.")
    check_size(Request("", height=height, width=width), SIDE * BOTH["patch_size"])
    with contextlib.redirect_stdout(None):  # of opening the mesh
        return run_on(system, planned, part, dict(height=height, width=width), numerics=False)


def planned(mesh, part: str, request: dict) -> Plan:
    """dry_run's on an open mesh"""
    return measure(mesh, part, Shapes(shapes(part)), REAL[part], request, vae if part == "vae" else transformer)


def shapes(part: str) -> dict[str, tuple[int, ...]]:
    return reference_shapes("vae" if part == "vae" else "transformer", REAL[part], SD3)


def transformer(mesh, weights, config, **size):
    model = Transformer(mesh, weights, config)

    def run():
        hidden = torch.zeros(1, TOKENS, config["joint_attention_dim"])
        prompt = model.prompt(hidden, torch.zeros(1, config["pooled_projection_dim"]))
        model(latents(config["in_channels"], **size), prompt, 500.0)

    return run


def vae(mesh, weights, config, **size):
    model = Decoder(mesh, weights, config)
    return lambda: model(latents(config["latent_channels"], **size))


def latents(channels: int, height: int, width: int) -> torch.Tensor:
    """(1, channels, h, w)"""
    return torch.zeros(1, channels, height // SIDE, width // SIDE)
