"""AnimateDiff's motion module on one chip and two against diffusers, by itself and inside its pipeline.

Weights are random, and no bias or norm is at its neutral value. Compared is what a module adds to its input: the
input itself would agree in any case.
"""

import pytest
import torch
from diffusers import MotionAdapter, UNetMotionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D

from helpers.frames.animate import animate
from helpers.frames.motion_module import MotionModule, on_mesh
from helpers.mesh import run_on
from helpers.metrics import pcc, psnr
from tools.series import ROOT
from training.animatediff.parts import (
    TextEncoder,
    configuration,
    new_motion_adapter,
    new_unet,
    save_pipeline,
)
from training.stills.parts import configuration as stills_configuration
from training.stills.parts import new_autoencoder

SYSTEMS = ["n150", "n300"]
MINIATURE = ROOT / "models" / "tiny-animatediff"

# name: (heads, head_dim, layers), (clips, frames, height, width)
MODULES = {
    "heads that fill no tile": ((4, 24, 1), (2, 5, 3, 7)),
    "Stable Diffusion 1.5": ((8, 40, 1), (1, 16, 2, 3)),
    "whole tiles, two layers, many frames": ((2, 32, 2), (3, 35, 4, 2)),
}


def with_random_rest(model, gain: float = 3**0.5):
    """Gives every vector a value that a forgotten bias or norm would change; rounds all to bfloat16."""
    torch.manual_seed(11)
    for parameter in model.parameters():
        vector = parameter.ndim == 1
        parameter.data = parameter.data + 0.3 * torch.randn_like(parameter) if vector else parameter.data * gain
        parameter.data = parameter.data.bfloat16().float()
    return model.eval().requires_grad_(False)


def module(name: str) -> AnimateDiffTransformer3D:
    (heads, head_dim, layers), _ = MODULES[name]
    torch.manual_seed(5)
    made = AnimateDiffTransformer3D(
        num_attention_heads=heads, attention_head_dim=head_dim, in_channels=heads * head_dim, num_layers=layers,
        norm_num_groups=32, positional_embeddings="sinusoidal", num_positional_embeddings=40,
    )  # fmt: skip
    for block in with_random_rest(made).transformer_blocks:
        for layer in (block.attn1.to_q, block.attn1.to_k, block.attn2.to_q, block.attn2.to_k):
            layer.weight.data *= 2  # so that frames listen to some more than to others
    return made


def frames_of(name: str) -> tuple[torch.Tensor, int]:
    """What comes in, (B T, C, H, W), and T. Frames of a clip are alike, and each is a little brighter than the last."""
    (heads, head_dim, _), (clips, frames, height, width) = MODULES[name]
    generator = torch.Generator().manual_seed(3)
    still = torch.randn(clips, 1, heads * head_dim, height, width, generator=generator)
    change = torch.randn(clips, frames, heads * head_dim, height, width, generator=generator)
    x = still + change + torch.linspace(0, 1, frames).view(1, -1, 1, 1, 1)
    return x.flatten(0, 1).bfloat16().float(), frames


def trained() -> dict[str, AnimateDiffTransformer3D]:
    """Motion modules of the miniature, one of each width"""
    adapter = MotionAdapter.from_pretrained(MINIATURE / "motion_adapter", dtype=torch.float32).requires_grad_(False)
    return {
        "at 12 x 12": adapter.down_blocks[0].motion_modules[0].eval(),
        "at 6 x 6": adapter.mid_block.motion_modules[0].eval(),
    }


def sixteen_frames(module: AnimateDiffTransformer3D) -> torch.Tensor:
    """Frames that are alike, (16, C, 5, 7)"""
    generator = torch.Generator().manual_seed(9)
    shape = (module.in_channels, 5, 7)
    return torch.randn(1, *shape, generator=generator) + torch.randn(16, *shape, generator=generator)


def added(model, x, frames: int):
    return model(x, num_frames=frames) - x


