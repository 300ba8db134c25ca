import json
import math
import time

import numpy as np
import pytest
import torch
from conftest import WEEKLY
from diffusers import MochiPipeline
from safetensors.torch import save_file
from transformers import T5TokenizerFast

from helpers.world.prompts import caption
from helpers.world.scenes import sample
from training.config import configuration
from training.export import learned_on, pack, unpack, weights_size
from training.fast import quicken_autoencoder, quicken_transformer
from training.loop import Average, Place, rate_at, train
from training.mochi.autoencoder import TRAINING, Painter, crop, importance, train_autoencoder
from training.mochi.denoiser import Batches
from training.mochi.evaluate import Sampler, autoencoder_psnr, fixed_clips, judge
from training.mochi.reader import ANSWERS, Captions, answers
from training.mochi.train import make
from training.optimizer import orthogonal
from training.parts import new_autoencoder, new_text_encoder, new_tokenizer, new_transformer, tie_capitals

pytestmark = pytest.mark.usefixtures("one_thread")


def shaken(model):
    """Nothing at zero, so that every weight matters to the comparison."""
    torch.manual_seed(0)
    for p in model.parameters():
        if not p.abs().sum():
            torch.nn.init.normal_(p, std=0.02)
    return model.eval()


def test_the_default_fits_the_repository_and_the_mesh():
    config = configuration()
    models = [make_new(config) for make_new in (new_autoencoder, new_transformer, new_text_encoder)]
    assert sum(p.numel() for model in models for p in model.parameters()) * 2 < 48e6, "bytes in bfloat16"
    shape = config["transformer"]
    width = shape["num_attention_heads"] * shape["attention_head_dim"]
    assert shape["num_attention_heads"] in (4, 8) and width % (4 * 32) == 0 and shape["attention_head_dim"] % 32 == 0
    assert (4 * width * 2 // 3) % (4 * 32) == 0, "the SwiGLU layer splits over four chips in tiles"
    vae = config["autoencoder"]
    assert vae["temporal_expansions"] == (1, 2, 3), "Mochi-1's own"
    assert math.prod(vae["spatial_expansions"]) == 8, "Mochi-1's in all"
    assert all(c % 32 == 0 for c in vae["encoder_block_out_channels"] + vae["decoder_block_out_channels"])
    with pytest.raises(ValueError, match="presets"):
        configuration("enormous")


def test_quick_autoencoder_is_the_stock_one():
    config = configuration("smoke")
    stock, quick = shaken(new_autoencoder(config)), quicken_autoencoder(shaken(new_autoencoder(config)))
    quick.load_state_dict(stock.state_dict())
    video = torch.rand(2, 3, 13, 32, 48) * 2 - 1
    with torch.no_grad():
        a, b = (m.encode(video).latent_dist.parameters for m in (stock, quick))
        assert a.shape == (2, 24, 3, 4, 6) and torch.allclose(a, b, atol=1e-4)
        assert torch.allclose(stock.decode(a[:, :12]).sample, quick.decode(a[:, :12]).sample, atol=1e-4)


def test_quick_transformer_is_the_stock_one():
    config = configuration("smoke")
    stock, quick = shaken(new_transformer(config)), quicken_transformer(shaken(new_transformer(config)))
    quick.load_state_dict(stock.state_dict())
    latents, text = torch.randn(2, 12, 3, 4, 6), torch.randn(2, 9, config["transformer"]["text_embed_dim"])
    mask = torch.arange(9) < torch.tensor([[4], [9]])
    with torch.no_grad():
        outs = [m(latents, text, torch.tensor([30.0, 900.0]), mask, return_dict=False)[0] for m in (stock, quick)]
    assert torch.allclose(*outs, atol=1e-4)


def test_places_matter_to_the_new_transformer():
    frequencies = new_transformer(configuration()).pos_frequencies
    assert (frequencies.abs().sum(-1) > 0).all(), "three axes, each head"


def test_tokenizer_keeps_words_whole_and_survives_saving(tmp_path):
    tokenizer = new_tokenizer()
    for seed in range(300):
        ids = tokenizer(caption(sample(seed), seed)).input_ids
        assert 2 not in ids and len(ids) <= 24
    tokenizer.save_pretrained(tmp_path)
    again = T5TokenizerFast.from_pretrained(tmp_path)
    text = "A purpel butterfly, LANDING on a flower."
    assert again(text).input_ids == tokenizer(text).input_ids
    assert tokenizer("").input_ids == [1] and tokenizer(text).input_ids.count(2) == 0


def test_capitals_mean_the_same():
    config, tokenizer = configuration("smoke"), new_tokenizer()
    encoder = new_text_encoder(config).eval()
    tie_capitals(encoder, tokenizer)
    with torch.no_grad():
        outs = [encoder(**tokenizer(t, return_tensors="pt"))[0] for t in ("A Red BALL", "a red ball")]
    assert torch.equal(*outs)


@pytest.mark.parametrize("in_bfloat16", [True, False])
def test_orthogonal_has_singular_values_near_one(monkeypatch, in_bfloat16):
    """In bfloat16 where the CPU multiplies it, else in float32, which is quicker without such instructions."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: in_bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    torch.manual_seed(0)
    found = orthogonal(torch.randn(3, 16, 40))
    assert found.dtype == torch.float32 and torch.equal(found, found.bfloat16().float()) is in_bfloat16
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3


def test_rate_rises_stays_and_falls():
    assert rate_at(0) < rate_at(0.02) < rate_at(0.1) == rate_at(0.4) == 1 > rate_at(0.8) > rate_at(1)


def test_average_follows():
    model = torch.nn.Linear(2, 2)
    average = Average(model)
    with torch.no_grad():
        model.weight.fill_(3.0)
    for _ in range(300):
        average.update(model)
    average.copy_to(model)
    assert torch.allclose(model.weight, torch.tensor(3.0), atol=0.01)


def test_clips_and_crops():
    one, many = Painter("cpu", 7, 1), Painter("cpu", 7, 8)
    assert torch.equal(one.batch(3, 2), many.batch(3, 2)), "painted ahead or not"
    cuts = crop(one.batch(0, 2), 32, 7, 3, seed=5)
    assert cuts.shape == (6, 3, 7, 32, 32) and torch.equal(cuts, crop(one.batch(0, 2), 32, 7, 3, seed=5))
    weight = importance(one.batch(0, 2))
    assert weight.mean() == pytest.approx(1, abs=1e-5) and weight.max() > 1.3


def test_scenes_that_change_most_are_drawn_more_often(tmp_path):
    """The latents here are the clips' own numbers, so that what was drawn tells which clips."""
    numbers = torch.arange(1, 401).half().view(-1, 1, 1, 1, 1).expand(-1, 24, 2, 3, 4).contiguous()
    numbers[:, 12:] = -30  # no spread
    (tmp_path / "latents").mkdir()
    tokens = torch.ones(400, 3, 24, dtype=torch.int16)
    save_file({"moments": numbers, "tokens": tokens}, tmp_path / "latents" / "000000.safetensors")
    ball = torch.tensor([sample(TRAINING + n).scene == "ball" for n in range(400)])
    for factor in (1.0, 3.0):
        batches = Batches(Place(tmp_path), drop=0.0, often={"ball": factor})
        latents, _ = batches.draw(6000, torch.Generator().manual_seed(0))
        drawn = (latents * batches.std + batches.mean)[:, 0, 0, 0, 0].round().long() - 1
        assert drawn.max() < batches.train == 360, "what is held back is never drawn"
        balls = ball[:360].sum().item()
        expected = factor * balls / (factor * balls + 360 - balls)
        assert ball[drawn].float().mean().item() == pytest.approx(expected, abs=0.02)


def parabola(folder, deadline=math.inf, stop_at=None):
    """Train one number to be 5; returns (model, done, steps made)."""
    torch.manual_seed(0)
    model, made = torch.nn.Linear(1, 1, bias=False), []

    def loss_at(step, progress, generator):
        made.append(step)
        if step == stop_at:
            raise KeyboardInterrupt
        return (model.weight - 5).square().sum(), {"w": model.weight.detach().sum()}

    settings = {"steps": 40, "minutes": 1.0, "rate": 0.1, "muon": 0.5, "check_every": 10}
    done = train(Place(folder, deadline=deadline, quiet=True), "test", model, settings, loss_at, lambda m: {"x": 1})
    return model, done, made


def test_training_goes_on_where_it_was(tmp_path):
    whole, done, made = parabola(tmp_path / "whole")
    assert done and made == list(range(40))
    _, done, made = parabola(tmp_path / "parts", deadline=time.time() - 1)
    assert not done and made == [], "the deadline was over, a checkpoint is there"
    with pytest.raises(KeyboardInterrupt):
        parabola(tmp_path / "parts", stop_at=20)
    again, done, made = parabola(tmp_path / "parts")
    assert done and torch.equal(again.weight, whole.weight)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert {"step", "seconds"} <= set(lines[0]) and any("x" in line for line in lines)
    _, done, made = parabola(tmp_path / "whole")
    assert done and made == [], "nothing left to do"


@pytest.mark.parametrize("until, learns", [(0.0, False), (1.0, True)])
def test_the_decoder_learns_alone_in_the_end(tmp_path, until, learns):
    config = configuration("smoke")
    config["autoencoder_training"] |= {"steps": 2, "encoder_until": until}
    torch.manual_seed(config["seed"])
    before = new_autoencoder(config).state_dict()
    train_autoencoder(Place(tmp_path, quiet=True), config)
    after = torch.load(tmp_path / "autoencoder.pt", weights_only=True)["model"]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("decoder") for name in moved)
    assert any(name.startswith("encoder") for name in moved) == learns


