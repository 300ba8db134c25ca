"""The planner: what fits and what does not, against arithmetic on paper and against runs with values."""

import inspect
import itertools
import math

import pytest
import torch
import ttnn
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel

from helpers.layers.weights import reference_shapes
from helpers.mesh import close_mesh, open_mesh, run_on
from helpers.mochi.parts import FREES
from helpers.mochi.transformer import Transformer
from helpers.planner import memory
from helpers.planner.allocator import allocated, follow, size_in
from helpers.planner.memory import REAL, Shapes, dry_run, measure, stages, table, whole_program
from helpers.tensors import gather, replicate, reserve, shard
from ttnn_emulator.systems import SYSTEMS, find_system

GALAXY = dict(tp=4, sp=8)
GALAXY_BANKS = find_system("galaxy").chip.dram_banks
VIDEO = dict(frames=163, height=480, width=848)


@pytest.fixture(scope="module")
def empty():
    """The Galaxy without values"""
    mesh = open_mesh("galaxy", numerics=False)
    yield mesh
    close_mesh(mesh)


def on_galaxy(mesh, part, **request):
    return measure(mesh, part, Shapes(reference_shapes(part, REAL[part])), REAL[part], request)


# --- arithmetic on paper ---------------------------------------------------------------------------


def parameters(part: str) -> dict[str, tuple[int, ...]]:
    shapes = reference_shapes(part, REAL[part])
    shapes.pop("encoder.embed_tokens.weight", None)  # the same matrix as shared.weight
    return shapes


def on_paper(part: str, share) -> float:
    """Bytes on each chip: two a parameter, times the share that a chip holds. Vectors become 32 rows, 31 of padding."""
    rows = lambda shape: 32 if len(shape) == 1 else 1
    return sum(2 * math.prod(shape) * rows(shape) * share(name) for name, shape in parameters(part).items())


def test_the_real_models_are_the_ones_that_diffusers_builds_unasked():
    for part, model in (("transformer", MochiTransformer3DModel), ("vae", AutoencoderKLMochi)):
        defaults = {name: p.default for name, p in inspect.signature(model.__init__).parameters.items()}
        for name, value in REAL[part].items():
            same = list(value) if isinstance(value, list) else value
            assert name == "_class_name" or same == (list(d) if isinstance(d := defaults[name], tuple) else d)
    count = lambda part: sum(math.prod(shape) for shape in parameters(part).values())
    assert count("transformer") == 10_027_677_744
    assert count("text_encoder") == pytest.approx(4.76e9, rel=0.001)
    decoder = {name: shape for name, shape in parameters("vae").items() if name.startswith("decoder.")}
    assert sum(map(math.prod, decoder.values())) == pytest.approx(362e6, rel=0.002)


def share_of_transformer(fsdp: bool):
    def share(name):
        cut = "transformer_blocks" in name and name.endswith(".weight")
        if cut and (".attn1.to_" in name or ".attn1.add_" in name or ".ff" in name):
            return 1 / GALAXY["tp"] / (GALAXY["sp"] if fsdp else 1)
        return 1 / GALAXY["tp"] if "norm1" in name or "norm_out" in name else 1

    return share


@pytest.mark.parametrize("fsdp", [False, True])
def test_transformer_weights_on_paper(empty, fsdp):
    loaded = allocated(empty)
    model = memory.transformer(empty, Shapes(reference_shapes("transformer", REAL["transformer"])),
                                REAL["transformer"], fsdp, **VIDEO)  # fmt: skip
    paper = on_paper("transformer", share_of_transformer(fsdp))
    assert allocated(empty) - loaded == pytest.approx(paper, rel=0.002)
    del model
    assert allocated(empty) == loaded


def test_text_encoder_on_paper(empty):
    need = on_galaxy(empty, "text_encoder")
    paper = on_paper("text_encoder", lambda name: 1 if "norm" in name or name == "shared.weight" else 1 / GALAXY["tp"])
    assert need.weights == pytest.approx(paper, rel=0.001)
    assert need.weights < need.peak < 1.02 * need.weights < need.capacity  # 256 tokens are few
    assert need.fits


# --- against runs with values ----------------------------------------------------------------------

SMALL = {
    "text_encoder": REAL["text_encoder"] | dict(d_model=128, d_kv=32, num_heads=4, d_ff=352, num_layers=2,
                                                vocab_size=77),
    "transformer": REAL["transformer"] | dict(num_layers=2, num_attention_heads=8, attention_head_dim=32,
                                              pooled_projection_dim=64, text_embed_dim=96, time_embed_dim=64),
    "vae": REAL["vae"] | dict(decoder_block_out_channels=[32, 64, 96, 96], layers_per_block=[1, 1, 1, 1, 1],
                              encoder_block_out_channels=[32, 32, 32, 32]),
}  # fmt: skip
REQUESTS = {
    "text_encoder": {},
    "transformer": dict(fsdp=True, frames=19, height=96, width=160),
    "vae": dict(frames=19, height=96, width=160),
}


def changes(need):
    """Its history without repetitions. A real run has a longer one: at its end values are read back."""
    return [size for size, _ in itertools.groupby(need.history)]


