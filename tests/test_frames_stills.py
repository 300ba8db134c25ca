"""Still pictures on one chip and four against diffusers: denoiser, decoder, and the way from a sentence to a picture.

The four are two lines of two, so that one picture is cut over tp, and two are made at once.

Weights are random, and no bias or norm is at its neutral value. Each system is one process, which makes all that the
tests look at.
"""

import json
import shutil

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel

from helpers.frames.stills import SD3, Request, StableDiffusion3, still
from helpers.frames.transformer import Transformer
from helpers.frames.vae import Decoder
from helpers.layers.weights import Weights, find_folder
from helpers.mesh import run_on
from helpers.metrics import pcc, psnr
from training.parts import new_tokenizer

SYSTEMS = ["n150", "n300x2"]


def with_random_rest(model, gain: float = 1.0):
    """Gives every vector a value that a forgotten bias or norm would change; rounds all to bfloat16.

    gain: of the matrices. torch's own start lets a signal shrink by sqrt(3) in every layer.
    """
    torch.manual_seed(11)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data = parameter.data + 0.3 * torch.randn_like(parameter)
        else:
            parameter.data = parameter.data * gain
        parameter.data = parameter.data.bfloat16().float()
    return model.eval()


# --- models ----------------------------------------------------------------------------------------

SMALL = dict(
    sample_size=16, in_channels=16, num_layers=2, attention_head_dim=32, num_attention_heads=4, joint_attention_dim=96,
    caption_projection_dim=128, pooled_projection_dim=64, pos_embed_max_size=11,
)  # fmt: skip
DENOISERS = {
    "SD 3": {},
    "SD 3.5 Large": dict(qk_norm="rms_norm", attention_head_dim=64, num_attention_heads=2),
    "SD 3.5 Medium": dict(qk_norm="rms_norm", dual_attention_layers=(0,), num_layers=3),
    "an odd number of heads": dict(
        qk_norm="rms_norm", dual_attention_layers=(0,), num_attention_heads=3, caption_projection_dim=96
    ),
    "one block": dict(num_layers=1),
}


def denoiser(name: str, **config) -> SD3Transformer2DModel:
    torch.manual_seed(5)
    return with_random_rest(SD3Transformer2DModel(**SMALL | DENOISERS[name] | config), gain=3**0.5)


def noisy(height=10, width=14, tokens=23):
    """Latents, the text's tokens, the text as a whole, the timestep"""
    generator = torch.Generator().manual_seed(3)
    shapes = (1, 16, height, width), (1, tokens, 96), (1, 64)
    return *(torch.randn(shape, generator=generator) for shape in shapes), 400.0


def reference_flow(model, latents, hidden, pooled, timestep):
    with torch.no_grad():
        return model(latents, hidden, pooled, torch.tensor([timestep]), return_dict=False)[0]


def autoencoder(**config) -> AutoencoderKL:
    """Small, and as SD 3's unless told otherwise"""
    torch.manual_seed(9)
    sizes = dict(
        block_out_channels=(32, 64, 96), down_block_types=["DownEncoderBlock2D"] * 3, layers_per_block=1,
        up_block_types=["UpDecoderBlock2D"] * 3, latent_channels=16, norm_num_groups=16, scaling_factor=1.5305,
        shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
    return with_random_rest(AutoencoderKL(**sizes | config))


OLDER = dict(block_out_channels=(32, 64), down_block_types=["DownEncoderBlock2D"] * 2, layers_per_block=2,
             up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=4, shift_factor=None,
             use_post_quant_conv=True)  # fmt: skip
DECODERS = {"SD 3": ({}, (6, 7)), "older": (OLDER, (5, 4))}  # five rows do not divide over two chips: columns are cut


def compressed(channels, height, width):
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(4))


def reference_picture(model, latents):
    latents = latents / model.config.scaling_factor + (model.config.shift_factor or 0)
    with torch.no_grad():
        return model.decode(latents, return_dict=False)[0]


def decibels(got, want):
    """Peak signal to noise ratio, the peak being the whole range of the reference"""
    return (10 * torch.log10((want.max() - want.min()) ** 2 / ((got - want) ** 2).mean())).item()


# --- a folder --------------------------------------------------------------------------------------

PROMPT = "a red butterfly landing on a blue flower"
SETTINGS = dict(steps=3, height=48, width=32, guidance=3.0)
REQUEST = SETTINGS | {"seed": 5}
MANY = [PROMPT, "a slow car", PROMPT], [5, 7, 6]  # prompts and seeds: for two lines of chips two and one
OTHERS = [{}, {"guidance": 1.0}, {"negative_prompt": "a slow car"}, {"seed": 6}, {"width": 48}]


