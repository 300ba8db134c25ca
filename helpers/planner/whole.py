"""The whole of a video before it is made: does it fit, how long will it take, what does it wait for.

    made = planner.plan("mochi-1", system="galaxy", frames=163)     # a dry run of this project's Mochi, half a minute
    print(made)                                                     # a table; every second in it is predicted
    made.fits, made.seconds, made.low, made.high, made.stages
    planner.plan(system="galaxy", program="tt-metal")               # tt-metal's own program, from its recorded calls

Memory comes from ttnn's allocator (memory.py), time from the calls that are made (calls.py, cost.py, predict.py).
"""

import contextlib
import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path

from helpers.mesh import run_on
from helpers.mochi.parts import freed_on
from helpers.mochi.pipeline import check_request
from helpers.planner.calls import FOLDER, recorded
from helpers.planner.memory import NOT_COUNTED, Need, aligned, gigabytes, stages, whole_program
from helpers.planner.predict import Pass
from ttnn_emulator.systems import System, find_system

MODELS, PROGRAMS = ("mochi-1",), ("ours", "tt-metal")
RECORDED = dict(frames=163, height=480, width=848)  # tt-metal's program was recorded at this size only
PARTS = {"text_encoder": "encode", "transformer": "denoise", "vae": "decode"}


@dataclass(frozen=True)
class Stage:
    """encode, denoise or decode: what it needs on each chip, and a pass of it with how often it runs."""

    name: str
    need: Need | None  # None for tt-metal's program, whose memory was not recorded
    once: Pass | None = field(repr=False)  # None where it does not fit, or does not run on the chips
    times: int

    def seconds(self, which: str = "mid") -> float:
        """Predicted. which: "quick", "mid" or "slow"."""
        return 0.0 if self.once is None else self.times * self.once.seconds(which)

    @property
    def bound(self) -> str:
        return "-" if self.once is None else self.once.bound


@dataclass(frozen=True)
class Plan:
    """A video on a system. Seconds are predicted, bytes are one chip's."""

    program: str
    system: System
    request: dict
    stages: tuple[Stage, ...]

    @property
    def fits(self) -> bool | None:
        """Whether all stages do, one after the other. None where memory is not known."""
        needs = [stage.need for stage in self.stages]
        return None if None in needs else all(need.fits for need in needs)

    def total(self, which: str = "mid") -> float | None:
        """Seconds of the whole video, predicted. None where it does not fit."""
        return None if self.fits is False else sum(stage.seconds(which) for stage in self.stages)

    @property
    def seconds(self) -> float | None:
        return self.total("mid")

    @property
    def low(self) -> float | None:
        return self.total("quick")

    @property
    def high(self) -> float | None:
        return self.total("slow")

    def if_traced(self) -> "Plan":
        """The same without a host that sends each call to each chip."""
        traced = lambda once: once and dataclasses.replace(once, traced=True)
        return dataclasses.replace(self, stages=tuple(dataclasses.replace(s, once=traced(s.once)) for s in self.stages))

    def __str__(self) -> str:
        asked = "{frames} frames of {width} x {height}, {steps} steps".format_map(self.request)
        asked += " with guidance" if self.request["guidance"] else " without guidance"
        whose = "our" if self.program == "ours" else "tt-metal's"
        head = f"Mochi-1, {whose} program, on {self.system}: {asked}"
        columns = ("stage", "peak GB", "of", "", "times", "predicted s", "range", "waits for")
        rows = [columns, *(row(stage, self.system) for stage in self.stages)]
        return "\n".join([head, aligned(rows), self.summary()])

    def summary(self) -> str:
        if self.fits is False:
            return f"It does not fit. {NOT_COUNTED}"
        line = f"All together, predicted: {self.seconds:.0f} s, between {self.low:.0f} and {self.high:.0f}."
        if self.stages[1].bound == "host":
            line += f"\nThe host is too slow for {self.system.num_chips} chips. Traced it would be"
            line += f" {self.if_traced().seconds:.0f} s."
        return line if self.fits is None else f"{line}\n{NOT_COUNTED}"

    def roofline(self):
        """A picture: what each kind of call reaches of the chip's arithmetic and of its memory."""
        from helpers.show import plan as draw

        return draw.roofline(self)

    def timeline(self):
        """A picture: which stage takes how long, and what with."""
        from helpers.show import plan as draw

        return draw.timeline(self)


def row(stage: Stage, system: System) -> tuple[str, ...]:
    need = stage.need
    peak = gigabytes(need and need.peak)
    verdict = "" if need is None else need.verdict
    timed = "-", "-"
    if stage.once is not None:
        timed = f"{stage.seconds():.1f}", f"{stage.seconds('quick'):.1f}-{stage.seconds('slow'):.1f}"
    return stage.name, peak, gigabytes(system.dram_bytes), verdict, str(stage.times), *timed, stage.bound


