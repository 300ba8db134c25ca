"""The denoiser of still pictures: Stable Diffusion 3's MMDiT in ttnn, heads and MLP columns over tp.

Two streams of one width, the picture's tokens and the text's, with weights of their own and one attention over both.
SD 3.5 adds norms to queries and keys, and its Medium a second attention, over the picture alone, in the first blocks.
Heads that do not divide over tp, as Large's 38 over 4 chips, are filled up with heads of zeros. Their values are zeros,
and so is what they add (as in tenstorrent/tt-metal, models/tt_dit/utils/padding.py@5f3ea9a7).
The reference is diffusers' SD3Transformer2DModel. One picture's tokens are few, so they are not cut over sp. Pictures
are: a mesh makes as many at once as it has chips along sp, each on its own line of tp. One alone is made by all lines
alike. Shapes: P pictures (1, or as many as chips along sp), N tokens of each, L of its text, D the width of both; a
chip sees one picture, (1, 1, N, D).
"""

from typing import ClassVar, NamedTuple

import torch
import ttnn
from diffusers.models.embeddings import Timesteps

from helpers.layers.config import Rule, check_config, one_of, same_as
from helpers.layers.parallel import (
    ColumnParallel,
    Linear,
    RMSNorm,
    RowParallel,
    attention_program,
    check_head_dim,
    degree,
    fused_by_chip,
    over_sp,
    pad_to,
)
from helpers.mochi.transformer import Modulation, patches, video
from helpers.tensors import gather, replicate, shard

EPS = 1e-6  # of every norm in SD3Transformer2DModel
SINUSOIDS = 256  # numbers that a timestep becomes, fixed in diffusers' SD3Transformer2DModel


class Prompt(NamedTuple):
    """What the denoiser needs of the pictures' texts, once for all steps. P over sp."""

    pooled: ttnn.Tensor  # (1, P, 1, D)
    context: ttnn.Tensor  # (1, P, L, D)


