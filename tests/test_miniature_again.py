"""Parts of a finished tiny-mochi learn on: what changes, what must not, and what a wider or softer part has kept."""

import copy
import json

import pytest
import torch
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel
from safetensors.torch import load_file

from training.config import configuration
from training.export import save_pipeline
from training.loop import Place, optimizer_for
from training.mochi import again, soft
from training.mochi.attention import scored
from training.mochi.autoencoder import tokenize
from training.mochi.denoiser import real
from training.mochi.evaluate import moving, moving_psnr
from training.mochi.wider import widened
from training.parts import new_autoencoder, new_text_encoder, new_tokenizer, new_transformer

pytestmark = pytest.mark.usefixtures("one_thread")


def shaken(model, seed=0):
    torch.manual_seed(seed)
    for weight in model.parameters():
        weight.data.add_(torch.randn_like(weight) * 0.03)
    return model.eval()


# --- wider -----------------------------------------------------------------------------------------


def grown(before, after):
    config = configuration("smoke")
    config["autoencoder"] |= {"decoder_block_out_channels": before, "layers_per_block": (0, 1, 1, 1, 0)}
    learned = shaken(new_autoencoder(config))
    learned.register_to_config(latents_mean=[0.5] * 12, latents_std=[2.0] * 12)
    config["autoencoder"] |= {"decoder_block_out_channels": after}
    return learned, widened(learned, config).eval()


@pytest.mark.parametrize(("before", "after", "off"), [((32, 32, 64, 64), (32, 64, 64, 64), 1e-5),
                                                      ((32, 96, 64, 64), (32, 128, 64, 64), 0.3)])  # fmt: skip
def test_a_wider_decoder_says_what_it_said(before, after, off):
    """Exactly, where each channel of a group is repeated as often; else but for the variance in a group."""
    learned, wide = grown(before, after)
    latents = torch.randn(1, 12, 2, 3, 5)
    with torch.no_grad():
        was, now = (model.decode(latents).sample for model in (learned, wide))
    assert (now - was).std() / was.std() < off and was.std() > 0.1
    assert wide.config.decoder_block_out_channels == after and wide.config.latents_std == [2.0] * 12
    encoder = wide.encoder.state_dict()
    assert all(torch.equal(value, encoder[name]) for name, value in learned.encoder.state_dict().items())
    wide.decode(latents).sample.square().mean().backward()
    kernel = wide.decoder.up_blocks[2].resnets[0].conv1.conv.weight.grad.flatten(1)
    apart = torch.cdist(kernel, kernel, compute_mode="donot_use_mm_for_euclid_dist") + torch.eye(len(kernel))
    assert apart.min() > 1e-7 * kernel.norm(), "two channels that learn alike stay one"


def test_a_decoder_does_not_shrink():
    with pytest.raises(ValueError, match=r"grow, each by a multiple of 32: not \(32, 96, 64, 64\) to \(32, 64, 64, 64"):
        grown((32, 96, 64, 64), (32, 64, 64, 64))
    with pytest.raises(ValueError, match="from the same width grow alike"):
        grown((32, 64, 64, 64), (32, 96, 128, 64))
    with pytest.raises(ValueError, match="same share"):
        grown((32, 64, 96, 96), (64, 64, 192, 192))


# --- softer ----------------------------------------------------------------------------------------


def test_what_scores_cost():
    there = torch.tensor([[True, True, True, False]])
    scores = torch.tensor(
        [[4.0, 1.0, 1.0, 900.0], [0.5, -1.0, 0.25, 0.0], [7.0, -2.0, 1.0, 5.0], [50.0, 0.0, 0.0, 0.0]]
    )
    cost = soft.too_large(scores[None, None], there)
    assert cost.item() == pytest.approx((0 + 0 + (7 - 2 - soft.LIMIT) ** 2) / 9), "padding costs nothing"
    shifted = soft.too_large((scores + torch.tensor([3.0, -8.0, 40.0, 1.0])[:, None])[None, None], there)
    assert shifted.item() == pytest.approx(cost.item(), rel=1e-5), "a softmax does not see the mean of a row"


def test_scores_that_cost_nothing_choose_nothing():
    torch.manual_seed(1)
    scores = torch.randn(40, 2, 12, 12) * 30
    there = torch.ones(40, 12, dtype=torch.bool)
    assert soft.too_large(scores, there) > 100 and scores.softmax(-1).amax(-1).median() > 0.99
    scores *= soft.LIMIT / (scores - scores.mean(-1, keepdim=True)).amax(-1, keepdim=True)
    assert soft.too_large(scores, there) < 1e-9 and scores.softmax(-1).amax(-1).max() < 0.75