def small_needs(mesh) -> list[memory.Need]:
    needs = []
    for part, config in SMALL.items():
        shapes = reference_shapes(part, config)
        weights = {name: torch.randn(shape) for name, shape in shapes.items()} if mesh.numerics else Shapes(shapes)
        needs.append(measure(mesh, part, weights, config, REQUESTS[part]))
    return needs


def test_dry_runs_take_what_real_runs_take(empty):
    for real, dry in zip(run_on("galaxy", small_needs), small_needs(empty), strict=True):
        assert (real.weights, real.peak) == (dry.weights, dry.peak) and 0 < real.weights < real.peak
        assert changes(real)[: len(changes(dry))] == changes(dry)


def test_asking_seldom_finds_what_asking_always_does(empty):
    """Forward passes of all three parts: after every op the allocator is asked here, and there when it may be more."""
    always, seldom = [], []
    call = ttnn.decorators.FastOperation.__call__

    def asking(op, *args, **kwargs):
        result = call(op, *args, **kwargs)
        always.append(allocated(empty))
        return result

    for part, config in SMALL.items():
        run = memory.LOADERS[part](empty, Shapes(reference_shapes(part, config)), config, **REQUESTS[part])
        always.clear(), seldom.clear()
        ttnn.decorators.FastOperation.__call__ = asking
        try:
            with follow(empty, seldom):
                run()
        finally:
            ttnn.decorators.FastOperation.__call__ = call
        assert max(seldom) == max(always) and len(seldom) < len(always) / 2


@pytest.mark.parametrize("dtype", [ttnn.bfloat16, ttnn.float32, ttnn.bfloat8_b])
@pytest.mark.parametrize("layout", [ttnn.TILE_LAYOUT, ttnn.ROW_MAJOR_LAYOUT])
@pytest.mark.parametrize(
    ("shape", "dims"),
    [((1, 1, 256, 1664), dict(tp=3, sp=2)), ((5, 7, 33, 50), {}), ((1, 1, 1, 512), dict(tp=3)), ((40,), {})],
)
def test_a_tensor_without_values_takes_the_same_place(empty, dtype, layout, shape, dims):
    if dtype == ttnn.bfloat8_b and layout != ttnn.TILE_LAYOUT:
        pytest.skip("block floats are always tiled")
    taken, banks = [], GALAXY_BANKS
    for x in (torch.zeros(shape), torch.empty(shape, device="meta")):
        before = allocated(empty)
        placed = (shard if dims else replicate)(x, empty, dtype=dtype, layout=layout, **dims)
        assert allocated(empty) - before == size_in(banks, placed)
        taken.append((allocated(empty) - before, tuple(placed.shape), tuple(placed.padded_shape), placed.dtype))
        back = gather(placed, **dims)
        assert back.is_meta and back.shape == x.shape
        del placed
    assert taken[0] == taken[1] and taken[0][0] > 0


def test_history_sees_what_was_freed_again(empty):
    size, history, before = (1, 1, 4096, 12 * 4096), [], allocated(empty)
    x = reserve(size, empty, ttnn.bfloat16, ttnn.TILE_LAYOUT)
    with follow(empty, history):
        for _ in range(3):
            ttnn.add(ttnn.add(x, x), x)
    one = 2 * math.prod(size)
    assert allocated(empty) - before == one
    assert max(history) - before == 3 * one


# --- the whole program -----------------------------------------------------------------------------