def clip(width: int) -> tuple[CLIPTextModelWithProjection, CLIPTokenizer]:
    """It spells: every letter is a token."""
    letters = "abcdefghijklmnopqrstuvwxyz,."
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    tokenizer = CLIPTokenizer({piece: n for n, piece in enumerate(pieces)}, [], model_max_length=77)
    config = CLIPTextConfig(
        vocab_size=len(pieces), hidden_size=width, intermediate_size=2 * width, projection_dim=width,
        num_hidden_layers=2, num_attention_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return with_random_rest(CLIPTextModelWithProjection(config)), tokenizer


@pytest.fixture(scope="module")
def sd3(tmp_path_factory):
    """A Stable Diffusion 3 folder with random weights"""
    torch.manual_seed(1)
    (encoder, tokenizer), (encoder_2, tokenizer_2) = clip(32), clip(64)
    t5 = T5Config(d_model=128, d_kv=32, num_heads=4, d_ff=96, num_layers=1, vocab_size=len(new_tokenizer()),
                  feed_forward_proj="gated-gelu")  # fmt: skip
    transformer = denoiser("SD 3.5 Medium", num_layers=2, joint_attention_dim=128, pooled_projection_dim=96)
    tokenizer_3 = new_tokenizer()
    tokenizer_3.model_max_length = 24
    pipeline = StableDiffusion3Pipeline(
        transformer, FlowMatchEulerDiscreteScheduler(shift=3.0), autoencoder(), encoder, tokenizer,
        encoder_2, tokenizer_2, with_random_rest(T5EncoderModel(t5)), tokenizer_3,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("sd3")
    pipeline.to(torch.bfloat16).save_pretrained(path)
    return path


# --- what a system makes ---------------------------------------------------------------------------


def complaint(function, *args, **kwargs) -> str:
    with pytest.raises((ValueError, RuntimeError)) as raised:
        function(*args, **kwargs)
    return str(raised.value)


def all_of_it(mesh, denoisers, decoders, folder) -> dict:
    made = {}
    for name, model in denoisers.items():
        on_mesh = Transformer(mesh, model.state_dict(), dict(model.config))
        latents, hidden, pooled, timestep = noisy()
        prompt = on_mesh.prompt(hidden, pooled)
        mesh.traffic.clear()
        made[name] = on_mesh(latents, prompt, timestep)
        made[name, "sent"] = mesh.traffic.by_axis()
        made[name, "large"] = on_mesh(noisy(22, 6)[0], prompt, 999.0)
    for name, (model, latents) in decoders.items():
        made[name, "picture"] = Decoder(mesh, model.state_dict(), dict(model.config))(latents)
    pipeline = StableDiffusion3(mesh, folder)
    made["stills"] = [pipeline(PROMPT, **REQUEST | other) for other in OTHERS]
    made["pictures"] = pipeline.pictures(*MANY, **SETTINGS)
    made["texts"] = [text and tuple(text.context.shape) for text in pipeline.encode(Request(PROMPT, guidance=1.0))]
    made["height"] = complaint(pipeline, PROMPT, **REQUEST | {"height": 50})
    made["seeds"] = complaint(pipeline.pictures, [PROMPT, PROMPT], [1], **SETTINGS)
    two = Request(PROMPT, steps=2), Request(PROMPT, steps=3)
    made["two ways"] = complaint(pipeline.denoise, *two)
    pipeline.texts.scheduler.register_to_config(stochastic_sampling=True)
    made["noised"] = pipeline.pictures(*MANY, **SETTINGS)
    made["lines"] = complaint(on_mesh, torch.zeros(3, 16, 10, 6), prompt, 1.0)
    made["patches"] = complaint(on_mesh, torch.zeros(1, 16, 9, 6), prompt, 1.0)
    made["too large"] = complaint(on_mesh, torch.zeros(1, 16, 24, 6), prompt, 1.0)
    mesh.users = 0
    made["closed"] = complaint(pipeline, PROMPT, **REQUEST)
    return made


@pytest.fixture(scope="module", params=SYSTEMS)
def made(request, sd3):
    denoisers = {name: denoiser(name) for name in DENOISERS}
    decoders = {}
    for name, (config, size) in DECODERS.items():
        model = autoencoder(**config)
        decoders[name] = model, compressed(model.config.latent_channels, *size)
    return run_on(request.param, all_of_it, denoisers, decoders, sd3) | {"system": request.param, "folder": sd3}


@pytest.mark.parametrize("name", DENOISERS)
def test_denoiser(made, name):
    model, (latents, hidden, pooled, timestep) = denoiser(name), noisy()
    want = reference_flow(model, latents, hidden, pooled, timestep)
    assert made[name].shape == want.shape and pcc(made[name], want) >= 0.999
    large = reference_flow(model, noisy(22, 6)[0], hidden, pooled, 999.0)
    assert pcc(made[name, "large"], large) >= 0.999
    mistakes = [
        reference_flow(model, latents, 0 * hidden, pooled, timestep),
        reference_flow(model, latents, hidden, pooled.flip(1), timestep),
        reference_flow(model, latents, hidden, pooled, 500.0),
    ]
    model.pos_embed.pos_embed = model.pos_embed.pos_embed.roll(1, 1)  # a crop one column off
    mistakes.append(reference_flow(model, latents, hidden, pooled, timestep))
    assert all(pcc(mistake, want) < 0.9995 < pcc(made[name], want) for mistake in mistakes)


def test_traffic_is_what_the_paper_says(made):
    """One block over two chips, bfloat16: modulations gathered, and a sum of x after the attention and the MLP."""
    chips = {"n150": 1, "n300x2": 2}[made["system"]]
    tokens, width = 64, 128  # 35 tokens, padded to two tiles
    sums = 2 * (2 * (chips - 1) / chips * tokens * width * 2)
    columns = (6 + 2 + 2) * width  # of the block's modulations, of its text's, and of the last norm
    modulations = (chips - 1) * 32 * columns // chips * 2  # one row, which is a tile high
    assert made["one block", "sent"] == ({"tp": sums + modulations} if chips > 1 else {})


@pytest.mark.parametrize("name", DECODERS)
def test_decoder(made, name):
    config, size = DECODERS[name]
    model = autoencoder(**config)
    want = reference_picture(model, compressed(model.config.latent_channels, *size))
    got = made[name, "picture"]
    assert got.shape == want.shape and decibels(got, want) >= 40
    for axis, length in ((2, got.shape[2]), (3, got.shape[3])):  # no seam where two chips meet
        error = (got - want).abs().mean([dim for dim in range(4) if dim != axis])
        assert error[length // 2 - 1 : length // 2 + 1].mean() <= 3 * error.mean()
    assert decibels(got.roll(1, 2), want) < 30 and decibels(got.roll(1, 3), want) < 30


@pytest.fixture(scope="module")
def references(sd3):
    return [still(PROMPT, weights=sd3, **REQUEST | other) for other in OTHERS]


def test_stills_are_diffusers_stills(made, references):
    for got, want in zip(made["stills"], references, strict=True):
        assert got.shape == want.shape and psnr(got[None].numpy(), want[None].numpy()) >= 35
        assert want.std() > 0.05
    assert made["texts"] == [(1, 1, 77 + 24, 128), None]  # CLIP's tokens and T5's; without guidance no second text
    first, *others, wide = references
    assert all(psnr(other[None].numpy(), first[None].numpy()) < 35 for other in others)  # each of them matters
    assert first.shape == (48, 32, 3) and wide.shape == (48, 48, 3)


def test_pictures_at_once_are_those_made_alone(made):
    """Two at once on two lines of chips, then the third alone: to the last bit, each from its own prompt and seed."""
    first, second, third = made["pictures"]
    assert torch.equal(first, made["stills"][0]) and torch.equal(third, made["stills"][3])
    want = still(MANY[0][1], weights=made["folder"], **SETTINGS, seed=MANY[1][1])
    assert psnr(second[None].numpy(), want[None].numpy()) >= 35 > psnr(second[None].numpy(), first[None].numpy())


@pytest.fixture(scope="module")
def noised(sd3, tmp_path_factory):
    """The same folder, whose scheduler noises its guess anew in each step"""
    path = tmp_path_factory.mktemp("noised") / "sd3"
    shutil.copytree(sd3, path)
    FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=True).save_pretrained(path / "scheduler")
    return path


def test_noise_of_the_steps_is_that_of_diffusers_and_of_each_seed(made, noised):
    """The stock pipeline, untouched, draws all its noise from torch's own generator: so the seed goes there."""
    pipeline = StableDiffusion3Pipeline.from_pretrained(noised, dtype=torch.float32)
    sizes = {"num_inference_steps": 3, "height": 48, "width": 32, "guidance_scale": 3.0, "max_sequence_length": 24}
    for prompt, seed, got in zip(*MANY, made["noised"], strict=True):
        torch.manual_seed(seed)
        want = pipeline(prompt, **sizes, output_type="pt").images.permute(0, 2, 3, 1)
        assert torch.allclose(still(prompt, weights=noised, **SETTINGS, seed=seed), want[0], atol=1e-5)
        assert psnr(got[None].numpy(), want.numpy()) >= 35
        torch.manual_seed(seed)
        others = torch.Generator().manual_seed(seed)  # the first noise as wanted, that of the steps not
        other = pipeline(prompt, **sizes, output_type="pt", generator=others).images.permute(0, 2, 3, 1)
        assert psnr(got[None].numpy(), other.numpy()) < 35


def test_what_cannot_be_made_is_said(made):
    assert made["seeds"] == "2 prompts and 1 seeds: give a seed for each of some prompts."
    assert made["two ways"] == "Pictures that are made at once have the same steps and guidance."
    chips = {"n150": 1, "n300x2": 2}[made["system"]]
    assert made["lines"] == f"3 pictures, but {chips} chips along sp: give one, or one for each of these."
    assert made["height"] == "A height of 50 does not divide by 8. Try 48."
    assert made["patches"] == "Latents of 9 x 6 do not divide into patches of 2 x 2."
    assert made["too large"] == "Latents of 24 x 6 are larger than this model's 22 x 22."
    assert made["closed"].startswith("This model's mesh has been closed. Load it again: StableDiffusion3(")


def test_folders_that_are_not_what_they_should_be(sd3, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no folder stabilityai.*about 16 GB.*hf download stabilityai/.*r_3"):
        find_folder(SD3.name, SD3)
    shutil.copytree(sd3, tmp_path / "sd3")
    config = tmp_path / "sd3" / "vae" / "config.json"
    config.write_text(config.read_text().replace('"AutoencoderKL"', '"AutoencoderTiny"'))
    with pytest.raises(ValueError, match="AutoencoderTiny, not AutoencoderKL: this is no folder of Stable Diffusion 3"):
        Weights(tmp_path / "sd3", "vae", SD3)
    shutil.rmtree(tmp_path / "sd3" / "text_encoder_3")
    with pytest.raises(FileNotFoundError, match="text_encoder_3/config.json is missing.*about 10 GB"):
        StableDiffusion3(None, tmp_path / "sd3")


def test_what_no_folder_makes():
    with pytest.raises(ValueError, match="0 steps are too few. Try 20."):
        Request(PROMPT, steps=0)


# A field of a config, a value that would load, run and be wrong or fail in other words, and what is said
WRONG = [
    ("transformer", {"qk_norm": "layer_norm"}, "qk_norm is 'layer_norm'. What works here is None or 'rms_norm'"),
    ("transformer", {"out_channels": 8}, "out_channels is 8. What works here is None, or the same as in_channels"),
    (
        "transformer",
        {"caption_projection_dim": 64},
        "caption_projection_dim is 64. .* is num_attention_heads x",
    ),
    ("vae", {"act_fn": "relu"}, "act_fn is 'relu'. What works here is 'silu' or 'swish'"),
    ("vae", {"up_block_types": ["AttnUpDecoderBlock2D"] * 3}, "up_block_types is .*Attn.* UpDecoderBlock2D only"),
    ("vae", {"block_out_channels": [32, 48, 64]}, "block_out_channels is .* is multiples of 32"),
    ("vae", {"mid_block_add_attention": False}, "mid_block_add_attention is False. What works here is True"),
    ("vae", {"scaling_factor": 0.0}, "scaling_factor is 0.0. What works here is a number that is not 0"),
]


@pytest.mark.parametrize(("part", "change", "message"), WRONG)
def test_a_config_that_the_code_is_not_made_for(sd3, tmp_path, part, change, message):
    shutil.copytree(sd3, tmp_path / "sd3")
    path = tmp_path / "sd3" / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=f"{part}/config.json: {message}"):
        StableDiffusion3(None, tmp_path / "sd3")


@pytest.mark.parametrize("code", [Transformer, Decoder])
def test_a_config_that_comes_without_a_folder(code):
    with pytest.raises(ValueError, match="(qk_norm|act_fn) is 'nonsense'"):
        code(None, {}, {"qk_norm": "nonsense", "act_fn": "nonsense"})
