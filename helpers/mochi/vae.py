"""The decoder: Mochi's causal 3D VAE in ttnn, time over sp, and height (or width) over tp.

A convolution over 3 x 3 x 3 looks at two frames before and one row around, so chips lend each other those: a halo. The
group norm is per frame, so only the chips along tp, which share a frame, add up their statistics. The reference is
the decoder of diffusers' AutoencoderKLMochi.

Other cuts take no less memory at the real size (28 latent frames of 60 x 106). Frames cut in time alone, as tt-metal
does on a T3000, fill up to 32 for its 8 chips: a seventh more than strips, where each sp has 14. Quarters have as many
positions as strips.

Between layers a chip holds (1, T, S, C), tiled: T frames of S = H W positions, row by row. `Grid` has H and W.
"""

import math
from typing import ClassVar, NamedTuple

import torch
import ttnn

from helpers.collectives import all_reduce
from helpers.layers.config import NOT_ZERO, Rule, check_config, multiples_of, one_for_each, one_of
from helpers.layers.halo import Halo
from helpers.layers.parallel import Linear, degree
from helpers.tensors import gather, replicate, shard

GROUPS, EPS = 32, 1e-5  # of every group norm in AutoencoderKLMochi
AT_A_TIME = 2**28  # bytes in float32: so much of a video is normed at once
TIME, HEIGHT, WIDTH = 1, 2, 3  # dimensions of (1, T, H, W, C)
ONE_PER_UP_BLOCK = Rule(
    "one number less than decoder_block_out_channels has",
    lambda value, config: len(value) == len(config["decoder_block_out_channels"]) - 1,
)


class Grid(NamedTuple):
    """Rows and columns of a frame on one chip."""

    height: int
    width: int


