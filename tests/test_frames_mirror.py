"""A mirrored torch model's buffers, counted by hand."""

import pytest
import torch
import torch.nn.functional as F
import ttnn
from torch import nn

from helpers.mesh import run_on
from helpers.planner.allocator import allocated
from helpers.planner.memory import measure
from helpers.planner.mirror import mirrored

TILE_BYTES = {"bfloat16": 2048, "bfloat8_b": 1088}
BANKS = 12  # of an n150's DRAM: tiles go to them in turn, and all count as much as the fullest


def taken(*buffers: int, dtype: str = "bfloat16") -> int:
    """Bytes of buffers of so many tiles"""
    return sum(-(-tiles // BANKS) * BANKS * TILE_BYTES[dtype] for tiles in buffers)


class Two(nn.Module):
    def __init__(self, middle):
        super().__init__()
        self.up, self.middle, self.down = nn.Linear(48, 320), middle, nn.Linear(320, 70)

    def forward(self, x):
        y = self.up(x)
        y = self.middle(y)
        return self.down(y)


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.conv = nn.GroupNorm(4, 40), nn.Conv2d(40, 320, 3, padding=1)

    def forward(self, x):
        return self.conv(self.norm(x))


class Attention(nn.Module):
    def forward(self, x):
        heads = x.view(1, 512, 2, 64).transpose(1, 2)
        return F.scaled_dot_product_attention(heads, heads, value=heads)


CASES = {
    "copying": (lambda: Two(nn.ReLU()), "bfloat16", (1, 100, 48)),
    "in place": (lambda: Two(nn.ReLU(inplace=True)), "bfloat8_b", (1, 100, 48)),
    "picture": (Picture, "bfloat8_b", (1, 40, 8, 8)),
    "too large": (lambda: Two(nn.ReLU()), "bfloat16", (1, 2**25, 48)),
    "attention": (Attention, "bfloat16", (1, 512, 128)),  # after the one that ends with memory full
}


def needs(mesh):
    before = allocated(mesh)
    found = {
        name: measure(mesh, name, None, {}, {}, lambda *given, case=case: load(mesh, *case))
        for name, case in CASES.items()
    }
    return found, allocated(mesh) - before


def load(mesh, build, dtype, shape):
    with torch.device("meta"):
        model = build()
    return mirrored(mesh, model, getattr(ttnn, dtype), lambda: dict(x=torch.zeros(shape)))


@pytest.fixture(scope="module")
def found():
    needs_of_all, left = run_on("n150", needs, numerics=False)
    assert left == 0
    return needs_of_all


# Tiles of the two layers: weights 10 x 2 and 3 x 10, biases 10 and 3; input 4 x 2, between 4 x 10, output 4 x 3.
MATRICES, BIASES = (20, 30), (10, 3)


def test_two_linear_layers(found):
    need = found["copying"]
    assert need.weights == taken(*MATRICES, *BIASES)
    assert need.history == [need.weights + taken(*live) for live in ((8,), (8, 40), (8, 40, 40), (8, 40, 12))]
    assert need.peak == need.weights + taken(8, 40, 40)


def test_bfloat8_b_and_work_in_place(found):
    need = found["in place"]
    assert need.weights == taken(*MATRICES, dtype="bfloat8_b") + taken(*BIASES)
    assert need.history == [need.weights + taken(*live) for live in ((8,), (8, 40), (8, 40, 12))]


def test_a_picture_is_laid_out_as_ttnn_does(found):
    """64 positions x 40 channels are 2 x 2 tiles; 40 pictures of 8 x 8 would be 40. Statistics of the norm: nothing."""
    need = found["picture"]
    assert need.weights == taken(10 * 12, dtype="bfloat8_b") + taken(10, 2, 2)  # 320 x 40 * 9; three vectors
    assert need.history == [need.weights + taken(*live) for live in ((4,), (4, 4), (4, 4, 2 * 10))]


def test_attention_is_one_op(found):
    """Its scores would be 2 x 16 x 16 tiles; heads of 64 are views."""
    assert found["attention"].history == [taken(16 * 4), taken(16 * 4, 2 * 16 * 2)]


def test_out_of_memory_is_in_words_of_ttnn(found):
    need = found["too large"]
    assert not need.fits and need.weights == found["copying"].weights
    assert need.error.startswith(f"Out of Memory: Not enough space to allocate {2**25 * 320 * 2} B DRAM buffer")
