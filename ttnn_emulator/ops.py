"""Golden functions for single-chip ops that ttnn 0.81.1 carries none for, or none that fits per-chip shards.

Each is what the op's documentation says, in torch, and is tested against torch or the op's counterpart
(tests/test_ops_models.py). An op that you need and do not find here raises an error that says so.
"""

import math

import torch
import torch.nn.functional as F
import ttnn
from ttnn.operations import binary

from ttnn_emulator.options import seeded, strict


def golden_of(*ops):
    def attach(function):
        for op in ops:
            ttnn.attach_golden_function(op, golden_function=function)
        return function

    return attach


@golden_of(ttnn.experimental.nlp_create_qkv_heads)
def create_qkv_heads(
    input,
    input_kv=None,
    *,
    num_heads,
    num_kv_heads=None,
    transpose_k_heads=True,
    kv_tied=False,
):
    """(B, 1, S, (num_heads + 2 num_kv_heads) head_dim) -> q, k, v (B, heads, S, head_dim), k perhaps transposed."""
    num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    sections = 1 if kv_tied else 2
    fused = input if input_kv is None else torch.cat([input, input_kv], -1)
    head_dim = fused.shape[-1] // (num_heads + sections * num_kv_heads)
    q, k, *v = fused.split([num_heads * head_dim] + [num_kv_heads * head_dim] * sections, -1)
    q, k, v = (split_heads(part, head_dim) for part in (q, k, v[0] if v else k))
    return q, k.transpose(-1, -2) if transpose_k_heads else k, v


def split_heads(x, head_dim):
    """(..., 1, S, heads head_dim) -> (..., heads, S, head_dim)"""
    return x.squeeze(-3).unflatten(-1, (-1, head_dim)).transpose(-3, -2)


@golden_of(ttnn.experimental.nlp_concat_heads)
def concat_heads(input_tensor):
    """(B, heads, S, head_dim) -> (B, 1, S, heads head_dim)"""
    return input_tensor.transpose(-3, -2).flatten(-2).unsqueeze(-3)


@golden_of(ttnn.experimental.rotary_embedding_llama)
def rotary_embedding_llama(input_tensor, cos_cache, sin_cache, trans_mat):
    """x cos + (x T) sin, where the 32x32 matrix T swaps the two of each pair and turns one's sign, tile by tile."""
    tile = trans_mat[..., 0, 0, :32, :32]
    tile = tile if tile.ndim == 2 else tile[:, None, None, None]  # chips with a matrix each (per_chip.py)
    turned = (input_tensor.unflatten(-1, (-1, 32)) @ tile).flatten(-2)
    positions = input_tensor.shape[-2]  # the caches may be longer
    return input_tensor * cos_cache[..., :positions, :] + turned * sin_cache[..., :positions, :]


@golden_of(ttnn.experimental.prepare_conv3d_weights)
def prepare_conv3d_weights(*, weight_tensor, groups=1, C_in_block=0, alignment=32):
    """(C_out, C_in, D, H, W) -> (D H W C_in', C_out); blocks of C_in outermost, C_in' padded to the alignment."""
    if groups != 1:
        raise NotImplementedError("grouped 3D convolutions are not emulated")
    kernel = weight_tensor.permute(2, 3, 4, 1, 0)  # (D, H, W, C_in, C_out)
    kernel = F.pad(kernel, (0, 0, 0, -kernel.shape[3] % alignment))
    block = C_in_block or kernel.shape[3]
    return kernel.unflatten(3, (-1, block)).permute(3, 0, 1, 2, 4, 5).flatten(0, 4)


