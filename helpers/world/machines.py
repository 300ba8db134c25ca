"""Painters of things that people made: each takes a Group and returns pixels (B, 3, T, H, W)."""

import torch

from helpers.world.backdrop import (
    CREAM,
    INK,
    MEADOWS,
    WHITE,
    clouds,
    reach,
    sky,
    tint,
)
from helpers.world.draw import Canvas, both, mix, rgb, smooth, union


def ball(group):
    c, t = sky(group), group.t
    r = 16.5 * group.scale
    floor = 70.0
    c.paint(c.below(floor), mix(group.second, group.second * 0.82, ((c.y - floor) / 26)[:, None].clamp(0, 1)))
    bounce = group.is_motion("bouncing")
    x = 48 + group.way * (27 - 7 * bounce) * (2 * t - 1) + group.between(3, -3, 3)
    phase = t + group.between(5, 0.42, 0.58)  # it falls, meets the floor about half way through, and is up again
    soft = (torch.sin(torch.pi * phase).square() + 0.05).sqrt() - 0.05**0.5  # rubber: it gives way on the floor
    height = bounce * group.between(6, 21, 24) * soft
    y = floor + 5 - r - height
    shadow = (1 - height / 50) * 0.35
    c.paint(c.ellipse(x, floor + 6.5, r * 0.95, 4.5), INK, opacity=shadow, soft=4.0)
    disc, inner = c.circle(x, y, r), c.circle(x, y, r - 1.5)
    c.paint(disc, tint(group.subject, -0.25))
    c.paint(inner, group.subject)
    rolled = group.between(7, 0, 6) + 56 * t / r
    turn = group.way * (bounce * 0.6 + (1 - bounce) * rolled)  # in the air it does not spin
    c.paint(c.box(x, y, 0.26 * r, r, angle=turn), tint(group.subject, 0.35), inside=inner)
    c.paint(c.ellipse(x - 0.35 * r, y - 0.4 * r, 0.5 * r, 0.4 * r), WHITE, opacity=0.3, soft=6.0, inside=disc)
    return c.pixels


def rocket(group):
    c = Canvas(group.blend(0, rgb(26, 24, 58), rgb(40, 28, 64)), group.blend(1, rgb(66, 54, 100), rgb(56, 62, 100)))
    s, t = group.scale, group.t
    moon_x = torch.where(group.between(2, 0, 1) > 0.5, 16.0, 80.0) + group.between(3, -3, 3)
    c.paint(c.circle(moon_x, group.between(4, 16, 26), 9.0), rgb(232, 228, 240))
    px = 48 + group.between(5, -8, 8)
    planet = c.ellipse(px, 128.0, 84.0, 54.0)
    c.paint(planet, group.second)
    for k, (dx, dy, r) in enumerate(((-26, 92, 7), (24, 88, 6), (4, 96, 7))):
        c.paint(c.ellipse(px + dx, float(dy), r * 1.4, r * 0.7), tint(group.second, -0.2), opacity=0.8 - 0.1 * k)
    flown = group.forward**2
    ground = 74 - 19 * s
    y = mix(ground, 26.0, flown) + 0.6 * torch.sin(40 * t) * (flown > 0.02)
    x = px + group.between(6, -5, 5) * flown
    base, burning = y + 15 * s, smooth(group.forward * 8)
    long = (18 + 3 * torch.sin(50 * t + group.between(7, 0, 6))) * s * burning + 0.1
    for k in (-1, 1):
        puff = smooth(1 - flown * 2.2) * burning
        c.paint(
            c.circle(px + k * (10 + 14 * puff), 78.0, 9 * puff + 2),
            rgb(226, 220, 232),
            opacity=0.9 * puff,
            soft=4.0,
        )
    c.paint(c.ellipse(x, base + 0.45 * long, 6.5 * s * burning + 0.1, 0.6 * long), CREAM, soft=2.0)
    for k in (-1, 1):
        corners = [(x + k * dx * s, y + dy * s) for dx, dy in ((5, 2), (15, 14), (15, 19), (5, 15))]
        c.paint(c.polygon(*corners[::k]) - 1, tint(group.subject, -0.2))
    body = both(c.circle(x - 16 * s, y, 26 * s), c.circle(x + 16 * s, y, 26 * s), c.y - y - 16 * s)
    c.paint(body, group.subject)
    c.paint(c.box(x, y + 13 * s, 10 * s, 3 * s), tint(group.subject, -0.2), inside=body)
    c.paint(c.circle(x, y - 3 * s, 5.2 * s), rgb(226, 238, 246))
    return c.pixels


