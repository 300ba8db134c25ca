"""What does a clip show? Scene, motion and both colours, from pixels alone, by rules anyone can read.

The world makes this possible: backdrops are never saturated and every colour has its own hue, which shading
and tinting leave as it is. So a saturated pixel belongs to the subject or to the second thing, and where it
lies says to which.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from helpers.world.scenes import COLOURS

SATURATED = 0.3  # difference of the largest and smallest channel from which a pixel has a colour
LEAST = 25  # pixels: what is smaller, on average over the frames, is not there


def hue_and_chroma(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 3) in 0..1 -> hue in 0..6 and chroma in 0..1."""
    high, low = pixels.max(-1), pixels.min(-1)
    chroma = high - low
    safe = np.maximum(chroma, 1e-6)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    hue = np.where(high == red, ((green - blue) / safe) % 6, (blue - red) / safe + 2)
    hue = np.where((high == blue) & (high > red) & (high > green), (red - green) / safe + 4, hue)
    return hue, chroma


HUES = hue_and_chroma(np.array(list(COLOURS.values())))[0]
NAMES = list(COLOURS)


@dataclass
class Seen:
    """What the detectors found; None where they found nothing."""

    scene: str | None = None
    motion: str | None = None
    subject: str | None = None
    second: str | None = None


class Look:
    """A clip taken apart. frames: (T, 96, 96, 3); masks: (8, T, 96, 96), where each colour is."""

    def __init__(self, video: np.ndarray):
        self.frames = np.asarray(video, np.float32)
        hue, chroma = hue_and_chroma(self.frames)
        apart = np.abs(hue - HUES[:, None, None, None])
        nearest = np.minimum(apart, 6 - apart).argmin(0)
        self.coloured = chroma > SATURATED
        self.masks = (nearest == np.arange(8)[:, None, None, None]) & self.coloured
        self.light = self.frames[:, :12].mean((1, 2, 3))
        self.bright = self.light >= np.quantile(self.light, 0.7) - 1e-6

    def dominant(self, top: int, bottom: int, without: int | None = None, when=slice(None)) -> int | None:
        """The colour that covers most of some rows, but for one; None where there is next to nothing."""
        area = self.masks[:, when, top:bottom].sum((2, 3)).mean(1)
        if without is not None:
            area[without] = 0
        return int(area.argmax()) if area.max() >= LEAST else None

    def track(self, colour: int, top: int = 0, bottom: int = 96) -> np.ndarray:
        """Where a colour is: (T, 3), x, y and area in each frame; x and y are NaN where it is absent."""
        mask = self.masks[colour][:, top:bottom].astype(np.float32)
        area = mask.sum((1, 2))
        y, x = np.mgrid[top:bottom, :96] + 0.5
        safe = np.where(area < LEAST / 2, np.nan, area)
        return np.stack([(mask * x).sum((1, 2)) / safe, (mask * y).sum((1, 2)) / safe, area], 1)


def detect(video: np.ndarray) -> Seen:
    """(T, 96, 96, 3) floats in 0..1 -> what it shows."""
    look = Look(video)
    scene = find_scene(look)
    if scene is None:
        return Seen()
    subject, second = find_colours(look, scene)
    if subject is None or second is None:
        return Seen(None, None, _name(subject), _name(second))
    return Seen(scene, find_motion(look, scene, subject, second), _name(subject), _name(second))


def subject_centres(video: np.ndarray, colour: str) -> np.ndarray:
    """Where the thing of a colour is in each frame of a clip (T, 96, 96, 3): (T, 2), x and y, NaN where it is not."""
    return Look(video).track(NAMES.index(colour))[:, :2]


def detect_still(picture: np.ndarray) -> Seen:
    """(96, 96, 3) floats in 0..1 -> what a single picture shows; it has no motion."""
    look = Look(picture[None])
    scene = find_still_scene(look)
    subject, second = (None, None) if scene is None else find_colours(look, scene)
    return Seen(None if subject is None else scene, None, _name(subject), _name(second))


def _name(colour: int | None) -> str | None:
    return None if colour is None else NAMES[colour]


