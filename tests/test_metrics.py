import math

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import metrics


@pytest.fixture
def picture():
    """A picture without any repeats: (48, 64, 3)."""
    return np.random.default_rng(0).random((48, 64, 3)).astype(np.float32)


@pytest.fixture
def still(picture):
    return np.stack([picture] * 7)


@pytest.fixture
def sliding(picture):
    """The picture slides by (1, 3) pixels a frame, wrapping round."""
    return np.stack([np.roll(picture, (t, 3 * t), axis=(0, 1)) for t in range(7)])


def test_psnr_of_a_known_error():
    grey = np.full((7, 16, 16, 3), 100, np.uint8)
    assert metrics.psnr(grey, grey) == math.inf
    assert metrics.psnr(grey + 51, grey) == pytest.approx(20 * math.log10(5), abs=1e-4)
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.psnr(grey, grey[1:])


def test_pcc_knows_scale_shift_and_sign():
    x = np.random.default_rng(1).normal(size=(5, 7))
    assert metrics.pcc(x, 3 * x + 2) == pytest.approx(1)
    assert metrics.pcc(x, -x) == pytest.approx(-1)
    assert metrics.pcc(torch.tensor(x), torch.tensor(x).bfloat16()) > 0.9999
    other = np.random.default_rng(2).normal(size=(200, 200))
    assert abs(metrics.pcc(other, other.T)) < 0.02
    assert metrics.pcc(x, x * np.nan) != metrics.pcc(x, x)


def test_pcc_of_constants():
    assert metrics.pcc(np.ones(4), np.ones(4)) == 1
    assert metrics.pcc(np.ones(4), np.zeros(4)) == 0
    with pytest.raises(ValueError, match="empty"):
        metrics.pcc(np.ones(0), np.ones(0))


def test_a_still_picture_is_perfect_and_does_not_move(still):
    measures = metrics.coherence(still)
    assert measures.pop("dynamic_degree") == 0
    assert len(measures) == 3 and min(measures.values()) > 1 - 1e-5


def test_flicker_of_black_and_white():
    blink = np.zeros((7, 16, 16, 3), np.uint8)
    blink[::2] = 255
    assert metrics.temporal_flickering(blink) == 0
    assert metrics.motion_smoothness(blink) == 0
    assert metrics.temporal_flickering(np.full_like(blink, 9)) == 1


def test_flicker_of_a_known_step():
    ramp = np.stack([np.full((8, 8, 3), 10 * t, np.uint8) for t in range(5)])
    assert metrics.temporal_flickering(ramp) == pytest.approx(245 / 255)
    assert metrics.motion_smoothness(ramp) == pytest.approx(1), "a steady change is smooth"


def test_consistency_of_opposite_frames(picture):
    opposite = np.stack([picture, 1 - picture, picture, 1 - picture])
    # to the first: -1, 1, -1; to the previous one: -1, -1, -1
    assert metrics.subject_consistency(opposite) == pytest.approx((-1 / 3 - 1) / 2, abs=1e-3)


def test_consistency_takes_another_feature(sliding):
    assert metrics.subject_consistency(sliding, feature=lambda frame: frame.mean((0, 1))) == pytest.approx(1)


def test_flow_finds_a_known_shift(sliding):
    flow = metrics.optical_flow(sliding)
    assert flow.shape == (6, 6, 8, 2)
    assert (flow[:, :-1, :-1] == (1, 3)).all()


def test_dynamic_degree_is_the_share_that_moves(picture):
    half = np.stack([picture] * 7)
    for t in range(7):
        half[t, :, 32:] = np.roll(picture[:, 32:], 2 * t, axis=0)
    inner = metrics.optical_flow(half)[:, :-1]
    assert (inner[:, :, :4] == 0).all() and (inner[:, :, 4:] == (2, 0)).all()
    assert 0.4 < metrics.dynamic_degree(half) <= 0.5


def test_noise_below_sight_is_no_motion(still):
    noisy = still + np.random.default_rng(3).normal(0, 0.01, still.shape)
    assert metrics.dynamic_degree(noisy) == 0


@pytest.fixture
def noise():
    """Every value of every frame drawn anew between 0 and 1."""
    return np.random.default_rng(5).random((41, 64, 64, 3)).astype(np.float32)


