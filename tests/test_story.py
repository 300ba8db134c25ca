"""Stories by a painter in place of a model: what is kept, what is made again, and what a kill leaves."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import video
from helpers.frames import story
from helpers.world.prompts import caption, read
from helpers.world.scenes import Clip, render, sample

PROMPTS = [caption(sample(seed), plain=True) for seed in range(5)]
PAINTER = """
import sys
from helpers.frames import story
from tests.test_story import PROMPTS, paint
def make(prompts, seeds):
    print("making", flush=True)
    return paint(prompts, seeds)
make.__qualname__ = "paint"
story.tell(PROMPTS, make, sys.argv[1], seeds=[5, 6, 7, 8, 9])
"""
NOISE = """
import sys
import numpy as np
from helpers.frames import story
def make(prompts, seeds, side):
    print("making", flush=True)
    return [np.random.default_rng([seed, *prompt.encode()]).random((side, side, 3))
            for prompt, seed in zip(prompts, seeds)]
story.tell([str(n) for n in range(1000)], make, sys.argv[1], side=512)
"""


def paint(prompts, seeds, frames=3):
    """The middle frames of what the prompts ask for: (N, 96, 96, 3) in 0..1."""
    asked = [read(prompt) for prompt in prompts]
    clips = [
        Clip(one.scene, one.motion, one.subject, one.second, one.size or "big", seed)
        for one, seed in zip(asked, seeds, strict=True)
    ]
    return render(clips, frames=frames)[:, :, frames // 2].permute(0, 2, 3, 1)


@pytest.fixture
def counted():
    """A painter that keeps the prompts and seeds that it was asked for, all of them and call by call."""

    def make(prompts, seeds, **settings):
        make.asked += zip(prompts, seeds, strict=True)
        make.calls.append(len(prompts))
        return paint(prompts, seeds, **settings)

    make.asked, make.calls = [], []
    return make


def test_pictures_are_made_once(counted, tmp_path):
    first = story.tell(PROMPTS, counted, tmp_path, seeds=3)
    assert first.shape == (5, 96, 96, 3) and counted.asked == [(prompt, 3) for prompt in PROMPTS]
    for prompt, still in zip(PROMPTS, first):
        assert np.abs(still - paint([prompt], [3])[0].numpy()).max() < 0.51 / 255
    again = story.tell(PROMPTS, counted, tmp_path, seeds=3)
    assert len(counted.asked) == 5 and np.array_equal(first, again)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"0{n}.png" for n in range(5)]


def test_only_what_changed_is_made_again(counted, tmp_path):
    story.tell(PROMPTS, counted, tmp_path, seeds=3)
    counted.asked.clear()
    other = PROMPTS[:2] + ["a red ball bouncing left on a blue floor"] + PROMPTS[3:]
    stills = story.tell(other, counted, tmp_path, seeds=[3, 3, 3, 4, 3])
    assert counted.asked == [(other[2], 3), (other[3], 4)]
    fresh = story.tell(other, counted, tmp_path / "fresh", seeds=[3, 3, 3, 4, 3])
    assert np.array_equal(stills, fresh)
    counted.asked.clear()
    story.tell(other[:2], counted, tmp_path, seeds=3, frames=5)  # another setting
    assert len(counted.asked) == 2
    story.tell(other[:2], partial(paint), tmp_path, seeds=3, frames=5)  # another maker
    story.tell(other[:2], counted, tmp_path, seeds=3, frames=5)
    assert len(counted.asked) == 4


def test_weights_trained_again_are_other_weights(tmp_path):
    asked, weights = [], tmp_path / "model"
    (weights / "vae").mkdir(parents=True)
    file = weights / "vae" / "weights"
    file.write_text("1")

    def make(prompts, seeds, weights):
        asked.extend(prompts)
        return paint(prompts, seeds)

    for _ in range(2):
        story.tell(PROMPTS[:1], make, tmp_path / "story", weights=weights)
    assert len(asked) == 1
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9))
    story.tell(PROMPTS[:1], make, tmp_path / "story", weights=weights)
    assert len(asked) == 2


def test_a_damaged_file_is_made_again(counted, tmp_path):
    stills = story.tell(PROMPTS[:3], counted, tmp_path)
    whole = (tmp_path / "00.png").read_bytes()
    (tmp_path / "00.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "01.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(tmp_path / "02.png")  # somebody else's
    counted.asked.clear()
    assert np.array_equal(stills, story.tell(PROMPTS[:3], counted, tmp_path)) and len(counted.asked) == 3


def killed(program, folder, after, later=0.0):
    """Runs a program in a process of its own and kills it `later` seconds into its picture number `after`."""
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[1], text=True
    ) as process:
        for _ in range(after):
            assert process.stdout.readline() == "making\n"
        time.sleep(later)
        process.kill()
    assert process.returncode == -signal.SIGKILL


def test_a_killed_story_goes_on(counted, tmp_path):
    killed(PAINTER, tmp_path, after=4)
    kept = sorted(file.name for file in tmp_path.glob("*.png"))
    assert kept[:3] == ["00.png", "01.png", "02.png"]
    counted.__qualname__ = "paint"
    stills = story.tell(PROMPTS, counted, tmp_path, seeds=[5, 6, 7, 8, 9])
    assert counted.asked == list(zip(PROMPTS, range(5, 10)))[len(kept) :]
    assert np.array_equal(stills, story.tell(PROMPTS, counted, tmp_path / "fresh", seeds=[5, 6, 7, 8, 9]))


def test_kills_at_any_moment_leave_whole_pictures(tmp_path):
    for after, later in ((2, 0.02), (5, 0.03), (9, 0.04)):  # in seconds: somewhere while the file is written
        killed(NOISE, tmp_path, after, later)
        for file in tmp_path.glob("*.png"):
            noise = np.random.default_rng([0, *str(int(file.stem)).encode()]).random((512, 512, 3))
            assert np.array_equal(np.asarray(Image.open(file)), video.to_uint8(noise[None])[0])
    assert len(list(tmp_path.glob("*.png"))) >= 1 + 4 + 8  # each run went on from the last one


@pytest.mark.parametrize(
    ("prompts", "options", "error", "message"),
    [
        ([], {}, ValueError, "at least one prompt"),
        ("a red ball", {}, ValueError, "a list"),
        (PROMPTS, {"seeds": [1, 2]}, ValueError, "5 prompts but 2 seeds"),
        (PROMPTS, {"mesh": object()}, TypeError, "functools.partial"),
        (PROMPTS, {"at_once": 0}, ValueError, "at_once is 0: .* at least one picture"),
    ],
)
def test_what_is_no_story(tmp_path, prompts, options, error, message):
    with pytest.raises(error, match=message):
        story.tell(prompts, paint, tmp_path, **options)


def test_pictures_of_two_sizes_make_no_story(tmp_path):
    def make(prompts, seeds):
        return [np.zeros((int(prompt), 8, 3)) for prompt in prompts]

    for at_once in (1, 2, 1):  # the last time both are in the folder
        with pytest.raises(ValueError, match=r"picture 1 is \(9, 8\), picture 0 is \(8, 8\)"):
            story.tell(["8", "9"], make, tmp_path / f"{at_once}", at_once=at_once)


def test_some_pictures_at_once(counted, tmp_path):
    """Three calls of at most two; the same files as one by one. Of a story that is half there only the rest."""
    seeds = [3, 9, 4, 8, 5]
    stills = story.tell(PROMPTS, counted, tmp_path / "two", seeds=seeds, at_once=2)
    assert counted.calls == [2, 2, 1] and counted.asked == list(zip(PROMPTS, seeds))
    assert np.array_equal(stills, story.tell(PROMPTS, counted, tmp_path / "one", seeds=seeds))
    for number in (1, 2, 4):
        (tmp_path / "two" / f"0{number}.png").unlink()
    counted.calls.clear(), counted.asked.clear()
    assert np.array_equal(stills, story.tell(PROMPTS, counted, tmp_path / "two", seeds=seeds, at_once=2))
    assert counted.calls == [2, 1] and counted.asked == [(PROMPTS[n], seeds[n]) for n in (1, 2, 4)]


def test_a_maker_that_gives_another_number(tmp_path):
    with pytest.raises(ValueError, match="asked for 2 pictures, the maker gave 1"):
        story.tell(PROMPTS, lambda prompts, seeds: paint(prompts[:1], seeds[:1]), tmp_path, at_once=2)
    assert not list(tmp_path.iterdir())


def test_a_film_holds_and_fades():
    stills = np.random.default_rng(0).random((3, 16, 24, 3)).astype(np.float32)
    frames = story.film(stills, hold=5, fade=2)
    assert frames.shape == (3 * 5 - 2 * 2, 16, 24, 3)
    shown = [(0, 0), (3, 0), (5, 1), (6, 1), (8, 2), (10, 2)]
    assert all(np.abs(frames[at] - stills[which]).max() < 0.01 for at, which in shown)
    assert np.abs(frames[4] - stills[:2].mean(0)).max() < 0.01


def test_a_comic_has_a_panel_for_each_picture():
    stills = np.random.default_rng(0).random((5, 48, 96, 3)).astype(np.float32)
    page = np.asarray(story.comic(stills, ["short"] * 4 + ["a caption that needs more lines than one"], 3, side=96))
    assert page.shape[1] == 3 * 106 + 10 and (page[0] == 255).all()
    down = (page.shape[0] - 10) // 2
    for number, still in enumerate(video.to_uint8(stills)):
        x, y = 10 + number % 3 * 106, 10 + number // 3 * down
        assert (page[y : y + 48, x : x + 96] == still).all()
        under = page[y + 53 : y + down - 10, x : x + 96]
        assert (under < 100).any() and (under == 255).any()
    with pytest.raises(ValueError, match="5 pictures but 1 captions"):
        story.comic(stills, ["one"])
