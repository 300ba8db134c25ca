import base64
import io
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import video
from helpers.metrics import psnr


@pytest.fixture
def clip():
    """A bright disc crossing a gradient: (13, 48, 64, 3) uint8."""
    y, x = np.mgrid[:48, :64]
    discs = [np.where((x - 10 - 3 * t) ** 2 + (y - 24) ** 2 < 100, 250, 60) for t in range(13)]
    return np.stack([np.stack([x * 3, y * 4, disc], -1) for disc in discs]).astype(np.uint8)


def test_round_trip_keeps_frames_and_rate(tmp_path, clip):
    path = video.write(tmp_path / "a" / "clip.mp4", clip, fps=12)
    back, fps = video.read(path)
    assert back.shape == clip.shape and back.dtype == np.uint8 and fps == 12
    assert psnr(back, clip) > 30


def test_a_killed_write_leaves_what_was_there(tmp_path, clip):
    path = video.write(tmp_path / "clip.mp4", clip)
    before = path.read_bytes()
    program = "import sys, numpy, helpers.video as v\n"
    program += "v.write(sys.argv[1], numpy.random.default_rng(0).integers(0, 255, (300, 128, 128, 3), numpy.uint8))"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen([sys.executable, "-c", program, path], env=os.environ | {"TMPDIR": str(scratch)}) as process:
        while process.poll() is None and not list(scratch.rglob("clip.mp4")):
            time.sleep(0.01)
        assert process.poll() is None, "too quick to be killed"
        process.kill()
    assert path.read_bytes() == before
    video.write(path, clip[::-1])
    assert path.read_bytes() != before and not list(tmp_path.glob("*.part"))


def test_same_frames_same_bytes(tmp_path, clip):
    first = video.write(tmp_path / "1.mp4", clip).read_bytes()
    assert first == video.write(tmp_path / "2.mp4", torch.from_numpy(clip)).read_bytes()
    assert first == video.write(tmp_path / "3.mp4", [Image.fromarray(frame) for frame in clip]).read_bytes()
    assert first == video.write(tmp_path / "4.mp4", clip.astype(np.float64) / 255).read_bytes()


def test_browsers_can_play_it(tmp_path, clip):
    data = video.write(tmp_path / "clip.mp4", clip).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "faststart puts the index first"
    assert b"avc1" in data
    assert b"x264 - core" not in data, "no version strings, or the bytes differ between machines"


def test_bfloat16_and_out_of_range_floats():
    frames = torch.full((7, 16, 16, 3), 1.5, dtype=torch.bfloat16)
    assert (video.to_uint8(frames) == 255).all()
    assert (video.to_uint8(-frames) == 0).all()


@pytest.mark.parametrize(
    "bad, word",
    [
        (np.zeros((8, 8, 3), np.uint8), "frames, height, width, 3"),
        (np.zeros((0, 8, 8, 3), np.uint8), "frames, height, width, 3"),
        (np.zeros((7, 3, 8, 8), np.uint8), "frames, height, width, 3"),
        (np.full((7, 8, 8, 3), np.nan), "finite"),
        (np.zeros((7, 9, 8, 3), np.uint8), "even"),
    ],
)
def test_bad_frames_are_refused(tmp_path, bad, word):
    with pytest.raises(ValueError, match=word):
        video.write(tmp_path / "bad.mp4", bad)


def test_integers_other_than_uint8_are_refused(tmp_path):
    with pytest.raises(TypeError, match="uint8"):
        video.write(tmp_path / "bad.mp4", np.zeros((7, 8, 8, 3), np.int64))


def test_missing_file():
    with pytest.raises(FileNotFoundError, match="no video"):
        video.read("not-there.mp4")


@pytest.fixture
def displayed(monkeypatch):
    outputs = []
    monkeypatch.setattr("IPython.display.display", outputs.append)
    return outputs


def test_show_holds_the_file_itself_and_frames_for_where_none_plays(clip, displayed):
    video.show(clip)
    playing, still = displayed
    assert "data:video/mp4;base64," in playing.data and "loop" in playing.data and 'width="256"' in playing.data
    data, about = still._repr_mimebundle_()
    assert about["image/jpeg"] == {"alt": "6 frames of a video, from first to last"}
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))).astype(int)
    assert strip.shape == (48 + 8, 6 * 68 + 4, 3)
    assert np.abs(strip[4:52, 4:68] - clip[0]).mean() < 6 < np.abs(strip[4:52, 4:68] - clip[-1]).mean()
    assert np.abs(strip[4:52, -68:-4] - clip[-1]).mean() < 6


def test_videos_side_by_side_keep_their_own_rates_and_have_a_row_each(clip, displayed, tmp_path):
    wide = np.concatenate([clip] * 5, axis=2)
    video.show(clip, wide, fps=[12, 6], width=190)
    rates = []
    for n, data in enumerate(re.findall(r'base64,([^"]+)"', displayed[0].data)):
        (tmp_path / f"{n}.mp4").write_bytes(base64.b64decode(data))
        rates.append(video.read(tmp_path / f"{n}.mp4")[1])
    assert rates == [12, 6] and displayed[0].data.count('width="190"') == 2
    assert displayed[1].size == (3 * (5 * 64 + 4) + 4, 2 * (48 + 4) + 4), "wide videos have fewer frames"
    assert displayed[1]._repr_mimebundle_()[1] == {
        "image/jpeg": {"alt": "3 frames of each of 2 videos, from first to last"}
    }
    with pytest.raises(ValueError, match="zip"):
        video.show(clip, fps=[12, 6])


def test_gif_loops_at_its_rate(tmp_path, clip):
    with Image.open(video.write_gif(tmp_path / "clip.gif", clip, fps=12)) as gif:
        assert gif.n_frames == len(clip) and gif.info["loop"] == 0
        assert gif.info["duration"] in (80, 83)


def test_contact_sheet_has_a_row_for_each_video(clip):
    sheet = video.contact_sheet([clip, clip[::-1]], ["there", "back"], columns=4, gap=4)
    words = sheet._repr_mimebundle_()[1]["image/jpeg"]["alt"]
    assert words == "4 frames of each of 2 videos, from first to last: there; back"
    assert sheet.size == (4 * 68 - 4 + 8, 4 + 2 * (48 + 16 + 4))
    pixels = np.asarray(sheet)
    assert (pixels[20:68, 4:68] == clip[0]).all(), "first frame at the left"
    assert (pixels[20:68, -68:-4] == clip[-1]).all(), "last frame at the right"
    with pytest.raises(ValueError, match="labels"):
        video.contact_sheet([clip], ["one", "two"])


def test_the_file_says_who_made_it(tmp_path):
    frames = np.random.default_rng(3).integers(0, 255, (7, 32, 48, 3), dtype=np.uint8)
    path = video.write(tmp_path / "a.mp4", frames, made_by="emulated galaxy 4x8")
    assert b"emulated galaxy 4x8" in path.read_bytes()
    assert b"emulated" not in video.write(tmp_path / "b.mp4", frames).read_bytes()
    assert video.read(path)[0].shape == frames.shape
