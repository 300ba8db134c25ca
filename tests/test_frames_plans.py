"""What the Stable Diffusions take on one chip and two: against arithmetic on paper, and what does not fit."""

import math

import pytest
import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from helpers.frames.stills import SD3
from helpers.layers.weights import Model, reference_shapes
from helpers.mesh import run_on
from helpers.planner import published
from helpers.planner.memory import Shapes, measure
from helpers.planner.mirror import mirrored
from helpers.planner.plans import (
    FORMATS,
    REAL,
    TITLES,
    TOKENS,
    dry_run,
    dry_runs,
    shapes,
    table,
    transformer,
    vae,
)
from ttnn_emulator.systems import SYSTEMS

UNETS = Model("UNets", "", {"unet": UNet2DConditionModel}, {})
CLIPS = Model("CLIPs", "", {"clip": CLIPTextModelWithProjection}, {})
MIRRORED = {"sd14": UNETS, "sdxl": UNETS, "clip_l": CLIPS, "clip_g": CLIPS}
BFLOAT8 = 1088 / 2048  # a tile of 32 x 32 numbers, and their exponents, 16 to one: in bfloat16 it takes 2,048 bytes


def parameters(part: str) -> dict[str, tuple[int, ...]]:
    """What goes to the chips: of the positions only a crop does, and the encoder stays away."""
    if part in MIRRORED:
        kind = next(iter(MIRRORED[part].parts))
        config = REAL[part] if kind == "unet" else CLIPTextConfig(**REAL[part]).to_dict()
        found = reference_shapes(kind, config, MIRRORED[part])
    else:
        found = shapes(part)
    away = ("pos_embed.pos_embed", "encoder.conv", "encoder.down", "encoder.mid", "encoder.embed_tokens")
    return {name: shape for name, shape in found.items() if not name.startswith(away)}


def on_paper(part: str, dtype: str = "bfloat16") -> float:
    """Bytes: two a parameter, fewer for matrices in bfloat8_b, not for tables. Vectors become 32 rows of it."""

    def each(name, shape):
        is_table = name.endswith(("embedding.weight", "shared.weight", "attention_bias.weight"))
        return 2 * 32 if len(shape) == 1 else 2 * (BFLOAT8 if dtype == "bfloat8_b" and not is_table else 1)

    return sum(math.prod(shape) * each(name, shape) for name, shape in parameters(part).items())


def test_the_real_models_are_as_large_as_they_are_said_to_be():
    """Stability AI publishes 2.5 billion for Medium, with its table of positions, and 8.1 billion for Large.

    CompVis/stable-diffusion's README has 860 million for SD 1.4's UNet, and SDXL's paper (Podell 2023) 2.6 billion, and
    817 million for both CLIPs, of which one has no projection there.
    """
    count = lambda part: sum(math.prod(shape) for shape in shapes(part).values())
    assert round(count("sd35_medium") / 1e9, 1) == 2.5 and round(count("sd35_large") / 1e9, 1) == 8.1
    for config in (REAL["sd35_medium"], REAL["sd35_large"]):
        assert config["caption_projection_dim"] == config["num_attention_heads"] * config["attention_head_dim"]
    others = {part: sum(map(math.prod, parameters(part).values())) for part in MIRRORED}
    assert others["sd14"] == 859_520_964 and others["sdxl"] == 2_567_463_684
    assert others["clip_l"] == 123_650_304 and others["clip_g"] == 694_659_840


@pytest.fixture(scope="module")
def on_n150():
    """(part, dtype) -> need"""
    return {(need.part, need.request["dtype"]): need for need in dry_runs("n150")}


