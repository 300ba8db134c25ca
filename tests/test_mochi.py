"""Mochi's models on the mesh against the reference: transformers' T5, diffusers' transformer and autoencoder.

Weights are random, but as large as trained ones; biases, norms and positions are never at their neutral values.
"""

import dataclasses

import pytest
import torch
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel
from transformers import T5Config, T5EncoderModel

from helpers.layers.parallel import check_heads, fused_by_chip
from helpers.mesh import close_mesh, open_mesh, run_on
from helpers.metrics import pcc
from helpers.mochi import vae
from helpers.mochi.t5 import T5Encoder
from helpers.mochi.transformer import Transformer, patches, video
from helpers.mochi.vae import Decoder
from helpers.tensors import gather, shard
from training.config import configuration

pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast")


@pytest.fixture(scope="module")
def galaxy():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


def with_random_rest(model):
    """Gives every vector a value that a forgotten bias, norm or position would change; rounds all to bfloat16."""
    torch.manual_seed(11)
    for name, parameter in model.named_parameters():
        if "pos_frequencies" in name or "relative" in name:
            parameter.data = torch.randn_like(parameter)
        elif parameter.ndim == 1:
            parameter.data = parameter.data + 0.3 * torch.randn_like(parameter)
        parameter.data = parameter.data.bfloat16().float()
    return model.eval()


# --- text ------------------------------------------------------------------------------------------


def t5(d_model, heads, d_ff, layers, activation="gated-gelu"):
    torch.manual_seed(d_model)
    config = T5Config(
        d_model=d_model, d_kv=32, num_heads=heads, d_ff=d_ff, num_layers=layers, vocab_size=77,
        feed_forward_proj=activation, relative_attention_num_buckets=16, relative_attention_max_distance=40,
    )  # fmt: skip
    return with_random_rest(T5EncoderModel(config))


def text(batch=2, length=45):
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(0, 77, (batch, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, 20:], mask[-1, 37:] = 0, 0
    return ids, mask


def encoded(mesh, model):
    ids, mask = text()
    return T5Encoder(mesh, model.state_dict(), model.config)(ids, mask).float()


@pytest.mark.parametrize(
    "sizes",
    [(128, 8, 160, 3), (96, 4, 352, 1), (64, 8, 96, 5), (128, 4, 96, 2, "gated-silu"), (64, 4, 160, 2, "gated-relu")],
)
def test_text_encoder(galaxy, sizes):
    model = t5(*sizes)
    ids, mask = text()
    with torch.no_grad():
        want = model(ids, attention_mask=mask)[0]
        unmasked = model(ids)[0]
    got = encoded(galaxy, model)
    assert got.shape == want.shape and pcc(got, want) >= 0.999
    assert pcc(got, unmasked) < 0.99  # the mask matters, so forgetting it would show


# --- denoiser --------------------------------------------------------------------------------------

SMALL = dict(num_attention_heads=8, attention_head_dim=32, num_layers=3, pooled_projection_dim=64, text_embed_dim=96,
             time_embed_dim=64)  # fmt: skip


def denoiser(**config):
    torch.manual_seed(5)
    return with_random_rest(MochiTransformer3DModel(**SMALL | config))


def noisy(frames=3, height=10, width=14, tokens=17, width_of_text=96):
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 12, frames, height, width, generator=generator)
    hidden = torch.randn(1, 24, width_of_text, generator=generator)
    return latents, hidden, (torch.arange(24)[None] < tokens).long()


def flow(mesh, model, fsdp, latents, hidden, mask, timestep=400.0):
    on_mesh = Transformer(mesh, model.state_dict(), dict(model.config), fsdp=fsdp)
    return on_mesh(latents, on_mesh.prompt(hidden, mask), timestep)


