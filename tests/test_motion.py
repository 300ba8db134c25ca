"""Moves of the camera against bicubic sampling by torch, and against ffmpeg's zoompan, which jitters."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from helpers import metrics
from helpers.frames import motion


@pytest.fixture(scope="module")
def picture():
    """Smooth coloured spots, nothing symmetric: (96, 128, 3) in 0..1."""
    spots = np.random.default_rng(0).integers(0, 255, (9, 13, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(spots).resize((128, 96), Image.Resampling.BICUBIC)).astype(np.float32) / 255


def sampled(picture, boxes, height, width):
    """What each box (left, top, right, bottom) in pixels holds, by torch: (T, height, width, 3)."""
    high, wide, _ = picture.shape
    image = torch.tensor(picture).permute(2, 0, 1)[None]
    grids = []
    for left, top, right, bottom in boxes:
        x = (left + (torch.arange(width) + 0.5) * (right - left) / width) / wide * 2 - 1
        y = (top + (torch.arange(height) + 0.5) * (bottom - top) / height) / high * 2 - 1
        grids.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1))
    out = torch.nn.functional.grid_sample(
        image.expand(len(boxes), -1, -1, -1), torch.stack(grids), "bicubic", "border", align_corners=False
    )
    return out.permute(0, 2, 3, 1).clamp(0, 1).numpy()


def line(start, end, frames):
    return [tuple(a + (b - a) * n / (frames - 1) for a, b in zip(start, end)) for n in range(frames)]


@pytest.mark.parametrize(
    ("start", "end", "size"),
    [
        ((0, 0, 128, 96), (40.3, 21.7, 104.3, 69.7), None),  # in
        ((64, 48, 128, 96), (0, 0, 128, 96), None),  # out of the corner: edges are read
        ((3, 5, 83, 65), (47, 36, 127, 96), (60, 80)),  # slanted
        ((0.1, 0.1, 0.9, 0.9), (0.3, 0.2, 0.7, 0.6), (192, 256)),  # shares, larger than the picture
        ((0, 0, 1, 0.5), (0, 0.5, 1, 1), None),  # a wide film of a less wide picture
    ],
)
def test_frames_are_what_the_boxes_hold(picture, start, end, size):
    video = motion.ken_burns(picture, start, end, 7, size)
    scale = (128, 96) * 2 if max(*start, *end) <= 1 else (1,) * 4
    boxes = line(*([n * s for n, s in zip(box, scale)] for box in (start, end)), 7)
    expected = sampled(picture, boxes, *video.shape[1:3])
    assert video.dtype == np.float32 and np.abs(video - expected).mean() < 0.008
    wrong = sampled(picture, boxes[1:] + boxes[:1], *video.shape[1:3])  # one frame late
    assert np.abs(video - wrong).mean() > 0.016


def test_a_pan_by_whole_pixels_copies_them(picture):
    video = motion.pan(picture, "right", 0.75, frames=33)  # 32 pixels of room
    rows = motion.to_uint8(picture[None])[0]
    assert video.shape == (33, 72, 96, 3)
    for n in (0, 1, 17, 32):
        assert (motion.to_uint8(video)[n] == rows[12:84, n : n + 96]).all()
    there, back = motion.pan(picture, "up", 0.5, 9), motion.pan(picture, "down", 0.5, 9)
    assert np.abs(there[::-1] - back).max() < 0.01 and np.abs(there - back).mean() > 0.05


def test_a_smaller_video_averages_and_does_not_skip():
    checks = (np.indices((96, 96)).sum(0) % 2).astype(np.float32)[..., None].repeat(3, -1)
    video = motion.ken_burns(checks, (0, 0, 96, 96), (0, 0, 96, 96), 2, size=(32, 32))
    assert np.abs(video - 0.5).max() < 0.07  # without: black or white


def spot():
    """A soft white spot on black: (96, 96, 3)."""
    y, x = np.mgrid[:96, :96]
    return np.exp(-((x - 50) ** 2 + (y - 44) ** 2) / 50)[..., None].repeat(3, -1).astype(np.float32)


def jitter(video):
    """The largest change of pace of the centre of light, in pixels a frame."""
    light = np.where(video[..., 0] > 0.05, video[..., 0], 0).astype(np.float64)
    y, x = np.mgrid[: light.shape[1], : light.shape[2]]
    centre = np.stack([(light * axis).sum((1, 2)) for axis in (x, y)], -1) / light.sum((1, 2))[:, None]
    return np.abs(np.diff(centre, 2, axis=0)).max()


def test_slow_motion_is_smooth_where_zoompan_jitters():
    ours = motion.ken_burns(spot(), (10, 10, 82, 82), (16, 13, 88, 85), 31)  # a fifth and a tenth of a pixel a frame
    move = "zoompan=z='96/72':x='10+6*on/30':y='10+3*on/30':d=31:s=72x72:fps=25"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, "-s", "96x96", "-i", "-", "-vf", move, *raw, "-"]
    done = subprocess.run(command, input=motion.to_uint8(spot()[None]).tobytes(), capture_output=True, check=True)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(31, 72, 72, 3).astype(np.float32) / 255
    assert jitter(ours) < 0.05 and jitter(theirs) > 0.5
    assert 1 - metrics.motion_smoothness(ours) < (1 - metrics.motion_smoothness(theirs)) / 3
    assert jitter(motion.zoom(spot(), 1.3, (0.4, 0.6))) < 0.1


def test_a_picture_of_any_kind(picture):
    rows = motion.to_picture(picture)
    videos = [motion.zoom(p, frames=2) for p in (rows, torch.tensor(picture), Image.fromarray(rows))]
    assert all(np.array_equal(video, motion.zoom(picture, frames=2)) for video in videos)


def test_zoom_ends_around_its_centre(picture):
    assert motion.around((0.5, 0.5), 2) == (0.25, 0.25, 0.75, 0.75)
    assert motion.around((0.95, 0.1), 2) == (0.5, 0.0, 1.0, 0.5)  # pushed back into the picture
    end = motion.zoom(picture, 2, (0.95, 0.1), 3)[-1]
    assert np.abs(end - sampled(picture, [(64, 0, 128, 48)], 96, 128)[0]).mean() < 0.008


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ((0, 0, 1), "start is four numbers"),
        ((0, 0, 1, float("nan")), "start is four numbers"),
        ((60, 0, 20, 96), "right before its left"),
        ((0, 0.5, 1, 0.5), "bottom above its top"),
        ((0, 0, 140, 96), "leaves the picture, which is 128 wide and 96 high"),
        ((-0.2, 0, 0.8, 1), "leaves the picture"),
        ((0, 0, 7, 5), "smaller than 8 pixels"),
        ((0, 0, 96, 96), r"start \(96x96 pixels\) and end \(128x96\) need one shape"),
    ],
)
def test_bad_boxes_get_one_sentence(picture, start, message):
    with pytest.raises(ValueError, match=message) as error:
        motion.ken_burns(picture, start, (0, 0, 1, 1))
    assert "\n" not in str(error.value) and len(str(error.value)) < 140


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: motion.zoom(p, 0.5), "reverse it"),
        (lambda p: motion.pan(p, "north"), "right, left, down, up"),
        (lambda p: motion.pan(p, "up", 1.2), "at most 1"),
        (lambda p: motion.zoom(p, frames=1), "at least 2 frames"),
        (lambda p: motion.zoom(p[..., 0]), "a picture is"),
        (lambda p: motion.ken_burns(p, motion.WHOLE, motion.WHOLE, size=(0, 96)), "a video of 0x96"),
        (lambda p: motion.ken_burns(p, motion.WHOLE, motion.WHOLE, size=(96, 96)), "stretch boxes of 128x96"),
        (lambda p: motion.zoom(p, 100), "smaller than 8 pixels"),
    ],
)
def test_what_is_no_motion(picture, call, message):
    with pytest.raises(ValueError, match=message):
        call(picture)


def test_cross_fade_mixes_frame_by_frame():
    draw = np.random.default_rng(1)
    first, second = (draw.random((count, 20, 24, 3), dtype=np.float32) for count in (5, 7))
    for frames in (1, 3, 5):
        video = motion.cross_fade(first, second, frames)
        share = (np.arange(frames) / frames)[:, None, None, None]
        mixed = (1 - share) * first[5 - frames :] + share * second[:frames]
        expected = np.concatenate([first[: 5 - frames], mixed, second[frames:]])
        assert video.shape == expected.shape and np.abs(video - expected).max() < 0.01
    with pytest.raises(ValueError, match="from 1 to 5 frames"):
        motion.cross_fade(first, second, 6)
    with pytest.raises(ValueError, match="20x24 and 20x20"):
        motion.cross_fade(first, second[:, :, :20], 2)
