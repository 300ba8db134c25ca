"""What ties frames together: AnimateDiff's motion module in ttnn, heads and MLP columns over tp.

A UNet that paints single pictures is left as it is, and after each of its blocks stands a motion module: at every
position of the picture the frames attend to each other, and only to those of their own position.

    with on_mesh(pipeline.unet, mesh):
        clip = pipeline("a red ball bouncing left")       # diffusers' AnimateDiffPipeline; the UNet stays on the host

tenstorrent/tt-animatediff does it the other way round on Blackhole: there the UNet of Stable Diffusion 1.4 runs in
ttnn, and at seven places a step the frames go to the host, through diffusers' motion modules, and back
(README.md@0010ba5e). The reference is diffusers' AnimateDiffTransformer3D. Shapes: B clips, T frames, S positions of
a picture, C channels.
"""

from contextlib import contextmanager

import torch
import torch.nn.functional as F
import ttnn
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel

from helpers.layers.parallel import (
    ColumnParallel,
    Linear,
    RowParallel,
    attention_program,
    check_heads,
    degree,
    fused_by_chip,
)
from helpers.mochi.vae import GroupNorm
from helpers.tensors import TILE, gather, replicate

GROUP_EPS, EPS = 1e-6, 1e-5  # of the group norm in AnimateDiffTransformer3D, and of its blocks' layer norms


@contextmanager
def on_mesh(unet: UNetMotionModel, mesh):
    """While the block runs, the motion modules of a UNet run on the mesh. All else of it stays where it is."""
    modules = [module for module in unet.modules() if isinstance(module, AnimateDiffTransformer3D)]
    try:
        for module in modules:
            module.forward = MotionModule(mesh, module)
        yield unet
    finally:
        for module in modules:
            vars(module).pop("forward", None)  # the class's own is found again


class MotionModule:
    """x + what its position's other frames say: stands for `forward` of the diffusers module it is made from."""

    def __init__(self, mesh, module: AnimateDiffTransformer3D):
        """Raises ValueError where heads do not divide over the chips along tp."""
        weights, linear = module.state_dict(), lambda layer: Linear(mesh, layer.weight.data, layer.bias.data)
        self.mesh = mesh
        self.norm = GroupNorm(mesh, weights, "norm.", module.norm.num_groups, GROUP_EPS)
        self.proj_in, self.proj_out = linear(module.proj_in), linear(module.proj_out)
        sizes = module.num_attention_heads, module.attention_head_dim
        self.blocks = [Block(mesh, weights, f"transformer_blocks.{n}.", *sizes)
                       for n in range(len(module.transformer_blocks))]  # fmt: skip

    def __call__(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states=None,
        timestep=None,
        class_labels=None,
        num_frames: int = 1,
        cross_attention_kwargs=None,
    ) -> torch.Tensor:
        """(B T, C, H, W) -> the same, in the same dtype. What else diffusers' signature has, no motion module reads."""
        frames = hidden_states.unflatten(0, (-1, num_frames)).flatten(3).transpose(2, 3)  # (B, T, S, C)
        x = replicate(frames.flatten(1, 2)[None], self.mesh)  # (1, B, T S, C): a group norm is over the whole clip
        y = by_position(self.norm(x), num_frames)
        y = self.proj_in(y)
        for block in self.blocks:
            y = block(y)
        x = gather(ttnn.add(x, by_frame(self.proj_out(y), x.shape)))
        return x.unflatten(2, (num_frames, -1)).movedim(4, 3).reshape(hidden_states.shape).to(hidden_states)


class Block:
    """Two attentions over time and an MLP, each after a norm and beside a way around it. All (B S, 1, T, C)."""

    def __init__(self, mesh, weights, prefix: str, heads: int, head_dim: int):
        self.norms = [LayerNorm(mesh, weights, f"{prefix}norm{n}.") for n in (1, 2, 3)]
        self.attentions = [Attention(mesh, weights, f"{prefix}attn{n}.", heads, head_dim) for n in (1, 2)]
        self.mlp = MLP(mesh, weights, prefix + "ff.")
        self.positions = weights[prefix + "pos_embed.pe"]  # (1, longest, C): sines and cosines of a frame's number

    def __call__(self, x):
        frames = x.shape[2]
        if frames > self.positions.shape[1]:
            raise ValueError(f"This motion module knows clips of {self.positions.shape[1]} frames, not {frames}.")
        places = replicate(self.positions[None, :, :frames], x.device())
        *before_attentions, before_mlp = self.norms
        for norm, attention in zip(before_attentions, self.attentions, strict=True):
            x = ttnn.add(x, attention(ttnn.add(norm(x), places)))
        return ttnn.add(x, self.mlp(before_mlp(x)))