# --- what a system makes ---------------------------------------------------------------------------

PROMPT = "a red ball bouncing left"
REQUEST = dict(steps=3, frames=5, height=48, width=32, seed=5, guidance=3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An AnimateDiff folder with random weights, and motion modules that say something"""
    config = configuration("smoke")
    torch.manual_seed(1)
    adapter = with_random_rest(new_motion_adapter(config))
    for made in adapter.modules():
        if isinstance(made, AnimateDiffTransformer3D):
            made.proj_out.weight.data = 0.1 * torch.randn_like(made.proj_out.weight)
    vae, unet = new_autoencoder(stills_configuration("smoke")), new_unet(config)
    path = tmp_path_factory.mktemp("animatediff")
    return save_pipeline(path, vae, TextEncoder(config), unet, adapter, torch.randn(16), 1 + torch.rand(16))


def small_unet() -> UNetMotionModel:
    config = configuration("smoke")
    torch.manual_seed(2)
    return with_random_rest(UNetMotionModel.from_unet2d(new_unet(config), new_motion_adapter(config)), gain=1.0)


def of_unet(unet) -> torch.Tensor:
    latents = torch.randn(2, 16, 3, 4, 6, generator=torch.Generator().manual_seed(7))
    text = torch.randn(6, 24, 32, generator=torch.Generator().manual_seed(8))
    return unet(latents, 300, text, return_dict=False)[0]


def all_of_it(mesh, folder) -> dict:
    made = {}
    for name in MODULES:
        mesh.traffic.clear()
        x, frames = frames_of(name)
        made[name] = added(MotionModule(mesh, module(name)), x, frames)
        made[name, "sent"] = mesh.traffic.by_axis()
    for name, model in trained().items():
        made[name] = added(MotionModule(mesh, model), sixteen_frames(model), 16)
    half = torch.zeros(4, 96, 2, 2, dtype=torch.float16)
    made["dtype"] = MotionModule(mesh, module("heads that fill no tile"))(half, num_frames=2).dtype
    with pytest.raises(ValueError) as raised:
        MotionModule(mesh, module("heads that fill no tile"))(torch.zeros(41, 96, 1, 1), num_frames=41)
    made["too long"] = str(raised.value)
    unet = small_unet()
    mesh.traffic.clear()
    with on_mesh(unet, mesh):
        made["unet"], made["unet's traffic"] = of_unet(unet), mesh.traffic.by_axis()
    made["afterwards"] = of_unet(unet)
    with pytest.raises(KeyError), on_mesh(unet, mesh):
        raise KeyError("a failure inside")
    made["after a failure"] = of_unet(unet)
    requests = OTHERS if mesh.get_num_devices() > 1 else OTHERS[:1]  # what differs between them is on the host
    made["clips"] = [animate(PROMPT, weights=folder, mesh=mesh, **REQUEST | other) for other in requests]
    return made


OTHERS = [{}, {"guidance": 1.0}, {"seed": 6}, {"frames": 4}]


@pytest.fixture(scope="module", params=SYSTEMS)
def made(request, folder):
    return run_on(request.param, all_of_it, folder) | {"system": request.param}


@pytest.mark.parametrize("name", MODULES)
def test_motion_module(made, name):
    (x, frames), model = frames_of(name), module(name)
    want = added(model, x, frames)
    assert made[name].shape == want.shape and want.std() > 0.5
    assert pcc(made[name], want) >= 0.9995


@pytest.mark.parametrize("name", ["at 12 x 12", "at 6 x 6"])
def test_trained_motion_module(made, name):
    model = trained()[name]
    x = sixteen_frames(model)
    want = added(model, x, 16)
    assert want.std() > 0.05 and pcc(made[name], want) >= 0.999
    assert pcc(added(model, x.flip(0), 16).flip(0), want) < 0.999, "it knows in which order frames come"


@pytest.mark.parametrize("name", MODULES)
def test_what_would_not_be_equal(name):
    """The comparison above notices each of these."""
    x, frames = frames_of(name)
    want = added(module(name), x, frames)
    clips, (height, width) = len(x) // frames, x.shape[2:]
    mistakes = {}
    backwards = x.unflatten(0, (clips, frames)).flip(1).flatten(0, 1)
    of_backwards = added(module(name), backwards, frames)
    mistakes["frames in another order"] = of_backwards.unflatten(0, (clips, frames)).flip(1).flatten(0, 1)
    sideways = x.unflatten(0, (clips, frames)).flatten(3).transpose(1, 3)  # (B, S, C, T): positions as frames
    over_space = added(module(name), sideways.flatten(0, 1)[..., None], height * width)
    mistakes["attention over space"] = over_space.unflatten(0, (clips, -1))[..., 0].transpose(1, 3).reshape(x.shape)
    mistakes["each frame by itself"] = added(module(name), x, 1)
    model = module(name)
    for block in model.transformer_blocks:
        block.pos_embed.pe.zero_()
    mistakes["no positions"] = added(model, x, frames)
    model = module(name)
    for block in model.transformer_blocks:
        projection = block.ff.net[0].proj
        projection.weight.data = projection.weight.data.roll(len(projection.weight) // 2, 0)
        projection.bias.data = projection.bias.data.roll(len(projection.bias) // 2, 0)
    mistakes["gate and value exchanged"] = added(model, x, frames)
    model = module(name)
    for block in model.transformer_blocks:
        for attention in (block.attn1, block.attn2):
            attention.to_q.weight.data *= 0.8  # the root of 40 / 64: heads scaled by their padded width
    mistakes["another scale"] = added(model, x, frames)
    found = {what: pcc(got, want) for what, got in mistakes.items()}
    assert all(score < 0.9995 for score in found.values()), found


def test_traffic_is_what_the_paper_says(made):
    """bfloat16, two chips: of each layer's two attentions and its MLP a sum of x, 35 frames padded to two tiles; and
    the float32 sums of the group norm."""
    name = "whole tiles, two layers, many frames"
    (_, _, layers), (clips, _, height, width) = MODULES[name]
    sums = 3 * layers * 2 * (clips * height * width * 64 * 64 * 2) // 2
    norms = 2 * 2 * (clips * 32 * 64 * 4) // 2  # mean and variance: a row each, which is a tile high
    assert made[name, "sent"] == ({"tp": sums + norms} if made["system"] == "n300" else {})


def test_a_unet_with_its_motion_on_the_mesh(made):
    want = of_unet(small_unet())
    assert pcc(made["unet"], want) >= 0.999
    assert not torch.equal(made["unet"], want), "it ran on the mesh"
    assert torch.equal(made["afterwards"], want) and torch.equal(made["after a failure"], want)
    assert bool(made["unet's traffic"]) == (made["system"] == "n300")
    assert made["dtype"] == torch.float16
    assert made["too long"] == "This motion module knows clips of 40 frames, not 41."


def test_clips_are_diffusers_clips(made, folder):
    clips = [animate(PROMPT, weights=folder, **REQUEST | other) for other in OTHERS]
    for got, want in zip(made["clips"], clips, strict=made["system"] == "n300"):
        assert got.shape == want.shape and want.std() > 0.05
        assert psnr(got.numpy(), want.numpy()) >= 35
    first, *others, short = clips
    assert first.shape == (5, 48, 32, 3) and short.shape == (4, 48, 32, 3)
    assert all(psnr(other.numpy(), first.numpy()) < 35 for other in others)


def test_what_cannot_be_made_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder of AnimateDiff: it has no motion_adapter"):
        animate(PROMPT, weights=tmp_path)
    with pytest.raises(ValueError, match="clips of 1 to 32 frames, not 33"):
        animate(PROMPT, weights=folder, frames=33)
    with pytest.raises(ValueError, match="0 steps are too few"):
        animate(PROMPT, weights=folder, steps=0)
