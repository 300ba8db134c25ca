"""tiny-animatediff: its sizes, its stages on made-up latents, and the folder that stock diffusers loads."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AnimateDiffPipeline, AutoencoderKL, MotionAdapter, UNet2DConditionModel
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from safetensors.torch import save_file

from helpers.world.prompts import caption
from helpers.world.scenes import render, sample
from training.animatediff import make
from training.animatediff.make import make_animatediff
from training.animatediff.parts import (
    TextEncoder,
    configuration,
    new_motion_adapter,
    new_scheduler,
    new_unet,
    normalised,
    save_pipeline,
)
from training.animatediff.stages import Clips, at_end, joined, loss_of
from training.animatediff.together import parts_of, place_in_time, side_by_side, spread, train_together
from training.loop import Place
from training.mochi.autoencoder import TRAINING, tokenize
from training.parts import TOKENS
from training.stills.parts import configuration as stills_configuration
from training.stills.parts import new_autoencoder, new_clip_tokenizer

MODELS = Path(__file__).parents[1] / "models"
pytestmark = pytest.mark.usefixtures("one_thread")


def shaken(model):
    """Nothing at zero, so that every weight matters to a comparison."""
    torch.manual_seed(0)
    for p in model.parameters():
        if not p.abs().sum():
            torch.nn.init.normal_(p, std=0.05)
    return model.eval().requires_grad_(False)


def test_the_default_fits_the_repository_and_two_chips():
    config = configuration()
    vae = new_autoencoder(stills_configuration())
    models = vae, TextEncoder(config), new_unet(config), new_motion_adapter(config)
    assert sum(p.numel() for model in models for p in model.parameters()) * 2 < 20e6, "bytes in bfloat16"
    assert config["motion"]["motion_num_attention_heads"] % 2 == 0
    assert all(channels % 32 == 0 for channels in config["unet"]["block_out_channels"])
    with pytest.raises(ValueError, match="presets"):
        configuration("enormous")


# --- losses ----------------------------------------------------------------------------------------


def velocity_of(latents: torch.Tensor):
    """A denoiser that knows the data: the noise is what remains."""

    def knows_the_data(noisy, t):
        share = new_scheduler().alphas_cumprod[t].view(-1, *[1] * (latents.ndim - 1))
        noise = (noisy - share.sqrt() * latents) / (1 - share).sqrt()
        return share.sqrt() * noise - (1 - share).sqrt() * latents

    return knows_the_data


def test_the_loss_of_the_right_velocity_is_nothing():
    generator, scheduler = torch.Generator().manual_seed(0), new_scheduler()
    latents = torch.randn(5, 16, 4, 6, generator=generator)
    knows_the_data = velocity_of(latents)
    assert loss_of(knows_the_data, scheduler, latents, generator) < 1e-8
    assert loss_of(lambda *inputs: -knows_the_data(*inputs), scheduler, latents, generator) > 1
    seen = []
    loss_of(lambda noisy, t: seen.append(t) or noisy, scheduler, latents, generator)
    assert (seen[0] // 200).tolist() == [0, 1, 2, 3, 4], "one in each fifth of the way"


def test_the_way_starts_from_pure_noise():
    scheduler = new_scheduler()
    scheduler.set_timesteps(20)
    assert scheduler.timesteps[0] == 999 and scheduler.alphas_cumprod[999] == 0
    data, noise = torch.full((1, 2), 3.0), torch.randn(1, 2)
    assert torch.equal(scheduler.add_noise(data, noise, torch.tensor([999])), noise)
    epsilon = type(scheduler)(beta_start=0.00085, beta_end=0.012, beta_schedule="linear")
    assert epsilon.alphas_cumprod[999] > 1e-3, "AnimateDiff's own never gets there"


def test_motion_modules_start_as_nothing_and_alone_learn():
    config = configuration("smoke")
    unet, adapter = shaken(new_unet(config)), new_motion_adapter(config)
    joint = joined(unet, adapter)
    latents, text = torch.randn(2, 16, 3, 4, 6), torch.randn(6, TOKENS, 32)
    frames = latents.transpose(1, 2).flatten(0, 1)
    alone = unet(frames, 300, text, return_dict=False)[0].unflatten(0, (2, 3)).transpose(1, 2)
    assert torch.allclose(joint(latents, 300, text, return_dict=False)[0], alone, atol=1e-5)
    for name, p in adapter.named_parameters():
        if "proj_out" in name:
            p.data.normal_(std=0.1)
    moved = joint(latents, 300, text, return_dict=False)[0]
    assert (moved - alone).abs().max() > 0.1, "the adapter's own modules stand in the UNet"
    moved.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())
    assert all(p.grad is None for p in unet.parameters())
    assert {id(p) for p in joint.parameters() if p.requires_grad} == {id(p) for p in adapter.parameters()}


def test_some_frames_of_a_clip_keep_their_places_in_time():
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([spread(4, 16, generator) for _ in range(200)])
    assert (draws // 4 == torch.arange(4)).all(), "one of each quarter"
    assert all(set(column.tolist()) == set(range(4 * k, 4 * k + 4)) for k, column in enumerate(draws.T))
    assert spread(16, 16, generator).tolist() == list(range(16))
    embedding, x = SinusoidalPositionalEmbedding(8, 32), torch.randn(3, 16, 8)
    frames = torch.tensor([2, 5, 11])
    want = embedding(x)[:, frames]
    place_in_time([embedding], frames)
    assert torch.equal(embedding(x[:, frames]), want)


def test_threads_side_by_side_bring_the_gradient_of_the_mean():
    torch.manual_seed(0)
    layer, inputs = torch.nn.Linear(5, 3), [torch.randn(n, 5) for n in (2, 4, 7)]
    losses = side_by_side([lambda x=x: layer(x).square().mean() for x in inputs])
    side, layer.weight.grad = layer.weight.grad, None
    mean = torch.stack([layer(x).square().mean() for x in inputs]).mean()
    mean.backward()
    assert torch.allclose(side, layer.weight.grad, atol=1e-6) and torch.allclose(losses.mean(), mean)
    assert not losses.requires_grad
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1 / 0, lambda: layer(inputs[0]).sum()])


# --- text ------------------------------------------------------------------------------------------


def test_captions_are_read_as_the_pipeline_reads_them(folder):
    pipeline = AnimateDiffPipeline.from_pretrained(folder, dtype=torch.float32)
    prompts = ["a red butterfly landing on a blue flower", "a sun"]
    wanted, unwanted = pipeline.encode_prompt(prompts, "cpu", 1, True)
    tokens = tokenize(new_clip_tokenizer(), prompts).long()
    encoder = TextEncoder(configuration("smoke")).eval()
    encoder.clip.load_state_dict(pipeline.text_encoder.state_dict())
    with torch.no_grad():
        assert torch.allclose(encoder(tokens), wanted, atol=1e-5)
        empty = tokenize(new_clip_tokenizer(), [""]).long()
        assert torch.allclose(encoder(empty).expand(2, -1, -1), unwanted, atol=1e-5)
    assert at_end(tokens).sum(1).tolist() == [TOKENS - 9, TOKENS - 3]


# --- a folder --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = configuration("smoke")
    torch.manual_seed(4)
    vae, encoder = new_autoencoder(stills_configuration("smoke")), TextEncoder(config)
    models = vae, encoder, shaken(new_unet(config)), motion_adapter()
    return save_pipeline(tmp_path_factory.mktemp("out"), *models, torch.linspace(-2, 2, 16), torch.linspace(0.5, 3, 16))


def motion_adapter():
    torch.manual_seed(5)
    return shaken(new_motion_adapter(configuration("smoke")))


def test_stock_diffusers_loads_it(folder):
    adapter, want = MotionAdapter.from_pretrained(folder / "motion_adapter", dtype=torch.float32), motion_adapter()
    for name, tensor in want.state_dict().items():
        assert torch.equal(adapter.state_dict()[name], tensor.bfloat16().float()), name
    assert type(UNet2DConditionModel.from_pretrained(folder / "unet")) is UNet2DConditionModel, "motion is saved once"
    pipeline = AnimateDiffPipeline.from_pretrained(folder, dtype=torch.float32)
    modules = pipeline.unet.mid_block.motion_modules[0].state_dict()
    assert torch.equal(modules["proj_out.weight"], adapter.mid_block.motion_modules[0].proj_out.weight)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    pipeline.set_progress_bar_config(disable=True)
    clip = pipeline("a red ball", num_frames=3, num_inference_steps=2, output_type="pt").frames
    assert clip.shape == (1, 3, 3, 96, 96) and clip.isfinite().all()


def test_latents_of_the_folder_are_normalised():
    torch.manual_seed(4)
    vae = shaken(new_autoencoder(stills_configuration("smoke")))
    mean, std = torch.linspace(-2, 2, 16), torch.linspace(0.5, 3, 16)
    whole, column = normalised(vae, mean, std), lambda x: x.view(1, -1, 1, 1)
    picture, latents = torch.rand(2, 3, 32, 48) * 2 - 1, torch.randn(2, 16, 4, 6)
    with torch.no_grad():
        before, after = (model.encode(picture).latent_dist for model in (vae, whole))
        assert torch.allclose(after.mean, (before.mean - column(mean)) / column(std), atol=1e-4)
        assert torch.allclose(after.std, before.std / column(std), rtol=1e-3)
        want = vae.decode(latents * column(std) + column(mean)).sample
        assert torch.allclose(whole.decode(latents).sample, want, atol=1e-4)
        assert not torch.allclose(vae.decode(latents).sample, want, atol=1e-1)


def test_the_shipped_folder_takes_latents_as_the_unet_makes_them():
    """Of mean 0 and standard deviation 1 once the pipeline has scaled them; at another scale all colours burn."""
    vae = AutoencoderKL.from_pretrained(MODELS / "tiny-animatediff" / "vae", dtype=torch.float32)
    frames = render([sample(80 + k) for k in range(12)], frames=3)[:, :, 1] * 2 - 1
    with torch.no_grad():
        latents = vae.encode(frames).latent_dist.mean * vae.config.scaling_factor
        again = vae.decode(latents / vae.config.scaling_factor).sample
    assert abs(float(latents.mean())) < 0.2 and 0.8 < float(latents.std()) < 1.2
    assert (again - frames).abs().mean() < 0.1


# --- training --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """A folder of made-up latents: all frames of a clip are one plain picture of a random colour, far from normal."""
    place, generator = Place(tmp_path_factory.mktemp("run"), quiet=True), torch.Generator().manual_seed(0)
    pictures = 3 + 2 * torch.randn(60, 1, 16, 1, 1, generator=generator).expand(-1, 16, -1, 4, 4)
    moments = torch.cat([pictures, torch.full_like(pictures, -6)], dim=2).half()
    texts = [caption(sample(n), variant) for n in range(60) for variant in range(3)]
    tokens = tokenize(new_clip_tokenizer(), texts).unflatten(0, (60, 3))
    (place.folder / "latents").mkdir()
    shows = torch.ones(60, 16, dtype=torch.bool)
    made = {"moments": moments, "tokens": torch.stack([tokens, 0 * tokens], 2).contiguous(), "shows": shows}
    save_file(made, place.folder / "latents" / "000000.safetensors")
    return place


def test_latents_are_normalised_and_captions_dropped(latents):
    clips, generator = Clips(latents, drop=0.5, often={}), torch.Generator().manual_seed(0)
    assert clips.train == 54
    whole, tokens = clips.draw(32, generator, whole=True)
    assert whole.shape == (32, 16, 16, 4, 4) and tokens.shape == (32, TOKENS)
    assert whole.mean().item() == pytest.approx(0, abs=0.1) and whole.std().item() == pytest.approx(1, abs=0.1)
    assert 0.2 < (tokens == clips.empty).all(-1).float().mean() < 0.8
    single, _ = clips.draw(32, generator, whole=False)
    assert single.shape == (32, 1, 16, 4, 4)
    held, tokens = clips.held_back(4, generator, whole=True)
    want = (clips.moments[54:58, :, :16].float() - clips.mean.view(-1, 1, 1)) / clips.std.view(-1, 1, 1)
    assert torch.allclose(held, want, atol=0.2) and not (tokens == clips.empty).all(-1).any()


def test_hard_scenes_are_drawn_more_often(latents):
    clips = Clips(latents, drop=0.0, often={"fish": 4.0})
    fish = torch.tensor([sample(TRAINING + n).scene == "fish" for n in range(54)])
    count = fish.sum().item()
    drawn = fish[clips.places(4000, torch.Generator().manual_seed(1))].float().mean().item()
    assert drawn == pytest.approx(4 * count / (54 + 3 * count), abs=0.03) and 2 <= count < 20


def test_errors_count_more_where_something_moves(latents):
    """One place jumps by 3 standard deviations, up at every second frame: 1.5 on each side of its mean."""
    clips = Clips(latents, drop=0.0, often={})
    assert clips.motion(torch.tensor([3, 5])).max() < 1e-3, "the made-up clips stand still"
    clips.moments = clips.moments.clone()
    clips.moments[5, ::2, :16, 1, 2] += 3 * clips.std[:, None].T.half()
    motion = clips.motion(torch.tensor([3, 5]))
    assert motion.shape == (2, 4, 4) and motion[1, 1, 2].item() == pytest.approx(1.5, abs=0.01)
    assert motion[0].max() < 1e-3 and motion.sum().item() == pytest.approx(1.5, abs=0.03), "nothing else moves"
    clips.places = lambda count, generator: torch.tensor([5, 3, 3, 5])[:count]
    settings, frames = {"threads": 2, "moving": 4.0}, torch.arange(16)
    (_, _, _, first), (_, _, _, second) = parts_of(clips, 4, frames, torch.Generator().manual_seed(0), settings)
    assert first.shape == (2, 1, 1, 4, 4) and first[0, 0, 0, 1, 2].item() == pytest.approx(7, abs=0.05)
    assert first[1].sub(1).abs().max() < 1e-2 and torch.equal(second, first.flip(0))


def test_weights_belong_to_their_errors():
    """The right velocity everywhere but at one place counts as much as that place does."""
    latents = torch.randn(3, 2, 5, 4, 6, generator=torch.Generator().manual_seed(3))

    def almost(noisy, timesteps):
        velocity = velocity_of(latents)(noisy, timesteps)
        velocity[:, :, :, 2, 3] += 0.5
        return velocity

    def loss(weights):
        return loss_of(almost, new_scheduler(), latents, torch.Generator().manual_seed(4), weights).item()

    weights = torch.ones(3, 1, 1, 4, 6)
    assert loss(1.0) == pytest.approx(loss(weights)) == pytest.approx(0.25 / 24)
    weights[:, :, :, 2, 3] = 5
    assert loss(weights) == pytest.approx(5 * 0.25 / 24)
    weights[:, :, :, 2, 3], weights[:, :, :, 0, 0] = 1, 5
    assert loss(weights) == pytest.approx(0.25 / 24), "nothing is wrong there"


def test_a_finished_folder_learns_on_as_long_as_asked(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(make, "encode_frames", lambda place, config, vae: asked.append(config) or False)
    folder = MODELS / "tiny-animatediff"
    options = [str(folder), "--autoencoder", str(MODELS / "tiny-sd3" / "vae"), "--run", str(tmp_path / "run")]
    assert make.main([*options, "--minutes", "7", "--clips", "450"]) == make.main(options) == 0
    wanted, usual = asked
    assert wanted["together_training"]["minutes"] == 7 and wanted["latents"]["clips"] == 450
    assert usual["together_training"]["minutes"] == 104 and usual["latents"]["clips"] == 3000
    for wrong, said in (
        ([str(tmp_path / "nowhere"), *options[1:]], "nowhere is no finished folder"),
        ([*options, "--minutes", "0"], "--minutes: 0 is not above 0"),
        ([*options, "--clips", "-3"], "--clips: -3 is not above 0"),
    ):
        with pytest.raises(SystemExit):
            make.main(wrong)
        assert said in capsys.readouterr().err
    assert len(asked) == 2


def test_all_stages_make_a_folder_that_stock_diffusers_loads(latents, tmp_path):
    config, place = configuration("smoke"), replace(latents, folder=tmp_path)
    for stage in ("reader", "unet", "motion", "together"):
        config[f"{stage}_training"]["steps"] = 3
    (tmp_path / "latents").symlink_to(latents.folder / "latents")
    vae, stopped = new_autoencoder(stills_configuration("smoke")), replace(place, deadline=0.0)
    assert not make_animatediff(stopped, config, vae, tmp_path / "out") and not (tmp_path / "out").exists()
    assert make_animatediff(place, config, vae, tmp_path / "out")
    pipeline = AnimateDiffPipeline.from_pretrained(tmp_path / "out", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline("a red ball", num_frames=3, num_inference_steps=2, output_type="np").frames[0]
    assert made.shape == (3, 96, 96, 3) and made.std() > 0.001


@pytest.mark.weekly("half a minute of learning")
def test_motion_modules_learn_that_frames_are_alike(latents, tmp_path):
    """Made-up clips stand still: sixteen noisy frames of one picture tell more of it than frames of other pictures."""
    config, place = configuration("smoke"), replace(latents, folder=tmp_path)
    (tmp_path / "latents").symlink_to(latents.folder / "latents")
    vae = new_autoencoder(stills_configuration("smoke"))
    assert make_animatediff(place, config, vae, tmp_path / "out")
    pipeline = AnimateDiffPipeline.from_pretrained(tmp_path / "out", dtype=torch.float32)
    clips, scheduler = Clips(latents, 0.0, {}), new_scheduler()
    held, tokens = clips.held_back(6, torch.Generator().manual_seed(1), whole=True)
    with torch.no_grad():
        text = pipeline.text_encoder(tokens).last_hidden_state[:, None].expand(-1, 16, -1, -1)
        clip, frame = torch.arange(6)[:, None], torch.arange(16)
        losses = []
        for which in (clip.expand(-1, 16), (clip + frame) % 6):  # of a clip all frames; each from another clip
            said = text[which, frame].flatten(0, 1)
            together = lambda noisy, t, said=said: pipeline.unet(noisy, t, said, return_dict=False)[0]
            frames, generator = held[which, frame].transpose(1, 2), torch.Generator().manual_seed(2)
            losses.append(float(loss_of(together, scheduler, frames, generator)))
        losses.append(float(loss_of(lambda noisy, t: 0 * noisy, scheduler, frames, torch.Generator().manual_seed(2))))
    assert losses[0] < 0.97 * losses[1] and losses[0] < 0.94 * losses[2], losses


def test_together_both_learn_and_go_on_after_a_stop(latents, tmp_path):
    config, clips = configuration("smoke"), Clips(latents, 0.1, {})
    encoder = TextEncoder(config).eval().requires_grad_(False)

    def learned(steps):
        """From the same start, in a folder that keeps what was learned: all weights, and whether it is done."""
        torch.manual_seed(6)
        unet, adapter = new_unet(config), new_motion_adapter(config)
        before = [p.clone() for model in (unet, adapter) for p in model.parameters()]
        config["together_training"]["steps"] = steps
        done = train_together(Place(tmp_path, quiet=True), config, encoder, unet, adapter, clips)
        after = [p for model in (unet, adapter) for p in model.parameters()]
        return before, after, done

    before, first, done = learned(4)
    assert done and all(p.isfinite().all() and not p.requires_grad for p in first)
    assert sum(not torch.equal(a, b) for a, b in zip(before, first, strict=True)) > 0.9 * len(first)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 4 and log[-1]["loss_held_back"] > 0
    _, second, _ = learned(8)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 8
    assert any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