def test_captions_beyond_the_grammar():
    captions = soft.Captions(60)
    other = captions.beyond(captions.tokens, torch.Generator().manual_seed(2))
    kept = other == captions.tokens
    words = captions.tokens > 1
    assert kept[~words].all(), "the end and the padding stay"
    assert kept[words].float().mean().item() == pytest.approx(0.75, abs=0.05)
    pieces = new_tokenizer().convert_ids_to_tokens(other[~kept].tolist())
    assert all(piece == piece.lower() for piece in pieces) and any(len(piece) == 1 for piece in pieces)
    drawn = captions.draw(40, torch.Generator().manual_seed(3))
    known = {tuple(row) for row in captions.tokens.tolist()}
    strange = [tuple(row) not in known for row in drawn.tolist()]
    assert drawn.shape == (40, 24) and not any(strange[:30]) and sum(strange[30:]) > 6


def test_apart_is_nothing_for_the_same_and_about_one_for_another():
    config = configuration("smoke")
    one, other = (shaken(new_text_encoder(config), seed) for seed in (1, 2))
    tokens = soft.Captions(12).tokens
    assert soft.apart(one, one, tokens) == 0 and soft.apart(one, other, tokens) == pytest.approx(1, abs=0.3)


def test_a_sharp_encoder_becomes_a_soft_one(tmp_path):
    config = configuration("smoke")
    teacher = shaken(new_text_encoder(config))
    for block in teacher.encoder.block:
        block.layer[0].SelfAttention.q.weight.data *= 60
    teacher.requires_grad_(False)
    settings = soft.SETTINGS | {"captions": 200}
    tokens = tokenize(new_tokenizer(), ["a red ball rolling to the left", "the sun rises over green hills"]).long()
    error = []
    for count in (1, 60):
        place = Place(tmp_path / str(count), quiet=True)
        student, done = soft.soften(place, config, teacher, settings | {"steps": count, "minutes": 1})
        assert done and not student.training
        error.append(soft.apart(student, teacher, tokens))
    assert error[1] < 0.85 * error[0], "it says what the teacher says"


def test_large_scores_are_given_up(tmp_path, monkeypatch):
    """One that begins as the teacher has nothing to learn but to speak softly."""
    config = configuration("smoke")
    teacher = shaken(new_text_encoder(config))
    for block in teacher.encoder.block:
        block.layer[0].SelfAttention.q.weight.data *= 8
    monkeypatch.setattr(soft, "new_text_encoder", lambda _: copy.deepcopy(teacher).requires_grad_(True))
    settings = soft.SETTINGS | {"captions": 50, "steps": 40, "minutes": 1}
    student, _ = soft.soften(Place(tmp_path, quiet=True), config, teacher.requires_grad_(False), settings)
    tokens = tokenize(new_tokenizer(), ["a red ball rolling to the left", "the sun rises over green hills"]).long()
    costs = [sum(soft.too_large(s, real(tokens)) for s in scored(one, tokens)[1]) for one in (teacher, student)]
    assert costs[0] > 1 and costs[1] < 0.6 * costs[0]


# --- a finished folder -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """As training.mochi.train leaves one, but nothing has been learned."""
    config = configuration("smoke")
    parts = [shaken(make(config)) for make in (new_autoencoder, new_transformer, new_text_encoder)]
    save_pipeline(tmp_path / "made", *parts, torch.linspace(-0.5, 0.5, 12), torch.linspace(0.5, 2, 12))
    record = {"stages": {"transformer": {"steps": 5, "minutes": 2.0}}, "clips": 9, "seed": 7,
              "parts": {name: {"parameters": 1} for name in ("vae", "transformer", "text_encoder")}}  # fmt: skip
    (tmp_path / "made" / "training.json").write_text(json.dumps(record))
    return tmp_path / "made"


def weights(folder):
    return {f"{path.parent.name}.{name}": value for path in folder.rglob("*.safetensors")
            for name, value in load_file(path).items()}  # fmt: skip