class Transformer:
    """`model(latents, prompt, timestep)` -> the model's output for one step, the same shape as the latents.

    `weights` gives a torch tensor for each name of SD3Transformer2DModel, `config` is its config.
    """

    made_for: ClassVar = {
        "qk_norm": one_of(None, "rms_norm"),
        "out_channels": same_as("in_channels"),
        "caption_projection_dim": Rule(
            "num_attention_heads x attention_head_dim",
            lambda value, config: value == config["num_attention_heads"] * config["attention_head_dim"],
        ),
    }

    def __init__(self, mesh, weights, config):
        check_config(config, self.made_for, "transformer")
        check_head_dim(config["attention_head_dim"])
        self.mesh, self.config = mesh, config
        linear = lambda name: Linear(mesh, weights[name + ".weight"], weights[name + ".bias"])
        self.patch_embed = Linear(mesh, weights["pos_embed.proj.weight"].flatten(1), weights["pos_embed.proj.bias"])
        self.positions = weights["pos_embed.pos_embed"].unflatten(1, (config["pos_embed_max_size"],) * 2)
        self.sinusoids = Timesteps(SINUSOIDS, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_1, self.time_2 = (linear(f"time_text_embed.timestep_embedder.linear_{n}") for n in (1, 2))
        self.text_1, self.text_2 = (linear(f"time_text_embed.text_embedder.linear_{n}") for n in (1, 2))
        self.context = linear("context_embedder")
        self.blocks = [Block(mesh, weights, n, config) for n in range(config["num_layers"])]
        self.norm_out = Modulation(mesh, weights, "norm_out.linear.", 2)
        self.proj_out = linear("proj_out")

    def prompt(self, hidden: torch.Tensor, pooled: torch.Tensor) -> Prompt:
        """The text encoders' output for each token (P, L, E), and for each whole text (P, C), onto the mesh"""
        cut = over_sp(self.mesh, len(hidden))
        of_text = self.text_1(shard(pooled[None, :, None], self.mesh, **cut))
        return Prompt(self.text_2(ttnn.silu(of_text)), self.context(shard(hidden[None], self.mesh, **cut)))

    def __call__(self, latents: torch.Tensor, prompt: Prompt, timestep: float) -> torch.Tensor:
        """latents (P, channels, H, W) -> (P, channels, H, W)"""
        grid, p, cut = self.grid(latents), self.config["patch_size"], over_sp(self.mesh, len(latents))
        x = self.patch_embed(shard(patches(latents[:, :, None], p), self.mesh, **cut))
        x = ttnn.add(x, replicate(self.cropped_positions(*grid), self.mesh))
        context, condition = prompt.context, self.condition(timestep, prompt.pooled)
        for block in self.blocks:
            x, context = block(x, context, condition)
        scale, shift = self.norm_out(condition)
        tokens = gather(self.proj_out(modulated(normed(x), shift, scale)), **cut)
        return video(tokens.float(), (1, *grid), p)[:, :, 0]

    def grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Rows and columns of patches. Raises ValueError where patches do not fit, or are more than the table has."""
        p, most = self.config["patch_size"], self.config["pos_embed_max_size"]
        height, width = latents.shape[2:]
        if height % p or width % p:
            raise ValueError(f"Latents of {height} x {width} do not divide into patches of {p} x {p}.")
        if max(height, width) > most * p:
            raise ValueError(f"Latents of {height} x {width} are larger than this model's {most * p} x {most * p}.")
        return height // p, width // p

    def cropped_positions(self, height: int, width: int) -> torch.Tensor:
        """(1, 1, N, D), the middle of the table: a smaller picture is a crop of the largest."""
        top, left = ((self.config["pos_embed_max_size"] - length) // 2 for length in (height, width))
        return self.positions[:, top : top + height, left : left + width].flatten(1, 2)[None]

    def condition(self, timestep: float, pooled: ttnn.Tensor) -> ttnn.Tensor:
        """silu of the step's embedding plus the texts', (1, P, 1, D): every modulation starts with it"""
        waves = replicate(self.sinusoids(torch.tensor([float(timestep)]))[None, None], self.mesh)
        return ttnn.silu(ttnn.add(self.time_2(ttnn.silu(self.time_1(waves))), pooled))


class Block:
    """One MMDiT block. The last one makes no text output: nothing reads it."""

    def __init__(self, mesh, weights, number: int, config):
        prefix = f"transformer_blocks.{number}."
        self.is_last = number == config["num_layers"] - 1
        is_dual = number in config.get("dual_attention_layers", ())
        self.modulation = Modulation(mesh, weights, prefix + "norm1.linear.", 9 if is_dual else 6)
        self.context_modulation = Modulation(mesh, weights, prefix + "norm1_context.linear.", 2 if self.is_last else 6)
        self.attention = JointAttention(mesh, weights, prefix + "attn.", config, self.is_last)
        self.second_attention = Attention(mesh, weights, prefix + "attn2.", config) if is_dual else None
        self.mlp = MLP(mesh, weights, prefix + "ff.")
        self.context_mlp = None if self.is_last else MLP(mesh, weights, prefix + "ff_context.")

    def __call__(self, x, context, condition):
        """x (1, 1, N, D) and context (1, 1, L, D) -> the same; no context after the last block"""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate, *second = self.modulation(condition)
        if self.is_last:
            context_scale, context_shift = self.context_modulation(condition)
        else:
            context_shift, context_scale, context_gate, *context_rest = self.context_modulation(condition)
        before = normed(x)
        mixed, mixed_context = self.attention(
            modulated(before, shift, scale), modulated(normed(context), context_shift, context_scale)
        )
        x = plus(x, mixed, gate)
        if self.second_attention:
            shift, scale, gate = second
            x = plus(x, self.second_attention(modulated(before, shift, scale)), gate)
        x = plus(x, self.mlp(modulated(normed(x), mlp_shift, mlp_scale)), mlp_gate)
        if self.is_last:
            return x, None
        mlp_shift, mlp_scale, mlp_gate = context_rest
        context = plus(context, mixed_context, context_gate)
        return x, plus(context, self.context_mlp(modulated(normed(context), mlp_shift, mlp_scale)), mlp_gate)


class Attention:
    """Every token of the picture asks every other: (1, 1, N, D) -> (1, 1, N, D). Heads over tp."""

    def __init__(self, mesh, weights, prefix: str, config):
        self.stream = Stream(mesh, weights, prefix, config, ("to_q", "to_k", "to_v"), ("norm_q", "norm_k"))
        self.out = of_heads(mesh, weights, prefix + "to_out.0.", config)
        self.grid = mesh.compute_with_storage_grid_size()

    def __call__(self, x):
        q, k, v = self.stream(x)
        program = attention_program(self.grid, q.shape[-2])
        mixed = ttnn.transformer.scaled_dot_product_attention(q, k, v, is_causal=False, program_config=program)
        return self.out(ttnn.experimental.nlp_concat_heads(mixed))


class JointAttention(Attention):
    """The same over both streams at once; in the last block only the picture's tokens hear the answer."""

    def __init__(self, mesh, weights, prefix: str, config, is_last: bool):
        super().__init__(mesh, weights, prefix, config)
        names, norms = ("add_q_proj", "add_k_proj", "add_v_proj"), ("norm_added_q", "norm_added_k")
        self.text_stream = Stream(mesh, weights, prefix, config, names, norms)
        self.text_out = None if is_last else of_heads(mesh, weights, prefix + "to_add_out.", config)

    def __call__(self, x, context):
        """x (1, 1, N, D) and context (1, 1, L, D) -> the same"""
        q, k, v = self.stream(x)
        program = attention_program(self.grid, q.shape[-2])
        mixed, mixed_text = ttnn.transformer.joint_scaled_dot_product_attention(
            q, k, v, *self.text_stream(context), joint_strategy="rear", program_config=program
        )
        mixed_text = self.text_out(ttnn.experimental.nlp_concat_heads(mixed_text)) if self.text_out else None
        return self.out(ttnn.experimental.nlp_concat_heads(mixed)), mixed_text


class Stream:
    """One stream's queries, keys and values; queries and keys normed head by head where the model has norms.

    names, norms: of the layers under `prefix`.
    """

    def __init__(self, mesh, weights, prefix: str, config, names: tuple, norms: tuple):
        tp = degree(mesh, "tp")
        self.heads = -(-config["num_attention_heads"] // tp)
        padded = lambda name: pad_to(weights[prefix + name], 0, whole_heads(mesh, config))
        fused = lambda kind: fused_by_chip([padded(f"{name}.{kind}") for name in names], tp)
        self.qkv = ColumnParallel(mesh, fused("weight"), fused("bias"))
        self.norms = None
        if config.get("qk_norm") is not None:
            self.norms = [RMSNorm(mesh, weights[f"{prefix}{name}.weight"], EPS) for name in norms]

    def __call__(self, x):
        """(1, 1, S, D) -> q, k, v (1, heads / tp, S, head_dim)"""
        q, k, v = ttnn.experimental.nlp_create_qkv_heads(self.qkv(x), num_heads=self.heads, transpose_k_heads=False)
        return (self.norms[0](q), self.norms[1](k), v) if self.norms else (q, k, v)


def of_heads(mesh, weights, prefix: str, config) -> RowParallel:
    """From all heads back to one width: (1, 1, S, heads head_dim / tp) -> (1, 1, S, D)"""
    return RowParallel(mesh, pad_to(weights[prefix + "weight"], 1, whole_heads(mesh, config)), weights[prefix + "bias"])


def whole_heads(mesh, config) -> int:
    """Columns in one head for each chip along tp: what the columns of all heads are padded to a multiple of"""
    return degree(mesh, "tp") * config["attention_head_dim"]


class MLP:
    """gelu(x U + b) D + c, its GELU the one of tanh: columns, then rows, one all_reduce."""

    def __init__(self, mesh, weights, prefix: str):
        self.up = ColumnParallel(mesh, weights[prefix + "net.0.proj.weight"], weights[prefix + "net.0.proj.bias"])
        self.down = RowParallel(mesh, weights[prefix + "net.2.weight"], weights[prefix + "net.2.bias"])

    def __call__(self, x):
        return self.down(ttnn.gelu(self.up(x), variant=ttnn.GeluVariant.Tanh))


def normed(x):
    return ttnn.layer_norm(x, epsilon=EPS)


def modulated(x, shift, scale):
    return ttnn.add(ttnn.multiply(x, ttnn.add(scale, 1.0)), shift)


def plus(x, change, gate):
    return ttnn.add(x, ttnn.multiply(change, gate))
