"""The ways to a video: each missing thing is named, and tt-metal's own pipeline is called as it wants to be."""

import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch

from helpers.mesh import close_mesh, links, open_mesh
from helpers.mochi import upstream, ways
from helpers.mochi.pipeline import Request
from ttnn_emulator.systems import SYSTEMS

# The signatures are those of tenstorrent/tt-metal models/tt_dit/pipelines/mochi/pipeline_mochi.py@79925a3f.
STAND_IN = """
from types import SimpleNamespace
import numpy
calls = []
class MochiPipeline:
    @staticmethod
    def create_pipeline(mesh_device, checkpoint_name, sp_axis=None, tp_axis=None, num_links=None,
                        use_reference_vae=False):
        calls.append((mesh_device, checkpoint_name, use_reference_vae))
        return MochiPipeline()
    def __call__(self, prompt=None, negative_prompt=None, height=None, width=None, num_frames=19,
                 num_inference_steps=64, guidance_scale=4.5, seed=None, output_type="pil", callback_on_step_end=None):
        calls.append((prompt, negative_prompt, height, width, num_frames, num_inference_steps, guidance_scale, seed))
        if callback_on_step_end:
            assert callback_on_step_end(self, 3, 700, {"latents": "x"}) == {"latents": "x"}
        assert output_type == "np"
        shape = (1, num_frames, height, width, 3)
        return SimpleNamespace(frames=numpy.linspace(0, 1, numpy.prod(shape)).reshape(shape))
"""

# Those since tt-metal's change of May 2026, as tenstorrent/tt-inference-server's runner of Mochi calls them. It returns
# bytes; its own decoder keeps five frames more.
STAND_IN_SINCE = """
import numpy
calls = []
class MochiPipeline:
    def __init__(self, size):
        self.size = size
    @staticmethod
    def create_pipeline(*, mesh_device, height=480, width=848, num_frames=168, max_sequence_length=256,
                        checkpoint_name="genmo/mochi-1-preview", use_reference_vae=False):
        calls.append((mesh_device, checkpoint_name, height, width, num_frames, max_sequence_length))
        return MochiPipeline((1, num_frames + 5, height, width, 3))
    def __call__(self, *, prompts, negative_prompts=(None,), num_inference_steps=50, guidance_scale=3.5, seed=0,
                 traced=False, on_event=None):
        calls.append((prompts, negative_prompts, num_inference_steps, guidance_scale, seed, traced))
        return (numpy.arange(numpy.prod(self.size)) % 251).reshape(self.size).astype("uint8")
"""


@pytest.fixture(scope="module")
def mesh():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


def git(checkout, *command):
    subprocess.run(["git", "-C", checkout, "-c", "user.name=x", "-c", "user.email=x", *command], check=True)


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like tt-metal's at the release of the ttnn that is installed."""
    place = tmp_path / "tt-metal"
    file = pipeline_file(place)
    file.parent.mkdir(parents=True)
    file.write_text(STAND_IN)
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "commit", "-qm", "a release")
    git(place, "tag", f"v{version('ttnn')}")
    yield place
    sys.path[:] = [entry for entry in sys.path if entry != str(place)]
    forget_models()


def pipeline_file(checkout):
    return checkout / (upstream.MODULE.replace(".", "/") + ".py")


def forget_models():
    for name in [name for name in sys.modules if name.partition(".")[0] == "models"]:
        del sys.modules[name]


@pytest.fixture
def ready(mesh, checkout, folder, tmp_path, monkeypatch):
    """As if everything were there: arguments of upstream.missing and upstream.generate."""
    monkeypatch.setattr(mesh, "backend", "silicon")
    monkeypatch.setattr(upstream, "free_memory", lambda: 200.0)
    monkeypatch.setattr(upstream, "free_disk", lambda folder: 100.0)
    monkeypatch.setenv(upstream.CACHE, str(tmp_path / "cache"))
    return {"checkout": checkout, "weights": folder}


# --- tt-metal's own pipeline -----------------------------------------------------------------------


