"""The sizes of tiny-sd3 and of the stages it shares, and its parts, untrained.

Every class is diffusers' or transformers' own. The pictures are single frames of the miniature's clips, the words
are the same.
"""

import string
from collections import Counter
from itertools import pairwise

from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, T5TokenizerFast

from helpers.world.prompts import vocabulary
from training import parts as videos
from training.config import changed
from training.parts import TOKENS

START, END = 0, 1  # CLIP's numbers of the tokens around a caption; it pads with END

# 8 x 8 pixels a latent, 16 channels and heads x 64 as in SD 3; all channels in whole tiles of 32. Each latent is a
# token: with SD 3's patches of 2 x 2 a picture of 96 pixels has 36 of them, and no ball is round. T5 is as wide as both
# CLIPs together, so that the pooled text is as wide as a token.
DEFAULT = {
    "seed": 11,
    "frames": 16,  # of each clip, evenly spaced: every second one of 31
    "autoencoder": {"block_out_channels": (32, 32, 64, 128), "layers_per_block": 1, "norm_num_groups": 16},
    "transformer": {"num_attention_heads": 4, "attention_head_dim": 64, "num_layers": 4, "patch_size": 1},
    "clips": (64, 64),
    "text_encoder": {"d_model": 128, "d_kv": 32, "num_heads": 4, "d_ff": 384, "num_layers": 3},
    # phases: until which share of the training, side of the crops in pixels, how many from each clip
    # encoder_until: from this share on the decoder learns alone
    "autoencoder_training": {
        "steps": 1900, "minutes": 12.0, "batch": 4, "phases": ((0.6, 48, 2), (1.0, 96, 1)), "encoder_until": 0.75,
        "rate": 2e-3, "muon": 0.02, "kl_target": 2.5, "check_every": 250,
    },
    "latents": {"clips": 2500, "captions": 6},
    "reader_training": {
        "steps": 1000, "minutes": 2.0, "batch": 64, "captions": 8000, "rate": 1e-3, "muon": 0.02, "check_every": 250,
    },
    # often: how many times as often as the others the scenes are drawn whose outlines are hardest
    "transformer_training": {
        "steps": 1750, "minutes": 40.0, "batch": 64, "rate": 1e-3, "muon": 0.02, "drop": 0.1, "check_every": 250,
        "often": {"ball": 6.0, "fish": 3.0, "butterfly": 2.0, "sun": 3.0, "balloon": 1.5},
    },
}  # fmt: skip

# Less than a minute of one core: far from good, but it must beat chance.
SMOKE = {
    "frames": 3,
    "autoencoder": {"block_out_channels": (32, 32, 32, 64)},
    "transformer": {"num_attention_heads": 2, "attention_head_dim": 32, "num_layers": 3, "patch_size": 2},
    "clips": (32, 32),
    "text_encoder": {"d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 128, "num_layers": 2},
    "autoencoder_training": {"steps": 150, "phases": ((0.9, 32, 2), (1.0, 96, 1)), "check_every": 1000},
    "latents": {"clips": 200, "captions": 4},
    "reader_training": {"steps": 100, "captions": 2000, "check_every": 1000},
    "transformer_training": {"steps": 240, "batch": 16, "check_every": 1000},
}


def configuration(preset: str = "default") -> dict:
    """The whole configuration as one dictionary; "smoke" overrides the default key by key."""
    if preset not in ("default", "smoke"):
        raise ValueError(f"presets are default and smoke, not {preset}")
    return changed(DEFAULT, SMOKE if preset == "smoke" else {})


def new_clip_tokenizer() -> CLIPTokenizer:
    """Whole words of the captions, and letters for all others."""
    signs = [*string.ascii_lowercase, *string.digits, ",", "."]
    merges = merged_pairs(vocabulary())
    pieces = ["<|startoftext|>", "<|endoftext|>", *signs, *(sign + "</w>" for sign in signs), *map("".join, merges)]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(vocab, merges, model_max_length=TOKENS)


def merged_pairs(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair encoding until every word is one token: the commonest pair first, of equals the first by letters.

    The `tokenizers` library would train this too, but breaks ties at random: other numbers in every process.
    """
    parts, merges = [[*word[:-1], word[-1] + "</w>"] for word in words], []
    while pairs := Counter(pair for part in parts for pair in pairwise(part)):
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        for part in parts:
            for at in range(len(part) - 1):
                if tuple(part[at : at + 2]) == merges[-1]:
                    part[at : at + 2] = ["".join(merges[-1])]
    return merges


def new_t5_tokenizer() -> T5TokenizerFast:
    """The video miniature's. SD 3 sees T5's padding too, so its length is part of the model: 24 tokens, no more."""
    tokenizer = videos.new_tokenizer()
    tokenizer.model_max_length = TOKENS
    return tokenizer


def new_clip(width: int, layers: int = 3) -> CLIPTextModelWithProjection:
    """SD 3 takes the words from the last layer but one, and the pooled text from the last."""
    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=(len(new_clip_tokenizer()) + 31) // 32 * 32, hidden_size=width, intermediate_size=2 * width,
            projection_dim=width, num_hidden_layers=layers, num_attention_heads=width // 32,
            max_position_embeddings=TOKENS, bos_token_id=START, eos_token_id=END, pad_token_id=END,
        )
    )  # fmt: skip


def new_transformer(config: dict) -> SD3Transformer2DModel:
    shape = config["transformer"]
    return SD3Transformer2DModel(
        sample_size=12, in_channels=16, out_channels=16, pos_embed_max_size=12, qk_norm="rms_norm",
        joint_attention_dim=config["text_encoder"]["d_model"], pooled_projection_dim=sum(config["clips"]),
        caption_projection_dim=shape["num_attention_heads"] * shape["attention_head_dim"], **shape,
    )  # fmt: skip


def new_autoencoder(config: dict) -> AutoencoderKL:
    levels = len(config["autoencoder"]["block_out_channels"])
    return AutoencoderKL(
        latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, sample_size=96,
        down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
        **config["autoencoder"],
    )  # fmt: skip


def new_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """SD 3's, sigma from 1 (noise) to 0 (data), but for one thing: each step noises its guess of the picture anew.

    What one step got wrong the next can mend. A small model needs that: outlines come out much rounder.
    """
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, stochastic_sampling=True)
