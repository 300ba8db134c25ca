"""Painters of living things and the sky: each takes a Group and returns pixels (B, 3, T, H, W)."""

import torch

from helpers.world.backdrop import (
    CREAM,
    INK,
    LEAF,
    MEADOWS,
    PEACH,
    SKIES,
    WHITE,
    reach,
    sky,
    still,
    tint,
)
from helpers.world.draw import Canvas, mix, rgb, smooth, union


def butterfly(group):
    c, s, t = sky(group), group.scale, group.t
    ground = 80 + 2 * torch.sin(c.x / 15 + group.between(2, 0, 6))
    c.paint(c.below(ground), group.blend(3, *MEADOWS), soft=2.0)
    fx, fy = 48 + 10 * (group.between(4, -1, 1)), 66.0
    c.paint(c.capsule(fx, fy, fx, 99.0, 3.0), LEAF)
    c.paint(c.ellipse(fx + 10, 88.0, 10, 4.5, -0.5), LEAF)
    c.paint(c.ellipse(fx - 10, 91.0, 10, 4.5, 0.5), LEAF)
    c.paint(c.blossom(fx, fy, 10.5, 8.0, turn=group.between(5, 0, 1)), group.second)
    c.paint(c.circle(fx, fy, 7.0), CREAM)
    side = torch.where(group.between(6, 0, 1) > 0.5, 1.0, -1.0)
    gone = 1 - smooth(group.forward / group.between(7, 0.62, 0.75))
    x = mix(fx, 48 + side * group.between(10, 22, 30), gone)
    y = mix(fy - 21, 20.0, gone) + 5 * torch.sin(torch.pi * 3 * gone) * gone
    flap = 0.74 + 0.26 * torch.cos(2 * torch.pi * 2.2 * t)
    _wings(c, group, x, y, s, flap, tilt=side * gone * 0.35)
    return c.pixels


def _wings(c, group, x, y, s, flap, tilt):
    cos, sin = torch.cos(tilt), torch.sin(tilt)

    def wing(out, up, rx, ry):
        out, up = out * flap * s, up * s
        return c.ellipse(x + out * cos - up * sin, y + out * sin + up * cos, rx * flap * s, ry * s, tilt)

    c.paint(union(wing(-10, 8, 9, 8.5), wing(10, 8, 9, 8.5)), tint(group.subject, -0.16))
    c.paint(union(wing(-13, -5, 13, 11), wing(13, -5, 13, 11)), group.subject)
    c.paint(union(wing(-15, -5, 6, 5.5), wing(15, -5, 6, 5.5)), tint(group.subject, 0.45))
    c.paint(c.capsule(x + 9 * s * sin, y - 9 * s * cos, x - 10 * s * sin, y + 10 * s * cos, 3.0 * s), INK)


def fish(group):
    shallow = group.blend(0, rgb(214, 240, 242), rgb(206, 232, 244))
    deep = group.blend(1, rgb(164, 204, 214), rgb(168, 196, 216))
    c, s, t = Canvas(shallow, deep), group.scale, group.t
    sand = 84 + 2 * torch.sin(c.x / 12 + group.between(2, 0, 6))
    c.paint(c.below(sand), rgb(238, 224, 194), soft=1.5)
    side = torch.where(group.between(3, 0, 1) > 0.5, 1.0, -1.0)
    cx = 48 + side * group.between(4, 24, 34)
    sway = 1.5 * torch.sin(2 * torch.pi * (t + group.between(5, 0, 1)))
    stem = c.capsule(cx, 92.0, cx + sway, 56.0, 5.5)
    arms = [c.capsule(cx, 80.0 + 4 * k, cx + k * 13 + sway, 62.0 + 3 * k, 5.0) for k in (-1, 1)]
    c.paint(union(stem, *arms), group.second)
    turning = group.is_motion("turning")
    pace = reach(group, 27, 20)
    there = smooth((1 - (2 * t - 1).abs()) / 0.9)  # a turning fish comes up to the coral and goes back
    x = turning * (48 + side * (there * 24 - 13)) + (1 - turning) * (48 + group.way * pace * (2 * t - 1))
    facing = turning * side * torch.cos(torch.pi * smooth((t - 0.1) / 0.8)) + (1 - turning) * group.way
    y = group.between(8, 34, 42) + 2 * torch.sin(2 * torch.pi * t)
    _fish_body(c, group, x, y, s, facing)
    return c.pixels


def _fish_body(c, group, x, y, s, facing):
    """The fish seen from the side; while it turns, facing goes from 1 to -1 and most of its length stays."""
    squeeze, ahead = 0.6 + 0.4 * facing.abs(), facing * s
    wag = 4 * s * torch.sin(2 * torch.pi * group.t * 1.5) * facing.abs()
    lobes = (c.ellipse(x - 21 * ahead, y + k * 6.5 * s + wag * 0.6, 8 * squeeze * s, 6.0 * s) for k in (-1, 1))
    c.paint(
        union(*lobes, c.capsule(x - 10 * ahead, y + 0 * x, x - 20 * ahead, y + wag * 0.4, 4.0 * s)),
        tint(group.subject, -0.16),
    )
    c.paint(c.ellipse(x - 2 * ahead, y - 10 * s, 9 * squeeze * s, 7 * s), tint(group.subject, -0.16))
    body = c.ellipse(x, y, 20 * squeeze * s, 12.5 * s)
    c.paint(body, group.subject)
    c.paint(c.ellipse(x + 1 * ahead, y + 7 * s, 13 * squeeze * s, 4 * s), tint(group.subject, 0.3), inside=body)
    seen = smooth(facing.abs() * 2 - 0.5)  # not while its back is turned
    c.paint(c.circle(x + 11 * ahead, y - 3 * s, 4.6 * s), WHITE, opacity=seen)
    c.paint(c.circle(x + 12 * ahead, y - 3 * s, 2.6 * s), INK, opacity=seen)