def test_where_nothing_is_missing_it_is_called_with_what_was_asked(mesh, ready):
    assert upstream.missing(mesh, **ready) == []
    steps = []
    request = Request("a ball", "a car", steps=9, guidance=3.5, frames=13, height=64, width=48, seed=7,
                      callback=lambda *seen: steps.append(seen))  # fmt: skip
    video = upstream.generate(mesh, request, **ready)
    calls = sys.modules[upstream.MODULE].calls
    assert calls == [(mesh, str(ready["weights"]), True), ("a ball", "a car", 64, 48, 13, 9, 3.5, 7)]
    assert steps == [(3, "x")]
    wanted = torch.linspace(0, 1, 13 * 64 * 48 * 3, dtype=float).float().reshape(13, 64, 48, 3)
    assert video.dtype == torch.float32 and torch.equal(video, wanted)
    upstream.generate(mesh, Request("a ball"), **ready)  # no callback: none is passed on
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("widths", "layers", "system", "frames", "said"),
    [
        ((32, 128, 128, 256), (0, 2, 3, 1, 0), "galaxy", 31, {}),
        ((32, 128, 128, 256), (1, 2, 3, 1, 0), "galaxy", 31, {"use_reference_vae": True}),  # 32 with a convolution
        ((32, 96, 128, 128), (0, 2, 3, 1, 0), "t3000", 31, {"use_reference_vae": True}),
        ((32, 128, 128, 96), (0, 2, 3, 0, 1), "galaxy", 31, {"use_reference_vae": True}),  # the middle one
        ((32, 128, 128, 128), (0, 2, 3, 1, 0), "t3000", 31, {"vae_mesh_shape": (2, 4)}),  # 6 latent frames on 8 chips
        ((128, 256, 512, 768), (3, 3, 4, 6, 3), "t3000", 43, {"vae_mesh_shape": (2, 4)}),  # 8: one each
        ((128, 256, 512, 768), (3, 3, 4, 6, 3), "t3000", 49, {}),  # 9: two each, the last chips some of padding
    ],
)
def test_its_decoder_is_told_what_it_needs_to_know(monkeypatch, widths, layers, system, frames, said):
    config = {"decoder_block_out_channels": widths, "layers_per_block": layers, "temporal_expansions": (1, 2, 3)}
    monkeypatch.setattr(upstream, "Weights", lambda folder, part: SimpleNamespace(config=config))
    shape = {"galaxy": (4, 8), "t3000": (2, 4)}[system]
    mesh = SimpleNamespace(system=SYSTEMS[system], shape=shape)
    assert upstream.decoding(mesh, "a folder", Request("a ball", frames=frames)) == said


def test_since_may_2026_it_wants_the_size_first_and_prompts_as_lists(mesh, ready):
    pipeline_file(ready["checkout"]).write_text(STAND_IN_SINCE)
    request = Request("a ball", "a car", steps=9, guidance=3.5, frames=13, height=64, width=48, seed=7, traced=True)
    video = upstream.generate(mesh, request, **ready)
    calls = sys.modules[upstream.MODULE].calls
    assert calls == [(mesh, str(ready["weights"]), 64, 48, 13, 256), (["a ball"], ["a car"], 9, 3.5, 7, True)]
    whole = (torch.arange(18 * 64 * 48 * 3) % 251).reshape(18, 64, 48, 3) / 255
    assert torch.equal(video, whole[5:])  # the frames asked for, as diffusers counts them
    with pytest.raises(RuntimeError, match="shows no latents between its steps: leave the callback"):
        upstream.generate(mesh, Request("a ball", callback=print), **ready)


def test_what_it_cannot_do_or_return_is_named(mesh, ready):
    file = pipeline_file(ready["checkout"])
    file.write_text(STAND_IN_SINCE.replace(", use_reference_vae=False", ""))
    with pytest.raises(RuntimeError, match="has no use_reference_vae, which these weights need"):
        upstream.generate(mesh, Request("a ball"), **ready)
    forget_models()
    file.write_text(STAND_IN_SINCE.replace("num_frames + 5, height, width", "num_frames + 5, width, height"))
    with pytest.raises(RuntimeError, match=r"returned frames of shape \(36, 48, 64, 3\) for \(31, 64, 48, 3\)"):
        upstream.generate(mesh, Request("a ball", height=64, width=48), **ready)


