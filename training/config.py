"""The sizes of the miniature and of its training. Every class is diffusers' or transformers' own."""

from copy import deepcopy

# heads x 96: every head is three tiles of 32 wide, four heads split over four chips, and the SwiGLU layer
# inside (4 * 384 * 2 / 3 = 1024) splits evenly too. The autoencoder has Mochi-1's 12 channels and its steps in
# time; in space it takes 4 x 4 pixels at once and then halves once more, 8 x 8 in all as Mochi-1, because a third
# of its work would otherwise be at the full size, which a CPU cannot train in an evening.
DEFAULT = {
    "frames": 31,
    "seed": 7,
    "autoencoder": {
        "encoder_block_out_channels": (32, 64, 96, 128),
        "decoder_block_out_channels": (32, 128, 128, 128),
        "layers_per_block": (0, 2, 3, 1, 0),
        "temporal_expansions": (1, 2, 3),
        "spatial_expansions": (4, 2, 1),
        "add_attention_block": (False, False, False, False, False),
        "scaling_factor": 1.0,
    },
    "transformer": {
        "num_attention_heads": 4,
        "attention_head_dim": 96,
        "num_layers": 4,
        "pooled_projection_dim": 96,
        "text_embed_dim": 128,
        "time_embed_dim": 256,
        "max_sequence_length": 256,
    },
    "text_encoder": {"d_model": 128, "d_kv": 32, "num_heads": 4, "d_ff": 384, "num_layers": 3},
    # phases: until which share of the training, side of the crops in pixels, their frames
    # encoder_until: from this share on the decoder learns alone, to paint better from latents that stay as they are
    # crops: how many from each clip; ahead: clips painted at once (many small kernels: a card likes them large)
    "autoencoder_training": {
        "minutes": 235.0, "batch": 2, "rate": 2e-3, "muon": 0.02, "kl_target": 2.5, "crops": 1,
        "phases": ((0.08, 96, 7), (0.14, 96, 19), (0.8, 96, 7), (1.0, 96, 13)), "encoder_until": 0.21,
        "check_every": 200, "ahead": 1,
    },
    "latents": {"clips": 10000, "batch": 4, "captions": 6},
    "reader_training": {
        "minutes": 8.0, "batch": 64, "captions": 8000, "rate": 1e-3, "muon": 0.02, "check_every": 200,
    },
    # often: how many times as often as the others the scenes are drawn whose shapes change most within six frames
    "transformer_training": {
        "minutes": 573.0, "batch": 32, "rate": 1e-3, "muon": 0.02, "drop": 0.1,
        "often": {"ball": 4.0, "fish": 4.0, "butterfly": 2.5, "balloon": 2.0}, "check_every": 200,
    },
}  # fmt: skip

# What changes where a CUDA card is at hand.
CUDA = {
    "autoencoder_training": {
        "minutes": 10.0, "batch": 8, "rate": 2e-3, "muon": 0.02, "kl_target": 2.5, "crops": 1,
        "phases": ((0.5, 96, 7), (1.0, 96, 31)), "encoder_until": 0.7, "check_every": 250, "ahead": 64,
    },
    "latents": {"clips": 24000, "batch": 64, "captions": 8},
    "transformer_training": {
        "minutes": 10.0, "batch": 256, "rate": 1e-3, "muon": 0.02, "drop": 0.1,
        "check_every": 500,
    },
}  # fmt: skip

# Two minutes on two cores, seven frames: far from good, but it must beat chance.
SMOKE = {
    "frames": 7,
    "autoencoder": {
        "encoder_block_out_channels": (32, 32, 64, 128),
        "decoder_block_out_channels": (32, 32, 64, 64),
        "layers_per_block": (0, 0, 1, 1, 0),
        "add_attention_block": (False, False, False, False, False),
    },
    "transformer": {
        "num_attention_heads": 4, "attention_head_dim": 24, "num_layers": 3, "pooled_projection_dim": 48,
        "text_embed_dim": 64, "time_embed_dim": 64,
    },
    "text_encoder": {"d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 128, "num_layers": 2},
    "autoencoder_training": {
        "steps": 150, "batch": 2, "rate": 2e-3, "muon": 0.02, "kl_target": 2.5, "crops": 4,
        "phases": ((0.7, 32, 7), (1.0, 96, 7)), "encoder_until": 0.7, "check_every": 1000,
    },
    "latents": {"clips": 400, "batch": 10, "captions": 4},
    "reader_training": {"steps": 300, "batch": 64, "captions": 2000, "rate": 1e-3, "muon": 0.02, "check_every": 1000},
    "transformer_training": {"steps": 350, "batch": 16, "rate": 1e-3, "muon": 0.02, "drop": 0.1, "check_every": 1000},
}  # fmt: skip


def configuration(preset: str = "default", device: str = "cpu") -> dict:
    """The whole configuration as one dictionary; a preset overrides the default key by key."""
    config = deepcopy(DEFAULT)
    changes = {"default": [CUDA] if str(device).startswith("cuda") else [], "smoke": [SMOKE]}
    if preset not in changes:
        raise ValueError(f"presets are {', '.join(changes)}, not {preset}")
    for change in changes[preset]:
        config = changed(config, change)
    return config


def changed(config: dict, change: dict) -> dict:
    """A copy in which a change overrides settings key by key, in parts too."""
    merged = deepcopy(config)
    for part, values in change.items():
        merged[part] = {**merged[part], **values} if isinstance(values, dict) else values
    return merged
