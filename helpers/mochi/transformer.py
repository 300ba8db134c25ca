"""The denoiser: Mochi-1's AsymmDiT in ttnn, with sequence parallelism over sp and tensor parallelism over tp.

Two streams, the video's tokens and the text's, with weights of their own and one attention over both. Video tokens
are cut over sp, heads and MLP columns over tp; the few text tokens are on every chip along sp. The reference is
diffusers' MochiTransformer3DModel. Shapes: B = 1; N video tokens, padded to whole tiles on every chip along sp; L real
text tokens; D video width, C text width.
"""

from typing import ClassVar, NamedTuple

import torch
import ttnn
from diffusers.models.embeddings import Timesteps
from diffusers.models.transformers.transformer_mochi import MochiRoPE

from helpers.collectives import all_gather
from helpers.layers.config import check_config, multiples_of, one_of, same_as
from helpers.layers.parallel import ColumnParallel, Linear, RMSNorm, RowParallel, check_heads, pad_to
from helpers.mochi.attention import JointAttention, Sequence
from helpers.tensors import gather, replicate, shard

POOL_HEADS = 8  # of the attention that pools the text, fixed in diffusers' MochiTransformer3DModel


class Prompt(NamedTuple):
    """What the denoiser needs of a text, once for all steps."""

    pooled: ttnn.Tensor  # (1, 1, 1, D)
    context: ttnn.Tensor | None  # (1, 1, L, C), None for a text without tokens


class Transformer:
    """`model(latents, prompt, timestep)` -> the model's output for one step, the same shape as the latents.

    `weights` gives a torch tensor for each name of MochiTransformer3DModel, `config` is its config. With `fsdp` the
    blocks' large weights are cut over sp too, and gathered when they are used.
    """

    made_for: ClassVar = {
        "activation_fn": one_of("swiglu"),
        "out_channels": same_as("in_channels"),
        "text_embed_dim": multiples_of(POOL_HEADS),
    }

    def __init__(self, mesh, weights, config, fsdp: bool = False):
        check_config(config, self.made_for, "transformer")
        check_heads(mesh, config["num_attention_heads"], config["attention_head_dim"])
        self.mesh, self.config = mesh, config
        patch = weights["patch_embed.proj.weight"].flatten(1)  # (D, channels p p)
        self.patch_embed = Linear(mesh, patch, weights["patch_embed.proj.bias"])
        self.text_and_time = TextAndTime(mesh, weights, "time_embed.", config["time_embed_dim"])
        self.frequencies = weights["pos_frequencies"].float()  # (3, heads, head_dim / 2)
        last = config["num_layers"] - 1
        self.blocks = [
            Block(mesh, weights, f"transformer_blocks.{n}.", config, is_last=n == last, fsdp=fsdp)
            for n in range(config["num_layers"])
        ]
        self.norm_out = Modulation(mesh, weights, "norm_out.linear.", 2)
        self.proj_out = Linear(mesh, weights["proj_out.weight"], weights["proj_out.bias"])
        self._grid = None  # the latents' (T, h, w) that `sequence` was made for

    def prompt(self, hidden: torch.Tensor, mask: torch.Tensor) -> Prompt:
        """Text encoder output (1, S, E) and its mask (1, S) -> Prompt. Padding is dropped: nothing attends to it."""
        return self.text_and_time.prompt(hidden[0, mask[0].bool()])

    def __call__(self, latents: torch.Tensor, prompt: Prompt, timestep: float) -> torch.Tensor:
        """latents (1, channels, T, H, W) -> (1, channels, T, H, W)"""
        return self.latents(self.forward(self.tokens(latents), self.text_and_time.waves(timestep), prompt))

    def tokens(self, latents: torch.Tensor, into: ttnn.Tensor | None = None) -> ttnn.Tensor:
        """(1, channels, T, H, W) -> (1, 1, N / sp, channels p p). into: see helpers.tensors.shard"""
        self._prepare(latents)
        x = pad_to(patches(latents, self.config["patch_size"]), 2, self.sequence.multiple)
        return shard(x, self.mesh, sp=2, into=into)

    def forward(self, tokens: ttnn.Tensor, waves: ttnn.Tensor, prompt: Prompt) -> ttnn.Tensor:
        """On the chips alone: (1, 1, N / sp, channels p p) -> the same"""
        x = self.patch_embed(tokens)
        condition = self.text_and_time(waves, prompt.pooled)
        del tokens, waves  # a caller that does not keep them frees them
        context = prompt.context
        for block in self.blocks:
            x, context = block(x, context, condition, self.sequence)
        scale, shift = self.norm_out(condition)
        x = ttnn.layer_norm(x, epsilon=1e-6)
        x = ttnn.add(ttnn.multiply(x, ttnn.add(scale, 1.0)), shift)
        return self.proj_out(x)

    def latents(self, tokens: ttnn.Tensor) -> torch.Tensor:
        """A pass's output, gathered: (1, channels, T, H, W)"""
        whole = gather(tokens, sp=2)[:, :, : self.sequence.length]
        return video(whole.float(), self._grid, self.config["patch_size"])

    def _prepare(self, latents: torch.Tensor) -> None:
        """Positions and buffers for latents of this shape; kept until the shape changes."""
        p = self.config["patch_size"]
        frames, height, width = latents.shape[2:]
        if height % p or width % p:
            raise ValueError(f"Latents of {height} x {width} do not divide into patches of {p} x {p}.")
        grid = frames, height // p, width // p
        if grid != self._grid:
            angles = rotary_angles(self.frequencies, grid)
            self.sequence = Sequence(self.mesh, angles.cos(), angles.sin())
            self._grid = grid


