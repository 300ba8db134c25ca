"""Anti-aliased drawing of whole batches of clips at once, on any device.

A shape is its signed distance in pixels, negative inside: (B, T, H, W), or anything that broadcasts to it.
Numbers that place a shape are floats or (B, T, 1, 1). x grows to the right, y downwards.
"""

import torch

SIZE, FRAMES = 96, 31


def rgb(red: int, green: int, blue: int) -> tuple[float, float, float]:
    return red / 255, green / 255, blue / 255


def smooth(t):
    """0 to 1 with a gentle start and end; flat outside."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


def mix(a, b, weight):
    return a + (b - a) * weight


def union(*shapes):
    out = shapes[0]
    for shape in shapes[1:]:
        out = torch.minimum(out, shape)
    return out


def both(*shapes):
    out = shapes[0]
    for shape in shapes[1:]:
        out = torch.maximum(out, shape)
    return out


class Canvas:
    """B clips being painted, layer on layer; a still layer costs one frame until something moves.

    pixels: (B, 3, 1 or T, H, W) in 0..1.
    """

    def __init__(self, top, bottom, size: int = SIZE):
        """Start from a vertical gradient; colours (B, 3, 1, 1, 1) or (B, 3, T, 1, 1)."""
        centres = torch.arange(size, device=top.device, dtype=torch.float32) + 0.5
        self.x, self.y = centres.view(1, 1, 1, -1), centres.view(1, 1, -1, 1)
        self.pixels = mix(top, bottom, self.y[:, None] / size).expand(-1, -1, -1, size, size)

    def paint(self, shape, colour, opacity=1.0, soft: float = 1.0, inside=None):
        """Cover the shape with a colour: a tuple, (B, 3, 1, 1, 1) or a field (B, 3, T, H, W).

        soft is the width of the edge in pixels; inside is a second shape that the paint must not leave.
        """
        cover = (0.5 - shape / soft).clamp(0, 1) * opacity
        if inside is not None:
            cover = torch.minimum(cover, (0.5 - inside).clamp(0, 1))
        if isinstance(colour, tuple):
            colour = torch.tensor(colour, device=cover.device).view(1, 3, 1, 1, 1)
        self.pixels = self.pixels + cover[:, None] * (colour - self.pixels)

    def circle(self, cx, cy, r):
        return torch.sqrt((self.x - cx) ** 2 + (self.y - cy) ** 2) - r

    def ellipse(self, cx, cy, rx, ry, angle=None):
        """Distance to first order: exact on the edge, good near it."""
        x, y = self.turned(cx, cy, angle)
        f = torch.sqrt((x / rx) ** 2 + (y / ry) ** 2) + 1e-6
        g = torch.sqrt((x / rx**2) ** 2 + (y / ry**2) ** 2) + 1e-6
        return f * (f - 1) / g

    def box(self, cx, cy, half_width, half_height, corner=0.0, angle=None):
        x, y = self.turned(cx, cy, angle)
        dx, dy = x.abs() - half_width + corner, y.abs() - half_height + corner
        outside = torch.sqrt(dx.clamp(min=0) ** 2 + dy.clamp(min=0) ** 2)
        return outside + torch.maximum(dx, dy).clamp(max=0) - corner

    def capsule(self, x0, y0, x1, y1, r):
        """A line from one point to the other with round ends."""
        ax, ay = x1 - x0, y1 - y0
        px, py = self.x - x0, self.y - y0
        along = ((px * ax + py * ay) / (ax * ax + ay * ay + 1e-6)).clamp(0, 1)
        return torch.sqrt((px - along * ax) ** 2 + (py - along * ay) ** 2) - r

    def polygon(self, *corners):
        """A convex polygon, corners (x, y) clockwise as seen on the screen."""
        sides = []
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            ax, ay = x1 - x0, y1 - y0
            length = (ax * ax + ay * ay) ** 0.5 + 1e-6
            sides.append((ay * (self.x - x0) - ax * (self.y - y0)) / length)
        return both(*sides)

    def below(self, height):
        """Everything under the line y = height, a number or a curve over x."""
        return height - self.y

    def turned(self, cx, cy, angle):
        """Coordinates about a centre, turned clockwise by an angle."""
        x, y = self.x - cx, self.y - cy
        if angle is None:
            return x, y
        if not torch.is_tensor(angle):
            angle = torch.tensor(float(angle), device=self.x.device)
        cos, sin = torch.cos(angle), torch.sin(angle)
        return x * cos + y * sin, y * cos - x * sin

    def cloud(self, cx, cy, size):
        lumps = ((-9, 1, 6), (0, -3, 8), (9, 0, 7), (4, 3, 6), (-4, 3, 6))
        return union(*(self.circle(cx + dx * size, cy + dy * size, r * size) for dx, dy, r in lumps))

    def blossom(self, cx, cy, spread, petal, petals: int = 6, turn=0.0):
        """Round petals about a centre."""
        angles = [turn + 2 * torch.pi * k / petals for k in range(petals)]
        angles = [a if torch.is_tensor(a) else torch.tensor(a, device=self.x.device) for a in angles]
        return union(*(self.circle(cx + torch.sin(a) * spread, cy - torch.cos(a) * spread, petal) for a in angles))
