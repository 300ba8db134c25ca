"""Motion on a still picture, by ffmpeg's filters: pan, zoom, Ken Burns; and a cross-fade of two videos.

    video = ken_burns(picture, start=(0, 0, 1, 1), end=(0.3, 0.2, 0.8, 0.7))     # (T, H, W, 3) in 0..1

What the camera sees is a box (left, top, right, bottom). Four numbers of at most 1 are shares of the picture's width
and height, larger ones are pixels. The box moves at a steady pace from `start` to `end`.

ffmpeg's own filter for this, zoompan, cuts at whole pixels, so that slow motion jitters. Its `perspective` filter reads
at 1/256 of a pixel; here it is given boxes instead of crooked corners.
"""

import math
import subprocess

import imageio_ffmpeg
import numpy as np

from helpers.video import to_float, to_uint8

WHOLE = (0.0, 0.0, 1.0, 1.0)
LEAST = 8  # pixels: the smallest side of a box
RATE = 25  # frames a second inside ffmpeg, so that times of frames are whole microseconds


def zoom(picture, factor: float = 1.5, centre: tuple[float, float] = (0.5, 0.5), frames: int = 31) -> np.ndarray:
    """From the whole picture to `factor` times as near, towards centre (x, y) in shares: (T, H, W, 3) in 0..1.

    The other way round, out of the picture: `zoom(...)[::-1]`. Raises ValueError as ken_burns does.
    """
    if not factor >= 1:
        raise ValueError(f"a zoom goes in, by a factor of 1 or more, not {factor:g}; reverse it for out")
    return ken_burns(picture, WHOLE, around(centre, factor), frames)


def pan(picture, direction: str = "right", share: float = 0.75, frames: int = 31) -> np.ndarray:
    """A box as large as `share` of the picture slides from one edge to the other: (T, H, W, 3) in 0..1.

    direction: "right", "left", "down" or "up", where the camera goes. Raises ValueError as ken_burns does.
    """
    towards = {"right": (1, 0.5), "left": (0, 0.5), "down": (0.5, 1), "up": (0.5, 0)}
    if direction not in towards:
        raise ValueError(f"a pan goes {', '.join(towards)}, not {direction!r}")
    if not 0 < share <= 1:
        raise ValueError(f"the box of a pan takes a share of the picture above 0 and at most 1, not {share:g}")
    x, y = towards[direction]
    return ken_burns(picture, around((1 - x, 1 - y), 1 / share), around((x, y), 1 / share), frames)


def ken_burns(picture, start, end, frames: int = 31, size: tuple[int, int] | None = None) -> np.ndarray:
    """The camera goes from box `start` to box `end`: (T, H, W, 3) float32 in 0..1.

    picture: (H, W, 3), uint8 or in 0..1. size: (height, width) of the video in pixels, shaped as the boxes;
    without it, of the larger one.
    Raises ValueError, in one sentence, for a box that is none, leaves the picture, or is shaped unlike the other.
    """
    picture = to_picture(picture)
    if frames < 2:
        raise ValueError(f"a motion needs at least 2 frames, not {frames}")
    boxes = [pixels(box, picture, name) for box, name in ((start, "start"), (end, "end"))]
    wide, high = zip(*((right - left, bottom - top) for left, top, right, bottom in boxes))
    if not 0.98 < (wide[0] / high[0]) / (wide[1] / high[1]) < 1.02:
        shapes = f"start ({wide[0]:.0f}x{high[0]:.0f} pixels) and end ({wide[1]:.0f}x{high[1]:.0f})"
        raise ValueError(f"{shapes} need one shape, or the picture is stretched")
    height, width = size or (even(max(high)), even(max(wide)))
    if min(height, width) < LEAST:
        raise ValueError(f"a video of {height}x{width} is smaller than {LEAST} pixels")
    if size and not 0.95 < (width / height) / (wide[0] / high[0]) < 1.05:
        raise ValueError(f"a video of {width}x{height} would stretch boxes of {wide[0]:.0f}x{high[0]:.0f} pixels")
    # Where pixels of the picture get lost, more are drawn than needed, and each square of them is averaged.
    finer = max(1, math.ceil(max(*wide) / width - 0.01), math.ceil(max(*high) / height - 0.01))
    rows, columns = height * finer, width * finer
    room = [(0, max(0, rows - picture.shape[0])), (0, max(0, columns - picture.shape[1])), (0, 0)]
    picture = np.pad(picture, room, mode="edge")  # the filter gives as many pixels as it takes
    filters = f"loop={frames - 1}:1,{_perspective(boxes, rows, columns, frames)},crop={columns}:{rows}:0:0"
    filters += f",scale={width}:{height}:flags=area" if finer > 1 else ""
    return to_float(_ffmpeg(picture[None], filters, height, width))