def in_banks(*buffers: int) -> int:
    """Bytes of buffers of so many tiles in bfloat16: they go to 12 banks in turn, and all count as the fullest."""
    return sum(-(-tiles // 12) * 12 * 2048 for tiles in buffers)


def test_a_stage_has_what_those_before_left(empty):
    alone = {need.part: need for need in small_needs(empty)}
    size, before = REQUESTS["vae"], allocated(empty)
    kept, freed = (stages(empty, SMALL, size, True, frees) for frees in ((), ("transformer",)))
    assert allocated(empty) == before
    assert [need.part for need in kept] == list(SMALL) and all(need.fits for need in kept + freed)
    encoder, denoiser, decoder = (alone[part].weights for part in SMALL)
    # For each of two prompts its summary, 1 x 256, and 256 tokens of width 64.
    prompts = in_banks(8, 8 * 2) * 2
    # Of two heads of 32 on each chip: cosines, sines and the turn of a pair for 32 tokens; K and V of all 256.
    tables = in_banks(2, 2, 1, 2 * 8, 2 * 8)
    begin = [need.weights for need in kept]
    assert begin == [encoder + denoiser, encoder + denoiser + prompts, encoder + denoiser + tables + decoder]
    assert [need.weights for need in freed] == [*begin[:2], encoder + decoder]
    assert freed[2].peak == encoder + alone["vae"].peak and kept[2].peak - freed[2].peak == denoiser + tables


def with_two_blocks(mesh, ways):
    """Each way, the real models: what to free -> needs. Blocks take turns in the same memory: two show what 48 take."""
    whole = Transformer.__call__

    def short(model, *given):
        blocks, model.blocks = model.blocks, [model.blocks[0], model.blocks[-1]]
        try:
            return whole(model, *given)
        finally:
            model.blocks = blocks

    Transformer.__call__ = short
    try:
        return [stages(mesh, REAL, VIDEO, None, frees) for frees in ways]
    finally:
        Transformer.__call__ = whole


def test_a_galaxy_holds_the_whole_program(empty):
    ((encoder, denoiser, decoder),) = with_two_blocks(empty, [FREES.get("galaxy", ())])
    assert encoder.fits and denoiser.fits and decoder.fits
    stream = 2 * 44_544 / GALAXY["sp"] * 3072  # 44,520 tokens up to whole tiles on 8 chips
    ring = 2 * GALAXY["sp"] / GALAXY["tp"] * stream  # K and V of all tokens, of the chip's heads
    assert ring + 4 * stream < denoiser.peak - denoiser.weights < ring + 10 * stream
    video = 2 * 4 * 6 * (480 // 4) * 848 * 128  # a chip's frames and rows, 128 channels: the largest tensor
    assert 3 * video < decoder.peak - decoder.weights < 4 * video


def test_a_t3000_holds_it_only_without_the_denoiser():
    kept, freed = run_on("t3000", with_two_blocks, [(), FREES["t3000"]], numerics=False)
    assert [need.fits for need in kept] == [True, True, False] and kept[2].error.startswith("Out of Memory")
    assert all(need.fits for need in freed) and freed[2].peak > 0.75 * freed[2].capacity


@pytest.mark.weekly("12 s")
def test_a_quietbox2_holds_it():
    assert all(need.fits for need in run_on("quietbox2", with_two_blocks, [FREES["quietbox2"]], numerics=False)[0])


def test_four_wormhole_chips_do_not_hold_it():
    """Not even its decoder, alone. tt-metal's own pipeline refuses them, too (pipeline_mochi.py at 0d617aff)."""
    decoder = dry_run("n300x2", "vae")
    assert not decoder.fits and decoder.error.startswith("Out of Memory")
    assert find_system("n300x2").mesh == find_system("quietbox2").mesh == (2, 2)


@pytest.mark.weekly("half a minute")
def test_of_the_whole_program_four_wormhole_chips_hold_the_text_encoder_only():
    assert [need.fits for need in whole_program("n300x2")] == [True, False, False]


def test_one_and_two_wormhole_chips_do_not_hold_it():
    needs = whole_program("n300")
    assert [need.part for need in needs] == list(SMALL) and not any(need.fits for need in needs)
    denoiser = dry_run("n150", "transformer")
    assert not denoiser.fits and denoiser.weights is denoiser.peak is None
    assert denoiser.error.startswith("Out of Memory: Not enough space to allocate") and "\n" not in denoiser.error
    assert denoiser.capacity == SYSTEMS["n150"].dram_bytes
    *lines, under = table([denoiser, *needs]).splitlines()
    assert [line.split()[-1] for line in lines] == ["capacity", *4 * ["fit"]]
    assert "does not fit. ttnn says: Out of Memory" in str(denoiser) and str(denoiser).endswith(under)


def test_what_a_mock_does_not_count_is_said():
    """17 to 57 MB a chip: who leaves less may not fit."""
    history = lambda left: [2 * 10**9, 12 * 10**9 - left]
    need = lambda left: memory.Need("n150", "vae", {}, 10**9, history(left), 12 * 10**9, None, memory.Calls())
    assert "peak 11.94 of 12.00 GB: fits. Not counted: 17 to 57 MB of program code" in str(need(58_000_000))
    assert "peak 11.94 of 12.00 GB: fits without its program code. Not counted: 17 to 57" in str(need(56_000_000))
    assert table([need(56_000_000)] * 2).count("Not counted") == 1


# --- what does not fit -----------------------------------------------------------------------------


def test_a_forward_pass_that_does_not_fit(empty):
    need = on_galaxy(empty, "vae", frames=163, height=1440, width=2544)
    assert not need.fits and need.peak is None and 2 * 362e6 < need.weights < 1e9
    assert need.weights < max(need.history) <= need.capacity
    assert need.error.startswith("Out of Memory")


def test_other_errors_are_raised(empty, monkeypatch):
    def broken(mesh, weights, config):
        raise RuntimeError("a kernel is missing")

    monkeypatch.setitem(memory.LOADERS, "text_encoder", broken)
    with pytest.raises(RuntimeError, match="a kernel is missing"):
        on_galaxy(empty, "text_encoder")


@pytest.mark.parametrize(
    ("system", "part", "size", "sentence"),
    [
        ("n151", "vae", {}, "no system called 'n151'"),
        ("n150", "decoder", {}, "no part 'decoder'. Choose one of: text_encoder, transformer, vae"),
        ("n150", "vae", dict(frames=160), "160 frames cannot be made.*157 or 163"),
        ("n150", "transformer", dict(width=850), "width of 850 does not divide by 16. Try 848"),
    ],
)
def test_what_cannot_be_planned(system, part, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        dry_run(system, part, **size)
    if part in SMALL:
        with pytest.raises(ValueError, match=sentence):
            whole_program(system, **size)
