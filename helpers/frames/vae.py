"""The decoder of still pictures: diffusers' AutoencoderKL in ttnn, height (or width) over tp, pictures over sp.

As in Mochi's decoder (helpers/mochi/vae.py) a convolution borrows a row from each neighbour and the group norm adds
up its statistics, and a picture is a video of one frame: between layers a chip holds (1, 1, S, C), tiled, S = H W
positions row by row, and `Grid` has H and W. New here: zeros beyond the edges, attention of all positions to each
other in the middle, and positions that are doubled by repeating them.
"""

from typing import ClassVar

import torch
import ttnn

from helpers.collectives import all_gather
from helpers.layers.config import NOT_ZERO, Rule, check_config, multiples_of, one_of
from helpers.layers.halo import Halo
from helpers.layers.parallel import Linear, over_sp, pad_to
from helpers.mochi.vae import Grid, GroupNorm, cut_dimension, to_frames, to_video
from helpers.tensors import TILE, gather, replicate, shard

EPS = 1e-6  # of every group norm in AutoencoderKL's decoder


class Decoder:
    """`decoder(latents)` -> picture. `weights` gives a torch tensor for each name of AutoencoderKL."""

    made_for: ClassVar = {
        "act_fn": one_of("silu", "swish"),  # two names of one function
        "up_block_types": Rule("UpDecoderBlock2D only", lambda value, config: set(value) == {"UpDecoderBlock2D"}),
        "mid_block_add_attention": one_of(True),
        "block_out_channels": multiples_of(TILE),
        "scaling_factor": NOT_ZERO,
    }

    def __init__(self, mesh, weights, config):
        check_config(config, self.made_for, "vae")
        self.mesh, self.config, self.halo = mesh, config, Halo(mesh, "zeros")
        groups, last = config["norm_num_groups"], len(config["block_out_channels"]) - 1
        norm = lambda name: GroupNorm(mesh, weights, f"decoder.{name}.", groups, EPS)
        conv = lambda name: Conv(mesh, weights, f"decoder.{name}.", self.halo)
        resnet = lambda name: ResnetBlock(mesh, weights, f"decoder.{name}.", groups, self.halo)
        attention = MiddleAttention(mesh, weights, "decoder.mid_block.attentions.0.", groups)
        self.quant = quantisation(mesh, weights) if config.get("use_post_quant_conv", True) else None
        self.conv_in = conv("conv_in")
        self.middle = [resnet("mid_block.resnets.0"), attention, resnet("mid_block.resnets.1")]
        self.up_blocks = [
            (
                [resnet(f"up_blocks.{n}.resnets.{m}") for m in range(config["layers_per_block"] + 1)],
                None if n == last else conv(f"up_blocks.{n}.upsamplers.0.conv"),
            )
            for n in range(last + 1)
        ]
        self.norm_out, self.conv_out = norm("conv_norm_out"), conv("conv_out")

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents as the denoiser leaves them, (P, channels, h, w) -> (P, 3, 8 h, 8 w) in [-1, 1]

        P is 1, or as many as there are chips along sp (helpers/frames/transformer.py).
        """
        self.halo.space = cut_dimension(self.mesh, *latents.shape[2:])
        latents = latents.float() / self.config["scaling_factor"] + (self.config.get("shift_factor") or 0)
        x, grid = self.place(latents)
        x = self.conv_in(self.quant(x) if self.quant else x, grid)
        for layer in self.middle:
            x = layer(x, grid)
        for resnets, conv in self.up_blocks:
            for resnet in resnets:
                x = resnet(x, grid)
            if conv:
                x, grid = doubled(x, grid)
                x = conv(x, grid)
        x = to_video(self.conv_out(ttnn.silu(self.norm_out(x)), grid), grid)
        pictures = gather(x, tp=self.halo.space, **over_sp(self.mesh, len(latents)))[0]
        return pictures[..., : self.config["out_channels"]].permute(0, 3, 1, 2).float()

    def place(self, latents: torch.Tensor) -> tuple[ttnn.Tensor, Grid]:
        """(P, C, h, w) -> (1, P, S / tp, C), P over sp, channels padded to a tile with zeros"""
        x = pad_to(latents.permute(0, 2, 3, 1)[None], 4, TILE)  # (1, P, h, w, C)
        cut = over_sp(self.mesh, len(latents))
        x = shard(x, self.mesh, layout=ttnn.ROW_MAJOR_LAYOUT, tp=self.halo.space, **cut)
        return to_frames(x), Grid(*tuple(x.shape)[2:4])


class ResnetBlock:
    """x + conv(silu(norm(conv(silu(norm(x)))))), x brought to the new number of channels where that changes"""

    def __init__(self, mesh, weights, prefix: str, groups: int, halo: Halo):
        self.norms = [GroupNorm(mesh, weights, f"{prefix}norm{n}.", groups, EPS) for n in (1, 2)]
        self.convs = [Conv(mesh, weights, f"{prefix}conv{n}.", halo) for n in (1, 2)]
        channels, channels_in = weights[prefix + "conv1.weight"].shape[:2]
        self.shortcut = None
        if channels != channels_in:
            weight = weights[prefix + "conv_shortcut.weight"].flatten(1)  # 1 x 1: a linear layer
            self.shortcut = Linear(mesh, weight, weights[prefix + "conv_shortcut.bias"])

    def __call__(self, x, grid: Grid):
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(ttnn.silu(norm(y)), grid)
        return ttnn.add(self.shortcut(x) if self.shortcut else x, y)


class Conv:
    """3 x 3, zeros beyond the picture's edges: ttnn's 3D convolution, one deep, whose weights are laid out once.

    Outputs are padded to a tile: red, green and blue get 29 channels of zeros.
    """

    def __init__(self, mesh, weights, prefix: str, halo: Halo):
        kernel = pad_to(weights[prefix + "weight"], 0, TILE)[:, :, None]  # (C_out, C_in, 1, 3, 3)
        self.halo, self.channels = halo, kernel.shape[0]
        on_host = ttnn.from_torch(kernel, dtype=ttnn.bfloat16)
        self.kernel = ttnn.experimental.prepare_conv3d_weights(weight_tensor=on_host, device=mesh)
        self.bias = replicate(pad_to(weights[prefix + "bias"], 0, TILE)[None], mesh)

    def __call__(self, x, grid: Grid):
        """(1, 1, S, C_in) -> (1, 1, S, C_out)"""
        y = ttnn.experimental.conv3d(
            input_tensor=self.halo.with_sides(to_video(x, grid)),
            weight_tensor=self.kernel,
            bias_tensor=self.bias,
            dtype=ttnn.bfloat16,
            output_channels=self.channels,
            kernel_size=(1, 3, 3),
            padding=self.halo.left_to_the_op,
            padding_mode="zeros",
        )
        return to_frames(y)


class MiddleAttention:
    """x + attention(norm(x)), one head: each chip asks with its own positions, and answers come from all of them."""

    def __init__(self, mesh, weights, prefix: str, groups: int):
        linear = lambda name: Linear(mesh, weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"])
        self.norm = GroupNorm(mesh, weights, prefix + "group_norm.", groups, EPS)
        self.to_q, self.to_k, self.to_v = (linear(name) for name in ("to_q", "to_k", "to_v"))
        self.out = linear("to_out.0")

    def __call__(self, x, grid: Grid):
        y = self.norm(x)
        k, v = (all_gather(layer(y), 2, "tp") for layer in (self.to_k, self.to_v))  # keys may come in any order
        return ttnn.add(x, self.out(ttnn.transformer.scaled_dot_product_attention(self.to_q(y), k, v, is_causal=False)))


def quantisation(mesh, weights) -> Linear:
    """The 1 x 1 convolution of latents that comes first in older autoencoders, on channels padded to a tile"""
    weight, bias = weights["post_quant_conv.weight"].flatten(1), weights["post_quant_conv.bias"]
    return Linear(mesh, pad_to(pad_to(weight, 0, TILE), 1, TILE), pad_to(bias, 0, TILE))


def doubled(x, grid: Grid) -> tuple[ttnn.Tensor, Grid]:
    """Every position becomes 2 x 2 of itself: (1, 1, S, C) -> (1, 1, 4 S, C)"""
    finer = Grid(2 * grid.height, 2 * grid.width)
    x = ttnn.upsample(ttnn.squeeze(to_video(x, grid), 1), 2)
    return to_frames(ttnn.unsqueeze(x, 1)), finer