def test_noise_by_hand(noise):
    # Two uniform numbers are 1/3 apart on average. A third one is E[m^2] = 1/24 + 1/4 = 7/24 from the mean m of two.
    assert metrics.temporal_flickering(noise) == pytest.approx(1 - 1 / 3, abs=2e-3)
    assert metrics.motion_smoothness(noise) == pytest.approx(1 - 7 / 24, abs=2e-3)
    assert metrics.subject_consistency(noise) == pytest.approx(0, abs=0.03)
    assert metrics.dynamic_degree(noise[:5]) > 0.98  # 224 other places, and no reason to stay


def test_a_linear_pan_by_hand():
    """A plane that rises by 2 a pixel to the right and by 3 downwards; the camera goes 3 to the right and 1 down."""
    y, x = np.mgrid[:32, :56]
    plane = (2 * x + 3 * y)[..., None].repeat(3, -1).astype(np.uint8)
    pan = np.stack([plane[t : t + 24, 3 * t : 3 * t + 32] for t in range(9)])
    assert metrics.temporal_flickering(pan) == pytest.approx(1 - 9 / 255, abs=1e-6)
    assert metrics.motion_smoothness(pan) == pytest.approx(1, abs=1e-6)
    assert metrics.subject_consistency(pan) == pytest.approx(1, abs=1e-6), "brighter, but of one shape"
    assert metrics.dynamic_degree(pan) == 1
    assert metrics.dynamic_degree(pan, threshold=8) == 0


def test_shuffled_frames_are_less_coherent_than_the_pan(picture):
    smooth = np.asarray(Image.fromarray((picture[:12, :16] * 255).astype(np.uint8)).resize((128, 96)))
    pan = np.stack([smooth[20:84, t : t + 96] for t in range(0, 30, 2)])
    shuffled = pan[np.random.default_rng(0).permutation(15)]
    assert metrics.dynamic_degree(pan[:4]) > 0.9
    for measure in (metrics.temporal_flickering, metrics.subject_consistency, metrics.motion_smoothness):
        assert measure(shuffled) < measure(pan) - 0.02, measure
    for measure in (metrics.temporal_flickering, metrics.motion_smoothness):
        assert measure(pan[::-1]) == pytest.approx(measure(pan), abs=1e-6), "neither knows the arrow of time"


def test_flow_of_a_pan_points_against_the_camera(picture):
    big = np.tile(picture, (2, 2, 1))
    pan = np.stack([big[2 * t : 2 * t + 40, 4 * t : 4 * t + 56] for t in range(4)])
    assert (metrics.optical_flow(pan)[:, 1:, 1:] == (-2, -4)).all()


def test_too_short_or_too_small():
    with pytest.raises(ValueError, match="at least 2"):
        metrics.temporal_flickering(np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="at least 3"):
        metrics.motion_smoothness(np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="smaller than one block"):
        metrics.optical_flow(np.zeros((2, 4, 4, 3)))


def test_a_window_that_follows_does_not_punish_going(picture):
    """A thing on a plain ground goes to the right: thumbnails on a grid see another picture, the window the same."""
    thing, video = picture[:24, :24], np.full((6, 64, 96, 3), 0.4, np.float32)
    centres = np.array([(20 + 10 * t, 30 + t) for t in range(6)], np.float64)
    for frame, (x, y) in zip(video, centres.astype(int)):
        frame[y - 12 : y + 12, x - 12 : x + 12] = thing
    assert metrics.followed_consistency(video, centres) == pytest.approx(1, abs=1e-6)
    assert metrics.subject_consistency(video) < 0.7
    assert metrics.followed_consistency(video, centres[::-1]) < 0.5, "looking where it is not"


def test_a_subject_that_changes_or_goes_is_punished(picture):
    video, centres = np.full((4, 64, 64, 3), 0.4, np.float32), np.full((4, 2), 32.0)
    video[:2, 20:44, 20:44], video[2:, 20:44, 20:44] = picture[:24, :24], 1 - picture[:24, :24]
    assert metrics.followed_consistency(video, centres) < 0.5, "three of six pairs are of one thing"
    video[:] = video[:1]
    centres[3] = np.nan  # one frame of four without it: 4 of 6 pairs are as they were
    assert metrics.followed_consistency(video, centres) == pytest.approx(4 / 6, abs=1e-6)
    with pytest.raises(ValueError, match="4 frames want as many centres"):
        metrics.followed_consistency(video, centres[:3])
