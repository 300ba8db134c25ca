# ruff: noqa: E501 - one op per line
"""What models are made of - norms, attention, heads, caches, convolutions, pools - against plain torch."""

import cmath
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from helpers.tensors import gather, replicate, shard
from tests.on_galaxy import (
    FLOATS,
    ROW,
    TILE,
    TWO_FLOATS,
    Op,
    agree,
    between,
    check,
    compare,
    few,
    halves,
    opened,
    rounded,
)
from ttnn_emulator.arguments import on_device

mesh = pytest.fixture(scope="module")(opened)

BF16 = (ttnn.bfloat16,)
NORMED, ATTENTION = "A B C d, 1 d, 1 d -> A B C d", "A B t*32 32, A B t*32 32, A B t*32 32 -> A B t*32 32"


def o(shapes, ttnn_op, torch_op, dtypes=BF16, **options):
    return Op(shapes, ttnn_op, torch_op, dtypes=dtypes, **options)


def rms_norm(x, w=None, eps=1e-12):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * (1 if w is None else w)


def attention(q, k, v, mask=None, scale=None, causal=False):
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
    return (scores if mask is None else scores + mask).softmax(-1) @ v


def heads(x, count):
    """(B, S, heads head_dim) -> (B, heads, S, head_dim)"""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def rotated(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def sdpa(q, k, v, **options):
    return ttnn.transformer.scaled_dot_product_attention(q, k, v, **options)


def split_heads(x, **options):
    return ttnn.transformer.split_query_key_value_and_split_heads(x, num_heads=4, **options)


MODELS = {
    "softmax": o("A B C d", lambda x: ttnn.softmax(x, dim=-1), lambda x: x.softmax(-1), FLOATS),
    "softmax rows": o("A B c D", lambda x: ttnn.softmax(x, dim=-2), lambda x: x.softmax(-2), TWO_FLOATS),
    "softmax channels": o("A 5 C D", lambda x: ttnn.softmax(x, dim=1), lambda x: x.softmax(1)),
    "softmax stable": o("A B C d", lambda x: ttnn.softmax(x * 50, dim=-1, numeric_stable=True), lambda x: (rounded(x * 50, ttnn.bfloat16)).softmax(-1)),
    "softmax_in_place": o("A B C d", lambda x: [ttnn.softmax_in_place(x), x][1], lambda x: x.softmax(-1)),
    "scale_mask_softmax": o("A 1 C*32 d*32, A 1 1 d*32 -> A 1 C*32 d*32", lambda x, m: ttnn.scale_mask_softmax(x, 0.5, m), lambda x, m: (x * 0.5 + m).softmax(-1)),
    "scale_mask_softmax_in_place": o("A 1 C*32 d*32, A 1 1 d*32 -> A 1 C*32 d*32", lambda x, m: [ttnn.scale_mask_softmax_in_place(x, 0.5, m), x][1], lambda x, m: (x * 0.5 + m).softmax(-1)),
    "attention_softmax": o("A B C d, A 1 1 d -> A B C d", lambda x, m: ttnn.transformer.attention_softmax(x, head_size=16, attention_mask=m), lambda x, m: (x / 4 + m).softmax(-1)),
    "attention_softmax_": o("A B C*32 d*32, A 1 1 d*32 -> A B C*32 d*32", lambda x, m: ttnn.transformer.attention_softmax_(x, head_size=16, attention_mask=m), lambda x, m: (x / 4 + m).softmax(-1)),
    "layer_norm": o(NORMED, lambda x, w, b: ttnn.layer_norm(x, weight=w, bias=b, epsilon=1e-5), lambda x, w, b: F.layer_norm(x, x.shape[-1:], w[0], b[0], 1e-5), TWO_FLOATS),
    "layer_norm plain": o("A B C d", lambda x: ttnn.layer_norm(x, epsilon=0.1), lambda x: F.layer_norm(x, x.shape[-1:], eps=0.1), FLOATS),
    "layer_norm residual": o("A B C d, A B C d -> A B C d", lambda x, y: ttnn.layer_norm(x, residual_input_tensor=y, epsilon=1e-5), lambda x, y: F.layer_norm(x + y, x.shape[-1:])),
    "rms_norm": o("A B C d, 1 d -> A B C d", lambda x, w: ttnn.rms_norm(x, weight=w, epsilon=1e-6), lambda x, w: rms_norm(x, w, 1e-6), TWO_FLOATS),
    "rms_norm plain": o("A B C d", lambda x: ttnn.rms_norm(x, epsilon=0.1), lambda x: rms_norm(x, eps=0.1), FLOATS),
    "rms_norm residual": o("A B C d, A B C d -> A B C d", lambda x, y: ttnn.rms_norm(x, residual_input_tensor=y), lambda x, y: rms_norm(x + y)),
    "batch_norm": o("A b C D, 1 b 1 1, 1 b 1 1, 1 b 1 1, 1 b 1 1 -> A b C D", lambda x, m, v, w, b: ttnn.batch_norm(x, running_mean=m, running_var=v, weight=w, bias=b, eps=1e-3), lambda x, m, v, w, b: (x - m) * torch.rsqrt(v + 1e-3) * w + b, TWO_FLOATS, values=(*(between(-3, 3),) * 2, between(0.5, 2), *(between(-3, 3),) * 2)),
    "attention": o(ATTENTION, lambda q, k, v: sdpa(q, k, v, is_causal=False), attention),
    "attention causal": o(ATTENTION, sdpa, lambda q, k, v: attention(q, k, v, causal=True)),
    "attention scaled": o(ATTENTION, lambda q, k, v: sdpa(q, k, v, is_causal=False, scale=0.3), lambda q, k, v: attention(q, k, v, scale=0.3)),
    "attention masked": o("A B t*32 64, A B s*32 64, A B s*32 64, A 1 t*32 s*32 -> A B t*32 64", lambda q, k, v, m: sdpa(q, k, v, attn_mask=m, is_causal=False), attention, values=(*(between(-3, 3),) * 3, lambda g, s: (halves(g, s) > 1) * -1e4)),
    "attention grouped": o("A 6 t*32 32, A 2 t*32 32, A 2 t*32 32 -> A 6 t*32 32", sdpa, lambda q, k, v: attention(q, k, v, causal=True)),
    "attention cross": o("A B t*32 32, A B 96 32, A B 96 32 -> A B t*32 32", lambda q, k, v: sdpa(q, k, v, is_causal=False), attention),
    "split heads": o("A s*32 384 -> A 4 s*32 32", lambda x: split_heads(x, transpose_key=False), lambda x: [heads(p, 4) for p in x.chunk(3, -1)], exact=True),
    "split heads, key transposed": o("A 64 384 -> A 4 64 32, A 4 32 64, A 4 64 32", split_heads, lambda x: [h.mT if i == 1 else h for i, h in enumerate(heads(p, 4) for p in x.chunk(3, -1))], exact=True),
    "split heads, fewer keys": o("A 64 256 -> A 4 64 32, A 2 64 32, A 2 64 32", lambda x: split_heads(x, num_kv_heads=2, transpose_key=False), lambda x: [heads(p, n) for p, n in zip(x.split([128, 64, 64], -1), (4, 2, 2))], exact=True),
    "concatenate_heads": o("A 3 s*32 64 -> A s*32 192", ttnn.transformer.concatenate_heads, lambda x: x.transpose(1, 2).flatten(2), exact=True),
    "nlp_create_qkv_heads": o("A 1 s*32 384 -> A 4 s*32 32", lambda x: ttnn.experimental.nlp_create_qkv_heads(x, num_heads=4, transpose_k_heads=False), lambda x: [heads(p[:, 0], 4) for p in x.chunk(3, -1)], exact=True),
    "nlp_create_qkv_heads, key transposed": o("A 1 64 384 -> A 4 64 32, A 4 32 64, A 4 64 32", lambda x: ttnn.experimental.nlp_create_qkv_heads(x, num_heads=4), lambda x: [h.mT if i == 1 else h for i, h in enumerate(heads(p[:, 0], 4) for p in x.chunk(3, -1))], exact=True),
    "nlp_create_qkv_heads of two": o("A 1 64 128, A 1 64 128 -> A 4 64 32, A 2 64 32, A 2 64 32", lambda x, y: ttnn.experimental.nlp_create_qkv_heads(x, y, num_heads=4, num_kv_heads=2, transpose_k_heads=False), lambda x, y: [heads(x[:, 0], 4), *(heads(p[:, 0], 2) for p in y.chunk(2, -1))], exact=True),
    "nlp_concat_heads": o("A 3 s*32 64 -> A 1 s*32 192", ttnn.experimental.nlp_concat_heads, lambda x: x.transpose(1, 2).flatten(2)[:, None], exact=True),
    "rotary_embedding": o("A B s*32 64, 1 1 s*32 64, 1 1 s*32 64 -> A B s*32 64", ttnn.experimental.rotary_embedding, rotated),
    "rotate_half": o("A B s*32 64", ttnn.experimental.rotate_half, lambda x: torch.cat([-x.chunk(2, -1)[1], x.chunk(2, -1)[0]], -1), exact=True),
    "fill_cache": o("4 B 96 64, 1 B 32 64 -> 4 B 96 64", lambda c, x: [ttnn.fill_cache(c, x, batch_idx=2), c][1], lambda c, x: filled(c, x, 2, 0), exact=True),
    "fill_cache_for_user_": o("4 B 96 64, 1 B 64 64 -> 4 B 96 64", lambda c, x: [ttnn.kv_cache.fill_cache_for_user_(c, x, 3), c][1], lambda c, x: filled(c, x, 3, 0), exact=True),
    "update_cache": o("32 B 96 64, 1 B 32 64 -> 32 B 96 64", lambda c, x: [ttnn.update_cache(c, x, 41), c][1], lambda c, x: updated(c, x, 41), exact=True),
    "update_cache_for_token_": o("32 B 96 64, 1 B 32 64 -> 32 B 96 64", lambda c, x: [ttnn.kv_cache.update_cache_for_token_(c, x, 7, 0), c][1], lambda c, x: updated(c, x, 7), exact=True),
    "max_pool2d": o("2 9 11 32 -> 1 1 60 32", lambda x: pool(ttnn.max_pool2d, x, dilation=[1, 1]), lambda x: nhwc(F.max_pool2d, x, 3, 2, 1), exact=True, layouts=(ROW,)),
    "avg_pool2d": o("2 9 11 32 -> 1 1 60 32", lambda x: pool(ttnn.avg_pool2d, x), lambda x: nhwc(F.avg_pool2d, x, 3, 2, 1), layouts=(ROW,)),
    "max_pool2d, four paddings": o("2 9 11 32 -> 1 1 50 32", lambda x: pool(ttnn.max_pool2d, x, padding=[1, 1, 0, 1], dilation=[1, 1]), lambda x: nhwc(F.max_pool2d, F.pad(x, (0, 0, 0, 1, 1, 1), value=-math.inf), 3, 2), exact=True, layouts=(ROW,)),
    "adaptive_avg_pool2d": o("2 12 8 32 -> 1 1 16 32", lambda x: ttnn.adaptive_avg_pool2d(ttnn.reshape(x, (1, 1, 192, 32)), 2, 12, 8, 32, [4, 2]), lambda x: nhwc(F.adaptive_avg_pool2d, x, (4, 2)), layouts=(ROW,)),
    "upsample bilinear": o("A 4 8 32 -> A 8 16 32", lambda x: ttnn.upsample(x, 2, mode="bilinear"), lambda x: F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="bilinear").permute(0, 2, 3, 1), layouts=(ROW,)),
    "grid_sample": o("A 6 7 32, A 4 5 2 -> A 4 5 32", ttnn.grid_sample, lambda x, g: F.grid_sample(x.permute(0, 3, 1, 2), g, align_corners=False).permute(0, 2, 3, 1), values=(between(-3, 3), between(-1, 1)), dtypes=((ttnn.bfloat16, ttnn.float32),), layouts=(ROW,)),
    "grid_sample packed": o("A 6 7 32, A 4 5 6 -> A 4 15 32", ttnn.grid_sample, lambda x, g: sampled(x, g.reshape(-1, 4, 15, 2)), values=(between(-3, 3), between(-1, 1)), dtypes=((ttnn.bfloat16, ttnn.float32),), layouts=(ROW,)),
    "grid_sample packed, into channels": o("A 6 7 32, A 4 5 6 -> A 4 5 96", lambda x, g: ttnn.grid_sample(x, g, batch_output_channels=True), lambda x, g: sampled(x, g.reshape(-1, 4, 15, 2)).reshape(-1, 4, 5, 96), values=(between(-3, 3), between(-1, 1)), dtypes=((ttnn.bfloat16, ttnn.float32),), layouts=(ROW,)),
    "rotate a quarter": o("A 7 7 32", lambda x: ttnn.rotate(x, 90.0), lambda x: x.rot90(1, (1, 2)), exact=True, layouts=(ROW,)),
    "rotate bilinear": o("A 5 8 32", lambda x: ttnn.rotate(x, 33.0, fill=0.75, interpolation_mode="bilinear"), lambda x: turned(x, 33.0, (3.5, 2.0), 0.75), layouts=(ROW,)),
    "rotate around a centre": o("A 5 8 32", lambda x: ttnn.rotate(x, -70.0, center=(2.0, 3.5), interpolation_mode="bilinear"), lambda x: turned(x, -70.0, (2.0, 3.5), 0.0), layouts=(ROW,)),
}  # fmt: skip