@golden_of(ttnn.experimental.conv3d)
def conv3d(
    *,
    input_tensor,
    weight_tensor,
    output_channels,
    kernel_size,
    bias_tensor=None,
    config=None,
    stride=(1, 1, 1),
    padding=(0, 0, 0),
    dilation=(1, 1, 1),
    padding_mode="zeros",
    groups=1,
    halo_buffer=None,
    output_pad_h=0,
    output_pad_w=0,
):
    """(..., D, H, W, C_in) -> (..., D', H', W', C_out), weights as prepare_conv3d_weights lays them out."""
    if groups != 1 or halo_buffer is not None or output_pad_h or output_pad_w:
        raise NotImplementedError("groups, halo_buffer and output padding of conv3d are not emulated")
    channels = input_tensor.shape[-1]
    aligned = weight_tensor.numel() // (output_channels * kernel_size[0] * kernel_size[1] * kernel_size[2])
    block = getattr(config, "C_in_block", 0) or aligned
    kernel = weight_tensor.reshape(-1, *kernel_size, block, output_channels)  # (blocks, D, H, W, block, C_out)
    kernel = kernel.permute(5, 0, 4, 1, 2, 3).flatten(1, 2)[:, :channels]
    x = input_tensor.flatten(0, -5).permute(0, 4, 1, 2, 3)
    if padding_mode == "replicate":
        d, h, w = padding
        x, padding = F.pad(x, (w, w, h, h, d, d), mode="replicate"), 0
    bias = None if bias_tensor is None else bias_tensor.reshape(-1, output_channels)[0]
    y = F.conv3d(x, kernel, bias, stride, padding, dilation).permute(0, 2, 3, 4, 1)
    return y.unflatten(0, input_tensor.shape[:-4])


@golden_of(ttnn.experimental.fast_reduce_nc)
def fast_reduce_nc(input, dims):
    """The sum over whole dimensions, which stay with length 1."""
    return input.sum(dims, keepdim=True)


@golden_of(ttnn.experimental.rotate_half)
def rotate_half(input_tensor):
    """(x1, x2) -> (-x2, x1), halves of the last dimension"""
    first, second = input_tensor.chunk(2, -1)
    return torch.cat([-second, first], -1)


def without_activations(theirs):
    """Of ttnn's binary ops: it makes a table of all activations each time, which takes longer than many a product."""

    def apply_activations(tensor, activations, *others):
        return theirs(tensor, activations, *others) if activations else tensor

    return apply_activations


binary.apply_activations = without_activations(binary.apply_activations)

# ttnn's own golden functions of the following ops do not do all that the ops do.


@golden_of(ttnn.prelu)
def prelu(input_tensor_a, input_tensor_b):
    """A slope, or one per channel. ttnn's refuses a slope tensor of the input's rank, the form of the op's example."""
    slope = torch.as_tensor(input_tensor_b)
    if slope.ndim == 1 and slope.numel() > 1:
        slope = slope.reshape(-1, *[1] * (input_tensor_a.ndim - 2))
    return torch.where(input_tensor_a > 0, input_tensor_a, slope * input_tensor_a)


@golden_of(ttnn.layer_norm)
def layer_norm(input_tensor, *, epsilon=1e-12, weight=None, bias=None, residual_input_tensor=None):
    """ttnn's adds the residual to the input in place."""
    if residual_input_tensor is not None:
        input_tensor = input_tensor + residual_input_tensor
    weight, bias = (None if p is None else p.flatten() for p in (weight, bias))
    return F.layer_norm(input_tensor, input_tensor.shape[-1:], weight, bias, epsilon)


@golden_of(ttnn.experimental.rotary_embedding)
def rotary_embedding(input_tensor, cos_cache, sin_cache, token_index=None):
    """x cos + rotate_half(x) sin, for all positions or for one. ttnn's knows only the form with a token index."""
    positions = slice(0, input_tensor.shape[-2]) if token_index is None else slice(token_index, token_index + 1)
    cos, sin = cos_cache[:, :, positions], sin_cache[:, :, positions]
    return input_tensor * cos + rotate_half(input_tensor) * sin


@golden_of(ttnn.batch_norm)
def batch_norm(
    input, *, running_mean=None, running_var=None, training=False, eps=1e-5, momentum=0.1, weight=None, bias=None
):
    """[(N, C, H, W) normed channel by channel, the statistics that go in], which training moves to the batch's.

    ttnn's moves them in place, those of all chips as one. The variance is that of the batch, not an estimate as
    torch's (ttnn/cpp/ttnn/operations/normalization/batch_norm/batch_norm.cpp, tenstorrent/tt-metal@79925a3f).
    """
    x, kept = input.float(), [running_mean, running_var]
    mean, variance = kept
    if training:
        places = (0, *range(2, x.ndim))
        mean, variance = x.mean(places, keepdim=True), x.var(places, unbiased=False, keepdim=True)
        kept = [None if k is None else torch.lerp(k.float(), b, momentum) for k, b in zip(kept, (mean, variance))]
    y = (x - mean) * torch.rsqrt(variance + eps)
    y = y if weight is None else y * weight
    return [y if bias is None else y + bias, *(k for k in kept if k is not None)]