def cross_fade(first, second, frames: int = 8) -> np.ndarray:
    """Two videos in one, the last `frames` of the first over as many of the second: (T, H, W, 3) float32 in 0..1.

    Frame k of those that overlap is (1 - k / frames) of the first and k / frames of the second. Raises ValueError
    for videos that are too short or of different sizes.
    """
    first, second = to_uint8(first), to_uint8(second)
    if first.shape[1:] != second.shape[1:]:
        sizes = [f"{height}x{width}" for _, height, width, _ in (first.shape, second.shape)]
        raise ValueError(f"a cross-fade needs videos of one size, not {sizes[0]} and {sizes[1]}")
    count, shortest = len(first), min(len(first), len(second))
    if not 1 <= frames <= shortest:
        raise ValueError(f"a cross-fade takes from 1 to {shortest} frames, as long as the shorter video, not {frames}")
    filters = (
        f"split[a][b];[a]trim=end_frame={count},setpts=PTS-STARTPTS[c];[b]trim=start_frame={count},"
        f"setpts=PTS-STARTPTS[d];[c][d]xfade=duration={frames / RATE}:offset={(count - frames) / RATE}"
    )
    return to_float(_ffmpeg(np.concatenate([first, second]), filters, *first.shape[1:3]))


def around(centre: tuple[float, float], factor: float) -> tuple[float, float, float, float]:
    """The box, in shares, that is 1 / factor of the picture, as near to the centre (x, y) as the edges let it be."""
    side = 1 / factor
    left, top = (min(max(middle - side / 2, 0), 1 - side) for middle in centre)
    return left, top, left + side, top + side


def pixels(box, picture, name: str = "the box") -> tuple[float, float, float, float]:
    """A box in shares or in pixels -> (left, top, right, bottom) in pixels. Raises ValueError with one sentence."""
    height, width = to_picture(picture).shape[:2]
    box = tuple(float(number) for number in box)
    if len(box) != 4 or not all(map(math.isfinite, box)):
        raise ValueError(f"{name} is four numbers (left, top, right, bottom), not {box}")
    shares = max(box) <= 1
    left, top, right, bottom = (n * side for n, side in zip(box, (width, height) * 2)) if shares else box
    if left >= right or top >= bottom:
        raise ValueError(f"{name} {box} has its right before its left or its bottom above its top")
    if left < -0.01 or top < -0.01 or right > width + 0.01 or bottom > height + 0.01:
        raise ValueError(f"{name} {box} leaves the picture, which is {width} wide and {height} high")
    if min(right - left, bottom - top) < LEAST - 0.01:
        raise ValueError(f"{name} {box} is smaller than {LEAST} pixels")
    return left, top, right, bottom


def to_picture(picture) -> np.ndarray:
    """Any picture, a PIL image too -> (H, W, 3) uint8."""
    picture = picture if hasattr(picture, "detach") else np.asarray(picture)
    if picture.ndim != 3:
        raise ValueError(f"a picture is (height, width, 3), not {tuple(picture.shape)}")
    return to_uint8(picture[None])[0]


def even(pixels: float) -> int:
    """The nearest even number, which H.264 wants."""
    return 2 * round(pixels / 2)


def _perspective(boxes, rows: int, columns: int, frames: int) -> str:
    """The filter that draws what is in the moving box on rows x columns pixels, the first ones of its output."""
    start, end = boxes
    left, right = _side(start[0::2], end[0::2], columns, "W", frames)
    top, bottom = _side(start[1::2], end[1::2], rows, "H", frames)
    corners = enumerate(zip((left, right, left, right), (top, top, bottom, bottom)))
    places = ":".join(f"x{n}='{x}':y{n}='{y}'" for n, (x, y) in corners)
    return f"perspective={places}:interpolation=cubic:eval=frame"


def _side(start, end, count: int, side: str, frames: int) -> tuple[str, str]:
    """Where on one axis the filter's output begins and ends, as expressions of the frame's number `on`, from 1.

    start, end: the two edges of a box, drawn on `count` of all the output's pixels (`side` is their number). The
    filter's coordinates run through the middles of pixels, a box along their edges: (scale - 1) / 2 is between them.
    """
    gone = f"(on-1)/{frames - 1}"
    scales = [(far - near) / count for near, far in (start, end)]  # pixels of the picture for each one drawn
    scale = f"({scales[0]:.9f}+({scales[1] - scales[0]:.9f})*{gone})"
    near = f"{start[0]:.9f}+({end[0] - start[0]:.9f})*{gone}+({scale}-1)/2"
    return near, f"{near}+{scale}*{side}"


def _ffmpeg(frames: np.ndarray, filters: str, height: int, width: int) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 through ffmpeg's filters, which leave height x width; always in RGB."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    shape = f"{frames.shape[2]}x{frames.shape[1]}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, "-s", shape, "-r", str(RATE)]
    command += ["-i", "-", "-filter_complex", f"format=gbrp,{filters}", *raw, "-"]
    done = subprocess.run(command, input=frames.tobytes(), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()}")
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)