def plan(
    model: str = "mochi-1",
    *,
    system: str,
    frames: int = 163,
    height: int = 480,
    width: int = 848,
    steps: int = 50,
    guidance: bool = True,
    program: str = "ours",
    config: dict[str, dict] | None = None,
) -> Plan:
    """Plans a video on a system that need not be there.

    frames, height, width: of the video. steps: each of two passes with guidance, of one without.
    program: "ours", found out by a dry run in a fresh process, or "tt-metal", from recorded calls.
    config: of another Mochi than the real one, by part; for "ours" only.

    Raises ValueError for an unknown model, system or program, for sizes that Mochi cannot make, and for what was not
    recorded of tt-metal's program, another config too.
    """
    find_system(system)
    known("model", model, MODELS)
    known("program", program, PROGRAMS)
    check_request(frames, height, width, steps=steps)
    request = dict(frames=frames, height=height, width=width, steps=steps, guidance=guidance)
    passes = steps * (2 if guidance else 1)
    if program == "tt-metal":
        check_recorded(system, config, dict(frames=frames, height=height, width=width))
        return Plan(program, find_system(system), request, theirs(system, passes))
    needs = whole_program(system, frames=frames, height=height, width=width, configs=config)
    return Plan(program, find_system(system), request, ours(system, needs, passes))


def ours(system: str, needs: list[Need], passes: int) -> tuple[Stage, ...]:
    times = {"encode": 1, "denoise": passes, "decode": 1}
    found = []
    for need in needs:
        name = PARTS[need.part]
        once = Pass.of(need.calls, find_system(system)) if need.fits else None
        found.append(Stage(name, need, once, times[name]))
    return tuple(found)


def theirs(system: str, passes: int) -> tuple[Stage, ...]:
    """tt-metal's text encoder runs on the host (pipeline_mochi.py@79925a3f), which is not predicted."""
    found = [Stage("encode", None, None, 1)]
    for name, program, times in (("denoise", "mochi", passes), ("decode", "decoder", 1)):
        one = recorded(program, system)
        found.append(Stage(name, None, Pass.of(one.whole(), find_system(system), shape=one.shape), times))
    return tuple(found)


def check_recorded(system: str, config: dict | None, size: dict[str, int]) -> None:
    there = sorted(path.stem.partition(".")[2] for path in FOLDER.glob("mochi.*.json"))
    if system not in there:
        raise ValueError(f"tt-metal's Mochi was not recorded on {system}, only on {', '.join(there)}.")
    if config is not None:
        raise ValueError('tt-metal\'s Mochi was recorded with the real config. For another take program="ours".')
    if size != RECORDED:
        wanted = "{frames} of {width} x {height}".format_map(size)
        raise ValueError(
            f'tt-metal\'s Mochi was recorded for 163 frames of 848 x 480 only. For {wanted} take program="ours".'
        )


def known(what: str, name: str, names: tuple[str, ...]) -> None:
    """Raises ValueError naming the nearest."""
    if name not in names:
        near = (difflib.get_close_matches(name, names, 1) or names[:1])[0]
        raise ValueError(f"There is no {what} {name!r} to plan. The nearest is {near!r}.")


def report(folder: str, *, system: str, frames: int, height: int, width: int, config: dict[str, dict]) -> str:
    """Leaves what ttnn-visualizer opens, of one dry run from two prompts to the frames. Returns what it says.

    ttnn's own graph capture writes it (ttnn_emulator/report.py): ops, tensors, buffers, memory, the mesh.
    config: of the model, by part. The real one's 48 blocks take minutes and a gigabyte; two of them tell the same.
    Raises FileExistsError where there is something in the folder, and ValueError as plan does.
    """
    find_system(system)
    check_request(frames, height, width, steps=2)
    from ttnn_emulator.report import check_new  # ttnn's part for reports takes a second to import

    check_new(Path(folder))
    size = dict(frames=frames, height=height, width=width)
    with contextlib.redirect_stdout(None):
        return run_on(system, captured, str(Path(folder).resolve()), config, size, numerics=False)


def captured(mesh, folder: str, config: dict[str, dict], size: dict) -> str:
    from ttnn_emulator.report import Report

    capture = Report(folder)
    stages(mesh, config, size, None, freed_on(mesh.system))
    return capture.close()


def sweep(*, systems: tuple[str, ...], frames: tuple[int, ...] = (163,), **settings) -> list[Plan]:
    """A plan for each system and number of frames; settings are plan's."""
    return [plan(system=system, frames=length, **settings) for system in systems for length in frames]


def table(plans: list[Plan]) -> str:
    """Plans, one a line."""
    head = ("system", "frames", "fits", "predicted s", "range", "denoising waits for")
    rows = []
    for one in plans:
        span = f"{one.low:.0f}-{one.high:.0f}" if one.seconds else "-"
        seconds = f"{one.seconds:.0f}" if one.seconds else "-"
        verdict = {True: "yes", False: "no", None: "?"}[one.fits]
        rows.append((one.system.name, str(one.request["frames"]), verdict, seconds, span, one.stages[1].bound))
    return aligned([head, *rows])
