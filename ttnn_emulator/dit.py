"""Golden functions of the fused ops that Tenstorrent's diffusion transformers call.

They are those of models/tt_dit in tenstorrent/tt-metal. Each is what the op's documentation in ttnn 0.81.1 says, in
torch, computed in float32 and rounded once at the end, as one fused kernel does. Tested against torch's own layers
(tests/test_ops_dit.py).
"""

import torch
import torch.nn.functional as F
import ttnn

from ttnn_emulator.exchange import from_end, gathered, golden_over_mesh, scattered
from ttnn_emulator.hops import BACKWARD, FORWARD, unwritten
from ttnn_emulator.memory import TILE
from ttnn_emulator.ops import golden_of, rotary_embedding_llama
from ttnn_emulator.shards import Shards

ACTIVATIONS = {"SILU": F.silu, "GELU": F.gelu, "RELU": F.relu, "SIGMOID": torch.sigmoid, "TANH": torch.tanh}


def activated(x, activation):
    """x after an activation: a name, a ttnn.UnaryOpType, a ttnn.UnaryWithParam, or a tuple that begins with one.

    The parameter of a GELU chooses how precisely the chip approximates it, not another function.
    """
    if activation is None:
        return x
    kind = activation[0] if isinstance(activation, (tuple, list)) else activation
    kind = getattr(kind, "op_type", kind)
    name = getattr(kind, "name", str(kind)).upper()
    if name not in ACTIVATIONS:
        raise NotImplementedError(f"the fused activation {name.lower()} is not emulated")
    return ACTIVATIONS[name](x)


# Norms. Where chips share a row, each first says what its part adds up to ("pre"), and all_gather brings that to all.


@golden_of(ttnn.experimental.dit_rms_norm_unary_fused)
def dit_rms_norm_unary_fused(
    input_tensor, epsilon=1e-5, weight=None, bias=None, residual_input_tensor=None, *, activation=None
):
    """activation(RMSNorm(input + residual)) over the last dimension"""
    x = input_tensor.float() if residual_input_tensor is None else input_tensor.float() + residual_input_tensor.float()
    x = F.rms_norm(x, x.shape[-1:], eps=epsilon)
    return activated(scaled(x, weight, bias), activation)


def scaled(x, weight, bias):
    """x weight + bias; both hold a number for each column, in rows of one tile or in one row"""
    x = x if weight is None else x * weight.float().flatten()
    return x if bias is None else x + bias.float().flatten()


@golden_of(ttnn.experimental.dit_layernorm_pre_allgather)
def dit_layernorm_pre_allgather(input_tensor, recip_tensor=None):
    """Of each row mean and variance, in columns 0 and 32. The documentation says sums; Welford's kernel writes these.

    (ttnn/cpp/ttnn/operations/experimental/transformer/dit_layernorm_pre_all_gather, tenstorrent/tt-metal@79925a3f)
    """
    x = input_tensor.float()
    stats = x.new_zeros(*x.shape[:-1], 2 * TILE)
    stats[..., 0], stats[..., TILE] = x.mean(-1), x.var(-1, unbiased=False)
    return stats


@golden_of(ttnn.experimental.dit_layernorm_post_allgather)
def dit_layernorm_post_allgather(input_tensor, stats, *, epsilon=1e-5, weight=None, bias=None):
    """Layer norm with mean and variance of whole rows, put together from those of equally long parts."""
    means, variances = stats.float().unflatten(-1, (-1, 2, TILE))[..., 0].unbind(-1)
    mean = means.mean(-1, keepdim=True)
    variance = (variances + (means - mean).square()).mean(-1, keepdim=True)
    return scaled((input_tensor.float() - mean) * torch.rsqrt(variance + epsilon), weight, bias)