def test_all_parts_on_one_chip(on_n150):
    both = [(part, dtype) for part in TITLES for dtype in ("bfloat16", "bfloat8_b")]
    assert list(on_n150) == [case for case in both if case != ("vae", "bfloat8_b")]
    assert [model for model, need in on_n150.items() if not need.fits] == [("sd35_large", "bfloat16")]
    for (part, dtype), need in on_n150.items():
        if need.fits and part != "vae":
            assert need.weights == pytest.approx(on_paper(part, dtype), rel=0.01)
            assert need.weights < need.peak < 1.1 * need.weights
    large = on_n150["sd35_large", "bfloat16"]
    assert on_paper("sd35_large") > large.capacity and large.weights is None
    assert large.error.startswith("Out of Memory: Not enough space to allocate") and "\n" not in large.error


def test_activations_on_paper(on_n150):
    """They are bfloat16 in both formats, and no scores of all tokens with all are stored."""
    room = {model: need.peak - need.weights for model, need in on_n150.items() if need.fits}
    for part in ("sd14", "sdxl", "sd35_medium"):
        assert room[part, "bfloat16"] == room[part, "bfloat8_b"]
    stream = 2 * (1024 // 16) ** 2 * 1536  # 4,096 tokens of Medium's width
    assert 4 * stream < room["sd35_medium", "bfloat16"] < 16 * stream
    # A UNet's widest at 64 x 64: an MLP's two halves of 4 x 320 channels, in SDXL of 4 x 640. Scores of 8 and 10 heads.
    assert 2 * 64**2 * 8 * 320 < room["sd14", "bfloat16"] < 2 * 8 * 64**4
    assert 2 * 64**2 * 8 * 640 < room["sdxl", "bfloat16"] < 2 * 10 * 64**4


def test_table(on_n150):
    *lines, under = table(list(on_n150.values())).splitlines()
    assert [line.split("  ")[0] for line in lines[1:9:2]] == list(TITLES.values())[:4] and len(lines) == 16
    assert lines[10].startswith("its CLIP-L        77 tokens    bfloat16")
    assert lines[10].split()[-2:] == ["12.87", "fits"]
    assert lines[7].split()[-6:] == ["-", "-", "12.87", "does", "not", "fit"]
    assert under.startswith("Not counted: 17 to 57 MB")
    need = on_n150["sdxl", "bfloat8_b"]
    assert lines[4].split()[5:9] == [f"{need.weights / 1e9:.2f}", f"{need.peak / 1e9:.2f}", "12.87", "fits"]


def denoisers_mirrored(mesh):
    """SD 3.5's denoisers once more, from diffusers"""
    found = {}
    for part, dtype in (("sd35_medium", "bfloat16"), ("sd35_large", "bfloat8_b")):
        load = lambda mesh, weights, config, dtype=dtype: mirrored_transformer(mesh, config, dtype)
        found[part, dtype] = measure(mesh, part, None, REAL[part], {}, load)
    return found


def mirrored_transformer(mesh, config, dtype):
    with torch.device("meta"):
        model = SD3Transformer2DModel.from_config(config)
    inputs = lambda: dict(
        hidden_states=torch.zeros(1, config["in_channels"], 128, 128),
        encoder_hidden_states=torch.zeros(1, TOKENS, config["joint_attention_dim"]),
        pooled_projections=torch.zeros(1, config["pooled_projection_dim"]),
        timestep=torch.zeros(1),
    )
    return mirrored(mesh, model, FORMATS[dtype], inputs)


def test_a_mirrored_model_takes_about_what_ours_takes(on_n150):
    """Weights the same, activations within a quarter: ours has fewer ops, and copies where torch has views."""
    found = run_on("n150", denoisers_mirrored, numerics=False)
    decoder = on_n150["vae", "bfloat16"]
    for model, mirror in found.items():
        ours = on_n150[model]
        assert mirror.weights == pytest.approx(ours.weights, rel=0.005)
        assert mirror.peak - mirror.weights == pytest.approx(ours.peak - ours.weights, rel=0.25)
    pixels = 2 * 1024**2 * 256  # what the last level begins with: 256 channels at full size, in bfloat16
    assert decoder.fits and decoder.weights + 2 * pixels < decoder.peak < decoder.weights + 10 * pixels
    assert on_n150["sd35_medium", "bfloat16"].weights + decoder.peak < decoder.capacity  # both on one chip
    assert on_n150["sd35_large", "bfloat8_b"].weights + decoder.peak < decoder.capacity


def test_heads_that_do_not_divide():
    """Large's 38 over 4 chips: two of zeros come on top. Not cut are embeddings, and biases that belong to a sum."""
    large = dry_run("t3000", "sd35_large")
    attention = sum(2 * math.prod(shape) for name, shape in parameters("sd35_large").items()
                    if ".attn." in name and name.endswith("weight") and len(shape) == 2)  # fmt: skip
    cut = on_paper("sd35_large") + attention * 2 / 38
    assert large.fits and large.system == "t3000" and 0.25 * cut < large.weights < 0.27 * cut


SMALL = {
    "sd35_medium": dict(num_layers=2, num_attention_heads=4, attention_head_dim=32, caption_projection_dim=128,
                        joint_attention_dim=96, pooled_projection_dim=64, dual_attention_layers=[0]),
    "vae": dict(block_out_channels=[32, 64, 64, 96], layers_per_block=1),
}  # fmt: skip


def small_needs(mesh):
    """Both kinds of part in small, with values where the mesh has them"""
    found = []
    kinds = [("sd35_medium", "transformer", transformer, dict(dtype=dtype)) for dtype in FORMATS]
    for part, name, load, more in (*kinds, ("vae", "vae", vae, dict(dtype="bfloat16"))):
        config = REAL[part] | SMALL[part]
        sizes = reference_shapes(name, config, SD3)
        weights = {name: torch.randn(size) for name, size in sizes.items()} if mesh.numerics else Shapes(sizes)
        found.append(measure(mesh, part, weights, config, dict(height=80, width=112, **more), load))
    return found


def test_dry_runs_take_what_real_runs_take():
    """On two chips, where heads and rows are cut"""
    for real, dry in zip(run_on("n300", small_needs), run_on("n300", small_needs, numerics=False), strict=True):
        assert (real.weights, real.peak) == (dry.weights, dry.peak) and 0 < real.weights < real.peak


def test_published_seconds():
    assert published.seconds("sd35_medium", "n150") == 16 and published.seconds("sd35_large", "n150") is None
    keys = [(t.model, t.system) for t in published.TIMINGS]
    assert len(set(keys)) == len(keys) and {system for _, system in keys} <= set(SYSTEMS)
    assert {model for model, _ in keys} == {*list(TITLES)[:4], "mochi"}
    found = {(model, small, large): round(times, 2) for model, small, large, times in published.speedups()}
    assert found == {
        ("sdxl", "n150", "n300"): 1.74, ("sd35_large", "t3000", "galaxy"): 2.18, ("mochi", "t3000", "galaxy"): 3.22,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("system", "part", "size", "sentence"),
    [
        ("n151", "vae", {}, "no system called 'n151'"),
        ("n150", "decoder", {}, "no part 'decoder' here. Choose one of: sd14, sdxl, .*, clip_l, clip_g, t5"),
        ("n150", "sd35_medium", dict(width=1000), "width of 1000 does not divide by 16. Try 992"),
        ("n150", "sd14", dict(height=544), "height of 544 does not divide by 64. Try 512"),
        ("n150", "sdxl", dict(dtype="float16"), "no format 'float16' here. Choose one of: bfloat16, bfloat8_b"),
        ("n150", "vae", dict(dtype="bfloat8_b"), "convolutions are laid out in bfloat16"),
        ("galaxy", "clip_g", dict(width=512), "reads 77 tokens, not a picture. Leave height and width out"),
    ],
)
def test_what_cannot_be_planned(system, part, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        dry_run(system, part, **size)
