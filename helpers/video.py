"""Write, read back and show short videos.

A video is `frames`: (T, H, W, 3), uint8 in 0..255 or float in 0..1, as a numpy array, a torch tensor or a
list of PIL images (what a diffusers pipeline returns).
"""

import base64
import io
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# One thread and no version strings in the file: the same frames give the same bytes.
DETERMINISTIC = ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]
DETERMINISTIC += ["-bsf:v", "filter_units=remove_types=6"]
# How sheets are kept: JPEG in full colour. A palette of 256 colours puts spots on what a model painted smoothly.
SHEET = {"quality": 92, "subsampling": 0}
STRIP = 1200  # pixels: about as wide as the frames under a video may be together


def to_uint8(frames) -> np.ndarray:
    """Any video -> (T, H, W, 3) uint8. Floats are clipped to 0..1 and rounded."""
    if isinstance(frames, (list, tuple)):
        frames = np.stack([np.asarray(frame) for frame in frames])
    if hasattr(frames, "detach"):
        frames = frames.detach().float().cpu().numpy() if frames.is_floating_point() else frames.cpu().numpy()
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.shape[0] == 0:
        raise ValueError(f"a video is (frames, height, width, 3), not {tuple(frames.shape)}")
    if frames.dtype == np.uint8:
        return frames
    if not np.issubdtype(frames.dtype, np.floating):
        raise TypeError(f"a video holds uint8 in 0..255 or floats in 0..1, not {frames.dtype}")
    if not np.isfinite(frames).all():
        raise ValueError("the video has values that are not finite")
    return (frames.clip(0, 1) * 255).round().astype(np.uint8)


def to_float(frames) -> np.ndarray:
    """Any video -> (T, H, W, 3) float32 in 0..1."""
    return to_uint8(frames).astype(np.float32) / 255


def write(path, frames, fps: float = 12, crf: int = 18, made_by: str = "") -> Path:
    """Write H.264 (yuv420p, faststart), which every browser plays. The same frames give the same bytes.

    The file is there whole or not at all: it is moved to its place in one step.
    made_by goes into the file as its comment: give helpers.mesh.label(mesh) for what a mesh made.
    """
    frames = to_uint8(frames)
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise ValueError(f"H.264 in yuv420p needs an even height and width, not {height}x{width}")
    import imageio_ffmpeg

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = ["-crf", str(crf), "-movflags", "+faststart", *DETERMINISTIC]
    options += ["-metadata", f"comment={made_by}"] if made_by else []
    with tempfile.TemporaryDirectory() as folder:
        made, part = Path(folder, path.name), path.with_name(path.name + ".part")
        writer = imageio_ffmpeg.write_frames(
            str(made), (width, height), fps=fps, codec="libx264", pix_fmt_out="yuv420p", macro_block_size=2,
            output_params=options,
        )  # fmt: skip
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        part.write_bytes(made.read_bytes())
    os.replace(part, path)
    return path


def read(path) -> tuple[np.ndarray, float]:
    """Read a video file back: frames (T, H, W, 3) uint8 and frames per second."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no video at {path}")
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")
    about = next(reader)
    width, height = about["size"]
    frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    return np.stack(frames), about["fps"]


def html(frames, fps: float = 12, width: int | None = None) -> str:
    """A <video> element with the file inside, playing in a loop; small pictures stay crisp when enlarged."""
    frames = to_uint8(frames)
    with tempfile.TemporaryDirectory() as folder:
        data = write(Path(folder) / "clip.mp4", frames, fps).read_bytes()
    width = width or max(frames.shape[2], 256)
    source = "data:video/mp4;base64," + base64.b64encode(data).decode()
    shown = f'width="{width}" style="vertical-align:top"'
    return f'<video src="{source}" {shown} autoplay loop muted controls playsinline></video>'


def show(*videos, fps=12, width: int | None = None) -> None:
    """Show videos side by side in a notebook, and under them frames of each, for where no video plays: on paper, and
    on a forge, which takes every <video> out of a notebook.

    Both stay there when the notebook is saved or exported. fps: of all videos, or one for each.
    """
    from IPython.display import HTML, display

    videos = [to_uint8(video) for video in videos]
    rates = fps if isinstance(fps, (list, tuple)) else [fps] * len(videos)
    display(HTML(" ".join(html(video, rate, width) for video, rate in zip(videos, rates, strict=True))))
    display(contact_sheet(videos, columns=max(2, min(6, STRIP // max(video.shape[2] for video in videos)))))


def write_gif(path, frames, fps: float = 12) -> Path:
    """Write a looping GIF with one palette for all frames, so that nothing flickers."""
    frames = to_uint8(frames)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width, _ = frames.shape
    palette = Image.fromarray(frames.reshape(count * height, width, 3)).quantize(256)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
    return path


def contact_sheet(videos, labels=None, columns: int = 6, scale: int = 1, gap: int = 4) -> Image.Image:
    """One row for each video: its label, and under it `columns` frames evenly spaced from first to last."""
    videos = [to_uint8(video) for video in videos]
    labels = list(labels) if labels is not None else [""] * len(videos)
    if len(labels) != len(videos):
        raise ValueError(f"{len(videos)} videos but {len(labels)} labels")
    head = 16 if any(labels) else 0
    font = ImageFont.load_default(11)
    rows = [_strip(video, columns, scale, gap) for video in videos]
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width + 2 * gap, sum(row.height + head + gap for row in rows) + gap), "white")
    draw, y = ImageDraw.Draw(sheet), gap
    for row, label in zip(rows, labels, strict=True):
        if head:
            draw.text((gap, y), label, fill=(40, 40, 40), font=font)
        sheet.paste(row, (gap, y + head))
        y += row.height + head + gap
    what = (
        f"{columns} frames of {f'each of {len(videos)} videos' if len(videos) > 1 else 'a video'}, from first to last"
    )
    return with_words(sheet, ": ".join(filter(None, [what, "; ".join(filter(None, labels))])))


def with_words(picture: Image.Image, words: str) -> Image.Image:
    """The same picture; where a notebook shows it, the words are stored with it, for those who do not see it."""

    def bundle(**options):
        kept = io.BytesIO()
        picture.save(kept, "jpeg", quality=80)  # a notebook has a megabyte for all its pictures
        return {"image/jpeg": base64.b64encode(kept.getvalue()).decode()}, {"image/jpeg": {"alt": words}}

    picture._repr_mimebundle_ = bundle
    return picture


def _strip(video: np.ndarray, columns: int, scale: int, gap: int) -> Image.Image:
    """(T, H, W, 3) -> one picture with `columns` frames side by side."""
    count, height, width, _ = video.shape
    picked = np.linspace(0, count - 1, columns).round().astype(int)
    strip = Image.new("RGB", (columns * (width * scale + gap) - gap, height * scale), "white")
    for column, index in enumerate(picked):
        frame = Image.fromarray(video[index])
        strip.paste(
            frame.resize((width * scale, height * scale), Image.Resampling.BICUBIC),
            (column * (width * scale + gap), 0),
        )
    return strip
