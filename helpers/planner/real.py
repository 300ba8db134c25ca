"""The real models' config.json: Mochi-1's, and Stable Diffusion's. No weights, so nothing is downloaded."""

# Denoiser and decoder: genmoai/mochi@0c86aebf, and the defaults of diffusers 0.42.1's
# classes, which are Mochi-1's. Text encoder: google/t5-v1_1-xxl, to which genmoai/mochi@0c86aebf goes for it.
MOCHI = {
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

# What all have in common, a head for each layer, Medium's second attention in the first
# layers, the tables of positions, and the decoder, SDXL's with 16 latent channels: huggingface/diffusers
# scripts/convert_sd3_to_diffusers.py@3ab805a6. Large, and the 333 tokens of text, 77 of CLIP and 256 of T5:
# tenstorrent/tt-metal models/tt_dit/tests/models/sd35/test_transformer_sd35.py@28df7835.
# The UNets: what differs from the defaults of diffusers 0.42.1's UNet2DConditionModel. SD 1.4:
# CompVis/stable-diffusion configs/stable-diffusion/v1-inference.yaml@36de52cb. SDXL: Stability-AI/generative-models
# configs/inference/sd_xl_base.yaml@3df5c81a; 2816 is 1280 of the pooled text and 6 numbers of 256.
# CLIP-L and CLIP-G, SD 3.5's small text encoders: mlfoundations/open_clip src/open_clip/model_configs,
# ViT-L-14.json@7bbd90e4 and ViT-bigG-14.json@4ee12e10; an MLP is four times as wide. The large one is Mochi's.
BOTH = dict(
    _class_name="SD3Transformer2DModel", sample_size=128, patch_size=2, in_channels=16, out_channels=16,
    attention_head_dim=64, joint_attention_dim=4096, pooled_projection_dim=2048, qk_norm="rms_norm",
)  # fmt: skip
STILLS = {
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
    "clip_l": dict(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, projection_dim=768, num_hidden_layers=12,
        num_attention_heads=12, hidden_act="quick_gelu",
    ),
    "clip_g": dict(
        vocab_size=49408, hidden_size=1280, intermediate_size=5120, projection_dim=1280, num_hidden_layers=32,
        num_attention_heads=20, hidden_act="gelu",
    ),
    "t5": MOCHI["text_encoder"],
}  # fmt: skip
