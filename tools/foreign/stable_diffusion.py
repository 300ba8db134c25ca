"""tt_dit's transformer of Stable Diffusion 3.5 beside diffusers'. Run as tools.foreign.mochi is."""

import torch
import ttnn
from diffusers import SD3Transformer2DModel
from models.tt_dit.models.transformers.transformer_sd35 import SD35Transformer2DModel
from models.tt_dit.utils.padding import PaddingConfig
from models.tt_dit.utils.tensor import bf16_tensor

from helpers.metrics import pcc
from tools.foreign.setting import collectives, layout, main, timed
from tools.foreign.shaken import shaken

SIZES = dict(
    sample_size=32, patch_size=2, in_channels=16, num_layers=2, attention_head_dim=64, num_attention_heads=6,
    joint_attention_dim=160, caption_projection_dim=384, pooled_projection_dim=96, out_channels=16,
    pos_embed_max_size=32, dual_attention_layers=(),
)  # fmt: skip
SIDE, TOKENS = SIZES["sample_size"], 77


def transformer(mesh) -> dict:
    """Two random layers. Six heads do not divide by four chips: theirs pads them to eight."""
    reference = shaken(SD3Transformer2DModel(**SIZES, qk_norm="rms_norm"))
    config, heads = layout(mesh), SIZES["num_attention_heads"]
    sp, tp = config.sequence_parallel, config.tensor_parallel
    theirs = SD35Transformer2DModel(
        **SIZES,
        mesh_device=mesh,
        ccl_manager=collectives(mesh),
        parallel_config=config,
        padding_config=PaddingConfig.from_tensor_parallel_factor(heads, SIZES["attention_head_dim"], tp.factor),
    )
    theirs.load_torch_state_dict(reference.state_dict())
    latents = torch.randn(1, SIZES["in_channels"], SIDE, SIDE)
    prompt = torch.randn(1, TOKENS, SIZES["joint_attention_dim"])
    pooled = torch.randn(1, SIZES["pooled_projection_dim"])
    time = torch.tensor([371.0])
    with torch.no_grad():
        wanted = reference(latents, prompt, pooled, time, return_dict=False)[0].permute(0, 2, 3, 1)
    patches = theirs.patchify(latents.permute(0, 2, 3, 1)).clone()
    arguments = dict(
        spatial=bf16_tensor(patches, device=mesh, mesh_axis=sp.mesh_axis, shard_dim=2),
        prompt_embed=bf16_tensor(prompt[None], device=mesh),
        pooled_projections=bf16_tensor(pooled[None, None], device=mesh),
        timestep=bf16_tensor(time[None, None, None], device=mesh),
        N=patches.shape[2],
        L=TOKENS,
    )
    out, seconds = timed(lambda: theirs(**arguments))
    got = ttnn.to_torch(ttnn.get_device_tensors(out)[0])  # the same on all chips
    return {"pcc": pcc(got, theirs.patchify(wanted)), "seconds": seconds}


if __name__ == "__main__":
    main(transformer)
