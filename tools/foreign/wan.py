"""tt_dit's transformer of Wan 2.2 beside diffusers'. Run as tools.foreign.mochi is."""

import torch
from diffusers import WanTransformer3DModel
from models.tt_dit.models.transformers.wan2_2 import transformer_wan
from models.tt_dit.utils.tensor import bf16_tensor, float32_tensor

from helpers.metrics import pcc
from tools.foreign.setting import collectives, layout, main, timed
from tools.foreign.shaken import shaken

HEADS, HEAD_DIM, LAYERS, TEXT, INNER = 8, 128, 2, 192, 1536


def transformer(mesh) -> dict:
    """Two random layers of eight heads"""
    reference = shaken(
        WanTransformer3DModel(
            num_attention_heads=HEADS, attention_head_dim=HEAD_DIM, num_layers=LAYERS, text_dim=TEXT, ffn_dim=INNER
        )
    )
    theirs = transformer_wan.WanTransformer3DModel(
        num_heads=HEADS,
        dim=HEADS * HEAD_DIM,
        num_layers=LAYERS,
        text_dim=TEXT,
        ffn_dim=INNER,
        mesh_device=mesh,
        ccl_manager=collectives(mesh),
        parallel_config=layout(mesh),
    )
    theirs.load_torch_state_dict(reference.state_dict())
    latents, prompt, time = torch.randn(1, 16, 5, 10, 14), torch.randn(1, 118, TEXT), torch.tensor([371.0])
    on_mesh = {
        "prompt": bf16_tensor(prompt[None], device=mesh),
        "timestep": float32_tensor(time[:, None, None, None], device=mesh),
    }
    got, seconds = timed(lambda: theirs(spatial=latents, **on_mesh))
    with torch.no_grad():
        wanted = reference(latents, time, prompt, return_dict=False)[0]
    return {"pcc": pcc(got, wanted), "seconds": seconds}


if __name__ == "__main__":
    main(transformer)
