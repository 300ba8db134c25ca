"""What the painters share: the pale colours of skies and meadows, clouds, and how far a thing may go.

Backdrops are pale or dark and never saturated, so that all eight colours stand out from them and a
detector can tell them apart.
"""

import torch

from helpers.world.draw import Canvas, mix, rgb

WHITE, CREAM, INK = rgb(255, 255, 255), rgb(255, 244, 222), rgb(52, 44, 62)
SKIES = (rgb(200, 228, 232), rgb(180, 210, 244), rgb(204, 206, 244), rgb(232, 206, 226))
HORIZONS = (rgb(238, 246, 242), rgb(255, 242, 216), rgb(252, 220, 206))
PEACH = rgb(252, 218, 198)
MEADOWS = (rgb(176, 200, 158), rgb(160, 190, 158), rgb(192, 202, 160))
LEAF = rgb(98, 138, 100)


def tint(colour, amount: float):
    """Towards white for a positive amount, towards black for a negative one."""
    return mix(colour, 1.0, amount) if amount > 0 else colour * (1 + amount)


def reach(group, small: float, big: float):
    """How far to either side of the middle a thing of its size can go: (B, 1, 1, 1)."""
    return small + (big - small) * (group.scale - 0.78) / 0.3


def still(group, colour):
    return torch.tensor(colour, device=group.device).view(1, 3, 1, 1, 1)


def sky(group, low=0, high=1) -> Canvas:
    """A pale sky in one of many moods."""
    return Canvas(group.blend(low, *SKIES), group.blend(high, *HORIZONS))


def clouds(canvas, group, index: int):
    """Two soft clouds that drift a little."""
    drift = 3 * group.t
    for k, (low, high) in enumerate(((4, 40), (56, 92))):
        x = group.between(index + k, low, high)
        canvas.paint(canvas.cloud(x + drift, 16 + 10 * k, 0.9), WHITE, opacity=0.75, soft=2.0)