GROUND = {  # what the unsaturated pixels at the bottom look like
    "fish": [(238, 224, 194)],
    "boat": [(130, 162, 192), (140, 172, 198)],
    "car": [(150, 148, 158)],
    "flower": [(206, 186, 166), (190, 170, 160), (198, 178, 163)],
    "meadow": [
        (176, 200, 158),
        (160, 190, 158),
        (192, 202, 160),
        (155, 176, 139),
        (141, 167, 139),
        (169, 178, 141),
    ],
}


def find_scene(look: Look) -> str | None:
    """By the light, the ground, and the large things that only one scene has."""
    start, end = look.light[:3].mean(), look.light[-3:].mean()
    if look.light.max() < 0.45:
        return "rocket"
    if abs(end - start) > 0.2:  # hills fill the floor, a forest's plants a third of it, its crowns as much of the sky
        canopy = look.coloured[look.bright, :40].mean()
        floor = look.coloured[look.bright, 88:].mean()
        return "sun" if floor > 0.7 else "forest" if canopy > 0.25 else None
    if look.coloured[:, 86:].mean() > 0.7:
        return "ball"
    return _scene_by_ground(look)


def find_still_scene(look: Look) -> str | None:
    """As find_scene, but no change of the light tells sun and forest: crowns at both edges do, and hills."""
    if look.light.max() < 0.45:
        return "rocket"
    crowns = look.coloured[:, 24:40]
    if min(crowns[..., :12].mean(), crowns[..., -12:].mean()) > 0.5:
        return "forest"
    if look.coloured[:, 88:].mean() > 0.7:
        edge = look.coloured[:, 72] & ~look.coloured[:, 67]  # of the floor, which is level
        return "ball" if edge.mean() > 0.5 else "sun"
    return _scene_by_ground(look)


def _scene_by_ground(look: Look) -> str | None:
    strip, plain = look.frames[:, 91:], ~look.coloured[:, 91:]
    if not plain.any():
        return None
    ground = np.median(strip[plain], axis=0) * 255
    errors = {name: min(np.abs(ground - c).sum() for c in colours) for name, colours in GROUND.items()}
    nearest = min(errors, key=errors.get)
    if errors[nearest] > 60:
        return None
    if nearest != "meadow":
        return nearest
    leaf = np.abs(look.frames[:, 78:] * 255 - (98, 138, 100)).sum(-1) < 60
    return "butterfly" if leaf.mean() > 0.04 else "balloon"


# (rows of the second thing, rows of the subject): where only the one or the other can be
ROWS = {
    "butterfly": ((66, 84), (0, 47)), "ball": ((84, 96), (0, 68)), "fish": ((70, 90), (0, 58)),
    "sun": ((86, 96), (0, 56)), "rocket": ((86, 96), (0, 72)), "boat": ((20, 56), (63, 76)),
    "forest": ((80, 96), (0, 60)), "car": ((30, 47), (76, 86)), "flower": ((68, 90), (0, 58)),
}  # fmt: skip


def find_colours(look: Look, scene: str) -> tuple[int | None, int | None]:
    """The colours (subject, second) as numbers."""
    when = look.bright if scene in ("sun", "forest") else slice(None)
    if scene == "balloon":
        return _balloon_colours(look)
    second = look.dominant(*ROWS[scene][0], when=when)
    return look.dominant(*ROWS[scene][1], without=second, when=when), second


def _balloon_colours(look: Look) -> tuple[int | None, int | None]:
    """The stripe is the narrower of the two."""
    first = look.dominant(0, 96)
    other = None if first is None else look.dominant(0, 96, without=first)
    if other is None:
        return first, None
    widths = [np.nonzero(look.masks[colour].any(1))[1].std() for colour in (first, other)]
    return (first, other) if widths[0] > widths[1] else (other, first)