def reference_flow(model, latents, hidden, mask, timestep=400.0):
    with torch.no_grad():
        return model(latents, hidden, torch.tensor([timestep]), mask.bool(), return_dict=False)[0]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_layers": 1},  # the first block is the last
        {"attention_head_dim": 64, "num_attention_heads": 4, "pooled_projection_dim": 32},
        {"pooled_projection_dim": 192, "time_embed_dim": 256},
    ],
)
def test_denoiser(galaxy, config):
    model, given = denoiser(**config), noisy()
    want = reference_flow(model, *given)
    got = flow(galaxy, model, False, *given)
    assert got.shape == want.shape and pcc(got, want) >= 0.999
    without_text = reference_flow(model, given[0], given[1].flip(1), given[2])
    assert pcc(without_text, want) < 0.9999 < pcc(got, want) + 0.0009  # another text gives another answer


@pytest.mark.parametrize("shape", [(1, 4, 6), (2, 16, 16), (5, 12, 22)])
@pytest.mark.parametrize("tokens", [24, 3, 0])
def test_denoiser_for_other_videos_and_texts(galaxy, shape, tokens):
    model, given = denoiser(num_layers=2), noisy(*shape, tokens=tokens)
    assert pcc(flow(galaxy, model, False, *given), reference_flow(model, *given)) >= 0.999


def test_nor_do_the_axes(galaxy):
    model, given = denoiser(num_layers=2), noisy()
    as_ever = flow(galaxy, model, True, *given)
    system = galaxy.system
    galaxy.system = dataclasses.replace(system, axes={"tp": 1, "sp": 0})
    swapped = flow(galaxy, model, True, *given)
    galaxy.system = system
    assert pcc(swapped, as_ever) >= 0.9999


def test_denoiser_at_other_steps_and_again(galaxy):
    model, (latents, hidden, mask) = denoiser(num_layers=2), noisy()
    on_mesh = Transformer(galaxy, model.state_dict(), dict(model.config))
    prompt = on_mesh.prompt(hidden, mask)
    for timestep in (0.0, 25.0, 999.0, 25.0):
        want = reference_flow(model, latents, hidden, mask, timestep)
        assert pcc(on_mesh(latents, prompt, timestep), want) >= 0.999