class Block:
    """One AsymmDiT block. The last one makes no text output: nothing reads it."""

    def __init__(self, mesh, weights, prefix: str, config, is_last: bool, fsdp: bool):
        eps = 1e-6
        self.is_last = is_last
        self.norm = RMSNorm(mesh, None, eps)
        self.modulation = Modulation(mesh, weights, prefix + "norm1.linear.", 4)
        name, parts = ("norm1_context.linear_1.", 1) if is_last else ("norm1_context.linear.", 4)
        self.context_modulation = Modulation(mesh, weights, prefix + name, parts)
        self.attention = JointAttention(mesh, weights, prefix + "attn1.", config, is_last, fsdp)
        self.mlp = SwiGLU(mesh, weights, prefix + "ff.", fsdp)
        self.context_mlp = None if is_last else SwiGLU(mesh, weights, prefix + "ff_context.", fsdp)

    def __call__(self, x, context, condition, sequence: Sequence):
        """x (1, 1, N / sp, D) and context (1, 1, L, C) -> the same"""
        scale, gate, mlp_scale, mlp_gate = self.modulation(condition)
        context_scale, *context_rest = self.context_modulation(condition)
        normed_context = None if context is None else self.scaled(context, context_scale)
        mixed, mixed_context = self.attention(self.scaled(x, scale), normed_context, sequence)
        x = self.update(x, mixed, gate, mlp_scale, mlp_gate, self.mlp)
        if context is not None and not self.is_last:
            context = self.update(context, mixed_context, *context_rest, self.context_mlp)
        return x, context

    def update(self, x, mixed, gate, mlp_scale, mlp_gate, mlp):
        """Adds what attention gave, then what the MLP makes of it; both normed, and gated by a tanh."""
        x = ttnn.add(x, ttnn.multiply(self.norm(mixed), ttnn.tanh(gate)))
        return ttnn.add(x, ttnn.multiply(self.norm(mlp(self.scaled(x, mlp_scale))), ttnn.tanh(mlp_gate)))

    def scaled(self, x, scale):
        return ttnn.multiply(self.norm(x), ttnn.add(scale, 1.0))


class Modulation:
    """Scales and gates from the step and the text: (1, 1, 1, D) -> `parts` tensors (1, 1, 1, width).

    The weight is large and the input one row, so the columns are cut over tp and the few results gathered.
    """

    def __init__(self, mesh, weights, prefix: str, parts: int):
        weight = weights[prefix + "weight"]
        self.columns = ColumnParallel(mesh, weight, weights[prefix + "bias"])
        self.width, self.parts = weight.shape[0] // parts, parts

    def __call__(self, condition):
        whole = all_gather(self.columns(condition), 3, "tp")
        return [whole[:, :, :, n * self.width : (n + 1) * self.width] for n in range(self.parts)]


