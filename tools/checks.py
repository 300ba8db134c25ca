"""The page lessons/checks.md: what each comparison in the notebooks would notice: `python -m tools.checks`.

A comparison proves as much as the mistakes that it would find. Behind each stands a test of this project that makes
some: the named mistakes of an exercise, or a test of its own. Raises ValueError for a comparison that is not listed.
"""

import functools
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import nbformat

from helpers import exercises
from helpers.exercises import Exercise
from tools.series import ROOT, choose, code_cells

PAGE = ROOT / "lessons" / "checks.md"
COMPARES = re.compile(r"\b(?:pcc|psnr)\(|allclose|torch\.equal|isclose|\bassert |largest error\"")
MISTAKES = "test_exercises.py::test_each_mistake_is_recognised_by_name"
HEAD = """# What the checks would catch

Every comparison in the notebooks, and what would have made it fail. Behind each line stands a test that makes it fail
so. Made by `python -m tools.checks`.

| notebook | cell | it would notice, for example | test |
|---|---|---|---|
"""

# By the cell's id: an exercise, whose named mistakes are meant, or what would be noticed and by which test.
BROKEN_LINE = "a hop that is lost, or a wrong way", "test_traffic.py::test_a_broken_line_gives_wrong_values"
NO_SEAM = "a halo that is missing", "test_mochi.py::test_a_missing_halo_makes_seams"
OTHER_VIDEO = "another seed, guidance or prompt", "test_mochi_pipeline.py::test_the_video_is_diffusers_video"
CHECKS = {
    "8d0a14fe": (
        "a cut that is not named, or parts that differ",
        "test_tensors.py::test_gather_refuses_partial_sums_and_unnamed_slices",
    ),
    "01three": "sum_everywhere",
    "1d786a4c": "column_parallel",
    "eccbd98f": "mlp",
    "3b3b5cce": "mlp",
    "340d893e": "position_bias",
    "02norm2": "norm_over_tp",
    "789c7451": "attention",
    "638cb604": ("padding that is heard", "test_mochi.py::test_text_encoder"),
    "fbe0345f": "attention_over_tp",
    "2ec3a111": "attention_over_tp",
    "c3a12aca": ("padding that is heard", "test_mochi.py::test_text_encoder"),
    "139b7ca7": ("padding that is heard", "test_mochi.py::test_text_encoder"),
    "0d81a438": "turned_on_chips",
    "denoise-035": "block",
    "denoise-037": "block",
    "denoise-042": "block",
    "denoise-055": "merge",
    "denoise-061": "ring_attention",
    "denoise-063": BROKEN_LINE,
    "denoise-067": (
        "blocks that are met in another order",
        "test_traffic.py::test_blocks_are_met_in_the_order_of_the_hops",
    ),
    "denoise-070b": ("another text", "test_mochi.py::test_denoiser"),
    "denoise-074": ("another text", "test_mochi.py::test_denoiser"),
    "denoise-085": OTHER_VIDEO,
    "denoise-087": ("a frame that hears a later one", "test_checks.py::test_a_first_frame_hears_no_later_one"),
    "16678a57": "with_frames_before",
    "3730faac": "with_frames_before",
    "6ead0842": "with_frames_before",
    "4d9fbd8b": NO_SEAM,
    "cff0b417": "from_both_sides",
    "8e0388c0": "frame_norm",
    "70ae41f0": NO_SEAM,
    "5a8663c1": "with_frames_before",
    "1ad37fe1": NO_SEAM,
    "5363cb82": "shifted",
    "2b850fc1": ("another seed or prompt", "test_frames_stills.py::test_stills_are_diffusers_stills"),
    "e8d72d6d": "look",
    "7452120f": "temporal_attention",
    "e2e65e77": "temporal_attention",
    "9d8a9e45": (
        "frames in another order, no positions, exchanged halves",
        "test_frames_motion_module.py::test_what_would_not_be_equal",
    ),
    "da91e7d5": "flicker",
    "bef9ac23": ("another seed", "test_mochi_pipeline.py::test_the_video_is_diffusers_video"),
    "6c47e3b0": OTHER_VIDEO,
    "d3f303ad": "clip_bytes",
    "5821ca0a": "both_at_once",
    "42e5285e": (
        "something left of the run that was stopped",
        "test_mochi_pipeline.py::test_interrupted_and_run_again",
    ),
    "7a1c55e2": OTHER_VIDEO,
    "79fbfd95": (
        "a formula that is not what crosses the wires",
        "test_planner_time.py::test_links_are_what_crosses_the_wires",
    ),
}


def row(path: Path, number: int, cell) -> str:
    """Raises ValueError where nobody says what the comparison would notice."""
    if cell.id not in CHECKS:
        raise ValueError(
            f"{path.name}, cell {number} ({cell.id}) compares, and tools/checks.py does not know what for."
        )
    found = CHECKS[cell.id]
    if isinstance(found, str):
        values = [mistake for mistake in exercise(found).mistakes if " right, " not in mistake]  # not bytes only
        mistake = values[0]
        found = f"{mistake.rstrip('.')} (exercise `{found}`)", MISTAKES
    return f"| [{path.stem[:2]}](../notebooks/{path.name}) | {number} | {found[0]} | `tests/{found[1]}` |"


@functools.cache
def exercise(name: str) -> Exercise:
    modules = [
        importlib.import_module(f"helpers.exercises.{one.name}") for one in pkgutil.iter_modules(exercises.__path__)
    ]
    return next(vars(module)[name] for module in modules if isinstance(vars(module).get(name), Exercise))


def page() -> str:
    rows = []
    for path in choose("", ROOT / "notebooks"):
        for number, cell in enumerate(code_cells(nbformat.read(path, as_version=4)), 1):
            if COMPARES.search(cell.source):
                rows.append(row(path, number, cell))
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except ValueError as error:
        sys.exit(str(error))
