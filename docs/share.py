"""What other places show of a link to this site: a picture, and the address that the picture needs."""

import os
from pathlib import Path

from PIL import Image

SIZE = 1200, 630  # what the places that show links ask for


def address() -> str:
    """The site's own address, as the workflow hands it over in SITE; empty where nobody says.

    Raises ValueError for what is no address: a picture that is named relative to it would be lost without a word.
    """
    given = os.environ.get("SITE", "")
    if given and not given.startswith(("https://", "http://")):
        raise ValueError(f"{given} is no address; one begins with https://")
    return given and f"{given.rstrip('/')}/"


def write_picture(animation: Path, target: Path) -> None:
    """The middle of an animation's last quarter, where the clip plays, whole on its own ground."""
    with Image.open(animation) as frames:
        frames.seek(frames.n_frames * 7 // 8)
        frame = frames.convert("RGB")
    scale = min(SIZE[0] / frame.width, SIZE[1] / frame.height)
    large = frame.resize((round(frame.width * scale), round(frame.height * scale)), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", SIZE, frame.getpixel((0, 0)))
    whole.paste(large, ((SIZE[0] - large.width) // 2, (SIZE[1] - large.height) // 2))
    target.parent.mkdir(parents=True, exist_ok=True)
    whole.save(target, quality=90)