@golden_of(ttnn.experimental.wan_fused_rmsnorm_pre_allgather)
def wan_fused_rmsnorm_pre_allgather(input_tensor):
    """Of each row the sum of squares, in column 0 of one tile"""
    squares = input_tensor.float().square().sum(-1, keepdim=True)
    return F.pad(squares, (0, TILE - 1))


@golden_of(ttnn.experimental.wan_fused_rmsnorm_post_allgather)
def wan_fused_rmsnorm_post_allgather(
    input_tensor, stats, *, epsilon=1e-5, num_heads_per_device=1, weight=None, bias=None,
    transformation_mat=None, rope_cos=None, rope_sin=None, per_head_norm=False,
):  # fmt: skip
    """(1, 1, S, H) and a tile of sums from each chip -> RMS norm over whole rows, (1, heads, S, H / heads), turned"""
    if per_head_norm:
        raise NotImplementedError("per_head_norm of wan_fused_rmsnorm_post_allgather is not emulated")
    sums = stats.float()[..., ::TILE]
    mean = sums.sum(-1, keepdim=True) / (input_tensor.shape[-1] * sums.shape[-1])
    x = scaled(input_tensor.float() * torch.rsqrt(mean + epsilon), weight, bias)
    x = x.squeeze(1).unflatten(-1, (num_heads_per_device, -1)).transpose(1, 2)
    if rope_cos is None:
        return x
    return rotary_embedding_llama(x, rope_cos.float(), rope_sin.float(), transformation_mat.float())


# Matrix products, with what is fused behind them


def product(x, weight, bias=None, activation=None, fuse_swiglu=False):
    """activation(x W + b). x may be two tensors whose columns, each padded to tiles, stand side by side.

    With fuse_swiglu W's tiles of columns are gate and up by turns: silu(gate) up, half as wide.
    """
    if isinstance(x, (list, tuple)):
        x = torch.cat([F.pad(part, (0, -part.shape[-1] % TILE)) for part in x], -1)
    y = x.float() @ weight.float()
    y = y if bias is None else y + bias.float().flatten()
    if fuse_swiglu:
        gate, up = y.unflatten(-1, (-1, 2, TILE)).unbind(-2)
        return (F.silu(gate) * up).flatten(-2)
    return activated(y, activation)


@golden_of(ttnn.experimental.minimal_matmul)
def minimal_matmul(input_tensor, weight_tensor, bias_tensor=None, fused_activation=None, *, fuse_swiglu=False):
    return product(input_tensor, weight_tensor, bias_tensor, fused_activation, fuse_swiglu)


@golden_of(ttnn.experimental.minimal_matmul_split)
def minimal_matmul_split(
    input_tensor, weight_tensor, *, chunks=3, dim=-1, bias_tensor=None, fused_activation=None, fuse_swiglu=False
):
    """The product in `chunks` parts of its columns"""
    return list(product(input_tensor, weight_tensor, bias_tensor, fused_activation, fuse_swiglu).chunk(chunks, dim))


@golden_of(ttnn.experimental.dit_minimal_matmul_addcmul_fused)
def dit_minimal_matmul_addcmul_fused(
    matmul_input_tensor, matmul_weight_tensor, scalar, addcmul_input_tensor1, addcmul_input_tensor2, bias_tensor=None
):
    """residual + scalar (x W + b) gate"""
    y = product(matmul_input_tensor, matmul_weight_tensor, bias_tensor)
    return gated(y, scalar, addcmul_input_tensor1, addcmul_input_tensor2)


def gated(y, scalar, residual, gate):
    return residual.float() + (1.0 if scalar is None else scalar) * y * gate.float()


def by_chip(value, chips: int) -> list:
    """For each chip what it holds of an argument; nothing where the argument is not given"""
    return [None] * chips if value is None else value