def sun(group):
    day = smooth(group.forward * 1.15)[:, None]
    night_top, night_low = rgb(60, 56, 100), rgb(150, 114, 142)
    c = Canvas(
        mix(still(group, night_top), group.blend(0, *SKIES), day),
        mix(still(group, night_low), still(group, PEACH), smooth(group.forward * 1.6)[:, None]),
    )
    r = 15 * group.scale
    x = 48 + group.between(2, -14, 14) + 6 * group.forward
    y = mix(74.0, group.between(3, 24, 30), smooth(group.forward))
    c.paint(c.circle(x, y, r + 7), WHITE, opacity=0.4, soft=22.0)
    c.paint(c.circle(x, y, r), group.subject)
    c.paint(c.circle(x, y - 0.2 * r, 0.55 * r), tint(group.subject, 0.35), opacity=0.6, soft=8.0)
    light = 0.6 + 0.4 * day
    far = 64 + 6 * torch.sin(c.x / 13 + group.between(4, 0, 6))
    near = 76 + 6 * torch.sin(c.x / 17 + group.between(5, 0, 6))
    c.paint(c.below(far), tint(group.second, 0.3) * light)
    c.paint(c.below(near), tint(group.second, -0.06) * light)
    return c.pixels


def forest(group):
    day = smooth(group.forward)
    light = day[:, None]
    c = Canvas(
        mix(still(group, rgb(52, 52, 88)), group.blend(0, *SKIES), light),
        mix(still(group, rgb(98, 84, 112)), still(group, PEACH), smooth(group.forward * 1.6)[:, None]),
    )
    x = 48 + group.between(2, -8, 8)
    c.paint(c.circle(x, mix(82.0, 30.0, day), 24), CREAM, opacity=0.3 * day, soft=10.0)
    c.paint(c.circle(x, mix(82.0, 30.0, day), 13), rgb(255, 240, 206))
    shade = mix(still(group, (0.36, 0.36, 0.52)), torch.ones_like(group.subject), light)
    sway = torch.sin(2 * torch.pi * (group.t + group.between(3, 0, 1)))
    for k, (place, top, wide) in enumerate(((9, 36, 17), (88, 34, 17), (30, 50, 14), (68, 48, 14))):
        px = place + group.between(4 + k, -3, 3)
        c.paint(c.capsule(px, top + 6.0, px, 84.0, 4.0), still(group, rgb(126, 106, 98)) * shade)
        lean = 1.5 * sway
        crown = union(
            c.circle(px + lean, top - 6.0, wide * 0.85),
            c.circle(px + lean * 0.6 - wide * 0.4, top + 7.0, wide * 0.75),
            c.circle(px + lean * 0.6 + wide * 0.4, top + 7.0, wide * 0.75),
        )
        c.paint(crown, tint(group.subject, (0.0, -0.06, -0.14, -0.1)[k]) * shade)
    c.paint(c.below(80 + 2 * torch.sin(c.x / 12)), group.blend(8, *MEADOWS) * shade, soft=1.5)
    awake = smooth(group.forward * 1.4 - 0.25)
    for k, place in enumerate((15, 48, 81)):
        px, top = place + group.between(9 + k, -4, 4), 98 - 13 * awake
        c.paint(
            c.blossom(px, top, 5.5 * awake, 5.0 * awake + 0.2, 5),
            group.second * shade,
            opacity=smooth(awake * 4),
        )
        c.paint(c.circle(px, top, 3.8 * awake), still(group, CREAM) * shade, opacity=smooth(awake * 4))
    return c.pixels


def flower(group):
    c, s = sky(group), group.scale
    c.paint(c.below(84.0), group.blend(2, rgb(206, 186, 166), rgb(190, 170, 160)))
    open_, x = smooth(group.forward * 1.1 - 0.02), 48 + group.between(3, -8, 8)
    sway = 1.5 * torch.sin(2 * torch.pi * (group.t + group.between(4, 0, 1)))
    hx, hy = x + sway, mix(44.0, 34.0, open_)
    c.paint(c.capsule(x, 68.0, hx, hy, 3.2), LEAF)
    c.paint(c.ellipse(x - 10, 57.0, 10, 5, 0.6), LEAF)
    c.paint(c.ellipse(x + 10, 60.0, 10, 5, -0.6), LEAF)
    rim = c.box(x, 67.0, 17.0, 4.5, 2.0)
    pot = c.polygon((x - 14, 68.0), (x + 14, 68.0), (x + 10, 90.0), (x - 10, 90.0)) - 1.5
    c.paint(c.ellipse(x, 91.0, 16.0, 3.5), INK, opacity=0.25, soft=4.0)
    c.paint(pot, tint(group.second, -0.1))
    c.paint(rim, group.second)
    turn = group.between(5, 0, 1) + 0.5 * open_
    c.paint(
        c.blossom(hx, hy, mix(3.0, 15.0, open_) * s, mix(6.0, 10.5, open_) * s, 7, turn),
        tint(group.subject, -0.14),
    )
    c.paint(c.blossom(hx, hy, mix(2.0, 10.0, open_) * s, mix(6.0, 8.5, open_) * s, 7, turn + 0.45), group.subject)
    c.paint(c.circle(hx, hy, mix(1.0, 8.0, open_) * s), CREAM, opacity=smooth(open_ * 3))
    return c.pixels