class Attention:
    """The T frames of each position ask each other: S B small attentions, side by side. Heads over tp.

    ttnn splits heads at whole tiles. Narrower ones (40 wide in Stable Diffusion 1.5) are filled up with zeros, which
    change no product of queries and keys.
    """

    def __init__(self, mesh, weights, prefix: str, heads: int, head_dim: int):
        tp, wide = degree(mesh, "tp"), -(-head_dim // TILE) * TILE
        check_heads(mesh, heads, wide)
        self.heads, self.scale = heads // tp, head_dim**-0.5
        rows = lambda name: widened(weights[f"{prefix}{name}.weight"], heads, wide)
        self.qkv = ColumnParallel(mesh, fused_by_chip([rows("to_q"), rows("to_k"), rows("to_v")], tp))
        out = widened(weights[prefix + "to_out.0.weight"].T, heads, wide).T
        self.out = RowParallel(mesh, out, weights[prefix + "to_out.0.bias"])
        self.grid = mesh.compute_with_storage_grid_size()

    def __call__(self, x):
        q, k, v = ttnn.experimental.nlp_create_qkv_heads(self.qkv(x), num_heads=self.heads, transpose_k_heads=False)
        mixed = ttnn.transformer.scaled_dot_product_attention(
            q, k, v, is_causal=False, scale=self.scale, program_config=attention_program(self.grid, q.shape[-2])
        )
        return self.out(ttnn.experimental.nlp_concat_heads(mixed))


class MLP:
    """GEGLU: ((x A + a) * gelu(x B + b)) D + d. Columns, then rows, one all_reduce."""

    def __init__(self, mesh, weights, prefix: str):
        kernels, biases = (weights[f"{prefix}net.0.proj.{kind}"].chunk(2) for kind in ("weight", "bias"))
        self.value, self.gate = (ColumnParallel(mesh, *pair) for pair in zip(kernels, biases, strict=True))
        self.down = RowParallel(mesh, weights[prefix + "net.2.weight"], weights[prefix + "net.2.bias"])

    def __call__(self, x):
        return self.down(ttnn.multiply(self.value(x), ttnn.gelu(self.gate(x), fast_and_approximate_mode=False)))


class LayerNorm:
    def __init__(self, mesh, weights, prefix: str):
        self.weight, self.bias = (
            replicate(weights[prefix + name][None, None, None], mesh) for name in ("weight", "bias")
        )

    def __call__(self, x):
        return ttnn.layer_norm(x, epsilon=EPS, weight=self.weight, bias=self.bias)


def by_position(x, frames: int):
    """(1, B, T S, C) -> (B S, 1, T, C), tiled: a position's frames become the rows of one small matrix"""
    _, clips, tokens, channels = tuple(x.shape)
    x = ttnn.reshape(ttnn.to_layout(x, ttnn.ROW_MAJOR_LAYOUT), (clips, frames, tokens // frames, channels))
    x = ttnn.reshape(ttnn.permute(x, (0, 2, 1, 3)), (clips * (tokens // frames), 1, frames, channels))
    return ttnn.to_layout(x, ttnn.TILE_LAYOUT)


def by_frame(x, shape):
    """(B S, 1, T, C) -> (1, B, T S, C), the way back"""
    _, clips, tokens, channels = tuple(shape)
    frames = x.shape[2]
    x = ttnn.reshape(ttnn.to_layout(x, ttnn.ROW_MAJOR_LAYOUT), (clips, tokens // frames, frames, channels))
    x = ttnn.reshape(ttnn.permute(x, (0, 2, 1, 3)), (1, clips, tokens, channels))
    return ttnn.to_layout(x, ttnn.TILE_LAYOUT)


def widened(weight: torch.Tensor, heads: int, wide: int) -> torch.Tensor:
    """Rows (heads head_dim, C) -> (heads wide, C): zeros after the rows of each head"""
    each = weight.unflatten(0, (heads, -1))
    return F.pad(each, (0, 0, 0, wide - each.shape[1])).flatten(0, 1)
