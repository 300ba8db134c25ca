"""Golden functions of pools, sampling and turning, (N, H, W, C). ttnn's import what is not in the wheel."""

import math

import torch
import torch.nn.functional as F
import ttnn

from ttnn_emulator.ops import golden_of


@golden_of(ttnn.max_pool2d)
def max_pool2d(
    input_tensor, batch_size, input_h, input_w, channels, kernel_size, stride, padding, dilation,
    ceil_mode=False, return_indices=False,
):  # fmt: skip
    """(1, 1, N H W, C) or (N, H, W, C) -> (1, 1, N H' W', C), and perhaps where in H x W each maximum was"""
    x = images(input_tensor, batch_size, input_h, input_w, channels)
    if len(padding) == 4 and return_indices:
        raise NotImplementedError("indices of max_pool2d with four paddings are not emulated")
    x, padding = padded(x, padding, -math.inf)
    out, indices = F.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True)
    return (flat(out), flat(indices)) if return_indices else flat(out)


@golden_of(ttnn.avg_pool2d)
def avg_pool2d(
    input_tensor, batch_size, input_h, input_w, channels, kernel_size, stride, padding,
    ceil_mode=False, count_include_pad=True, divisor_override=None,
):  # fmt: skip
    x = images(input_tensor, batch_size, input_h, input_w, channels)
    if len(padding) == 4 and not count_include_pad:
        raise NotImplementedError("avg_pool2d with four paddings that do not count is not emulated")
    x, padding = padded(x, padding, 0)
    return flat(F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override))


@golden_of(ttnn.adaptive_avg_pool2d)
def adaptive_avg_pool2d(input_tensor, batch_size, input_h, input_w, channels, output_size):
    return flat(F.adaptive_avg_pool2d(images(input_tensor, batch_size, input_h, input_w, channels), output_size))


@golden_of(ttnn.adaptive_max_pool2d)
def adaptive_max_pool2d(input_tensor, batch_size, input_h, input_w, channels, output_size):
    return flat(F.adaptive_max_pool2d(images(input_tensor, batch_size, input_h, input_w, channels), output_size))


@golden_of(ttnn.grid_sample)
def grid_sample(
    input_tensor, grid, mode="bilinear", padding_mode="zeros", align_corners=False, use_precomputed_grid=False,
    batch_output_channels=False,
):  # fmt: skip
    """(N, H, W, C) sampled at places in [-1, 1], (N, H', W', 2 K), K of them side by side

    -> (N, H', W' K, C), or with batch_output_channels (N, H', W', K C)
    """
    if use_precomputed_grid:  # it holds integers in the bits of bfloat16 numbers, which are kept here as numbers
        raise NotImplementedError("grid_sample with a precomputed grid is not emulated. Give it places in [-1, 1].")
    n, height, width, _ = grid.shape
    places = grid.reshape(n, height, -1, 2).float()
    x = F.grid_sample(input_tensor.permute(0, 3, 1, 2).float(), places, mode, padding_mode, align_corners)
    x = x.permute(0, 2, 3, 1)
    return x.reshape(n, height, width, -1) if batch_output_channels else x


@golden_of(ttnn.rotate)
def rotate(input_tensor, angle, center=None, fill=0.0, expand=False, interpolation_mode="nearest"):
    """(N, H, W, C) turned by `angle` degrees counter-clockwise around (x, y). ttnn's golden asks torchvision.

    Where a place lies outside, it, or each of the four pixels around it, counts as `fill`.
    """
    _, height, width, _ = input_tensor.shape
    x0, y0 = center or ((width - 1) / 2, (height - 1) / 2)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    y, x = torch.meshgrid(torch.arange(height) - y0, torch.arange(width) - x0, indexing="ij")
    places = torch.stack([x * cos - y * sin + x0, x * sin + y * cos + y0], -1)  # where each pixel comes from
    places = (2 * places + 1) / torch.tensor([width, height]) - 1
    images = input_tensor.permute(0, 3, 1, 2).float() - fill  # so that the zeros outside are the fill
    turned = F.grid_sample(images, places.expand(len(images), -1, -1, -1), interpolation_mode, align_corners=False)
    return turned.permute(0, 2, 3, 1) + fill


def images(x, n, h, w, c):
    return x.reshape(n, h, w, c).permute(0, 3, 1, 2)


def flat(x):
    """(N, C, H, W) -> (1, 1, N H W, C)"""
    return x.permute(0, 2, 3, 1).flatten(0, 2)[None, None]


def padded(x, padding, value):
    """Padding as (height, width) is left to torch; (top, bottom, left, right) is done here."""
    if len(padding) == 2:
        return x, tuple(padding)
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=value), 0
