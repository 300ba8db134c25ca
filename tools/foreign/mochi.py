"""Tenstorrent's own Mochi (models/tt_dit of tenstorrent/tt-metal) beside diffusers: its parts, and the whole pipeline.

PYTHONPATH=tt-metal python -m ttnn_emulator run --system t3000 -m tools.foreign.mochi transformer

Prints one line of JSON: how right it was, and how long it took here.
"""

import inspect
import os
import tempfile

import torch
import ttnn
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel
from models.tt_dit.encoders.t5.model_t5 import T5Config, T5Encoder
from models.tt_dit.models.transformers import transformer_mochi
from models.tt_dit.models.vae import vae_mochi
from models.tt_dit.parallel.config import EncoderParallelConfig, MochiVAEParallelConfig, ParallelFactor
from models.tt_dit.pipelines.mochi import pipeline_mochi
from transformers import AutoTokenizer, T5EncoderModel

from helpers.metrics import pcc, psnr
from helpers.mochi import upstream
from helpers.mochi.pipeline import Request, by_diffusers
from tools.foreign.setting import along, collectives, layout, main, timed

WEIGHTS = "models/tiny-mochi"
PROMPT = "a red butterfly landing on a blue flower"


def transformer(mesh) -> dict:
    """tiny-mochi's denoiser, one pass. Half of the prompt is masked."""
    torch.manual_seed(3)
    reference = MochiTransformer3DModel.from_pretrained(WEIGHTS, subfolder="transformer").eval()
    taken = inspect.signature(transformer_mochi.MochiTransformer3DModel).parameters
    theirs = transformer_mochi.MochiTransformer3DModel(
        **{name: value for name, value in reference.config.items() if name in taken},
        mesh_device=mesh,
        ccl_manager=collectives(mesh),
        parallel_config=layout(mesh),
        is_fsdp=True,
    )
    theirs.load_torch_state_dict(reference.state_dict())
    latents = torch.randn(1, reference.config["in_channels"], 5, 10, 14)
    prompt = torch.randn(1, 118, reference.config["text_embed_dim"])
    mask = torch.ones(1, 118)
    mask[:, 59:] = 0
    time = torch.tensor([371.0])
    got, seconds = timed(lambda: theirs(spatial=latents, prompt=prompt, timestep=time, prompt_attention_mask=mask))
    with torch.no_grad():
        wanted = reference(latents, prompt, time, mask, return_dict=False)[0]
    return {"pcc": pcc(got, wanted), "seconds": seconds}


def decoder(mesh) -> dict:
    """Their decoder with tiny-mochi's weights, height and width cut over the mesh.

    Not frames over a row of chips, as their pipeline takes a T3000: each chip hands on two frames, and six latent
    frames over eight chips are fewer.
    """
    torch.manual_seed(4)
    reference = AutoencoderKLMochi.from_pretrained(WEIGHTS, subfolder="vae").eval()
    config = reference.config
    base = config.decoder_block_out_channels[0]
    theirs = vae_mochi.MochiVAEDecoder(
        mesh_device=mesh,
        parallel_config=MochiVAEParallelConfig(
            time_parallel=ParallelFactor(1, 1), h_parallel=along(mesh, 0), w_parallel=along(mesh, 1)
        ),
        ccl_manager=collectives(mesh),
        out_channels=config.out_channels,
        base_channels=base,
        channel_multipliers=[channels // base for channels in config.decoder_block_out_channels],
        temporal_expansions=config.temporal_expansions,
        spatial_expansions=config.spatial_expansions,
        num_res_blocks=config.layers_per_block,
        latent_dim=config.latent_channels,
    )
    theirs.load_torch_state_dict(reference.decoder.state_dict())
    latents = torch.randn(1, config.latent_channels, 6, 12, 16)
    got, seconds = timed(lambda: theirs.decode(latents, return_dict=False)[0])
    with torch.no_grad():
        wanted = reference.decoder(latents)[0]
    return {"pcc": pcc(got, wanted), "seconds": seconds}


def t5(mesh) -> dict:
    """tiny-mochi's text encoder, on a prompt"""
    reference = T5EncoderModel.from_pretrained(WEIGHTS, subfolder="text_encoder", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(f"{WEIGHTS}/tokenizer")
    tokens = tokenizer([PROMPT], padding="max_length", max_length=256, return_tensors="pt")
    config = reference.config
    theirs = T5Encoder(
        T5Config(
            vocab_size=config.vocab_size, embed_dim=config.d_model, ff_dim=config.d_ff, kv_dim=config.d_kv,
            num_heads=config.num_heads, num_hidden_layers=config.num_layers, max_prompt_length=256,
            layer_norm_eps=config.layer_norm_epsilon,
            relative_attention_num_buckets=config.relative_attention_num_buckets,
            relative_attention_max_distance=config.relative_attention_max_distance,
        ),
        mesh,
        collectives(mesh),
        EncoderParallelConfig(tensor_parallel=layout(mesh).tensor_parallel),
    )  # fmt: skip
    theirs.load_torch_state_dict(reference.state_dict())
    put = lambda x: ttnn.from_torch(
        x, layout=ttnn.TILE_LAYOUT, device=mesh, mesh_mapper=ttnn.ReplicateTensorToMesh(mesh)
    )
    out, seconds = timed(lambda: theirs(put(tokens.input_ids)))
    got = ttnn.to_torch(ttnn.get_device_tensors(out[-1])[0])
    with torch.no_grad():
        wanted = reference(tokens.input_ids).last_hidden_state
    return {"pcc": pcc(got, wanted), "seconds": seconds}


def pipeline(mesh) -> dict:
    """The whole MochiPipeline with tiny-mochi's weights, 20 steps; frames beside those of diffusers' pipeline.

    On a T3000 it swaps transformer and decoder in memory, from files that it keeps in a folder of its own.
    """
    request = Request(PROMPT, frames=31, height=96, width=96, steps=20, seed=7)
    options = {"mesh_device": mesh, "checkpoint_name": WEIGHTS, "vae_mesh_shape": tuple(mesh.shape)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ[upstream.CACHE] = folder
        batch, seconds = timed(lambda: upstream.unsized(pipeline_mochi.MochiPipeline, options, request))
    got = upstream.frames_of(batch, request)
    wanted = by_diffusers(WEIGHTS, request)
    return {"psnr": psnr(got, wanted), "frames": len(got), "seconds": seconds}


if __name__ == "__main__":
    main(transformer, decoder, t5, pipeline)
