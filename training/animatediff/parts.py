"""The sizes of tiny-animatediff, its parts, untrained, and the folder they make together.

Every class is diffusers' or transformers' own: a small Stable Diffusion of single frames, and the motion modules that
tie frames together.
"""

from copy import deepcopy
from pathlib import Path

import torch
from diffusers import AnimateDiffPipeline, AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from training.config import changed
from training.parts import TOKENS
from training.stills import parts
from training.stills.parts import END, START, new_clip_tokenizer

LATENTS = 16  # channels of the frames' latents

# 6 x 6 positions have attention, to each other and to the text; 12 x 12 have convolutions only. Heads are whole tiles
# or a little less. With the autoencoder at most 20 MB in bfloat16.
DEFAULT = {
    "unet": {"block_out_channels": (96, 128), "attention_head_dim": 4, "layers_per_block": 1},  # 4 heads, not 4 wide
    "motion": {"motion_num_attention_heads": 4, "motion_layers_per_block": 1},
    "text_encoder": {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 3},
    "reader_training": {
        "minutes": 3.0, "steps": 500, "batch": 64, "captions": 8000, "rate": 1e-3, "muon": 0.02, "check_every": 250,
    },
    "unet_training": {
        "minutes": 12.0, "steps": 850, "batch": 32, "rate": 1e-3, "muon": 0.02, "drop": 0.1, "check_every": 200,
        "often": {"butterfly": 2.0, "ball": 2.0, "fish": 2.0, "sun": 2.0, "balloon": 1.5},  # small things
    },
    "motion_training": {
        "minutes": 10.0, "steps": 800, "batch": 2, "rate": 1e-3, "muon": 0.02, "drop": 0.1, "check_every": 100,
    },
    # phases: until which share of the training, clips in a step, frames of each; threads: parts of a step at once;
    # moving: how much more an error counts where something moves, for that is what one looks at
    "together_training": {
        "minutes": 104.0, "phases": ((0.2, 32, 2), (0.45, 16, 4), (0.7, 8, 8), (1.0, 4, 16)), "threads": 2,
        "rate": 7e-4, "muon": 0.014, "moving": 4.0, "check_every": 200,  # at full rates it first forgets
    },
}  # fmt: skip

# Seconds: for tests.
SMOKE = {
    "unet": {"block_out_channels": (32, 64), "attention_head_dim": 2, "layers_per_block": 1},
    "motion": {"motion_num_attention_heads": 2, "motion_layers_per_block": 1},
    "text_encoder": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
    "reader_training": {"steps": 10, "batch": 16, "captions": 100},
    "unet_training": {"steps": 134, "batch": 16},
    "motion_training": {"steps": 80, "batch": 4},
    "together_training": {"steps": 10, "phases": ((0.5, 4, 2), (1.0, 2, 16)), "rate": 1e-4, "muon": 0.002},
}


def configuration(preset: str = "default") -> dict:
    """The whole configuration as one dictionary, that of the frames and their autoencoder with it."""
    return parts.configuration(preset) | changed(DEFAULT, SMOKE if preset == "smoke" else {})


def new_unet(config: dict) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=12, in_channels=LATENTS, out_channels=LATENTS, norm_num_groups=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=config["text_encoder"]["hidden_size"], **config["unet"],
    )  # fmt: skip


def new_motion_adapter(config: dict) -> MotionAdapter:
    """Each module starts as nothing: its last layer is zero, so that at first frames are what the UNet makes alone."""
    adapter = MotionAdapter(block_out_channels=config["unet"]["block_out_channels"], **config["motion"])
    for module in adapter.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
    return adapter


def new_scheduler() -> DDIMScheduler:
    """AnimateDiff's betas, stretched until the last step is pure noise, and v-prediction, which can start from there.

    Without it a model has always seen a little of the picture's mean, and makes all pictures equally bright
    (arXiv 2305.08891).
    """
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", rescale_betas_zero_snr=True, clip_sample=False,
        prediction_type="v_prediction", timestep_spacing="trailing",
    )  # fmt: skip


class TextEncoder(nn.Module):
    """tokens: (B, 24) -> (B, 24, D), as AnimateDiffPipeline reads them: all tokens, those of padding too."""

    def __init__(self, config: dict):
        super().__init__()
        self.clip = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=(len(new_clip_tokenizer()) + 31) // 32 * 32, max_position_embeddings=TOKENS,
                bos_token_id=START, eos_token_id=END, pad_token_id=END, **config["text_encoder"],
            )
        )  # fmt: skip

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.clip(input_ids=tokens).last_hidden_state


def save_pipeline(folder, vae, encoder: TextEncoder, unet, adapter, mean: torch.Tensor, std: torch.Tensor) -> Path:
    """Write what stock `AnimateDiffPipeline.from_pretrained` loads, in bfloat16; the UNet by itself, without motion."""
    models = normalised(vae, mean, std), encoder.clip, unet, adapter
    vae, clip, unet, adapter = (deepcopy(model).to("cpu", torch.bfloat16) for model in models)
    pipeline = AnimateDiffPipeline(vae, clip, new_clip_tokenizer(), unet, adapter, new_scheduler())
    pipeline.register_modules(unet=unet)  # the pipeline has joined the two, and would save motion twice
    pipeline.save_pretrained(folder, safe_serialization=True)
    return Path(folder)


def normalised(vae: AutoencoderKL, mean: torch.Tensor, std: torch.Tensor) -> AutoencoderKL:
    """The same autoencoder with latents of mean 0 and standard deviation 1 in each channel.

    AnimateDiff's pipeline has one scale for all channels and no shift. But in Stable Diffusion's first autoencoder
    there is a 1 x 1 convolution on each side of the latents, and those can hold it.
    """
    whole = AutoencoderKL.from_config(
        dict(vae.config) | dict(use_quant_conv=True, use_post_quant_conv=True, scaling_factor=1.0, shift_factor=None)
    )
    whole.load_state_dict(vae.state_dict(), strict=False)  # all but the two convolutions
    for conv, scale, shift in (
        (whole.quant_conv, torch.cat([1 / std, torch.ones_like(std)]), torch.cat([-mean / std, -2 * std.log()])),
        (whole.post_quant_conv, std, mean),
    ):
        conv.weight.data = torch.diag(scale)[:, :, None, None]
        conv.bias.data = shift
    return whole.eval()