def sampled(x, places):
    return F.grid_sample(x.permute(0, 3, 1, 2), places, align_corners=False).permute(0, 2, 3, 1)


def turned(x, degrees, centre, fill):
    """Pixel by pixel: where it comes from, and the four around that place, weighed by nearness."""
    turn = cmath.exp(1j * math.radians(degrees))
    out = torch.full_like(x, fill)
    for row, column in itertools.product(range(x.shape[1]), range(x.shape[2])):
        place = complex(*centre) + (complex(column, row) - complex(*centre)) * turn
        out[:, row, column] = 0
        for down, right in itertools.product((0, 1), (0, 1)):
            h, w = math.floor(place.imag) + down, math.floor(place.real) + right
            inside = 0 <= h < x.shape[1] and 0 <= w < x.shape[2]
            out[:, row, column] += (
                (1 - abs(place.imag - h)) * (1 - abs(place.real - w)) * (x[:, h, w] if inside else fill)
            )
    return out


def filled(cache, x, user, start):
    cache = cache.clone()
    cache[user : user + 1, :, start : start + x.shape[2]] = x
    return cache


def updated(cache, x, position):
    cache = cache.clone()
    cache[:, :, position] = x[0].transpose(0, 1)
    return cache


def pool(op, x, **options):
    n, h, w, c = tuple(x.shape)
    options = dict(kernel_size=[3, 3], stride=[2, 2], padding=[1, 1], ceil_mode=False) | options
    return op(ttnn.reshape(x, (1, 1, n * h * w, c)), n, h, w, c, **options)