def test_what_a_caption_answers():
    said = dict(zip(ANSWERS, answers("a small red fish swims past a blue coral to the left"), strict=True))
    meant = {"scene": "fish", "motion": "swimming left", "subject": "red", "second": "blue", "size": "small"}
    assert {name: ANSWERS[name][number - 1] for name, number in said.items()} == meant
    assert answers("a ball") == [1 + ANSWERS["scene"].index("ball"), 0, 0, 0, 0], "0 for what is left open"
    exam = Captions(40, lambda texts: torch.tensor([[len(text)] for text in texts]), 5, True, "cpu")
    assert exam.tokens.shape == (40, 1) and exam.answers.shape == (40, len(ANSWERS))
    assert all(len(exam.answers[:, k].unique()) > 2 for k in range(len(ANSWERS))), "nothing uniform"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A far smaller miniature, made by the very same code: (run folder, pipeline folder).

    Weekly it learns for two minutes, and is asked what it has learned. Else a few steps have to do.
    """
    torch.set_num_threads(1)
    run, out = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("out")
    config = configuration("smoke")
    if not WEEKLY:
        config["latents"]["clips"] = 60
        for stage in ("autoencoder", "reader", "transformer"):
            config[f"{stage}_training"]["steps"] //= 10
    assert make(Place(run, quiet=True), config, out)
    return run, out


@pytest.mark.weekly("two minutes of learning")
def test_the_smoke_version_beats_chance(smoke):
    sampler = Sampler(smoke[1], steps=10, guidance=4.5, frames=7, batch=10, dtype="float32", device="cpu")
    assert autoencoder_psnr(sampler, 6) > 16
    clips = fixed_clips(50, False)
    rates = judge(sampler([caption(clip, plain=True) for clip in clips]), clips)
    assert rates["scene"] >= 0.2, f"chance is 0.1: {rates}"


@pytest.mark.weekly("two minutes of learning")
def test_the_text_encoder_can_read(smoke):
    lines = [json.loads(line) for line in (smoke[0] / "log.jsonl").read_text().splitlines()]
    exam = [line for line in lines if line["stage"] == "reader" and "scene" in line][-1]
    assert exam["scene"] > 0.9 and exam["motion"] > 0.5 and exam["subject"] > 0.3, f"chance is 0.1 and less: {exam}"


def test_the_text_encoder_is_frozen_when_it_can_read(smoke):
    read = torch.load(smoke[0] / "text_encoder.pt", weights_only=True)
    kept = MochiPipeline.from_pretrained(smoke[1]).text_encoder.state_dict()
    for name, weight in kept.items():
        if "embed" not in name and "shared" not in name:  # those of capitals are tied when it is saved
            assert torch.equal(weight, read[f"t5.{name}"].bfloat16().float()), name


def test_stock_diffusers_loads_and_runs_it(smoke):
    pipeline = MochiPipeline.from_pretrained(smoke[1], dtype=torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)
    settings = {"height": 96, "width": 96, "num_frames": 7, "num_inference_steps": 3, "output_type": "np"}
    one, same, other = (
        pipeline("a red ball", generator=torch.Generator().manual_seed(seed), **settings).frames[0]
        for seed in (1, 1, 2)
    )
    assert one.shape == (7, 96, 96, 3) and np.isfinite(one).all()
    assert np.array_equal(one, same) and np.abs(one - other).mean() > 0.005


def test_weights_travel_in_small_files(smoke, tmp_path):
    paths = pack(smoke[1], tmp_path / "packed", limit=1_000_000)
    assert len(paths) > 2 and all(path.stat().st_size < 1_100_000 for path in paths)
    unpack(tmp_path / "packed", configuration("smoke"), tmp_path / "again")
    assert weights_size(tmp_path / "again") == weights_size(smoke[1])
    a, b = (MochiPipeline.from_pretrained(folder) for folder in (smoke[1], tmp_path / "again"))
    for part in ("vae", "transformer", "text_encoder"):
        left, right = (getattr(p, part).state_dict() for p in (a, b))
        assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    assert a.vae.config.latents_std == pytest.approx(b.vae.config.latents_std)
    with pytest.raises(FileNotFoundError, match="weights"):
        unpack(tmp_path, configuration("smoke"), tmp_path / "never")


def test_a_stage_that_is_gone_through_again_is_added_up(tmp_path):
    torch.save({"step": 70, "spent": 90.0, "model": {}}, tmp_path / "a.pt")
    before = {"stages": {"one": {"steps": 5, "minutes": 2.0}}, "clips": 9, "seed": 3}
    once = learned_on(before, "two", tmp_path / "a.pt", 20)
    assert once["stages"] == {"one": {"steps": 5, "minutes": 2.0}, "two": {"steps": 70, "minutes": 1.5}}
    twice = learned_on(once, "two", tmp_path / "a.pt", 30)
    assert twice["stages"]["two"] == {"steps": 140, "minutes": 3.0} and (twice["clips"], twice["seed"]) == (30, 3)
