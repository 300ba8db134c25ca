"""What others have measured, predicted: `python -m helpers.planner` prints the table.

Each case is a published run of tt-metal's. Its denoiser's calls were recorded from it (calls.py) and priced with shares
that were measured op by op (rates.py). `rest` is what is not predicted: text encoders and decoders of Wan and
Stable Diffusion, taken from the ceilings of tt-metal's own performance tests, which are seldom reached.
"""

import statistics
from dataclasses import dataclass

from helpers.planner import h3
from helpers.planner.calls import recorded
from helpers.planner.memory import aligned
from helpers.planner.predict import Pass
from ttnn_emulator.systems import find_system

DIT = "models/tt_dit"
MOCHI = f"{DIT}/models/Mochi_1.md@52393d83"
WAN = f"{DIT}/models/Wan2_2.md@511bc4d0"
H3 = f"{DIT}/models/minimax_h3_wormhole/README.md@08005674"
SD35 = f"{DIT}/models/StableDiffusion35.md@02e73163"
SD14 = "models/README.md@02068156"


@dataclass(frozen=True)
class Case:
    title: str
    recording: tuple[str, str]
    passes: int  # one after the other: steps, times two where guidance's passes are not parallel
    published: float  # seconds of the whole run
    source: str
    decoder: str = ""  # its recording, where the decoder is predicted too
    rest: float = 0.0  # seconds, see above
    traced: bool = False
    fitted: str = ""  # what of it was fitted on this run, or taken from it

    def seconds(self, which: str = "mid") -> float:
        stages = self.stages()
        return self.rest + sum(stage.seconds(which) * times for stage, times in stages)

    def stages(self) -> list[tuple[Pass, int]]:
        """Each stage that is predicted, with how often it runs."""
        found = [(self.taken(*self.recording), self.passes)]
        return found + ([(self.taken(self.decoder, self.recording[1]), 1)] if self.decoder else [])

    def taken(self, program: str, system: str) -> Pass:
        if program.startswith("h3."):
            calls = h3.whole(int(program.removeprefix("h3.")))
            return Pass.of(calls, find_system(system), traced=self.traced)
        found = recorded(program, system)
        return Pass.of(found.whole(), find_system(system), shape=found.shape, traced=self.traced)

    @property
    def error(self) -> float:
        return self.seconds() / self.published - 1

    @property
    def inside(self) -> bool:
        """Whether what was published lies in the range that is predicted."""
        return self.seconds("quick") <= self.published <= self.seconds("slow")


# Mochi: 848 x 480, 50 steps. Wan2.2-A14B: 832 x 480 or 1280 x 720, 81 frames, 40 steps. SD 3.5: 1024 x 1024, 20 steps.
# MiniMax-H3: 1344 x 768, 50 steps. SD 1.4: 512 x 512, 50 steps, both of guidance's passes at once; not tt-metal's own
# calls but diffusers' (tools/unet.py).
# Sources of `rest`: test_performance_mochi.py, test_performance_wan.py and test_performance_sd35.py below models/tt_dit
# of tt-metal@79925a3f; SD 3.5 on t3000 as measured in pull request 26824; H3 as measured where its total is.
# Whether a run was traced: SD 3.5's pipeline is; Wan's has been since May 2026 (issue 33891), and 136.3 s is newer.
CASES = (
    Case("Mochi 168 frames", ("mochi", "t3000"), 100, 1260, MOCHI, decoder="decoder", rest=8, fitted="decoder"),
    Case("Mochi 168 frames", ("mochi", "galaxy"), 100, 391, MOCHI, decoder="decoder", rest=8),
    Case("Wan2.2 480p", ("wan480", "t3000"), 80, 735, WAN, rest=9.1),
    Case("Wan2.2 480p", ("wan480", "quietbox2"), 80, 466, WAN, rest=60, fitted="pace"),
    Case("Wan2.2 480p", ("wan480", "p150x8"), 80, 207, WAN, rest=5.1),
    Case("Wan2.2 720p", ("wan720", "galaxy_torus"), 80, 354, WAN, rest=7.1),
    Case("Wan2.2 720p", ("wan720", "bh_galaxy"), 80, 168, WAN, rest=2.1),
    Case("Wan2.2 720p, trace", ("wan720", "bh_galaxy"), 80, 136.3, "issue 55509", rest=1.6, traced=True),
    Case("SD 3.5 Large, trace", ("sd35", "t3000"), 20, 12.2, SD35, rest=1.92, traced=True),
    Case("SD 3.5 Large, trace", ("sd35", "galaxy"), 20, 5.6, SD35, rest=1.95, traced=True),
    Case("SD 1.4, trace", ("sd14", "n150"), 50, 4.83, SD14, decoder="vae14", traced=True),
    Case("SD 1.4, trace", ("sd14", "p150"), 50, 3.15, SD14, decoder="vae14", traced=True),
    Case("H3 124 frames", ("h3.124", "galaxy_torus"), h3.FORWARDS, 147.6, H3, rest=12.3),
    Case("H3 243 frames", ("h3.243", "galaxy_torus"), h3.FORWARDS, 333.4, H3, rest=18.7),
    Case("H3 362 frames", ("h3.362", "galaxy_torus"), h3.FORWARDS, 633.1, H3, rest=23.8,
         fitted="shares"),
)  # fmt: skip


def table() -> str:
    """All cases, one a line, and how far predictions are off."""
    head = ("seconds of", "on", "predicted", "range", "published", "error", "waits for")
    lines = [row(case) for case in CASES]
    errors = [abs(case.error) for case in CASES if not case.fitted]
    near = sum(error <= 0.25 for error in errors)
    inside = sum(case.inside for case in CASES if not case.fitted)
    taken = ", ".join(f"{case.fitted} ({case.recording[1]})" for case in CASES if case.fitted)
    summary = (
        f"* Fitted on it: {taken}.\n"
        f"The other {len(errors)}: {near} within 25 %, {inside} inside the range, "
        f"median error {statistics.median(errors):.0%}."
    )
    return aligned([head, *lines]) + "\n" + summary


def row(case: Case) -> tuple[str, ...]:
    span = f"{case.seconds('quick'):.0f}-{case.seconds('slow'):.0f}"
    denoising, _ = case.stages()[0]
    title = f"{case.title} *" if case.fitted else case.title
    seconds, published, error = f"{case.seconds():.1f}", f"{case.published:g}", f"{case.error:+.0%}"
    return title, case.recording[1], seconds, span, published, error, denoising.bound