@golden_over_mesh(ttnn.experimental.all_gather_minimal_matmul_async)
def all_gather_minimal_matmul_async(
    input_tensor: Shards, weight_tensor: Shards, bias_tensor: Shards | None = None, *, mesh, cluster_axis=None,
    fused_activation=None, chunks=1, fuse_swiglu=False, scalar=None, addcmul_input_tensor1: Shards | None = None,
    addcmul_input_tensor2: Shards | None = None, topology=None,
) -> tuple[list[torch.Tensor], ...]:  # fmt: skip
    """Rows are first joined along a line of chips; then each chip multiplies by its own columns of W."""
    chips = len(weight_tensor)
    whole = gathered(input_tensor, mesh, -1, mesh.the_axis(cluster_axis), topology)
    products = [
        product(x, weight, bias, fused_activation, fuse_swiglu)
        for x, weight, bias in zip(whole, weight_tensor, by_chip(bias_tensor, chips))
    ]
    if addcmul_input_tensor1 is not None:
        pairs = zip(addcmul_input_tensor1, addcmul_input_tensor2)
        products = [gated(y, scalar, *pair) for y, pair in zip(products, pairs)]
    return tuple(list(part) for part in zip(*(y.chunk(chunks, -1) for y in products)))


@golden_over_mesh(ttnn.experimental.minimal_matmul_strided_reduce_scatter_async)
def minimal_matmul_strided_reduce_scatter_async(
    input_tensor: Shards, weight_tensor: Shards, dim, *semaphores_and_places, mesh, cluster_axis=None,
    bias: Shards | None = None, fused_activation=None, fused_ternary_scalar=None,
    addcmul_input_tensor1: Shards | None = None, addcmul_input_tensor2: Shards | None = None, topology=None,
) -> tuple[list[torch.Tensor], Shards | list[torch.Tensor]]:  # fmt: skip
    """(each chip's product, the part along dim that it keeps of the sum over its line); the input may be two"""
    chips = len(weight_tensor)
    if isinstance(input_tensor, list):
        input_tensor = list(zip(*input_tensor))  # both parts of each chip
    products = [
        product(x, weight, b, fused_activation)
        for x, weight, b in zip(input_tensor, weight_tensor, by_chip(bias, chips))
    ]
    kept = scattered(Shards.of(products), mesh, dim, mesh.the_axis(cluster_axis), topology)
    if addcmul_input_tensor1 is not None:
        kept = [
            gated(y, fused_ternary_scalar, *pair)
            for y, *pair in zip(kept, addcmul_input_tensor1, addcmul_input_tensor2)
        ]
    return products, kept


@golden_over_mesh(ttnn.experimental.slice_reshard_async)
def slice_reshard_async(
    input_tensor: Shards, *, mesh, dim, output_dim_offset, output_dim_shape, cluster_axis
) -> Shards:
    """Of what a line of chips holds together along dim, a stretch, cut anew for the same chips; zeros beyond the end"""

    dim = from_end(dim, input_tensor)

    def reshard(line, shards):
        length, new = shards[0].shape[dim], output_dim_shape // line.length

        def stretch(to: int, start: int) -> torch.Tensor:
            parts = [
                sent(line, shard.narrow(dim, max(start - length * place, 0), overlap), place, to)
                for place, shard in enumerate(shards)
                if (overlap := min(start + new, length * (place + 1)) - max(start, length * place)) > 0
            ]
            whole = torch.cat(parts, dim) if parts else shards[to].narrow(dim, 0, 0)
            return F.pad(whole.movedim(dim, -1), (0, new - whole.shape[dim])).movedim(-1, dim)

        return [stretch(to, output_dim_offset + new * to) for to in range(line.length)]

    return mesh.along(mesh.the_axis(cluster_axis), False, reshard, input_tensor)


def sent(line, tensor: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """What arrives at a place of a line of what another sends it, hop by hop"""
    way, place = FORWARD if start < end else BACKWARD, start
    for _ in range(abs(end - start)):
        if (hop := line.hand(tensor, place, way)) is None:
            return unwritten(tensor)
        place, tensor = hop
    return tensor if place == end else unwritten(tensor)