class Decoder:
    """`decoder(latents)` -> video. `weights` gives a torch tensor for each name of AutoencoderKLMochi."""

    made_for: ClassVar = {
        "act_fn": one_of("silu", "swish"),  # two names of one function
        "latents_mean": one_for_each("latent_channels"),
        "latents_std": one_for_each("latent_channels"),
        "scaling_factor": NOT_ZERO,
        "decoder_block_out_channels": multiples_of(GROUPS),
        "temporal_expansions": ONE_PER_UP_BLOCK,
        "spatial_expansions": ONE_PER_UP_BLOCK,
    }

    def __init__(self, mesh, weights, config):
        check_config(config, self.made_for, "vae")
        self.mesh, self.config = mesh, config
        conv_in = weights["decoder.conv_in.weight"].flatten(1)  # 1 x 1 x 1: a linear layer
        self.conv_in = Linear(mesh, conv_in, weights["decoder.conv_in.bias"])
        layers = config["layers_per_block"]
        halo = Halo(mesh)
        resnets = lambda prefix, count: [
            ResnetBlock(mesh, weights, f"decoder.{prefix}.resnets.{n}.", halo) for n in range(count)
        ]
        self.block_in = resnets("block_in", layers[-1])
        expansions = zip(config["temporal_expansions"][::-1], config["spatial_expansions"][::-1], strict=True)
        self.up_blocks = [
            (resnets(f"up_blocks.{n}", layers[-n - 2]), Unpatchify(mesh, weights, f"decoder.up_blocks.{n}.proj.", *by))
            for n, by in enumerate(expansions)
        ]
        self.block_out = resnets("block_out", layers[0])
        self.proj_out = Linear(mesh, weights["decoder.proj_out.weight"], weights["decoder.proj_out.bias"])
        self.halo = halo

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents as the denoiser leaves them, (1, channels, T, h, w) -> (1, 3, 6 (T - 1) + 1, 8 h, 8 w) in [-1, 1]"""
        frames = latents.shape[2]
        space = cut_dimension(self.mesh, *latents.shape[3:])
        self.halo.space = space
        x, grid = self.place(self.denormalised(latents.float()), space)
        x = self.conv_in(x)
        for block in self.block_in:
            x = block(x, grid)
        for resnets, unpatchify in self.up_blocks:
            for block in resnets:
                x = block(x, grid)
            x, grid = unpatchify(x, grid)
        for block in self.block_out:
            x = block(x, grid)
        x = to_video(self.proj_out(ttnn.silu(x)), grid)
        video = gather(x, sp=TIME, tp=space).permute(0, 4, 1, 2, 3).float()
        per_latent = video.shape[2] // (frames + self.missing(frames))
        return video[:, :, per_latent - 1 : frames * per_latent]  # the first latent frame stands for one video frame

    def denormalised(self, latents: torch.Tensor) -> torch.Tensor:
        """The denoiser works on latents of mean 0 and standard deviation 1; the VAE's own have the checkpoint's."""
        column = lambda name: torch.tensor(self.config[name]).view(1, -1, 1, 1, 1)
        latents = latents / self.config["scaling_factor"]
        if self.config.get("latents_mean") is None or self.config.get("latents_std") is None:
            return latents
        return latents * column("latents_std") + column("latents_mean")

    def missing(self, frames: int) -> int:
        return -frames % degree(self.mesh, "sp")

    def place(self, latents: torch.Tensor, space: int) -> tuple[ttnn.Tensor, Grid]:
        """(1, C, T, h, w) -> (1, T / sp, S / tp, C). Frames that only fill up the last chips come last: causal layers
        never look at them."""
        x = latents.permute(0, 2, 3, 4, 1)  # (1, T, h, w, C)
        x = torch.cat([x, x[:, -1:].expand(-1, self.missing(x.shape[1]), -1, -1, -1)], 1)
        x = shard(x, self.mesh, layout=ttnn.ROW_MAJOR_LAYOUT, sp=TIME, tp=space)
        grid = Grid(*tuple(x.shape)[2:4])
        return to_frames(x), grid


class ResnetBlock:
    """x + conv(silu(norm(conv(silu(norm(x))))))"""

    def __init__(self, mesh, weights, prefix: str, halo: Halo):
        self.norms = [GroupNorm(mesh, weights, f"{prefix}norm{n}.norm_layer.") for n in (1, 2)]
        self.convs = [CausalConv3d(mesh, weights, f"{prefix}conv{n}.conv.", halo) for n in (1, 2)]

    def __call__(self, x, grid: Grid):
        y = self.convs[0](ttnn.silu(self.norms[0](x)), grid)
        y = self.convs[1](ttnn.silu(self.norms[1](y, is_last_use=True)), grid)
        return ttnn.add(x, y)


class CausalConv3d:
    """3 x 3 x 3 over the frame and the two before it. Beyond the video's edges its edge is repeated."""

    def __init__(self, mesh, weights, prefix: str, halo: Halo):
        kernel = weights[prefix + "weight"]  # (C_out, C_in, 3, 3, 3)
        self.halo, self.channels = halo, kernel.shape[0]
        on_host = ttnn.from_torch(kernel, dtype=ttnn.bfloat16)
        self.kernel = ttnn.experimental.prepare_conv3d_weights(weight_tensor=on_host, device=mesh)
        self.bias = replicate(weights[prefix + "bias"][None], mesh)

    def __call__(self, x, grid: Grid):
        """(1, T, S, C_in) -> (1, T, S, C_out). x is freed: at full size a chip holds three such tensors, not four."""
        frames = to_video(x, grid)
        ttnn.deallocate(x)
        frames = self.halo.with_frames_before(frames)
        frames = self.halo.with_sides(frames)
        frames = ttnn.experimental.conv3d(
            input_tensor=frames,
            weight_tensor=self.kernel,
            bias_tensor=self.bias,
            dtype=ttnn.bfloat16,
            output_channels=self.channels,
            kernel_size=(3, 3, 3),
            padding=self.halo.left_to_the_op,
            padding_mode="replicate",
        )
        return to_frames(frames)