def nhwc(op, x, *args, **options):
    return op(x.permute(0, 3, 1, 2), *args, **options).permute(0, 2, 3, 1).flatten(0, 2)[None, None]


@pytest.mark.parametrize("name", MODELS)
@few
@given(data=st.data())
def test_models(mesh, name, data):
    check(mesh, MODELS[name], data.draw)


def randn(seed, *shape):
    return rounded(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), ttnn.bfloat16)


CLOSE = MODELS["attention"]  # how near is near enough


@few
@given(
    groups=st.sampled_from([(64, 8), (128, 32), (96, 8), (320, 32)]),
    batch=st.integers(1, 2),
    cut=st.sampled_from([{}, {"sp": 0}]),
    seed=st.integers(0, 999),
)
def test_group_norm(mesh, groups, batch, cut, seed):
    """In DRAM, with the parameters as ttnn prepares them, for images in a batch cut over sp."""
    channels, groups = groups
    grid = ttnn.determine_expected_group_norm_dram_grid_size(
        device=mesh, num_channels=channels, num_groups=groups, input_nhw=256, num_batches=batch
    )
    x, w, b = randn(seed, 8 * batch, 1, 256, channels), randn(seed + 1, channels), randn(seed + 2, channels)
    (weight, bias), mask = ttnn.dram_group_norm_params_from_torch([w, b], channels, groups, mesh, core_grid=grid)
    x = x if cut else x[:batch]
    got = ttnn.group_norm(
        shard(x, mesh, **cut),
        num_groups=groups,
        epsilon=1e-5,
        input_mask=mask,
        weight=weight,
        bias=bias,
        core_grid=grid,
        inplace=False,
        memory_config=ttnn.DRAM_MEMORY_CONFIG,
        output_layout=TILE,
    )
    want = F.group_norm(x.permute(0, 3, 1, 2), groups, w, b, 1e-5).permute(0, 2, 3, 1)
    compare(gather(got, **cut), want, ttnn.bfloat16, CLOSE)


