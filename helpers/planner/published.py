"""Seconds that others have measured on Tenstorrent hardware, and what was said before anybody measured, with sources.

    seconds("sdxl", "n150")      # 8.96, or None where nobody has published it

Sources are files of tenstorrent/tt-metal, each at the commit named.
"""

from dataclasses import dataclass

README = "models/README.md@02068156"
SDXL = "models/demos/stable_diffusion_xl_base/README.md@04b34050"
LARGE = "models/tt_dit/models/StableDiffusion35.md@02e73163"
MOCHI = "models/tt_dit/models/Mochi_1.md@52393d83"


@dataclass(frozen=True)
class Timing:
    """One picture, or for Mochi one clip, from the prompt to the pixels. `system` as in ttnn_emulator/systems.py."""

    model: str
    system: str
    seconds: float
    what: str
    source: str


TIMINGS = (
    Timing("sd14", "n150", 4.83, "512 x 512", README),
    Timing("sd14", "p150", 3.15, "512 x 512", README),
    Timing("sd35_medium", "n150", 16, "512 x 512", README),
    Timing("sdxl", "n150", 8.96, "1024 x 1024, 20 steps", SDXL),
    Timing("sdxl", "n300", 5.16, "1024 x 1024, 20 steps, guidance in parallel", SDXL),
    Timing("sd35_large", "t3000", 12.2, "1024 x 1024", LARGE),
    Timing("sd35_large", "galaxy", 5.6, "1024 x 1024", LARGE),
    Timing("mochi", "t3000", 1260, "848 x 480, 168 frames, 50 steps", MOCHI),
    Timing("mochi", "galaxy", 391, "848 x 480, 168 frames, 50 steps", MOCHI),
)

# From the note that this course began with (January 2026, not published). It named no source and no measurement.
CLAIMED_SECONDS = {("sd35_large", "n150"): 240}  # a picture of 1024 x 1024
CLAIMED_SPEEDUP = {"n150": 1, "n300": 2, "t3000": 6, "galaxy": 20}  # frame by frame, over one n150


def timing(model: str, system: str) -> Timing | None:
    """What has been published for a model on a system."""
    return next((t for t in TIMINGS if (t.model, t.system) == (model, system)), None)


def seconds(model: str, system: str) -> float | None:
    found = timing(model, system)
    return found and found.seconds


def speedups() -> list[tuple[str, str, str, float]]:
    """(model, system, larger system, how many times faster) for each model that was timed on both, Wormhole only."""
    wormhole = list(CLAIMED_SPEEDUP)
    return [
        (small.model, small.system, large.system, small.seconds / large.seconds)
        for small in TIMINGS
        for large in TIMINGS
        if small.model == large.model
        and {small.system, large.system} <= set(wormhole)
        and wormhole.index(small.system) < wormhole.index(large.system)
    ]
