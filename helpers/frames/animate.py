"""From a sentence to a short clip: AnimateDiff, its motion modules on the mesh.

    clip = animate("a red ball bouncing left", weights="models/tiny-animatediff", mesh=mesh)      # (T, H, W, 3) in 0..1

All else is diffusers' own AnimateDiffPipeline: text encoder, UNet and decoder run on the host, on CUDA where there is
a card and no mesh. Without a mesh so do the motion modules.
"""

from contextlib import nullcontext
from pathlib import Path

import torch
from diffusers import AnimateDiffPipeline
from diffusers.utils import is_accelerate_available

from helpers.frames.motion_module import on_mesh
from helpers.mesh import label


def animate(
    prompt: str,
    *,
    weights: str | Path,
    mesh=None,
    negative_prompt: str = "",
    frames: int = 16,
    steps: int = 20,
    guidance: float = 3.0,
    height: int = 96,
    width: int = 96,
    seed: int = 0,
) -> torch.Tensor:
    """A clip (frames, height, width, 3) in 0..1.

    weights: a folder that AnimateDiffPipeline wrote, its motion adapter inside. guidance: 1 and below is none.
    Raises FileNotFoundError for a folder that is none, ValueError for more frames than the adapter has learnt.
    """
    pipeline = load(weights, torch.cuda.is_available() and mesh is None)
    most = pipeline.motion_adapter.config.motion_max_seq_length
    if not 1 <= frames <= most:
        raise ValueError(f"This motion adapter makes clips of 1 to {most} frames, not {frames}.")
    if steps < 1:
        raise ValueError(f"{steps} steps are too few. Try 20.")
    place = f"motion on {label(mesh)}" if mesh is not None else "by diffusers"
    pipeline.set_progress_bar_config(unit="step", desc=f"denoise, {place}", leave=False)
    with nullcontext() if mesh is None else on_mesh(pipeline.unet, mesh):
        clip = pipeline(
            prompt,
            negative_prompt=negative_prompt,
            num_frames=frames,
            num_inference_steps=steps,
            guidance_scale=guidance,
            height=height,
            width=width,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        ).frames
    return clip[0].permute(0, 2, 3, 1).float().cpu()


def load(weights: str | Path, cuda: bool = False) -> AnimateDiffPipeline:
    """diffusers' pipeline of a folder, in float32 on the CPU, in bfloat16 on CUDA. Nothing is downloaded."""
    if not (Path(weights) / "motion_adapter").is_dir():
        raise FileNotFoundError(f"{weights} is no folder of AnimateDiff: it has no motion_adapter.")
    pipeline = AnimateDiffPipeline.from_pretrained(
        weights,
        dtype=torch.bfloat16 if cuda else torch.float32,
        local_files_only=True,
        use_safetensors=True,
        low_cpu_mem_usage=is_accelerate_available(),
    )
    return pipeline.to("cuda" if cuda else "cpu")