def test_an_emulated_mesh_runs_what_is_small(mesh, ready, monkeypatch):
    monkeypatch.setattr(mesh, "backend", "emulated")
    git(ready["checkout"], "tag", "-d", f"v{version('ttnn')}")  # a checkout of no known release will do here
    assert upstream.missing(mesh, **ready) == []
    monkeypatch.setattr(upstream, "PATIENCE", 1e-6)
    (said,) = upstream.missing(mesh, **ready)
    assert said == "Chips: the open mesh is emulated galaxy 4x8, and this CPU would compute these weights for days."


def test_before_may_2026_it_captures_no_trace(mesh, ready):
    with pytest.raises(RuntimeError, match="captures no trace: leave traced"):
        upstream.generate(mesh, Request("a ball", traced=True), **ready)


def test_without_guidance_it_would_stop_at_an_assertion(mesh, ready):
    with pytest.raises(ValueError, match="always guides. Choose a guidance above 1"):
        upstream.generate(mesh, Request("a ball", guidance=1.0), **ready)


def break_import(ready):
    pipeline_file(ready["checkout"]).write_text("import a_package_that_is_not_here")


def retag(ready):
    git(ready["checkout"], "tag", "-d", f"v{version('ttnn')}")
    git(ready["checkout"], "tag", "v0.62.3")


LACKS = {
    "other system": (lambda patch, mesh, ready: patch.setattr(mesh, "system", SYSTEMS["n300"]),
                     "Chips: n300 1x2 is open, and it runs on galaxy, t3000, quietbox2."),
    "a link down": (lambda patch, mesh, ready: patch.setattr(upstream, "links", lambda mesh: links(mesh) | {
                        ((0, 3), (1, 3)): 3, ((2, 0), (2, 1)): 1}),
                    "Links: it drives 4 between neighbours, and chips (0, 3) and (1, 3) have 3 (2 such pairs)."),
    "no checkout": (lambda patch, mesh, ready: ready.update(checkout=None),
                    "Checkout: no folder is named. Get one with: git clone --depth 1 --filter=blob:none --sparse "
                    f"--branch v{version('ttnn')} https://github.com/tenstorrent/tt-metal && git -C tt-metal "
                    "sparse-checkout set models/tt_dit models/common models/perf"),
    "other folder": (lambda patch, mesh, ready: ready.update(checkout="notebooks"),
                     "Checkout: notebooks has no models/tt_dit/pipelines/mochi/pipeline_mochi.py."),
    "other release": (lambda patch, mesh, ready: retag(ready),
                      f"is at v0.62.3, which does not fit the ttnn {version('ttnn')} that is installed here."),
    "no release": (lambda patch, mesh, ready: git(ready["checkout"], "tag", "-d", f"v{version('ttnn')}"),
                   "is at no known version, which does not fit"),
    "other packages": (lambda patch, mesh, ready: break_import(ready),
                       "cannot be imported here (No module named 'a_package_that_is_not_here')."),
    "no weights": (lambda patch, mesh, ready: ready.update(weights="nobody/nothing"),
                   "Weights: There is no folder nobody/nothing, and no model of that name in the Hugging Face cache."),
    "half the weights": (lambda patch, mesh, ready: ready.update(weights=ready["weights"] / "vae"),
                         "config.json is missing. Nothing is downloaded without you: the real model's text_encoder"),
    "host memory": (lambda patch, mesh, ready: patch.setattr(upstream, "free_memory", lambda: 1e-6),
                    "GB of this computer's, 0 are free."),
    "disk": (lambda patch, mesh, ready: patch.setattr(upstream, "free_disk", lambda folder: 1e-6),
             "GB left."),
}  # fmt: skip


@pytest.mark.parametrize("lack", LACKS)
def test_each_missing_thing_is_named(mesh, ready, monkeypatch, lack):
    change, sentence = LACKS[lack]
    change(monkeypatch, mesh, ready)
    (said,) = upstream.missing(mesh, **ready)
    assert sentence in said
    with pytest.raises(RuntimeError, match="tt-metal's own Mochi cannot run here") as raised:
        upstream.generate(mesh, Request("a ball"), **ready)
    assert sentence in str(raised.value)


