"""Inputs for exercises on the mesh, what each chip should hold, and the bytes that are enough. In plain torch."""

import itertools
from collections.abc import Callable

import torch

from helpers.layers.parallel import degree
from helpers.mesh import current_mesh


def tp_and_sp() -> tuple[int, int]:
    return degree(current_mesh(), "tp"), degree(current_mesh(), "sp")


def rounded(seed: int) -> Callable[..., torch.Tensor]:
    """draw(*shape): normal numbers, as bfloat16 holds them"""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator).bfloat16().float()


def busiest(axis: str, slice_bytes: int) -> int:
    """Bytes over the busiest link when each chip along the axis gets all others' slices, on paper: to the last chip of
    a line they come over one link, around a ring from both sides."""
    mesh = current_mesh()
    missing = (degree(mesh, axis) - 1) * slice_bytes
    return missing // 2 if mesh.system.torus else missing


def layer_inputs(seed, rows, width, hidden):
    """x (1, 1, rows, width), w (1, 1, width, hidden), bias (1, 1, 1, hidden); sizes per chip, times chips"""
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(seed)
    x, w = draw(1, 1, rows * sp, width * tp), draw(1, 1, width * tp, hidden * tp)
    return mesh, x, w / x.shape[-1] ** 0.5, draw(1, 1, 1, hidden * tp)


def on_chips(whole, mesh, **dims):
    """(chips, ...) of what each chip should hold, cut from the unsharded result in plain torch"""
    cuts = {mesh.system.axes[axis]: dim for axis, dim in dims.items()}

    def part(chip):
        held = whole
        for index, dim in cuts.items():
            held = held.chunk(mesh.shape[index], dim)[chip[index]]
        return held

    return torch.stack([part(chip) for chip in itertools.product(*map(range, mesh.shape))])
