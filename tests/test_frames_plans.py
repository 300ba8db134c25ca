"""Stable Diffusion 3.5's memory on one chip: against arithmetic on paper, and what does not fit."""

import math

import pytest

from helpers.frames.plans import REAL, dry_run, planned, shapes
from helpers.mesh import run_on


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
    medium, large, vae = (found[part] for part in ("sd35_medium", "sd35_large", "vae"))
    assert medium.fits and medium.weights == pytest.approx(on_paper("sd35_medium"), rel=0.002)
    stream = 2 * (1024 // 16) ** 2 * 1536  # 4,096 tokens of Medium's width
    assert medium.weights + 4 * stream < medium.peak < medium.weights + 16 * stream
    assert on_paper("sd35_large") > large.capacity and not large.fits and large.weights is None
    assert large.error.startswith("Out of Memory: Not enough space to allocate") and "\n" not in large.error
    pixels = 2 * 1024**2 * 256  # what the last level begins with: 256 channels at full size, in bfloat16
    assert vae.fits and vae.weights + 2 * pixels < vae.peak < vae.weights + 10 * pixels
    assert medium.weights + vae.peak < medium.capacity  # both on one chip


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
