import dataclasses

import numpy as np
import pytest
import torch

from helpers.world.draw import FRAMES, SIZE, Canvas
from helpers.world.prompts import caption, check, nearest, read, vocabulary
from helpers.world.scenes import COLOURS, SCENES, SEEN, UNSEEN, Clip, held_out, render, sample


def test_the_world_is_as_large_as_promised():
    assert len(SCENES) == 10 and len(COLOURS) == 8
    assert sum(len(scene[2]) for scene in SCENES.values()) == 23
    assert FRAMES % 6 == 1 and SIZE % 16 == 0


def test_one_pair_of_colours_in_seven_is_held_out():
    for scene in SCENES:
        assert len(SEEN[scene]) == 48 and len(UNSEEN[scene]) == 8
        subjects, seconds = zip(*UNSEEN[scene], strict=True)
        assert set(subjects) == set(seconds) == set(COLOURS)
        assert len({first for first, _ in SEEN[scene]}) == 8, "every colour is seen in every place"
    assert all(not held_out(c.scene, c.subject, c.second) for c in map(sample, range(300)))
    assert all(held_out(c.scene, c.subject, c.second) for c in (sample(s, unseen=True) for s in range(300)))


def test_the_same_seed_gives_the_same_clip():
    clips = [sample(seed) for seed in range(12)]
    assert clips == [sample(seed) for seed in range(12)]
    together = render(clips)
    assert together.shape == (12, 3, 31, 96, 96)
    assert together.min() >= 0 and together.max() <= 1
    for place in (0, 5, 11):
        assert torch.equal(render([clips[place]])[0], together[place]), "whatever else is in the batch"


def test_seeds_differ():
    clip = Clip("butterfly", "landing", "red", "blue", "big", 1)
    one, other = render([clip, dataclasses.replace(clip, seed=2)])
    assert (one - other).abs().mean() > 0.02


@pytest.mark.parametrize("scene", SCENES)
def test_everything_that_is_said_changes_the_picture(scene):
    motions = SCENES[scene][2]
    base = Clip(scene, motions[0], "red", "blue", "big", 3)
    changes = [{"motion": motion} for motion in motions[1:]] + [{"subject": "green"}, {"second": "pink"}]
    changes += [] if scene == "forest" else [{"size": "small"}]
    pictures = render([base] + [dataclasses.replace(base, **change) for change in changes])
    for change, picture in zip(changes, pictures[1:], strict=True):
        assert (picture - pictures[0]).abs().mean() > 0.004, change


def test_edges_are_smooth():
    canvas = Canvas(torch.ones(1, 3, 1, 1, 1), torch.ones(1, 3, 1, 1, 1))
    canvas.paint(canvas.circle(48.0, 48.0, 20.0), (0.0, 0.0, 0.0))
    area = float((1 - canvas.pixels[0, 0, 0]).sum())
    assert area == pytest.approx(np.pi * 400, rel=0.002), "anti-aliasing keeps the area"
    assert torch.allclose(canvas.pixels, canvas.pixels.flip(-1), atol=1e-4)


def test_a_plain_caption_says_all():
    for seed in range(400):
        clip = sample(seed)
        found = read(caption(clip, plain=True))
        assert (found.scene, found.motion, found.subject, found.second) == (
            clip.scene, clip.motion, clip.subject, clip.second,
        )  # fmt: skip
        assert found.size == (None if clip.scene == "forest" else clip.size)
        assert not found.unknown


def test_captions_vary_and_never_lie():
    clip = sample(4)
    assert len({caption(clip, variant) for variant in range(50)}) > 25
    for seed in range(600):
        clip = sample(seed)
        found = read(caption(clip, seed))
        for name in ("scene", "motion", "subject", "second", "size"):
            assert getattr(found, name) in (None, getattr(clip, name)), (caption(clip, seed), name)
        assert not found.unknown, "every word of a caption is in the vocabulary"


@pytest.mark.parametrize(
    "prompt, scene, motion",
    [
        ("a butterfly landing on a flower, wings gently moving in the breeze", "butterfly", "landing"),
        ("a forest coming alive at dawn", "forest", "coming alive"),
        ("A Red BALL bouncing to the left.", "ball", "bouncing left"),
        ("a blue fish", "fish", None),
    ],
)
def test_prompts_of_the_world(prompt, scene, motion):
    found = check(prompt)
    assert (found.scene, found.motion, found.unknown) == (scene, motion, {})
    assert found.advice() == ""


def test_unnamed_colours_are_natural():
    for seed in range(2000):
        clip = sample(seed, scene="forest")
        assert clip.subject == "green" or read(caption(clip, seed)).subject == clip.subject


def test_unknown_words_are_named_with_their_nearest():
    found = check("a purpel dragon landing on a flowr")
    assert list(found.unknown) == ["purpel", "dragon", "flowr"]
    assert found.unknown["purpel"][0] == "purple" and "flower" in found.unknown["flowr"]
    assert "'dragon'" in found.advice() and "butterfly" in found.advice()
    assert nearest("xyzzy") == []


def test_vocabulary_is_small_and_sorted():
    words = vocabulary()
    assert words == sorted(set(words)) and 100 < len(words) < 200


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [("   ", ValueError, "empty"), ("", ValueError, "empty"), (None, TypeError, "string, not NoneType")],
)
def test_what_cannot_work_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        check(wrong)