class SwiGLU:
    """(x U) * silu(x G), then D: columns, then rows, one all_reduce."""

    def __init__(self, mesh, weights, prefix: str, fsdp: bool):
        up, gate = weights[prefix + "net.0.proj.weight"].chunk(2)
        self.up = ColumnParallel(mesh, up, fsdp=fsdp)
        self.gate = ColumnParallel(mesh, gate, fsdp=fsdp)
        self.down = RowParallel(mesh, weights[prefix + "net.2.weight"], fsdp=fsdp)

    def __call__(self, x):
        return self.down(ttnn.multiply(self.up(x), ttnn.silu(self.gate(x))))


class TextAndTime:
    """The step's embedding plus the text's, and the text's tokens in the width of the text stream."""

    def __init__(self, mesh, weights, prefix: str, time_dim: int):
        linear = lambda name: Linear(mesh, weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"])
        self.mesh = mesh
        self.sinusoids = Timesteps(time_dim, flip_sin_to_cos=True, downscale_freq_shift=0.0)
        self.time_1, self.time_2 = linear("timestep_embedder.linear_1"), linear("timestep_embedder.linear_2")
        self.to_q, self.to_kv, self.to_out = (linear(f"pooler.{name}") for name in ("to_q", "to_kv", "to_out"))
        self.caption = linear("caption_proj")

    def prompt(self, tokens: torch.Tensor) -> Prompt:
        """(L, E) real tokens -> Prompt. Their mean asks, by attention, what all of them say together."""
        mean = tokens.mean(0, keepdim=True) if len(tokens) else tokens.new_zeros(1, tokens.shape[1])
        x = replicate(torch.cat([mean, tokens])[None, None], self.mesh)  # (1, 1, 1 + L, E)
        q = self.heads(self.to_q(replicate(mean[None, None], self.mesh)))
        k, v = (self.heads(part) for part in ttnn.chunk(self.to_kv(x), 2, 3))
        scores = ttnn.multiply(ttnn.matmul(q, k, transpose_b=True), q.shape[-1] ** -0.5)
        mixed = ttnn.matmul(ttnn.softmax(scores, dim=-1), v)  # (1, heads, 1, E / heads)
        pooled = self.to_out(ttnn.reshape(ttnn.permute(mixed, (0, 2, 1, 3)), (1, 1, 1, tokens.shape[1])))
        context = self.caption(replicate(tokens[None, None], self.mesh)) if len(tokens) else None
        return Prompt(pooled, context)

    def heads(self, x):
        """(1, 1, S, E) -> (1, heads, S, E / heads)"""
        length, width = tuple(x.shape)[2:]
        return ttnn.permute(ttnn.reshape(x, (1, length, POOL_HEADS, width // POOL_HEADS)), (0, 2, 1, 3))

    def waves(self, timestep: float, into: ttnn.Tensor | None = None) -> ttnn.Tensor:
        """A time as sines and cosines (1, 1, 1, time_embed_dim)"""
        return replicate(self.sinusoids(torch.tensor([float(timestep)]))[None, None], self.mesh, into=into)

    def __call__(self, waves, pooled):
        """silu of the embedding (1, 1, 1, D): every modulation starts with it"""
        time = self.time_2(ttnn.silu(self.time_1(waves)))
        return ttnn.silu(ttnn.add(time, pooled))


def rotary_angles(frequencies: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
    """What turns each pair of numbers, (N, heads, head_dim / 2): a token's place in (T, h, w), times frequencies.

    Without values, as frequencies are in a dry run, there are no tables either: those of a real video take a gigabyte.
    MochiRoPE's own call asks for an autocast that neither the CPU nor torch's meta device has.
    """
    places = MochiRoPE()._get_positions(*grid, dtype=torch.float32).to(frequencies.device)
    return torch.einsum("nd,dhf->nhf", places, frequencies)


def patches(latents: torch.Tensor, p: int) -> torch.Tensor:
    """(1, channels, T, H, W) -> (1, 1, T H/p W/p, channels p p), row by row, frame by frame"""
    x = latents.unflatten(4, (-1, p)).unflatten(3, (-1, p))  # (1, c, T, h, p, w, p)
    return x.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(1, 3)[None]


def video(tokens: torch.Tensor, grid: tuple[int, int, int], p: int) -> torch.Tensor:
    """(1, 1, T h w, p p channels) -> (1, channels, T, h p, w p); within a patch not the order that goes in"""
    x = tokens[0].unflatten(1, grid).unflatten(4, (p, p, -1))  # (1, T, h, w, p, p, c)
    return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5).flatten(3, 4)
