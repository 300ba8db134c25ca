"""The detectors judge the miniature, so they are judged first: on real clips, and on captions of other clips."""

import numpy as np
import pytest

from helpers.world.detectors import HUES, Seen, detect, detect_still, hue_and_chroma
from helpers.world.scenes import COLOURS, SCENES, held_out, render, sample
from training.mochi.evaluate import ASPECTS, fixed_clips, judge

COUNT = 250


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
    rough = videos[:60] + np.random.default_rng(1).normal(0, 0.03, videos[:60].shape)
    rough = (rough + np.roll(rough, 1, axis=2) + np.roll(rough, 1, axis=3)) / 3
    assert min(judge(rough.clip(0, 1), clips[:60]).values()) >= 0.95


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