def boat(group):
    c, s, t = sky(group), group.scale, group.t
    clouds(c, group, 3)
    x = 48 + group.way * reach(group, 26, 19) * (2 * t - 1) + group.between(5, -3, 3)
    swell = 2 * torch.pi * (t * 1.6 + group.between(6, 0, 1))
    y, tilt = 66 + 2.5 * torch.sin(swell), 0.10 * torch.cos(swell)
    far = 64 + 1.5 * torch.sin(c.x / 6 + swell * 0.7)
    c.paint(c.below(far), rgb(172, 198, 214))
    cos, sin = torch.cos(tilt), torch.sin(tilt)

    def at(dx, dy):
        dx, dy = dx * group.way * s, dy * s
        return x + dx * cos - dy * sin, y + dx * sin + dy * cos

    def facing(*corners):
        there = c.polygon(*(at(*corner) for corner in corners))
        back = c.polygon(*(at(*corner) for corner in corners[::-1]))
        return torch.where(group.way > 0, there, back)

    c.paint(facing((0, -44), (0, -2), (-22, -2)) - 1.0, group.second)
    c.paint(facing((0, -38), (20, -2), (0, -2)) - 1.0, tint(group.second, 0.25))
    c.paint(c.capsule(*at(0, 0), *at(0, -42), 2.8 * s), rgb(112, 96, 92))
    c.paint(facing((-25, -4), (27, -4), (17, 11), (-18, 11)) - 1.5, group.subject)
    c.paint(facing((-25, -5), (27, -5), (25, -1), (-24, -1)) - 0.5, tint(group.subject, 0.4))
    near = 73 + 2.5 * torch.sin(c.x / 7 - swell)
    c.paint(c.below(near), rgb(146, 178, 202))
    c.paint(c.below(84 + 2 * torch.sin(c.x / 8 - swell + 2)), rgb(130, 162, 192), soft=2.0)
    return c.pixels


def balloon(group):
    c, s, t = sky(group), group.scale, group.t
    clouds(c, group, 3)
    c.paint(c.below(80 + 5 * torch.sin(c.x / 16 + group.between(5, 0, 6))), group.blend(6, *MEADOWS))
    c.paint(c.below(88 + 4 * torch.sin(c.x / 14 + group.between(7, 0, 6))), tint(group.blend(6, *MEADOWS), -0.12))
    x = 48 + group.between(8, -14, 14) + 4 * torch.sin(2 * torch.pi * (t * 0.7 + group.between(9, 0, 1)))
    y = mix(58.0, 28.0, smooth(group.forward * 0.9 + 0.05))
    top = c.circle(x, y, 22 * s)
    cone = c.polygon(
        (x - 19 * s, y + 11 * s), (x + 19 * s, y + 11 * s), (x + 7 * s, y + 27 * s), (x - 7 * s, y + 27 * s)
    )
    c.paint(c.box(x, y + 30 * s, 1.6 * s + 4, 4 * s), rgb(110, 92, 88))
    c.paint(c.box(x, y + 35 * s, 6.5 * s, 5 * s, 2.0), rgb(126, 100, 88))
    bag = union(top, cone)
    c.paint(bag, group.subject)
    c.paint(c.ellipse(x, y + 2 * s, 8.5 * s, 27 * s), group.second, inside=bag)
    c.paint(c.ellipse(x - 11 * s, y - 8 * s, 8 * s, 9 * s), WHITE, opacity=0.25, soft=6.0, inside=bag)
    return c.pixels


def car(group):
    c, s, t = sky(group), group.scale, group.t
    c.paint(c.below(70 + 2 * torch.sin(c.x / 14 + group.between(2, 0, 6))), group.blend(3, *MEADOWS), soft=1.5)
    hx = 48 + torch.where(group.between(4, 0, 1) > 0.5, 1.0, -1.0) * group.between(5, 8, 22)
    c.paint(c.box(hx, 50.0, 17.0, 24.0), group.second)
    c.paint(c.polygon((hx, 10.0), (hx + 24, 29.0), (hx - 24, 29.0)) - 1.5, rgb(104, 88, 96))
    for k in (-1, 1):
        c.paint(c.box(hx + 8 * k, 38.0, 3.6, 4.2, 1.0), CREAM)
    c.paint(c.box(48.0, 87.0, 60.0, 11.0), rgb(150, 148, 158))
    c.paint(c.box(48.0, 77.0, 60.0, 1.6), rgb(214, 208, 206))
    x = 48 + group.way * reach(group, 26, 19) * (2 * t - 1) + group.between(6, -3, 3)
    y = 73 + 0.7 * torch.sin(2 * torch.pi * (t * 3 + group.between(7, 0, 1)))
    way = group.way * s
    cabin = c.box(x - 3 * way, y - 11 * s, 14.5 * s, 9.5 * s, 6.0)
    c.paint(cabin, tint(group.subject, -0.14))
    c.paint(c.box(x - 3 * way, y - 11 * s, 10.5 * s, 5.4 * s, 3.0), rgb(228, 240, 246))
    c.paint(c.box(x, y + 2 * s, 25 * s, 8 * s, 5.0), group.subject)
    c.paint(c.circle(x + 21 * way, y, 3.2 * s), CREAM)
    for k in (-1, 1):
        c.paint(c.circle(x + 14 * k * s, 73 + 10 * s, 7.2 * s), INK)
        c.paint(c.circle(x + 14 * k * s, 73 + 10 * s, 3.2 * s), rgb(206, 206, 214))
    return c.pixels
