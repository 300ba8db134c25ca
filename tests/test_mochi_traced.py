"""The denoiser as a trace: to the last bit what it gives call by call, and from the third step on it calls nothing."""

import pytest
import torch
import ttnn

from helpers.mesh import close_mesh, open_mesh
from helpers.mochi.pipeline import Mochi, Request, first_noise, generate
from helpers.mochi.traced import Traced

pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast")
PROMPT = "a green fish swimming to the left over an orange coral"
REQUEST = dict(steps=5, frames=13, height=48, width=64, seed=3, guidance=4.0)


@pytest.fixture(scope="module")
def mochi(folder):
    mesh = open_mesh("galaxy")
    yield Mochi(mesh, folder)
    close_mesh(mesh)


def kept_traces() -> dict:
    return ttnn.begin_trace_capture.__self__.captured


def denoised(mochi, **changed):
    request = Request(PROMPT, **REQUEST | changed)
    return mochi.denoise(first_noise(12, request), request)


@pytest.mark.parametrize("other", [{}, {"guidance": 1.0}, {"negative_prompt": "a slow car", "frames": 19}])
def test_it_is_the_same_to_the_last_bit(mochi, other):
    plain, traced = (denoised(mochi, traced=traced, **other) for traced in (False, True))
    assert torch.equal(plain, traced) and plain.std() > 0.1
    assert not kept_traces()


def test_from_the_third_step_on_nothing_is_called_but_what_brings_and_fetches(mochi):
    """The first step calls everything, and so does the capture at the second. From then on chips send the same."""
    mesh, steps, heard, links = mochi.mesh, [], [], []

    def after(step, latents):
        steps.append(list(heard)), links.append(mesh.traffic.by_link())
        heard.clear(), mesh.traffic.clear()

    hear = lambda op, *call: heard.append(op.python_fully_qualified_name)
    heard_before = mesh.emulator.listeners[:]
    mesh.emulator.listeners.append(hear)
    try:
        mesh.traffic.clear()
        denoised(mochi, traced=True, callback=after)
    finally:
        mesh.emulator.listeners[:] = heard_before
    assert len(steps[1]) > 200, "the capture"
    moving = {"ttnn.from_torch", "ttnn.copy_host_to_device_tensor", "ttnn.from_device"}
    assert [set(step) for step in steps[2:]] == [moving] * 3
    assert links[1] == links[2] == links[3] == links[4] and sum(links[2].values()) > 0


def test_interrupted_it_leaves_no_trace(mochi):
    def stop(step, latents):
        if step == 2:
            assert len(kept_traces()) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoised(mochi, traced=True, callback=stop)
    assert not kept_traces()


def test_a_capture_that_fails_is_ended(mochi, monkeypatch):
    prompt, noise = mochi.encode(PROMPT), first_noise(12, Request(PROMPT, **REQUEST))
    with Traced(mochi.transformer, [prompt]) as denoise:
        first = denoise(noise, 10.0)[0]
        with monkeypatch.context() as broken:
            broken.setattr(mochi.transformer, "blocks", [None])
            with pytest.raises(TypeError):
                denoise(noise, 10.0)
        assert not kept_traces()
        assert mochi.mesh.emulator.capturing is None
        assert torch.equal(denoise(noise, 10.0)[0], first)
    assert not kept_traces()


def test_without_a_mesh_it_is_refused(folder):
    with pytest.raises(ValueError, match="Only a mesh executes traces"):
        generate(PROMPT, weights=folder, **REQUEST, traced=True)
