"""The page lessons/claims.md: what was claimed of this subject, checked, with the cell that shows it.

python -m tools.claims

Each verdict is worked out here from this repository's own data. The first claims are those of a note of January 2026
that this course began with; it was not published and named no source.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers.layers.weights import reference_shapes
from helpers.planner import cases, plans, published
from helpers.planner.calls import recorded
from helpers.planner.predict import Pass
from helpers.show.planned import PLANS
from ttnn_emulator.systems import SYSTEMS

PAGE = Path(__file__).resolve().parent.parent / "lessons" / "claims.md"
FORWARD_ON_A_CPU = 1064.9  # seconds for 84 frames, tt-xla's reference run: tenstorrent/tt-xla issue 4638
HOLDS, FALSE, OPEN = "holds", "false", "no evidence"


@dataclass(frozen=True)
class Claim:
    """check() -> (verdict, why). `notebook` and `cell`, the beginning of its text: where a learner sees it."""

    text: str
    check: Callable[[], tuple[str, str]]
    notebook: str
    cell: str


def native():
    found = recorded("mochi", "galaxy")
    calls, working = sum(found.whole().values()), Pass.of(found.whole(), SYSTEMS["galaxy"]).num_calls
    why = f"Its program ran here, unmodified: {calls:,} calls a pass, {working:,} of them work for the chips"
    return HOLDS if calls else FALSE, f"{why} ({found.source})."


def layout():
    found = recorded("mochi", "galaxy")
    links = {call.option("num_links") for call in found.block} - {None}
    right = (found.shape, found.sp, links) == ((4, 8), 8, {4})
    where = f"mesh {found.shape[0]} x {found.shape[1]}, sp {found.sp}, links {', '.join(map(str, links))}"
    return HOLDS if right else FALSE, f"Read from the recorded calls: {where}."


def needs_a_galaxy():
    full = [row for row in json.loads(PLANS.read_text()) if row["frames"] == 163 and row["height"] == 480]
    fits = [row["system"] for row in full if row["peak"]]
    not_ = [row["system"] for row in full if not row["peak"]]
    seconds = published.seconds("mochi", "t3000")
    why = f"Published on a T3000: {seconds:,} s. By the allocator it fits {', '.join(fits)}, not {', '.join(not_)}."
    return FALSE if "t3000" in fits else HOLDS, why


def six_latent_frames():
    frames, latent = 163, (163 - 1) // 6 + 1
    verdict = FALSE if latent < frames else HOLDS
    return (
        verdict,
        f"The other way round: {frames} frames have {latent} latent ones, one for six and one for the first.",
    )


def latent_pixels():
    pixels, latents = 48 * 320 * 400, 12 * (48 // 6) * (320 // 8) * (400 // 8)
    right = round(pixels / 1e6, 1) == 6.1 and latents < pixels
    why = f"48 x 320 x 400 = {pixels:,} are pixels. Their latents are 12 x 8 x 40 x 50 = {latents:,} numbers."
    return FALSE if right else HOLDS, f"{why} And 48 is not 6 k + 1: 49 would be."


def large_on_one_chip():
    count = sum(map(math.prod, reference_shapes("transformer", plans.REAL["sd35_large"], plans.SD3).values()))
    room = SYSTEMS["n150"].dram_bytes
    why = f"{count / 1e9:.2f} billion weights are {2 * count / 1e9:.1f} GB in bfloat16, an n150 has {room / 1e9:.1f}."
    return OPEN if 2 * count > room else HOLDS, f"{why} In 8 bits they would fit. Nobody has published it."


def scaling():
    """Of pictures: Mochi makes no frame by itself. Published pairs of systems are parts of the way from one n150."""
    said = published.CLAIMED_SPEEDUP
    pictures = [pair for pair in published.speedups() if pair[0] != "mochi"]
    pairs = [f"{plans.TITLES[name]} {small} to {large} {factor:.2f} (said {said[large] / said[small]:.2f})"
             for name, small, large, factor in pictures]  # fmt: skip
    reached = [factor >= said[large] / said[small] for _, small, large, factor in pictures]
    why = f"Published, times as fast for one picture: {'; '.join(pairs)}. Nothing from one n150 to 8 or 32 chips."
    return HOLDS if all(reached) else OPEN, why


def no_other_models():
    others = sorted({case.title.split(" ")[0].replace("H3", "MiniMax-H3") for case in cases.CASES} - {"Mochi", "SD"})
    why = f"With published times: {', '.join(others)}, LTX-2.3; in TT-XLA HunyuanVideo, CogVideoX, Krea Realtime"
    return FALSE if others else HOLDS, f"{why} (tenstorrent/tt-xla 5746, 4982, 5838)."


def hours_on_a_cpu():
    """A pass over n tokens of width D is 24 n D^2 + 4 n^2 D operations a block, as notebook 07 counts them."""
    work = lambda tokens, width=3072: 24 * tokens * width**2 + 4 * tokens**2 * width
    short = 50 * FORWARD_ON_A_CPU / 86_400  # days, if a forward holds both passes of a step, as diffusers' does
    long = short * work(28 * 30 * 53) / work(14 * 30 * 53)
    return HOLDS if long < 1 else FALSE, (
        f"One forward of 84 frames took tt-xla's CPU run {FORWARD_ON_A_CPU} s (issue 4638): 50 steps are at least "
        f"{24 * short:.0f} hours. 163 frames are {long / short:.1f} times the work: {long:.1f} days."
    )


def no_small_one():
    folder = PAGE.parent.parent / "models/tiny-mochi/transformer"
    config = json.loads((folder / "config.json").read_text())
    count = sum(map(math.prod, reference_shapes("transformer", config).values()))
    why = f"models/tiny-mochi has the real architecture and {count / 1e6:.1f} million weights in its denoiser."
    return FALSE if folder.is_dir() else HOLDS, f"{why} It fits any chip here."


CLAIMS = (
    Claim("Mochi is a native text-to-video model in tt-metal", native, "07_cost", 'found = recorded("mochi"'),
    Claim("On a Galaxy it runs with TP over 4 chips, SP over 8, and four links", layout, "07_cost", "one = "),
    Claim("It needs all 32 chips of a Galaxy; a T3000 is not supported", needs_a_galaxy, "07_cost", "Planned()"),
    Claim("The VAE makes six latent frames of each video frame", six_latent_frames, "04_decode", "def frames_of"),
    Claim("48 frames of 320 x 400 are 6.1 million pixels of latent space", latent_pixels, "03_denoise",
          "def count_tokens"),
    Claim("One n150 runs SD 3.5 Large at 1024 x 1024 in 4 minutes a frame", large_on_one_chip, "05_frame_by_frame",
          "for name, count in counts"),
    Claim("Frame by frame, an n300 is 2, a T3000 6 and a Galaxy 20 times as fast as an n150", scaling,
          "05_frame_by_frame", "rows = published.speedups()"),
    Claim("There are no other video models", no_other_models, "07_cost", "print(cases.table())"),
    Claim("A small Mochi has to be waited for", no_small_one, "06_text_to_video", "mesh = open_mesh"),
    Claim("On a CPU a clip takes hours", hours_on_a_cpu, "06_text_to_video", "a, galaxy = "),
)  # fmt: skip


def page() -> str:
    """The whole page as Markdown."""
    lines = [
        "# Ten claims, checked",
        "",
        "This course began with a note of January 2026 that nobody has published. Here is what it said, and what "
        "others say. Generated by `python -m tools.claims`; each verdict is worked out from data in this "
        "repository.",
        "",
        "| claim | verdict | the check | seen in |",
        "|---|---|---|---|",
    ]
    for claim in CLAIMS:
        verdict, why = claim.check()
        lines.append(f"| {claim.text} | **{verdict}** | {why} | {where(claim)} |")
    return "\n".join(lines) + "\n"


def where(claim: Claim) -> str:
    """The notebook, and the cell's number as Jupyter counts. Raises ValueError where there is no such cell."""
    path = PAGE.parent.parent / "notebooks" / f"{claim.notebook}.ipynb"
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        if claim.cell in "".join(cell["source"]):
            return f"[{claim.notebook[:2]}](../notebooks/{path.name}), cell {number}"
    raise ValueError(f"No cell of {path.name} contains {claim.cell!r}.")


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.exit(0)
