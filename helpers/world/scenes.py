"""The world that the miniature knows: ten scenes, their motions, eight colours, two sizes; all from a seed.

`sample(seed)` draws one clip's description, `render(clips)` paints a batch of them as (B, 3, T, H, W) in 0..1
on any device, and prompts.py says in words what they show.
"""

from dataclasses import dataclass

import numpy as np
import torch

from helpers.world import machines, nature
from helpers.world.draw import FRAMES, SIZE, rgb

FPS = 12

COLOURS = {
    "red": rgb(226, 40, 48),
    "orange": rgb(250, 128, 20),
    "yellow": rgb(252, 208, 30),
    "green": rgb(46, 168, 72),
    "turquoise": rgb(16, 190, 196),
    "blue": rgb(40, 90, 224),
    "purple": rgb(136, 60, 196),
    "pink": rgb(248, 112, 176),
}
COLOUR_NAMES = list(COLOURS)
SIZES = {"small": 0.78, "big": 1.08}

# scene: (subject, second thing, motions)
SCENES = {
    "butterfly": ("butterfly", "flower", ("landing", "taking off")),
    "ball": ("ball", "floor", ("bouncing left", "bouncing right", "rolling left", "rolling right")),
    "fish": ("fish", "coral", ("swimming left", "swimming right", "turning around")),
    "sun": ("sun", "hills", ("rising", "setting")),
    "rocket": ("rocket", "planet", ("taking off", "landing")),
    "boat": ("boat", "sail", ("sailing left", "sailing right")),
    "forest": ("forest", "flowers", ("coming alive", "falling asleep")),
    "balloon": ("balloon", "stripe", ("floating up", "floating down")),
    "car": ("car", "house", ("driving left", "driving right")),
    "flower": ("flower", "pot", ("opening", "closing")),
}
SCENE_NAMES = list(SCENES)
PAINTERS = {scene: getattr(nature, scene, None) or getattr(machines, scene) for scene in SCENES}
UNSIZED = {"forest"}
# What a thing looks like when the prompt names no colour; everything else may have any.
NATURAL = {"forest": ("green",), "sun": ("yellow", "orange", "red")}
LOOKS = 16  # free numbers of a clip: places, paces, moods of the light


@dataclass(frozen=True)
class Clip:
    """What one clip shows. The seed fixes everything that no word speaks of."""

    scene: str
    motion: str
    subject: str
    second: str
    size: str = "big"
    seed: int = 0


def held_out(scene: str, subject: str, second: str) -> bool:
    """The rule of what is never trained on: one pair of colours in seven, other ones in each scene.

    In the list of colours, taken as a circle, the second stands `1 + number of the scene % 7` after the first.
    """
    step = COLOUR_NAMES.index(second) - COLOUR_NAMES.index(subject)
    return step % 8 == 1 + SCENE_NAMES.index(scene) % 7


def pairs(scene: str, unseen: bool = False) -> list[tuple[str, str]]:
    """The (subject, second) colours of a scene that are trained on, or those that are held out."""
    both = [(a, b) for a in COLOURS for b in COLOURS if a != b]
    return [pair for pair in both if held_out(scene, *pair) == unseen]


SEEN = {scene: pairs(scene) for scene in SCENES}
UNSEEN = {scene: pairs(scene, unseen=True) for scene in SCENES}


def sample(seed: int, unseen: bool = False, scene: str | None = None) -> Clip:
    """Draw one clip; the same seed gives the same clip everywhere."""
    draw = np.random.default_rng([seed, 1])
    scene = scene or SCENE_NAMES[draw.integers(len(SCENES))]
    motions, choices = SCENES[scene][2], (UNSEEN if unseen else SEEN)[scene]
    subject, second = choices[draw.integers(len(choices))]
    size = list(SIZES)[draw.integers(len(SIZES))]
    return Clip(scene, motions[draw.integers(len(motions))], subject, second, size, seed)


def render(clips: list[Clip], device="cpu", frames: int = FRAMES) -> torch.Tensor:
    """Paint clips: (B, 3, T, 96, 96) float32 in 0..1. Clips of one scene are painted together."""
    if frames < 2:
        raise ValueError("a clip needs at least 2 frames")
    out = torch.empty(len(clips), 3, frames, SIZE, SIZE, device=device)
    for scene in SCENES:
        places = [i for i, clip in enumerate(clips) if clip.scene == scene]
        if places:
            group = Group([clips[i] for i in places], device, frames)
            painted = PAINTERS[scene](group).clamp(0, 1)
            out[torch.tensor(places, device=device)] = painted.expand(-1, -1, frames, -1, -1)
    return out


class Group:
    """Clips of one scene as tensors: what a painter reads.

    t: (1, T, 1, 1) from 0 to 1. subject, second: (B, 3, 1, 1, 1) colours. scale: (B, 1, 1, 1).
    way: (B, 1, 1, 1), +1 or -1 for right or left. forward: how far the motion has gone, (B, T, 1, 1), running
    backwards for the second of two opposite motions.
    """

    def __init__(self, clips: list[Clip], device, frames: int):
        scene = clips[0].scene
        looks = np.stack([np.random.default_rng([clip.seed, 2]).random(LOOKS) for clip in clips])
        self.looks = torch.tensor(looks, dtype=torch.float32, device=device)
        self.motions = [clip.motion for clip in clips]
        self.device = device
        self.t = torch.linspace(0, 1, frames, device=device).view(1, -1, 1, 1)
        self.subject = self._colours([clip.subject for clip in clips])
        self.second = self._colours([clip.second for clip in clips])
        sizes = [1.0 if scene in UNSIZED else SIZES[clip.size] for clip in clips]
        self.scale = self.column(sizes)
        self.way = self.column([-1.0 if motion.endswith("left") else 1.0 for motion in self.motions])
        back = self.column([float(motion == SCENES[scene][2][1]) for motion in self.motions])
        self.forward = back + (1 - 2 * back) * self.t

    def column(self, values) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device).view(-1, 1, 1, 1)

    def is_motion(self, word: str) -> torch.Tensor:
        """1 where the motion has the word, else 0: (B, 1, 1, 1)."""
        return self.column([float(word in motion) for motion in self.motions])

    def between(self, index: int, low: float, high: float) -> torch.Tensor:
        """Free number `index` of each clip, scaled to a range: (B, 1, 1, 1)."""
        return low + (high - low) * self.looks[:, index].view(-1, 1, 1, 1)

    def blend(self, index: int, *colours) -> torch.Tensor:
        """A colour somewhere on the way through several, by free number `index`: (B, 3, 1, 1, 1)."""
        stops = torch.tensor(colours, device=self.device)
        place = self.looks[:, index] * (len(colours) - 1)
        low = place.floor().long().clamp(max=len(colours) - 2)
        colour = torch.lerp(stops[low], stops[low + 1], (place - low)[:, None])
        return colour.view(-1, 3, 1, 1, 1)

    def _colours(self, names: list[str]) -> torch.Tensor:
        return torch.tensor([COLOURS[name] for name in names], device=self.device).view(-1, 3, 1, 1, 1)
