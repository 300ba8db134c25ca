"""Linear layers split over the mesh axis tp, and the small pieces that all of Mochi's models share.

Activations are (1, B, N, D), tiled, in bfloat16: N may be cut over sp, D is whole on every chip unless said otherwise.
A layer on one chip is the same code: cutting in one part and sending to nobody.
"""

import contextlib
from contextvars import ContextVar

import torch
import torch.nn.functional as F
import ttnn

from helpers.collectives import all_gather, all_reduce
from helpers.tensors import TILE, axis_index, replicate, shard

_weight_dtype = ContextVar("weight_dtype", default=ttnn.bfloat16)


@contextlib.contextmanager
def weights_in(dtype: ttnn.DataType):
    """Linear layers made in the block keep their weights in this format; biases and norms stay in bfloat16."""
    before = _weight_dtype.set(dtype)
    try:
        yield
    finally:
        _weight_dtype.reset(before)


class Linear:
    """y = x w + b with w whole on every chip. weight (out, in) as torch keeps it, bias (out)."""

    def __init__(self, mesh, weight: torch.Tensor, bias: torch.Tensor | None = None):
        self.weight = replicate(weight.T[None, None], mesh, dtype=_weight_dtype.get())
        self.bias = None if bias is None else replicate(bias[None, None, None], mesh)

    def __call__(self, x: ttnn.Tensor) -> ttnn.Tensor:
        return ttnn.linear(x, self.weight, bias=self.bias)


class ColumnParallel:
    """y = x w + b with the columns of w over tp: (1, B, N, in) -> (1, B, N, out / tp), each chip its own columns.

    `out` is padded with zeros to whole tiles on every chip. With `fsdp` the rows of w are also cut over sp, and
    gathered for each call: memory for traffic.
    """

    def __init__(self, mesh, weight: torch.Tensor, bias: torch.Tensor | None = None, fsdp: bool = False):
        self.fsdp = fsdp and fits(mesh, "sp", weight.shape[1])
        columns = pad_to(weight.T[None, None], 3, TILE * degree(mesh, "tp"))
        self.weight = shard(columns, mesh, dtype=_weight_dtype.get(), tp=3, **({"sp": 2} if self.fsdp else {}))
        self.bias = None
        if bias is not None:
            self.bias = shard(pad_to(bias[None, None, None], 3, TILE * degree(mesh, "tp")), mesh, tp=3)

    def __call__(self, x: ttnn.Tensor) -> ttnn.Tensor:
        weight = all_gather(self.weight, 2, "sp") if self.fsdp else self.weight
        return ttnn.linear(x, weight, bias=self.bias)


class RowParallel:
    """y = x w + b with the rows of w over tp: (1, B, N, in / tp) -> (1, B, N, out), summed over tp, whole everywhere.

    The bias belongs to the result once, so it is added after the sum. `fsdp` as in ColumnParallel, over w's columns.
    """

    def __init__(self, mesh, weight: torch.Tensor, bias: torch.Tensor | None = None, fsdp: bool = False):
        self.fsdp = fsdp and fits(mesh, "sp", weight.shape[0])
        rows = pad_to(weight.T[None, None], 2, TILE * degree(mesh, "tp"))
        self.weight = shard(rows, mesh, dtype=_weight_dtype.get(), tp=2, **({"sp": 3} if self.fsdp else {}))
        self.bias = None if bias is None else replicate(bias[None, None, None], mesh)

    def __call__(self, x: ttnn.Tensor) -> ttnn.Tensor:
        weight = all_gather(self.weight, 3, "sp") if self.fsdp else self.weight
        y = all_reduce(ttnn.linear(x, weight), "tp")
        return y if self.bias is None else ttnn.add(y, self.bias)


class RMSNorm:
    """x / rms(x), times a weight (D) where there is one, over the last dimension."""

    def __init__(self, mesh, weight: torch.Tensor | None, eps: float):
        self.weight = None if weight is None else replicate(weight[None, None, None], mesh)
        self.eps = eps

    def __call__(self, x: ttnn.Tensor) -> ttnn.Tensor:
        return ttnn.rms_norm(x, weight=self.weight, epsilon=self.eps)


# Queries and keys that a core takes at a time, at most: what tt-metal's Mochi takes on every system
# (models/tt_dit/models/transformers/attention_mochi.py@79925a3f). Small chunks are slow (helpers/planner/rates.py).
CHUNKS = 128, 512


def attention_program(grid, length: int) -> ttnn.SDPAProgramConfig:
    """Attention on a grid of cores; each takes a chunk of queries and a chunk of keys, of `length` at most."""
    queries, keys = (max(TILE, min(most, length // TILE * TILE)) for most in CHUNKS)
    return ttnn.SDPAProgramConfig(
        compute_with_storage_grid_size=grid, q_chunk_size=queries, k_chunk_size=keys, exp_approx_mode=False
    )


def all_cores(grid) -> ttnn.CoreRangeSet:
    return ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), ttnn.CoreCoord(grid.x - 1, grid.y - 1))})


def check_heads(mesh, heads: int, head_dim: int) -> None:
    """Raises ValueError where heads cannot be spread over tp, or are not made of whole tiles."""
    chips = degree(mesh, "tp")
    if heads % chips:
        raise ValueError(f"{heads} heads do not divide over the {chips} chips along tp. Choose a smaller system.")
    check_head_dim(head_dim)


def check_head_dim(head_dim: int) -> None:
    if head_dim % TILE:
        raise ValueError(f"Heads of width {head_dim} are not whole tiles of {TILE}: ttnn cannot split them apart.")


def degree(mesh, axis: str) -> int:
    """How many chips lie along an axis."""
    return mesh.shape[axis_index(mesh, axis)]


def over_sp(mesh, pictures: int) -> dict[str, int]:
    """Where (1, P, ...) is cut: one picture nowhere, as many as there are chips along sp on dimension 1.

    Raises ValueError for any other number of pictures.
    """
    lines = degree(mesh, "sp")
    if pictures not in (1, lines):
        raise ValueError(f"{pictures} pictures, but {lines} chips along sp: give one, or one for each of these.")
    return {} if pictures == 1 else {"sp": 1}


def fits(mesh, axis: str, length: int) -> bool:
    """Whether a length can be cut along an axis into whole tiles."""
    return length % (TILE * degree(mesh, axis)) == 0


def pad_to(x: torch.Tensor, dim: int, multiple: int) -> torch.Tensor:
    """Zeros at the end of a dimension, up to a multiple."""
    missing = -x.shape[dim] % multiple
    return F.pad(x, [0, 0] * (x.ndim - 1 - dim) + [0, missing]) if missing else x


def fused_by_chip(parts: list[torch.Tensor], chips: int) -> torch.Tensor:
    """Weights (out, in) of layers with one input as one weight, ordered so that each chip's slice has a part of each.

    Cut [q; k; v] over 4 chips plainly and the first chip gets only queries. Here it gets its heads' q, k and v.
    """
    slices = [part.chunk(chips, 0) for part in parts]
    return torch.cat([part[chip] for chip in range(chips) for part in slices])
