"""A story: a list of prompts -> one picture each -> a film and a page of panels.

    stills = tell(prompts, make, "runs/story", seeds=7, steps=20)        # (N, H, W, 3) in 0..1
    video.write("runs/story.mp4", film(stills))
    comic(stills, prompts)

Any function make(prompts, seeds, **settings) -> (N, H, W, 3) in 0..1 can paint. No picture knows of the others.
"""

import json
import os
import textwrap
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from tqdm.auto import tqdm

from helpers.frames.motion import cross_fade, to_picture
from helpers.video import to_float, to_uint8, with_words

INK, PAPER = (34, 34, 34), (255, 255, 255)
LETTER = 14  # pixels: height of the captions


def tell(
    prompts: Sequence[str], make: Callable, folder, seeds: int | Sequence[int] = 0, at_once: int = 1, **settings
) -> np.ndarray:
    """Make the pictures that are not in the folder yet; all of them as (N, H, W, 3) float32 in 0..1.

    seeds: one number for all pictures, or one for each. at_once: how many `make` is asked for in one call, at most.
    settings: what else it is given.

    Picture 3 is 03.png, 8 bits a colour, and holds how it was made: the maker's name, prompt, seed and settings, and
    the dates of files that these name. It is made again when any of this is different. A file is there whole or not at
    all, so a story that was killed goes on where it was. Raises ValueError for no prompts and for seeds that do not
    match, TypeError for settings that are not plain values.

    A model that is loaded once is a maker too; naming its weights and its system as settings keeps apart what two
    models painted, or one on two meshes:
    def make(prompts, seeds, weights, steps, system): return model.pictures(prompts, seeds, steps=steps)
    """
    if isinstance(prompts, str) or not prompts:
        raise ValueError("a story is a list of at least one prompt")
    seeds = [seeds] * len(prompts) if isinstance(seeds, (int, np.integer)) else list(seeds)
    if len(seeds) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts but {len(seeds)} seeds")
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}: a maker is asked for at least one picture at a time")
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder, f"{number:02d}.png") for number in range(len(prompts))]
    recipes = [recipe(make, prompt, seed, settings) for prompt, seed in zip(prompts, seeds, strict=True)]
    stills = [_read(path, made) for path, made in zip(paths, recipes, strict=True)]
    missing = [number for number, picture in enumerate(stills) if picture is None]
    check_sizes(stills)
    bar = tqdm(total=len(stills), initial=len(stills) - len(missing), unit="picture")
    for at in range(0, len(missing), at_once):
        numbers = missing[at : at + at_once]
        bar.set_description(f"picture {numbers[0] + 1}/{len(stills)}")
        pictures = make([prompts[number] for number in numbers], [seeds[number] for number in numbers], **settings)
        if len(pictures) != len(numbers):
            raise ValueError(f"asked for {len(numbers)} pictures, the maker gave {len(pictures)}")
        for number, picture in zip(numbers, pictures, strict=True):
            stills[number] = to_picture(picture)
            _write(paths[number], stills[number], recipes[number])
        check_sizes(stills)
        bar.update(len(numbers))
    bar.close()
    return to_float(np.stack(stills))


def check_sizes(stills: list[np.ndarray | None]) -> None:
    """Raises ValueError where two pictures have different sizes; None is one that is still to be made."""
    made = [(number, picture.shape[:2]) for number, picture in enumerate(stills) if picture is not None]
    for number, size in made[1:]:
        if size != made[0][1]:
            raise ValueError(f"picture {number} is {size}, picture {made[0][0]} is {made[0][1]}")


def recipe(make: Callable, prompt: str, seed: int, settings: dict) -> str:
    """All that a picture depends on, as JSON. Of settings that name a file or a folder the newest date counts too."""
    maker = getattr(make, "func", make)  # of a functools.partial
    parts = {"make": getattr(maker, "__qualname__", type(maker).__qualname__), "prompt": prompt, "seed": int(seed)}
    try:
        return json.dumps(parts | {name: _dated(value) for name, value in settings.items()}, sort_keys=True)
    except TypeError as error:
        raise TypeError(f"settings are plain values; give the rest by functools.partial(make, ...): {error}") from None


def film(stills, hold: int = 12, fade: int = 6) -> np.ndarray:
    """Stills (N, H, W, 3) -> a video (T, H, W, 3): each stands for `hold` frames, the last `fade` over the next one's.

    T = N * hold - (N - 1) * fade. Hard cuts need no film: np.repeat(stills, hold, axis=0).
    """
    return reduce(lambda before, after: cross_fade(before, after, fade), [np.stack([still] * hold) for still in stills])


def comic(stills, captions: Sequence[str], columns: int = 4, side: int = 192) -> Image.Image:
    """A page of numbered panels, `side` pixels wide, with a caption under each."""
    stills = to_uint8(stills)
    if len(captions) != len(stills):
        raise ValueError(f"{len(stills)} pictures but {len(captions)} captions")
    high = round(side * stills.shape[1] / stills.shape[2])
    texts = [textwrap.fill(f"{n + 1}. {caption}", max(8, 2 * side // LETTER)) for n, caption in enumerate(captions)]
    strip = max(text.count("\n") + 1 for text in texts) * (LETTER + 4) + 8
    columns = min(columns, len(stills))
    gap, rows = 10, -(-len(stills) // columns)
    page = Image.new("RGB", (columns * (side + gap) + gap, rows * (high + strip + gap) + gap), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(LETTER)
    for number, (still, text) in enumerate(zip(stills, texts)):
        x, y = gap + number % columns * (side + gap), gap + number // columns * (high + strip + gap)
        page.paste(Image.fromarray(still).resize((side, high), Image.Resampling.BICUBIC), (x, y))
        draw.rectangle((x - 2, y - 2, x + side + 1, y + high + 1), outline=INK, width=2)
        draw.multiline_text((x, y + high + 5), text, fill=INK, font=font, spacing=4)
    return with_words(page, ". ".join(f"{n + 1}: {caption}" for n, caption in enumerate(captions)))


def _dated(value):
    """A path that exists gets the date of its newest file: weights that were trained again are other weights."""
    if not isinstance(value, (str, Path)) or not os.path.exists(value):
        return value
    newest = max(file.stat().st_mtime_ns for file in [Path(value), *Path(value).rglob("*")])
    return [str(value), newest]


def _read(path: Path, made: str) -> np.ndarray | None:
    """The picture in the file, (H, W, 3) uint8, if it is whole and made in just this way."""
    try:
        with Image.open(path) as image:
            image.load()
            return np.asarray(image) if image.text.get("made") == made else None
    except (OSError, SyntaxError):  # none there, or damaged: PIL says "broken PNG" with a SyntaxError
        return None


def _write(path: Path, picture: np.ndarray, made: str) -> None:
    """Beside its place first and then moved there in one step, so that no half a file is ever taken for a whole one."""
    info, part = PngInfo(), path.with_suffix(".part")
    info.add_text("made", made)
    Image.fromarray(picture).save(part, format="png", pnginfo=info)
    os.replace(part, path)