def test_traffic_is_what_the_paper_says(galaxy):
    """One block on a Galaxy, bfloat16: modulation gathered, 3 sums of x and 1 of the ring's K and V."""
    model, given = denoiser(num_layers=1), noisy()
    on_mesh = Transformer(galaxy, model.state_dict(), dict(model.config))
    prompt = on_mesh.prompt(given[1], given[2])
    galaxy.traffic.clear()
    on_mesh(given[0], prompt, 400.0)
    tokens, width = 32, 256  # a chip's: 105 tokens are padded to 256, over 8 chips
    sums = 2 * (2 * 3 / 4 * tokens * width * 2)  # attention and MLP: an all_reduce each of (tokens, width)
    columns = 4 * width + 128 + 2 * width  # of the modulations; the text's 64 are padded to a tile on each of 4 chips
    modulations = 3 * 32 * columns // 4 * 2  # an all_gather each of one row, which is a tile high
    ring = 7 * 2 * tokens * (8 // 4) * 32 * 2  # K and V of two heads of 32, to seven others
    assert galaxy.traffic.by_axis() == {"tp": sums + modulations, "sp": ring}


def test_patches_and_back():
    latents = torch.randn(1, 12, 3, 4, 10)
    tokens = patches(latents, 2)
    assert tokens.shape == (1, 1, 3 * 2 * 5, 48)
    assert torch.equal(tokens[0, 0, 7].view(12, 2, 2), latents[0, :, 0, 2:4, 4:6])  # token 7: row 1, column 2
    by_place = tokens.unflatten(3, (12, 4)).transpose(3, 4).flatten(3)  # the model's output puts channels last
    assert torch.equal(video(by_place, (3, 2, 5), 2), latents)


def test_what_cannot_be_split_is_said(galaxy):
    with pytest.raises(ValueError, match="6 heads do not divide over the 4 chips along tp"):
        check_heads(galaxy, 6, 32)
    with pytest.raises(ValueError, match="Heads of width 48 are not whole tiles of 32"):
        check_heads(galaxy, 8, 48)
    on_mesh = Transformer(galaxy, (model := denoiser(num_layers=1)).state_dict(), dict(model.config))
    with pytest.raises(ValueError, match="Latents of 9 x 14 do not divide into patches of 2 x 2"):
        on_mesh(torch.randn(1, 12, 3, 9, 14), None, 1.0)


def test_fused_weights_give_each_chip_a_part_of_each():
    q, k, v = (torch.arange(8)[:, None] + 100 * n for n in range(3))
    assert fused_by_chip([q, k, v], 4)[:6, 0].tolist() == [0, 1, 100, 101, 200, 201]


# --- decoder ---------------------------------------------------------------------------------------


def autoencoder(**config):
    """Small, unless told otherwise: a block in every place, halving three times as Mochi-1 does."""
    torch.manual_seed(9)
    sizes = dict(
        encoder_block_out_channels=(32, 32, 64, 64), decoder_block_out_channels=(32, 64, 64, 96),
        layers_per_block=(1, 1, 2, 1, 1), latents_mean=[0.1 * n - 0.5 for n in range(12)],
        latents_std=[1 + 0.05 * n for n in range(12)], scaling_factor=1.3,
    )  # fmt: skip
    return with_random_rest(AutoencoderKLMochi(**sizes | config))


def compressed(frames, height, width):
    return torch.randn(1, 12, frames, height, width, generator=torch.Generator().manual_seed(4))


def decoded(mesh, model, latents):
    return Decoder(mesh, model.state_dict(), dict(model.config))(latents)


def reference_video(model, latents):
    column = lambda name: torch.tensor(model.config[name]).view(1, -1, 1, 1, 1)
    latents = latents / model.config.scaling_factor * column("latents_std") + column("latents_mean")
    with torch.no_grad():
        return model.decode(latents, return_dict=False)[0]


def decibels(got, want):
    """Peak signal to noise ratio, the peak being the whole range of the reference"""
    return (10 * torch.log10((want.max() - want.min()) ** 2 / ((got - want) ** 2).mean())).item()


@pytest.fixture(scope="module")
def a_video():
    model, latents = autoencoder(), compressed(9, 8, 6)
    return model, latents, reference_video(model, latents)


@pytest.fixture(scope="module")
def one_of_the_miniature():
    """Its steps in space are 1, 2 and 4, and it has no blocks at the full size. Sizes and clip as it has them."""
    model, latents = autoencoder(**configuration()["autoencoder"]), compressed(6, 12, 12)
    return model, latents, reference_video(model, latents)


VIDEOS = [("a_video", (1, 3, 49, 64, 48), 16, 12), ("one_of_the_miniature", (1, 3, 31, 96, 96), 24, 6)]


@pytest.mark.parametrize(("name", "shape"), [video[:2] for video in VIDEOS])
def test_decoder(galaxy, request, name, shape):
    model, latents, want = request.getfixturevalue(name)
    got = decoded(galaxy, model, latents)
    assert got.shape == want.shape == shape
    assert decibels(got, want) >= 40
    assert decibels(got.roll(1, 2), want) < 30 and decibels(got.roll(1, 3), want) < 30


@pytest.mark.parametrize(("name", "shape", "rows_each", "frames_each"), VIDEOS)
def test_no_seams(galaxy, request, name, shape, rows_each, frames_each):
    """Where chips meet, every `rows_each` pixels and `frames_each` frames, the error is like anywhere else."""
    model, latents, want = request.getfixturevalue(name)
    error = (decoded(galaxy, model, latents) - want).abs()
    rows = error.mean((0, 1, 2, 4))
    last = len(rows) - 1
    at_border = torch.tensor([row % rows_each in (0, rows_each - 1) and 0 < row < last for row in range(last + 1)])
    assert rows[at_border].mean() <= 2 * rows[~at_border].mean()
    frames = error.mean((0, 1, 3, 4))
    at_border = torch.tensor([(frame + 5) % frames_each < 2 and frame > 5 for frame in range(len(frames))])
    assert frames[at_border].mean() <= 2 * frames[~at_border].mean()


def test_a_missing_halo_makes_seams(galaxy, a_video, monkeypatch):
    """What the test above is for: chips that see only zeros beyond their border."""
    model, latents, want = a_video
    decoder = Decoder(galaxy, model.state_dict(), dict(model.config))
    neighbours = type(decoder.halo).from_neighbours

    def alone(halo, x, dim, axis, before, after):
        return neighbours(halo, x, dim, axis, before, after) * 0.5

    monkeypatch.setattr(type(decoder.halo), "from_neighbours", alone)
    assert decibels(decoder(latents), want) < 30


@pytest.mark.parametrize("shape", [(1, 4, 3), (3, 5, 8)])  # one frame; a height that does not divide, so width is cut
def test_decoder_on_odd_shapes(galaxy, shape):
    model, latents = autoencoder(), compressed(*shape)
    assert decibels(decoded(galaxy, model, latents), reference_video(model, latents)) >= 40
    with pytest.raises(ValueError, match="5 x 7 divide over the 4 chips along tp neither by height nor by width"):
        decoded(galaxy, model, compressed(2, 5, 7))


def test_a_norm_of_a_few_frames_at_a_time_is_the_norm(galaxy, monkeypatch):
    """At full size it is. 11 frames a chip, 3 at a time: the last part is shorter."""
    torch.manual_seed(6)
    norm = torch.nn.GroupNorm(vae.GROUPS, 64, vae.EPS)
    norm.weight.data, norm.bias.data = torch.randn(64), torch.randn(64)
    levels = 5 * torch.randn(1, 88, 1, 64)  # every frame has its own
    x = (levels + torch.randn(1, 88, 256, 64)).bfloat16()
    on_mesh = shard(x, galaxy, sp=1, tp=2)
    ours = vae.GroupNorm(galaxy, {f"a.{name}": value for name, value in norm.state_dict().items()}, "a.")
    at_once = gather(ours(on_mesh), sp=1, tp=2)
    monkeypatch.setattr(vae, "AT_A_TIME", 3 * 4 * 64 * 64)
    assert len(vae.by_frames(vae.of_chip, on_mesh)) == 4
    assert torch.equal(gather(ours(on_mesh), sp=1, tp=2), at_once) and on_mesh.is_allocated()
    assert pcc(at_once.float(), norm(x[0].float().transpose(1, 2)).transpose(1, 2)[None]) >= 0.9999
    ours(on_mesh, is_last_use=True)
    assert not on_mesh.is_allocated()


# --- other meshes ----------------------------------------------------------------------------------

CLIPS = {"n150": (3, 4, 6), "n300": (2, 3, 4), "t3000": (5, 4, 3)}  # in latents


def each(mesh, tasks):
    return {name: function(mesh, *given) for name, (function, *given) in tasks.items()}


@pytest.fixture(scope="module", params=CLIPS)
def elsewhere(request, one_of_the_miniature):
    """What all parts give on another system, made in one process: most of a process's time is its start."""
    small, given, clip = denoiser(num_layers=2), noisy(), compressed(*CLIPS[request.param])
    tasks = {
        "text encoder": (encoded, t5(128, 4, 160, 2)),
        "denoiser": (flow, small, False, *given),
        "denoiser, fsdp": (flow, small, True, *given),
        "decoder": (decoded, autoencoder(), clip),
    }
    if request.param != "n300":
        tasks["the miniature's decoder"] = (decoded, *one_of_the_miniature[:2])
    return run_on(request.param, each, tasks) | {"clip": clip}


def test_the_mesh_does_not_matter(galaxy, elsewhere):
    small, given = denoiser(num_layers=2), noisy()
    assert pcc(elsewhere["text encoder"], encoded(galaxy, t5(128, 4, 160, 2))) >= 0.9999
    on_galaxy = flow(galaxy, small, False, *given)
    assert pcc(elsewhere["denoiser"], on_galaxy) >= 0.9999
    assert pcc(elsewhere["denoiser, fsdp"], on_galaxy) >= 0.9999


def test_decoder_on_other_meshes(elsewhere, one_of_the_miniature):
    assert decibels(elsewhere["decoder"], reference_video(autoencoder(), elsewhere["clip"])) >= 40
    if "the miniature's decoder" in elsewhere:
        assert decibels(elsewhere["the miniature's decoder"], one_of_the_miniature[2]) >= 40