class GroupNorm:
    """Per frame and group of channels: (x - mean) / std, times a weight, plus a bias. Sums over tp.

    The average over a group's channels, spread to them again, is one product with a matrix of 1 / channels.
    Statistics are float32: in bfloat16 the difference of two large numbers would be lost.
    """

    def __init__(self, mesh, weights, prefix: str, groups: int = GROUPS, eps: float = EPS):
        each = weights[prefix + "weight"].shape[0] // groups
        average = torch.kron(torch.eye(groups), torch.full((each, each), 1 / each))
        self.average = replicate(average[None, None], mesh, dtype=ttnn.float32)
        self.weight, self.bias = (
            replicate(weights[prefix + name][None, None, None], mesh, dtype=ttnn.float32) for name in ("weight", "bias")
        )
        self.chips, self.eps = degree(mesh, "tp"), eps

    def __call__(self, x, is_last_use: bool = False):
        """(1, T, S / tp, C) -> the same. With `is_last_use` x is freed as soon as it has been read."""
        mean = self.over_frame(ttnn.concat(by_frames(of_chip, x), TIME))
        squares = lambda x, mean: of_chip(squared(ttnn.subtract(in_float32(x), mean)))
        variance = self.over_frame(ttnn.concat(by_frames(squares, x, mean), TIME))
        scale = ttnn.multiply(ttnn.rsqrt(ttnn.add(variance, self.eps)), self.weight)
        parts = by_frames(self.normed, x, mean, scale)
        if is_last_use:
            ttnn.deallocate(x)
        return ttnn.concat(parts, TIME)

    def normed(self, x, mean, scale):
        x = ttnn.multiply(ttnn.subtract(in_float32(x), mean), scale)
        return ttnn.typecast(ttnn.add(x, self.bias), ttnn.bfloat16)

    def over_frame(self, of_chip):
        """Each chip's means (1, T, 1, C) -> those of the whole frame and each group"""
        of_chip = ttnn.matmul(of_chip, self.average)
        return ttnn.multiply(all_reduce(of_chip, "tp"), 1 / self.chips)


def by_frames(function, x, *per_frame) -> list[ttnn.Tensor]:
    """function(x, *per_frame) of a few frames at a time: what it makes on the way is no larger than AT_A_TIME."""
    _, frames, *frame = x.padded_shape
    step = max(1, AT_A_TIME // (4 * math.prod(frame)))
    if step >= frames:
        return [function(x, *per_frame)]
    cuts = [slice(n, min(n + step, frames)) for n in range(0, frames, step)]
    return [function(*(whole[:, cut] for whole in (x, *per_frame))) for cut in cuts]


def of_chip(x):
    """(1, T, S, C) -> (1, T, 1, C), the mean over a chip's positions"""
    return ttnn.mean(in_float32(x), dim=2, keepdim=True)


def in_float32(x):
    return ttnn.typecast(x, ttnn.float32)


def squared(x):
    return ttnn.multiply(x, x)


class Unpatchify:
    """One position becomes a small block of them: a linear layer to all their channels, then a new order."""

    def __init__(self, mesh, weights, prefix: str, time: int, space: int):
        self.block = (time, space, space)
        by_place = lambda x: x.unflatten(0, (-1, time, space, space)).movedim(0, 3).flatten(0, 3)
        self.proj = Linear(mesh, by_place(weights[prefix + "weight"]), by_place(weights[prefix + "bias"]))

    def __call__(self, x, grid: Grid):
        """(1, T, S, C) on a grid -> (1, T t, S s s, C') on the finer one"""
        (t, s, _), (height, width), frames = self.block, grid, x.shape[1]
        x = ttnn.to_layout(self.proj(x), ttnn.ROW_MAJOR_LAYOUT)
        channels = x.shape[3] // (t * s * s)
        x = ttnn.reshape(x, (frames, height, width, t, s, s, channels))
        x = ttnn.permute(x, (0, 3, 1, 4, 2, 5, 6))  # (T, t, H, s, W, s, C')
        finer = Grid(height * s, width * s)
        return to_frames(ttnn.reshape(x, (1, frames * t, *finer, channels))), finer


def cut_dimension(mesh, height: int, width: int) -> int:
    """What tp cuts of latents: height where it divides, else width. Raises ValueError where neither does."""
    chips = degree(mesh, "tp")
    for dim, length in ((HEIGHT, height), (WIDTH, width)):
        if length % chips == 0:
            return dim
    raise ValueError(
        f"Latents of {height} x {width} divide over the {chips} chips along tp neither by height nor by width. "
        f"Choose a height or width that divides by {8 * chips} pixels."
    )


def to_video(x, grid: Grid):
    """(1, T, S, C) tiled -> (1, T, H, W, C) row-major, as convolutions want it"""
    x = ttnn.to_layout(x, ttnn.ROW_MAJOR_LAYOUT)
    return ttnn.reshape(x, (1, x.shape[1], *grid, x.shape[3]))


def to_frames(x):
    """(1, T, H, W, C) row-major -> (1, T, H W, C) tiled"""
    _, frames, height, width, channels = tuple(x.shape)
    return ttnn.to_layout(ttnn.reshape(x, (1, frames, height * width, channels)), ttnn.TILE_LAYOUT)