@few
@given(
    channels=st.sampled_from([(16, 32), (32, 64)]),
    kernel=st.sampled_from([1, 3]),
    stride=st.integers(1, 2),
    size=st.sampled_from([(8, 10), (9, 7)]),
    cut=st.sampled_from([{}, {"tp": 0}, {"sp": 0}]),
    groups=st.sampled_from([0, 1, 2]),  # 0 is ttnn's other word for 1
    seed=st.integers(0, 999),
)
def test_conv2d(mesh, channels, kernel, stride, size, cut, groups, seed):
    ins, outs = channels
    batch = {"tp": 4, "sp": 8}[next(iter(cut))] if cut else 1
    x, w, b = (
        randn(seed, batch, *size, ins),
        randn(seed + 1, outs, ins // (groups or 1), kernel, kernel),
        randn(seed + 2, outs),
    )
    options = dict(stride=(stride, stride), padding=(kernel // 2, kernel // 2))
    got = ttnn.conv2d(
        input_tensor=shard(x, mesh, layout=ROW, **cut),
        weight_tensor=ttnn.from_torch(w, dtype=ttnn.bfloat16),
        bias_tensor=ttnn.from_torch(b.reshape(1, 1, 1, -1), dtype=ttnn.bfloat16),
        device=mesh,
        in_channels=ins,
        out_channels=outs,
        batch_size=1,
        input_height=size[0],
        input_width=size[1],
        kernel_size=(kernel, kernel),
        groups=groups,
        **options,
    )
    want = (
        F.conv2d(x.permute(0, 3, 1, 2), w, b, **options, groups=groups or 1)
        .permute(0, 2, 3, 1)
        .reshape(batch, 1, -1, outs)
    )
    got = gather(got, **cut)
    compare(got.reshape(want.shape), want, ttnn.bfloat16, CLOSE)


@few
@given(
    kernel=st.sampled_from([(1, 1), (3, 3), (3, 5)]),
    groups=st.sampled_from([1, 2]),
    once=st.sampled_from(["prepared", "returned"]),
    seed=st.integers(0, 999),
)
def test_conv2d_with_weights_laid_out_once(mesh, kernel, groups, once, seed):
    """By ttnn.prepare_conv_weights and _bias, or by a first convolution, for one with other weights of its own."""
    x, w, b = randn(seed, 2, 6, 9, 32), randn(seed + 1, 64, 32 // groups, *kernel), randn(seed + 2, 64)
    padding = (kernel[0] // 2, kernel[1] // 2)
    inputs, weight = replicate(x, mesh, layout=ROW), ttnn.from_torch(w, dtype=ttnn.bfloat16)
    bias = ttnn.from_torch(b.reshape(1, 1, 1, -1), dtype=ttnn.bfloat16)
    options = dict(
        device=mesh, in_channels=32, out_channels=64, batch_size=2, input_height=6, input_width=9, kernel_size=kernel,
        stride=(1, 1), padding=padding, groups=groups,
    )  # fmt: skip
    if once == "prepared":
        place = dict(input_memory_config=inputs.memory_config(), input_layout=ROW, input_dtype=ttnn.bfloat16)
        config = ttnn.Conv2dConfig(weights_dtype=ttnn.bfloat16)
        place |= dict(dilation=(1, 1), conv_config=config)
        weight = ttnn.prepare_conv_weights(
            weight_tensor=weight, weights_format="OIHW", has_bias=True, **options, **place
        )
        bias = ttnn.prepare_conv_bias(bias_tensor=bias, **options, **place)
    else:
        _, (weight, bias) = ttnn.conv2d(
            input_tensor=inputs, weight_tensor=weight, bias_tensor=bias, return_weights_and_bias=True, **options
        )
    assert weight.shape[0] == 1 and on_device(weight)
    got = ttnn.conv2d(input_tensor=inputs, weight_tensor=weight, bias_tensor=bias, **options)
    want = F.conv2d(x.permute(0, 3, 1, 2), w, b, padding=padding, groups=groups).permute(0, 2, 3, 1)
    compare(gather(got).reshape(want.shape), want, ttnn.bfloat16, CLOSE)


def test_what_is_not_emulated_of_convolutions_and_pictures_is_said(mesh):
    with pytest.raises(NotImplementedError, match="prepare_conv_transpose2d_weights is not emulated"):
        ttnn.prepare_conv_transpose2d_weights()
    x, places = randn(0, 1, 8, 8, 32), 2 * torch.rand(1, 4, 6, 2) - 1
    grid = ttnn.prepare_grid_sample_grid(
        ttnn.from_torch(places, dtype=ttnn.float32), [1, 8, 8, 32], padding_mode="zeros", output_dtype=ttnn.bfloat16
    )
    with pytest.raises(RuntimeError, match="grid_sample with a precomputed grid is not emulated"):
        ttnn.grid_sample(replicate(x, mesh, layout=ROW), ttnn.to_device(grid, mesh), use_precomputed_grid=True)


@few
@given(
    channels=st.sampled_from([(32, 64), (3, 32), (48, 32)]),
    kernel=st.sampled_from([(3, 3, 3), (1, 3, 3), (1, 1, 1)]),
    padding=st.sampled_from([((0, 1, 1), "zeros"), ((1, 1, 1), "replicate"), ((0, 0, 0), "zeros")]),
    stride=st.sampled_from([(1, 1, 1), (1, 2, 2)]),
    cut=st.sampled_from([{}, {"sp": 0}, {"tp": 0}]),
    seed=st.integers(0, 999),
)
def test_conv3d(mesh, channels, kernel, padding, stride, cut, seed):
    ins, outs = channels
    batch = {"tp": 4, "sp": 8}[next(iter(cut))] if cut else 1
    (d, h, w), mode = padding
    x, kernels, bias = (
        randn(seed, batch, 4, 6, 7, ins),
        randn(seed + 1, outs, ins, *kernel),
        randn(seed + 2, 1, outs),
    )
    weights = ttnn.experimental.prepare_conv3d_weights(
        weight_tensor=ttnn.from_torch(kernels, dtype=ttnn.bfloat16), device=mesh
    )
    got = ttnn.experimental.conv3d(
        input_tensor=shard(F.pad(x, (0, -ins % 32)), mesh, layout=ROW, **cut),
        weight_tensor=weights,
        bias_tensor=replicate(bias, mesh),
        dtype=ttnn.bfloat16,
        output_channels=outs,
        kernel_size=kernel,
        stride=stride,
        padding=(d, h, w),
        padding_mode=mode,
    )
    padded = F.pad(x.permute(0, 4, 1, 2, 3), (w, w, h, h, d, d), mode="constant" if mode == "zeros" else mode)
    want = F.conv3d(padded, kernels, bias[0], stride).permute(0, 2, 3, 4, 1)
    compare(gather(got, **cut), want, ttnn.bfloat16, CLOSE)


def test_conv3d_is_conv2d_of_every_frame(mesh):
    """Its counterpart in ttnn: a kernel of depth 1 sees each frame alone."""
    x, kernel = randn(0, 3, 8, 10, 32), randn(1, 64, 32, 3, 3)
    weights = ttnn.experimental.prepare_conv3d_weights(
        weight_tensor=ttnn.from_torch(kernel[:, :, None], dtype=ttnn.bfloat16), device=mesh
    )
    options = dict(kernel_size=(1, 3, 3), stride=(1, 1, 1), padding=(0, 1, 1), padding_mode="zeros")
    video = ttnn.experimental.conv3d(
        input_tensor=replicate(x[None], mesh, layout=ROW), weight_tensor=weights, dtype=ttnn.bfloat16,
        output_channels=64, **options,
    )  # fmt: skip
    frames = ttnn.conv2d(
        input_tensor=replicate(x, mesh, layout=ROW), weight_tensor=ttnn.from_torch(kernel, dtype=ttnn.bfloat16),
        device=mesh, in_channels=32, out_channels=64, batch_size=3, input_height=8, input_width=10,
        kernel_size=(3, 3), padding=(1, 1),
    )  # fmt: skip
    assert agree(gather(video).reshape(1, 1, -1, 64), gather(frames), ttnn.bfloat16, exact=False)


def turn_pairs():
    """The 32x32 matrix T of rotary_embedding_llama: x T is (-x1, x0, -x3, x2, ...)."""
    turn = torch.zeros(1, 1, 32, 32)
    turn[..., range(0, 32, 2), range(1, 32, 2)] = 1
    turn[..., range(1, 32, 2), range(0, 32, 2)] = -1
    return turn


@few
@given(
    head_dim=st.sampled_from([64, 128]),
    rows=st.sampled_from([32, 64]),
    more=st.sampled_from([0, 64]),
    seed=st.integers(0, 999),
)
def test_rotary_embedding_llama(mesh, head_dim, rows, more, seed):
    """Pairs of neighbours, turned by angles: complex numbers multiplied. Heads over tp, positions from the caches."""
    x = randn(seed, 1, 8, rows, head_dim)
    angles = torch.rand(rows + more, head_dim // 2, generator=torch.Generator().manual_seed(seed)) * 6
    cos, sin = (rounded(f(angles).repeat_interleave(2, -1)[None, None], ttnn.bfloat16) for f in (torch.cos, torch.sin))
    got = ttnn.experimental.rotary_embedding_llama(
        shard(x, mesh, tp=1), replicate(cos, mesh), replicate(sin, mesh), replicate(turn_pairs(), mesh)
    )
    turned = torch.view_as_complex(x.unflatten(-1, (-1, 2))) * torch.complex(cos, sin)[:, :, :rows, ::2]
    compare(gather(got, tp=1), torch.view_as_real(turned).flatten(-2), ttnn.bfloat16, CLOSE)


def test_rotary_embeddings_agree(mesh):
    """Halves or pairs: the same rotation of the same numbers, in another order."""
    x, angles = randn(0, 1, 4, 64, 64), torch.rand(64, 32, generator=torch.Generator().manual_seed(1)) * 6
    in_halves = [f(angles).repeat(1, 2)[None, None] for f in (torch.cos, torch.sin)]
    in_pairs = [f(angles).repeat_interleave(2, -1)[None, None] for f in (torch.cos, torch.sin)]
    paired = x.unflatten(-1, (2, 32)).transpose(-1, -2).flatten(-2)
    halves = ttnn.experimental.rotary_embedding(replicate(x, mesh), *(replicate(t, mesh) for t in in_halves))
    pairs = ttnn.experimental.rotary_embedding_llama(
        replicate(paired, mesh), *(replicate(t, mesh) for t in in_pairs), replicate(turn_pairs(), mesh)
    )
    back = gather(pairs).unflatten(-1, (32, 2)).transpose(-1, -2).flatten(-2)
    assert agree(back, gather(halves), ttnn.bfloat16, exact=True)


def test_heads_agree(mesh):
    """nlp_create_qkv_heads and nlp_concat_heads are their counterparts in ttnn.transformer with one dimension more."""
    x = randn(0, 2, 1, 64, 384)
    ours = ttnn.experimental.nlp_create_qkv_heads(replicate(x, mesh), num_heads=4)
    theirs = split_heads(replicate(x[:, 0], mesh))
    assert all(torch.equal(gather(a), gather(b)) for a, b in zip(ours, theirs, strict=True))
    joined = ttnn.experimental.nlp_concat_heads(ours[0]), ttnn.transformer.concatenate_heads(theirs[0])
    assert torch.equal(gather(joined[0])[:, 0], gather(joined[1]))
    assert torch.equal(gather(joined[0]), x[..., :128].to(torch.bfloat16))


def test_minimal_matmul_is_linear(mesh):
    x, w, b = randn(0, 1, 1, 64, 96), randn(1, 96, 128), randn(2, 1, 128)
    x, w, b = (replicate(t, mesh) for t in (x, w, b))
    ours = ttnn.experimental.minimal_matmul(input_tensor=x, weight_tensor=w, bias_tensor=b)
    assert agree(gather(ours), gather(ttnn.linear(x, w, bias=b)), ttnn.bfloat16, exact=False)