@pytest.mark.parametrize(
    ("part", "learns"),
    [("text_encoder", "text_encoder."), ("decoder", "vae.decoder."), ("transformer", "transformer.")],
)
def test_a_part_learns_on_and_nothing_else(folder, tmp_path, part, learns, capsys, monkeypatch):
    monkeypatch.setitem(soft.SETTINGS, "captions", 50)
    asked = f"{part} {folder} --minutes 0.03 --preset smoke --clips 30 --run {tmp_path}/run".split()
    before = weights(folder)
    assert again.main([*asked, "--stop-after", "0"]) == 0 and "stopped in between" in capsys.readouterr().out
    assert weights(folder).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in weights(folder).items())
    assert again.main(asked) == 0 and capsys.readouterr().out.endswith("done\n")
    after = weights(folder)
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed and all(name.startswith(learns) for name in changed), changed
    assert all(value.dtype == torch.bfloat16 for value in after.values())
    if part == "transformer":
        assert "transformer.pos_frequencies" in changed, "positions learn too"
    record = json.loads((folder / "training.json").read_text())
    assert record["stages"][f"{part}, again"]["steps"] > 0 and record["stages"]["transformer"]["steps"] == 5
    assert record["clips"] == (30 if part == "transformer" else 9)
    assert not list((tmp_path / "run").glob("*.pt")) and not list(folder.rglob("*.new")), "the next call begins anew"
    vae = AutoencoderKLMochi.from_pretrained(folder / "vae")
    assert vae.config.latents_mean == pytest.approx(torch.linspace(-0.5, 0.5, 12).tolist())
    assert record["parts"]["vae"]["parameters"] == (
        sum(p.numel() for p in vae.parameters()) if part == "decoder" else 1
    )


def test_only_a_finished_folder_learns_on(folder, tmp_path, capsys):
    (folder / "training.json").unlink()
    with pytest.raises(SystemExit):
        again.main(["decoder", str(folder), "--run", str(tmp_path / "run")])
    assert "is no finished folder: it has no training.json" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [("--minutes 0", "0 is not above 0"), ("--clips -3", "-3 is not above 0"), ("--preset big", "invalid choice"),
     ("--preset default", "has other sizes than --preset default")],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_once(folder, tmp_path, asked, said, capsys):
    with pytest.raises(SystemExit):
        again.main([*f"transformer {folder} --preset smoke --run {tmp_path}/run".split(), *asked.split()])
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_latents_of_another_call_are_not_taken_for_these(folder, tmp_path, capsys):
    asked = f"transformer {folder} --minutes 0.01 --preset smoke --run {tmp_path}/run".split()
    assert again.main([*asked, "--clips", "20"]) == 0
    before = weights(folder)
    with pytest.raises(SystemExit):
        again.main([*asked, "--clips", "40"])
    assert "holds latents of 20 clips, not of 40" in capsys.readouterr().err
    assert all(torch.equal(value, before[name]) for name, value in weights(folder).items())


def test_the_transformer_goes_half_way_to_what_it_learned(folder, tmp_path, monkeypatch):
    def learn(place, settings, denoiser, batches):
        for weight in denoiser.transformer.parameters():
            weight.data.add_(torch.arange(weight.numel()).view(weight.shape) % 7)
        return True

    monkeypatch.setattr(again, "learn", learn)
    config = configuration("smoke")
    config["latents"]["clips"] = 10
    kept, done = again.transformer(Place(tmp_path / "run", quiet=True), config, folder, 1.0)
    before = MochiTransformer3DModel.from_pretrained(folder / "transformer", dtype=torch.float32).state_dict()
    assert done and kept.state_dict().keys() == before.keys()
    for name, weight in kept.state_dict().items():
        step = torch.arange(weight.numel()).view(weight.shape) % 7
        assert torch.allclose(weight, before[name] + step / 2, atol=1e-6), name


def test_positions_learn_as_a_table_and_not_as_a_matrix():
    """Muon would move the three axes alike, however little one of them matters."""
    model = new_transformer(configuration("smoke"))
    kernels, tables = optimizer_for(model, {"rate": 1e-4, "muon": 1e-3}).parts
    within = lambda part: {id(p) for group in part.param_groups for p in group["params"]}
    assert id(model.pos_frequencies) in within(tables) and id(model.pos_frequencies) not in within(kernels)
    assert within(kernels) | within(tables) == {id(p) for p in model.parameters()}


# --- what moves ------------------------------------------------------------------------------------


def test_what_moves_is_found_frame_by_frame():
    video = torch.full((1, 3, 4, 5, 6), -0.25)
    video[0, 1, 1, 2, 3] = 0.25  # one pixel, one channel, one frame
    video[0, 2, 3, 4, 1] += 0.09  # too little to count
    found = moving(video)
    assert found.shape == (1, 4, 5, 6) and found[0].nonzero().tolist() == [[0, 2, 3], [1, 2, 3], [2, 2, 3]]


def test_only_what_moves_counts():
    class Blurred:
        """Right but where something moves: there it is off by a half of the way from -1 to 1."""

        device, dtype = "cpu", torch.float32

        def encode(self, video):
            self.video = video
            return type("Encoded", (), {"latent_dist": type("Moments", (), {"mode": lambda _: None})()})()

        def decode(self, latents):
            shown = torch.where(
                moving(self.video)[:, None], self.video * 0 + self.video - self.video.sign(), self.video
            )
            return type("Decoded", (), {"sample": shown})()

    assert moving_psnr(Blurred(), "ball", 13, 2) == pytest.approx(6.02, abs=0.01)