def find_motion(look: Look, scene: str, subject: int, second: int) -> str | None:
    """By the path of the subject, or by the light and the size where that is what changes."""
    top, bottom = ROWS.get(scene, (None, (0, 96)))[1]
    path = look.track(subject, top, bottom)
    x, y, area = path[:, 0], path[:, 1], path[:, 2]
    if scene == "forest":
        return "coming alive" if look.light[-3:].mean() > look.light[:3].mean() else "falling asleep"
    if scene == "flower":
        grown = area[-4:].mean() / max(area[:4].mean(), 1)
        return "opening" if grown > 1.4 else "closing" if grown < 0.7 else None
    here = ~np.isnan(x)
    if here.sum() < 12:
        return None
    if scene == "ball":
        return _ball_motion(x[here], y[here])
    if scene == "fish":
        return _fish_motion(x[here])
    across, down = _moved(x[here]), _moved(y[here])
    if scene in ("boat", "car"):
        verb = "sailing" if scene == "boat" else "driving"
        return None if abs(across) < 8 else f"{verb} {'right' if across > 0 else 'left'}"
    ways = {"butterfly": ("landing", "taking off"), "rocket": ("landing", "taking off"),
            "sun": ("setting", "rising"), "balloon": ("floating down", "floating up")}[scene]  # fmt: skip
    return None if abs(down) < 4 else ways[0] if down > 0 else ways[1]


def _moved(values: np.ndarray) -> float:
    """From the first fifth to the last fifth."""
    part = max(1, len(values) // 5)
    return float(np.median(values[-part:]) - np.median(values[:part]))


def _ball_motion(x: np.ndarray, y: np.ndarray) -> str | None:
    across = _moved(x)
    if abs(across) < 8:
        return None
    kind = "bouncing" if np.quantile(y, 0.95) - np.quantile(y, 0.05) > 7 else "rolling"
    return f"{kind} {'right' if across > 0 else 'left'}"


def _fish_motion(x: np.ndarray) -> str | None:
    across, span = _moved(x), np.quantile(x, 0.97) - np.quantile(x, 0.03)
    if span < 8:
        return None
    if abs(across) < 0.5 * span:
        return "turning around"
    return f"swimming {'right' if across > 0 else 'left'}"


def roundness(mask: np.ndarray) -> float:
    """(H, W) bool -> the area of what is there, gaps and holes filled, over that of the smallest circle around it.

    About 1 for a disc, 2 / pi for a square. NaN where there is next to nothing.
    """
    mask = _filled(mask)
    if mask.sum() < LEAST:
        return float("nan")
    return float(mask.sum() / (np.pi * (enclosing_radius(np.argwhere(mask)) + 0.5) ** 2))  # a pixel has half a width


def enclosing_radius(points: np.ndarray, steps: int = 300) -> float:
    """(N, 2) -> radius of the smallest circle around them, to a hundredth.

    The centre goes a smaller and smaller way towards the farthest point: Badoiu and Clarkson, SODA 2003.
    """
    centre = points.mean(0)
    for k in range(1, steps + 1):
        farthest = points[np.square(points - centre).sum(1).argmax()]
        centre = centre + (farthest - centre) / (k + 1)
    return float(np.sqrt(np.square(points - centre).sum(1).max()))


def _filled(mask: np.ndarray) -> np.ndarray:
    """Gaps of up to six pixels closed, as where light falls on a ball; then all that the edge cannot reach."""
    picture = Image.fromarray(np.pad(mask, 8).astype(np.uint8))
    picture = picture.filter(ImageFilter.MaxFilter(7)).filter(ImageFilter.MinFilter(7))
    ImageDraw.floodfill(picture, (0, 0), 2)
    return np.asarray(picture)[8:-8, 8:-8] != 2


def _where(picture: np.ndarray, colour: str) -> np.ndarray:
    """(96, 96, 3) in 0..1 -> (96, 96) bool, where it has this colour"""
    return Look(picture[None]).masks[NAMES.index(colour), 0]


def ball_roundness(picture: np.ndarray, colour: str) -> float:
    """(96, 96, 3) in 0..1 with a ball of this colour -> its roundness; painted ones have 0.93."""
    return roundness(_where(picture, colour))


def width_over_height(picture: np.ndarray, colour: str) -> float:
    """(96, 96, 3) in 0..1 -> of what has this colour, width over height. NaN where there is next to nothing."""
    mask = _where(picture, colour)
    if mask.sum() < LEAST:
        return float("nan")
    down, across = (np.ptp(where) + 1 for where in mask.nonzero())
    return float(across / down)