batch_norm.updates = ("running_mean", "running_var")


def in_mode(theirs):
    def sigmoid(input_tensor, *, vector_mode=4, mode=None, **options):
        """How exactly the chip computes it, `mode`, is not emulated; nor are vectors that are columns."""
        if vector_mode != 4:
            raise NotImplementedError(f"vector_mode={vector_mode} is not emulated: only 4, whole tiles")
        return theirs(input_tensor, **options)

    sigmoid.__module__ = theirs.__module__  # which says that it goes number by number (padding.py)
    return sigmoid


golden_of(ttnn.sigmoid)(in_mode(strict(ttnn.sigmoid.golden_function)))


@golden_of(ttnn.uniform)
def uniform(input_tensor, low=0.0, high=1.0, seed=0, **bounds):
    """Numbers anywhere between two. ttnn's overlooks the seed. A bound may be called `from`, which is no name here."""
    low, high = bounds.pop("from", low), bounds.pop("to", high)
    with seeded(seed):
        return low + (high - low) * torch.rand(input_tensor.shape)


@golden_of(ttnn.full_like)
def full_like(tensor, fill_value):
    """In a dtype that holds the value: the tensor that ttnn makes may have another than the one it is like."""
    return torch.full(tensor.shape, fill_value)


@golden_of(ttnn.scale_mask_softmax_in_place)
def scale_mask_softmax_in_place(input_tensor, scale=None, mask=None, *, is_causal_mask=False, numeric_stable=True):
    """softmax(x scale + mask). Heads that stand below each other in a shard's rows have one mask."""
    x = input_tensor.float() * (1.0 if scale is None else scale)
    if mask is not None:
        rows = mask.shape[-2]
        x = x + (mask.float() if rows == 1 else mask.float().repeat(1, 1, x.shape[-2] // rows, 1))
    return x.softmax(-1)


# ttnn's golden functions of matrix products drop leading dimensions of 1 that the ops keep.


def of_full_rank(theirs):
    def product(input_tensor_a, input_tensor_b, *args, bias=None, **kwargs):
        ranks = input_tensor_a.ndim, input_tensor_b.ndim
        most = max(ranks)
        if bias is not None:
            most = max(most, bias.ndim)
            kwargs["bias"] = bias.reshape(bias.shape[-1]) if math.prod(bias.shape[:-1]) == 1 else bias
        y = theirs(input_tensor_a, input_tensor_b, *args, **kwargs)
        missing = most - y.ndim if min(ranks) > 1 else 0
        return y[(None,) * missing]

    return product


for op in (ttnn.matmul, ttnn.linear):
    golden_of(op)(of_full_rank(strict(op.golden_function)))


@golden_of(ttnn.sampling)
def sampling(input_values_tensor, input_indices_tensor, *, k, p, temp):
    """(1, 1, users, V) scores -> (1, 1, 1, users), for each an index drawn from the fewest of its k best that reach p.

    temp is one over the temperature. Which one is drawn is torch's chance, not a chip's.
    """
    scores = input_values_tensor[0, 0].float() * temp.float().flatten()[:, None]
    order = scores.argsort(dim=-1, descending=True, stable=True)
    ranked = scores.gather(-1, order)
    ranked[torch.arange(ranked.shape[-1]) >= k.long().flatten()[:, None]] = -float("inf")
    shares = ranked.softmax(-1)
    shares = shares * (shares.cumsum(-1) - shares < p.float().flatten()[:, None])
    drawn = order.gather(-1, shares.multinomial(1))
    return input_indices_tensor[0, 0].long().gather(-1, drawn).reshape(1, 1, 1, -1)
