"""A stored notebook as a page of the website. Nothing is run: what the page shows was stored by `make notebooks`.

Videos become files, each with a poster and a strip of six frames for those who play none; the strip that the notebook
has under them goes. Answers are folded, so that a reader can predict first.
"""

import ast
import base64
import io
import json
import re
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageOps

VIDEO = re.compile(r'<video\b[^>]*?src="data:video/mp4;base64,([^"]+)"[^>]*>.*?</video>', re.DOTALL)
WIDTH = re.compile(r'<video\b[^>]*?\bwidth="(\d+)"')
ANSWER = re.compile(r"\.(answer|hint|reveal)\(")  # what a learner should not see before the guess
PICTURES = {"image/png", "image/jpeg", "image/svg+xml"}
IN_STRIP = 6  # frames
STRIP_WORDS = re.compile(r"\d+ frames of .*, from first to last")  # what helpers.video says of a strip without labels
COVER = (480, 240)  # pixels of the picture on a notebook's card


def convert(source: Path, page: Path, media: Path) -> None:
    """Writes the notebook as a page, and its videos into media/<the notebook's name>, which stands beside the page."""
    notebook = json.loads(source.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    for number, cell in enumerate(code, 1):
        cell["outputs"] = without_strips(cell["outputs"])
        describe(cell, number)
        for output in cell["outputs"]:
            html = "".join(output.get("data", {}).get("text/html", ""))
            if html:
                output["data"]["text/html"] = with_files(html, media / page.stem, f"{number:02d}")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps(notebook), encoding="utf-8")


def write_cover(source: Path, media: Path, cover: Path) -> None:
    """The picture on the notebook's card: first and last frame of its first video, or else its first picture."""
    strips = sorted((media / source.stem).glob("*-strip.jpg"))
    if strips:
        strip = Image.open(strips[0])
        wide, high = strip.width // IN_STRIP, strip.height
        picture = Image.new("RGB", (2 * wide, high))
        picture.paste(strip.crop((0, 0, wide, high)))
        picture.paste(strip.crop((strip.width - wide, 0, strip.width, high)), (wide, 0))
        picture = ImageOps.fit(picture, COVER)
    else:
        picture = ImageOps.pad(first_picture(json.loads(source.read_text(encoding="utf-8"))), COVER, color="white")
    cover.parent.mkdir(parents=True, exist_ok=True)
    picture.save(cover, quality=90)


def first_picture(notebook: dict) -> Image.Image:
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    data = base64.b64decode("".join(output["data"][kind]))
                    return Image.open(io.BytesIO(data)).convert("RGB")
    return Image.new("RGB", COVER, "white")


def without_strips(outputs: list[dict]) -> list[dict]:
    """Leaves out what helpers.video.show puts under a video."""
    videos = [VIDEO.search("".join(output.get("data", {}).get("text/html", ""))) for output in outputs]
    return [
        output for output, video in zip(outputs, [None, *videos]) if not (video and STRIP_WORDS.fullmatch(alt(output)))
    ]


def alt(output: dict) -> str:
    """The words that are stored beside a picture; none is an empty text."""
    return next((about["alt"] for about in output.get("metadata", {}).values() if "alt" in about), "")


def describe(cell: dict, number: int) -> None:
    """Folds an answer, and says in words what a picture is of: those stored with it, or the statement that made it."""
    source = "".join(cell["source"]).strip()
    if ANSWER.search(source) and cell["outputs"]:
        cell["metadata"].setdefault("tags", []).append("hide-output")
    pictures = [output for output in cell["outputs"] if PICTURES & set(output.get("data", {}))]
    if pictures:
        said = ". ".join(filter(None, map(alt, pictures))) or last_statement(source)
        cell["metadata"]["mystnb"] = {"image": {"alt": f"What cell {number} draws: {said}".replace('"', "'")}}


def last_statement(source: str) -> str:
    """On one line, however many it takes in the cell"""
    first = ast.parse(source).body[-1].lineno
    words = " ".join(" ".join(source.splitlines()[first - 1 :]).split())
    return words.replace("( ", "(").replace(", )", ")").replace(" )", ")")


def with_files(html: str, folder: Path, name: str) -> str:
    """The same HTML with each embedded video in a file of its own: folder/name-1.mp4, -2, ..."""
    videos = 0

    def figure(found: re.Match) -> str:
        nonlocal videos
        videos += 1
        width = WIDTH.match(found[0])
        stem = folder / f"{name}-{videos}"
        return write_video(base64.b64decode(found[1]), stem, int(width[1]) if width else 256)

    html = VIDEO.sub(figure, html)
    return f'<div class="clips">{html}</div>' if videos else html


def write_video(data: bytes, stem: Path, width: int) -> str:
    """Writes the video, its poster and its strip; returns the element that shows them."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    video, poster, strip = (stem.with_name(stem.name + end) for end in (".mp4", "-poster.jpg", "-strip.jpg"))
    video.write_bytes(data)
    frames = read(video)
    picked = frames[np.linspace(0, len(frames) - 1, IN_STRIP).round().astype(int)]
    Image.fromarray(frames[len(frames) // 2]).save(poster, quality=90)
    Image.fromarray(np.concatenate(list(picked), axis=1)).save(strip, quality=85)
    _, high, wide, _ = frames.shape
    at = stem.parent.name
    return (
        f'<figure class="clip" style="max-width:{width}px">'
        f'<video src="{at}/{video.name}" poster="{at}/{poster.name}" width="{wide}" height="{high}" '
        "autoplay loop muted controls playsinline></video>"
        f'<img class="strip" src="{at}/{strip.name}" width="{IN_STRIP * wide}" height="{high}" '
        f'alt="{IN_STRIP} of the video\'s {len(frames)} frames, from the first to the last"></figure>'
    )


def read(video: Path) -> np.ndarray:
    """(T, H, W, 3) uint8. Raises ValueError for a file that holds no frame."""
    reader = imageio_ffmpeg.read_frames(str(video), pix_fmt="rgb24")
    width, height = next(reader)["size"]
    frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    if not frames:
        raise ValueError(f"{video} holds no frame")
    return np.stack(frames)