def test_two_rows_of_chips_need_a_cache_and_fewer_links(mesh, ready, monkeypatch):
    monkeypatch.setattr(mesh, "system", SYSTEMS["t3000"])
    monkeypatch.setattr(upstream, "links", lambda mesh: {((0, 0), (0, 1)): 1})
    assert upstream.missing(mesh, **ready) == []
    monkeypatch.delenv(upstream.CACHE)
    (said,) = upstream.missing(mesh, **ready)
    assert said == "Disk: TT_DIT_CACHE_DIR names no folder. On t3000 2x4 it loads the denoiser anew for each video."
    monkeypatch.setattr(mesh, "system", SYSTEMS["galaxy"])
    monkeypatch.setattr(upstream, "links", lambda mesh: {((0, 0), (0, 1)): 4})
    assert upstream.missing(mesh, **ready) == []  # Galaxy holds both parts


def test_weights_that_are_cut_already_need_no_more_disk(mesh, ready, monkeypatch, tmp_path):
    monkeypatch.setattr(upstream, "free_disk", lambda folder: 1e-6)
    assert len(upstream.missing(mesh, **ready)) == 1
    (tmp_path / "cache" / "mochi-1-preview" / "transformer" / "mesh4x8_bf16").mkdir(parents=True)
    assert upstream.missing(mesh, **ready) == []


def test_everything_that_is_missing_is_named_at_once(mesh, monkeypatch):
    monkeypatch.delenv(upstream.CACHE, raising=False)
    with pytest.raises(RuntimeError, match="Chips: .* Checkout: .* Weights: "):
        upstream.generate(mesh, Request("a ball"), checkout=None, weights="nobody/nothing")


def test_the_real_weights_are_counted_where_they_are_not_there(mesh, ready, monkeypatch):
    monkeypatch.setattr(upstream, "free_memory", lambda: 12.0)
    said = upstream.missing(mesh, ready["checkout"], "nobody/nothing")
    assert said[-1] == "Memory: loading takes 61 GB of this computer's, 12 are free."


def test_what_is_free_is_read_from_this_machine(tmp_path):
    assert 0.1 < upstream.free_memory() < 100_000
    assert upstream.free_disk(tmp_path / "not" / "there" / "yet") == pytest.approx(upstream.free_disk(tmp_path), abs=1)


# --- the four ways ---------------------------------------------------------------------------------


def test_on_an_emulated_mesh_each_way_says_what_it_lacks(mesh, monkeypatch):
    monkeypatch.setattr(ways, "find_backend", lambda: "emulated")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = ways.ways(mesh, weights="nobody/nothing")
    assert found["silicon"] == ["Chips: there are none. Tenstorrent's driver would show them as /dev/tenstorrent."]
    assert found["CUDA"] == [f"Card: PyTorch {torch.__version__} finds none here."]
    assert "hf download" in found["real weights"][0]
    assert found["real weights"][1].startswith("Chips: the open mesh is emulated galaxy 4x8, so this CPU would compute")
    assert {said.partition(":")[0] for said in found["upstream tt_dit"]} >= {"Chips", "Checkout", "Weights"}
    monkeypatch.setattr(ways, "find_backend", lambda: "silicon")
    assert ways.no_silicon(mesh)[0].startswith("Mesh: there are chips, and the open mesh is emulated galaxy 4x8.")


def test_where_all_is_there_no_way_lacks_anything(mesh, ready, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert ways.ways(mesh, **ready) == {way: [] for way in ("silicon", "real weights", "upstream tt_dit", "CUDA")}


@pytest.mark.parametrize(
    ("system", "gigabytes"),
    [("n150", 30.5), ("n300", 15.7), ("t3000", 9.5 / 4 + 20.1 / 8 + 0.9), ("galaxy", 9.5 / 4 + 20.1 / 32 + 0.9)],
)
def test_the_real_weights_on_each_chip(system, gigabytes, monkeypatch):
    assert ways.gigabytes_per_chip(SYSTEMS[system]) == pytest.approx(gigabytes)
    mesh = SimpleNamespace(system=SYSTEMS[system], backend="silicon")
    said = f"the weights take {gigabytes:.1f} GB of each chip, and it has 12.9."
    assert [said in lack for lack in ways.no_chips_for_it(mesh)] == ([True] if gigabytes > 12.9 else [])
