"""Stable Diffusion 1, whose UNet is not in ttnn: the call without a mesh, and what is said of unfit folders."""

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from helpers.frames.stills import StableDiffusion3, still
from training.stills.parts import new_clip_tokenizer

PROMPT, REQUEST = "a red ball", dict(steps=3, guidance=6.0, height=48, width=32, seed=4)


@pytest.fixture
def pipeline():
    torch.manual_seed(8)
    words = new_clip_tokenizer()
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=64, attention_head_dim=4,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64), norm_num_groups=16, down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
    )  # fmt: skip
    texts = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=24,
        )
    )  # fmt: skip
    scheduler = DDIMScheduler(clip_sample=False, steps_offset=1)
    return StableDiffusionPipeline(vae, texts, words, unet, scheduler, None, None, requires_safety_checker=False)


@pytest.fixture
def folder(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "sd1")
    return tmp_path / "sd1"


def test_a_still_is_diffusers_still(pipeline, folder):
    got = still(PROMPT, weights=folder, **REQUEST)
    want = pipeline(
        PROMPT, negative_prompt="", num_inference_steps=3, guidance_scale=6.0, height=48, width=32,
        generator=torch.Generator().manual_seed(4), output_type="pt",
    ).images[0].permute(1, 2, 0)  # fmt: skip
    assert got.shape == (48, 32, 3) and got.std() > 0.01 and torch.allclose(got, want, atol=1e-4)
    for other in ({"seed": 5}, {"guidance": 1.0}, {"steps": 2}):
        assert not torch.allclose(still(PROMPT, weights=folder, **REQUEST | other), want, atol=1e-3)


def test_what_is_said_of_folders_that_do_not_fit(folder):
    with pytest.raises(ValueError, match=r"config.json describes CLIPTextModel, not CLIPTextModelWithProjection"):
        StableDiffusion3(None, folder)
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "KandinskyPipeline"))
    with pytest.raises(ValueError, match="holds a KandinskyPipeline. Stills are made by StableDiffusion3Pipeline or"):
        still(PROMPT, weights=folder, **REQUEST)
    index.unlink()
    with pytest.raises(FileNotFoundError, match="no folder in diffusers' format"):
        still(PROMPT, weights=folder, **REQUEST)


def test_pickles_are_not_opened(pipeline, folder):
    for file in (folder / "unet").glob("*.safetensors"):
        torch.save(pipeline.unet.state_dict(), file.with_suffix(".bin"))
        file.unlink()
    with pytest.raises(OSError, match="safetensors"):
        still(PROMPT, weights=folder, **REQUEST)


def test_missing_weights_are_named_with_their_size(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="about 2 GB.*hf download CompVis/stable-diffusion-v1-4"):
        still(PROMPT, weights="CompVis/stable-diffusion-v1-4")
