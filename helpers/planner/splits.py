"""Every way to split Mochi's denoiser over a system: how many chips along tp, how many along sp.

    print(table(splits("galaxy")))         # a dry run for each way, some ten seconds each
    print(table(splits("4 galaxies")))     # 128 chips, wired among each other as inside one
    best(kept("galaxy"))                   # of what was worked out before (tools/plans.py), at once

More chips along tp mean less weights and heads on each and larger sums; more along sp, fewer tokens on each and more
keys and values to hand round. Seconds are predicted as in predict.py.
"""

import json
from dataclasses import asdict, dataclass

from helpers.mochi.pipeline import PATCH
from helpers.planner.calls import FOLDER
from helpers.planner.memory import REAL, aligned, dry_run, gigabytes, latents
from helpers.planner.predict import Pass
from helpers.planner.scale import spread
from ttnn_emulator.systems import System, find_system

KEPT = FOLDER / "splits.json"
GALAXIES = {"2 galaxies": 2, "4 galaxies": 4}  # too many chips for one process: a Galaxy's calls, on more along sp


@dataclass(frozen=True)
class Split:
    """One pass of the denoiser on a system taken as tp x sp chips. peak: bytes on a chip, at most."""

    system: str
    tp: int
    sp: int
    peak: int | None  # None where it does not fit, or cannot be split so
    why: str  # not, or what else there is to say
    seconds: dict[str, float]  # "chips", "host", and of the chips' those that they wait for "links"; predicted

    @property
    def total(self) -> float | None:
        """Seconds of a pass: the slower of chips and host"""
        return max(self.seconds["chips"], self.seconds["host"]) if self.peak else None


def splits(system: str, *, frames: int = 163, height: int = 480, width: int = 848) -> list[Split]:
    """Each way that ttnn lays a mesh over the system's wires, in the order of tp; of GALAXIES those of one, longer.

    Raises ValueError for an unknown system and for a video that Mochi cannot make.
    """
    size = dict(frames=frames, height=height, width=width)
    return [split(system, tp, sp * GALAXIES.get(system, 1), size) for tp, sp in one_of(system).splits]


def one_of(system: str) -> System:
    """The system, or one of several Galaxies"""
    return find_system("galaxy" if system in GALAXIES else system)


def tokens(frames: int, height: int, width: int) -> int:
    return latents(1, frames, height, width).numel() // PATCH**2


def split(system: str, tp: int, sp: int, size: dict[str, int]) -> Split:
    heads, times = REAL["transformer"]["num_attention_heads"], GALAXIES.get(system, 1)
    if heads % tp:
        return Split(system, tp, sp, None, f"{heads} heads over {tp}", {})
    one = find_system(f"{one_of(system).name}:{tp}x{sp // times}")
    need = dry_run(one.name, "transformer", **size)
    if not need.fits:
        return Split(system, tp, sp, None, "does not fit", {})
    calls = need.calls if times == 1 else spread(need.calls, one.axes["sp"], (sp // times, sp), (tokens(**size),) * 2)
    once = Pass.of(calls, one, shape=(tp, sp))  # each Galaxy has a host of its own
    waiting = sum(n * call.seconds() for call, n in once.times if call.bound == "links")
    seconds = {"chips": once.device(), "host": once.host(), "links": waiting / once.pace("mid")}
    why = "" if times == 1 else "GB: at most, as on one"
    return Split(system, tp, sp, need.peak, why, {kind: round(s, 4) for kind, s in seconds.items()})


def kept(system: str) -> list[Split]:
    """What tools/plans.py has worked out for 163 frames of 480 x 848. Raises ValueError where it has not."""
    found = [Split(**row) for row in json.loads(KEPT.read_text()) if row["system"] == system]
    if not found:
        raise ValueError(f"No splits of {system} are kept. Work them out: splits({system!r}).")
    return found


def kept_systems() -> list[str]:
    return list(dict.fromkeys(row["system"] for row in json.loads(KEPT.read_text())))


def keep(ways: list[Split]) -> None:
    KEPT.write_text("[\n" + ",\n".join(json.dumps(asdict(way)) for way in ways) + "\n]\n")


def best(ways: list[Split]) -> Split | None:
    """The quickest of those that fit"""
    return min((way for way in ways if way.peak), key=lambda way: way.total, default=None)


def table(ways: list[Split]) -> str:
    """Ways, one a line: memory on a chip, predicted seconds of a pass, and how long chips wait for links."""
    rows = [("system", "tp", "sp", "GB a chip", "predicted s", "chips", "for links", "host", "")]
    for way in ways:
        times = [f"{way.seconds[kind]:.2f}" if way.peak else "-" for kind in ("chips", "links", "host")]
        total = f"{way.total:.2f}" if way.peak else "-"
        rows.append((way.system, str(way.tp), str(way.sp), gigabytes(way.peak), total, *times, way.why))
    return aligned(rows)
