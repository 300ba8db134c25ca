"""Stable Diffusion 3.5's memory on one chip and two: against arithmetic on paper, and what does not fit."""

import math

import pytest
import torch

from helpers.frames.plans import REAL, dry_run, planned, shapes, transformer, vae
from helpers.frames.stills import SD3
from helpers.mesh import run_on
from helpers.mochi.weights import reference_shapes
from helpers.planner import Shapes, measure


def parameters(part: str) -> dict[str, tuple[int, ...]]:
    """What goes to the chips: of the positions only a crop does, and the encoder stays away."""
    found = shapes(part)
    return {n: s for n, s in found.items() if n != "pos_embed.pos_embed" and not n.startswith("encoder.")}


def on_paper(part: str) -> int:
    """Bytes: two a parameter. Vectors become 32 rows, 31 of padding."""
    return sum(2 * math.prod(shape) * (32 if len(shape) == 1 else 1) for shape in parameters(part).values())


def test_the_real_models_are_as_large_as_they_are_said_to_be():
    """Stability AI publishes 2.5 billion for Medium, with its table of positions, and 8.1 billion for Large."""
    count = lambda part: sum(math.prod(shape) for shape in shapes(part).values())
    assert round(count("sd35_medium") / 1e9, 1) == 2.5 and round(count("sd35_large") / 1e9, 1) == 8.1
    for config in (REAL["sd35_medium"], REAL["sd35_large"]):
        assert config["caption_projection_dim"] == config["num_attention_heads"] * config["attention_head_dim"]


def plans(mesh):
    sizes = {"sd35_medium": 1024, "sd35_large": 512, "vae": 1024}
    return {part: planned(mesh, part, dict(height=side, width=side)) for part, side in sizes.items()}


def test_one_chip():
    found = run_on("n150", plans, numerics=False)
    medium, large, decoder = (found[part] for part in ("sd35_medium", "sd35_large", "vae"))
    assert medium.fits and medium.weights == pytest.approx(on_paper("sd35_medium"), rel=0.002)
    stream = 2 * (1024 // 16) ** 2 * 1536  # 4,096 tokens of Medium's width
    assert medium.weights + 4 * stream < medium.peak < medium.weights + 16 * stream
    assert on_paper("sd35_large") > large.capacity and not large.fits and large.weights is None
    assert large.error.startswith("Out of Memory: Not enough space to allocate") and "\n" not in large.error
    pixels = 2 * 1024**2 * 256  # what the last level begins with: 256 channels at full size, in bfloat16
    assert decoder.fits and decoder.weights + 2 * pixels < decoder.peak < decoder.weights + 10 * pixels
    assert medium.weights + decoder.peak < medium.capacity  # both on one chip


def test_two_chips():
    """Nearly all of Large is cut in two: not its embeddings, nor biases that belong to a sum."""
    large = dry_run("n300", "sd35_large")
    assert large.fits and large.system == "n300"
    assert 0.5 * on_paper("sd35_large") < large.weights < 0.52 * on_paper("sd35_large")


SMALL = {
    "sd35_medium": dict(num_layers=2, num_attention_heads=4, attention_head_dim=32, caption_projection_dim=128,
                        joint_attention_dim=96, pooled_projection_dim=64, dual_attention_layers=[0]),
    "vae": dict(block_out_channels=[32, 64, 64, 96], layers_per_block=1),
}  # fmt: skip


def small_plans(mesh):
    """Both kinds of part in small, with values where the mesh has them"""
    found = []
    for (part, change), name, load in zip(SMALL.items(), ("transformer", "vae"), (transformer, vae), strict=True):
        config = REAL[part] | change
        sizes = reference_shapes(name, config, SD3)
        weights = {name: torch.randn(size) for name, size in sizes.items()} if mesh.numerics else Shapes(sizes)
        found.append(measure(mesh, part, weights, config, dict(height=80, width=112), load))
    return found


def test_dry_runs_take_what_real_runs_take():
    """On two chips, where heads and rows are cut"""
    for real, dry in zip(run_on("n300", small_plans), run_on("n300", small_plans, numerics=False), strict=True):
        assert (real.weights, real.peak) == (dry.weights, dry.peak) and 0 < real.weights < real.peak


@pytest.mark.parametrize(
    ("system", "part", "size", "sentence"),
    [
        ("n151", "vae", {}, "no system called 'n151'"),
        ("n150", "decoder", {}, "no part 'decoder' here. Choose one of: sd35_medium, sd35_large, vae"),
        ("n150", "vae", dict(width=1000), "width of 1000 does not divide by 16. Try 992"),
    ],
)
def test_what_cannot_be_planned(system, part, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        dry_run(system, part, **size)
