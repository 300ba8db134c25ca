"""The detectors judge the miniature, so they are judged first: on real clips, and on captions of other clips."""

import numpy as np
import pytest
import torch
from conftest import WEEKLY

from helpers.world.detectors import (
    HUES,
    Seen,
    ball_roundness,
    detect,
    detect_still,
    enclosing_radius,
    hue_and_chroma,
    roundness,
)
from helpers.world.draw import Canvas
from helpers.world.scenes import COLOURS, SCENES, held_out, render, sample
from training.mochi.evaluate import ASPECTS, fixed_clips, judge

COUNT = 250 if WEEKLY else 100  # clips


@pytest.fixture(scope="module")
def real():
    """Real clips of both lists, painted: (clips, videos)."""
    clips = [sample(50_000_000 + seed, unseen=seed % 2 == 0) for seed in range(COUNT)]
    return clips, render(clips).permute(0, 2, 3, 4, 1).numpy()


def test_nearly_always_right_on_real_clips(real):
    clips, videos = real
    rates = judge(videos, clips)
    assert min(rates.values()) >= 0.99, rates


def test_about_chance_on_shuffled_captions(real):
    clips, videos = real
    shuffled = [clips[place] for place in np.random.default_rng(0).permutation(COUNT)]
    rates = judge(videos, shuffled)
    assert 0.04 < rates["scene"] < 0.18, "one scene in ten"
    assert rates["motion"] < 0.10, "a scene in ten, and its motion"
    assert 0.05 < rates["subject"] < 0.22 and 0.05 < rates["second"] < 0.22, "one colour in eight"


def test_the_same_after_a_little_blur_and_noise(real):
    clips, videos = real
    rough = videos[:40] + np.random.default_rng(1).normal(0, 0.03, videos[:40].shape)
    rough = (rough + np.roll(rough, 1, axis=2) + np.roll(rough, 1, axis=3)) / 3
    assert min(judge(rough.clip(0, 1), clips[:40]).values()) >= 0.95


def test_a_sun_too_large_is_no_forest(real):
    for clip, video in zip(*real, strict=True):
        if clip.scene == "sun":
            large = video.copy()
            large[:, 4:40, 30:66] = COLOURS[clip.subject]
            assert detect(large).scene == "sun", clip


def test_nothing_is_seen_where_nothing_is():
    assert detect(np.full((31, 96, 96, 3), 0.8)) == Seen()
    noise = np.random.default_rng(2).random((31, 96, 96, 3))
    assert detect(noise).motion is None
    assert detect(np.zeros((31, 96, 96, 3))).subject is None


def test_stills_are_told_by_their_middle_frame(real):
    clips, videos = real
    found = [detect_still(video[15]) for video in videos]
    rates = {a: np.mean([getattr(f, a) == getattr(c, a) for f, c in zip(found, clips)]) for a in ("scene", "subject")}
    assert min(rates.values()) >= 0.99, rates
    assert all(seen.motion is None for seen in found), "a still has no motion"
    others = [clips[place] for place in np.random.default_rng(0).permutation(COUNT)]
    chance = np.mean([seen.scene == clip.scene for seen, clip in zip(found, others)])
    assert 0.04 < chance < 0.18, "one scene in ten"


def test_no_scene_in_a_blank_or_noisy_still():
    assert detect_still(np.full((96, 96, 3), 0.8)) == Seen()
    assert detect_still(np.zeros((96, 96, 3))) == Seen()


def test_hue_stays_with_shade_and_tint():
    colours = np.array(list(COLOURS.values()))
    for changed in (colours * 0.6, colours + (1 - colours) * 0.4):
        assert np.allclose(hue_and_chroma(changed)[0], HUES, atol=0.02)
    gaps = np.sort(np.r_[np.sort(HUES), np.sort(HUES)[0] + 6])
    assert np.diff(gaps).min() > 0.3, "no two colours share a hue"


def test_fixed_lists_are_what_they_say():
    seen, unseen = fixed_clips(200, False), fixed_clips(100, True)
    assert len(set(seen)) == 200 and len(set(unseen)) == 100
    assert all(not held_out(c.scene, c.subject, c.second) for c in seen)
    assert all(held_out(c.scene, c.subject, c.second) for c in unseen)
    for clips in (seen, unseen):
        counts = [sum(clip.scene == scene for clip in clips) for scene in SCENES]
        assert set(counts) == {len(clips) // 10}


def test_aspects_are_the_four_of_the_goals():
    assert ASPECTS == ("scene", "motion", "subject", "second")


# --- roundness -------------------------------------------------------------------------------------


def shape(draw) -> np.ndarray:
    """draw(canvas) -> signed distances, as the painters draw; -> the mask of the pixels inside, (96, 96)."""
    canvas = Canvas(*torch.zeros(2, 1, 3, 1, 1, 1))
    return (draw(canvas) < 0)[0, 0].numpy()


def polygon(corners: int, radius: float, turn: float) -> np.ndarray:
    angles = [turn + 2 * np.pi * k / corners for k in range(corners)]
    return shape(lambda c: c.polygon(*((51 + radius * np.cos(a), 43 + radius * np.sin(a)) for a in angles)))


@pytest.mark.parametrize("radius", [12.2, 14.9, 17.8])
def test_a_disc_is_round_and_nothing_else_is(radius):
    disc = roundness(shape(lambda c: c.circle(44.3, 51.8, radius)))
    assert 0.9 < disc < 1
    for stretch in (1.25, 1.6, 2.5):
        oval = roundness(shape(lambda c, s=stretch: c.ellipse(47.0, 44.0, radius * s**0.5, radius / s**0.5, 0.4)))
        assert oval == pytest.approx(disc / stretch, abs=0.06)
    for corners in (3, 4, 6):  # the area of a polygon in its circle
        want = corners / (2 * np.pi) * np.sin(2 * np.pi / corners)
        assert roundness(polygon(corners, radius, 0.3)) == pytest.approx(want, abs=0.07)
    lumps = roundness(shape(lambda c: c.cloud(48.0, 48.0, radius / 12)))
    assert lumps < 0.75 * disc


def test_holes_count_as_there_and_strays_do_not_pass():
    disc = shape(lambda c: c.circle(48.0, 40.0, 15))
    ring, stray = disc & ~shape(lambda c: c.circle(45.0, 37.0, 7)), disc.copy()
    assert roundness(ring) == roundness(disc)
    stray[70:73, 60:63] = True
    assert roundness(stray) < 0.6 * roundness(disc)
    assert np.isnan(roundness(np.zeros((96, 96), bool)))


def test_the_smallest_circle_around_points():
    obtuse = np.array([[0.0, 0], [12, 0], [5, 2]])  # the longest side is the diameter
    assert enclosing_radius(obtuse) == pytest.approx(6, rel=0.01)
    right = np.array([[0.0, 0], [6, 0], [0, 8], [2, 2], [1, 3]])
    assert enclosing_radius(right + 31) == pytest.approx(5, rel=0.01)


def test_painted_balls_are_round():
    clips = [sample(50_000_000 + k, scene="ball") for k in range(40)]
    pictures = render(clips, frames=3)[:, :, 1].permute(0, 2, 3, 1).numpy()
    rounds = [ball_roundness(picture, clip.subject) for picture, clip in zip(pictures, clips, strict=True)]
    assert np.mean(rounds) > 0.92 and np.quantile(rounds, 0.1) > 0.9, rounds
    flat = pictures[:, ::2]  # as if squeezed to half their height
    squeezed = [ball_roundness(picture, clip.subject) for picture, clip in zip(flat, clips, strict=True)]
    assert max(squeezed) < 0.65, squeezed
