"""The page lessons/checks.md: what each comparison in the notebooks would notice: `python -m tools.checks`.

A comparison proves as much as the mistakes that it would find. The cell says one, in a comment; behind it stands a test
that makes it: the named mistakes of an exercise, or a test of its own.
"""

import re
import sys
from pathlib import Path

import nbformat

from tools.series import ROOT, choose, code_cells

PAGE = ROOT / "lessons" / "checks.md"
CATCHES = re.compile(r"# catches (.+)$", re.MULTILINE)
COMPARES = re.compile(r"\b(?:pcc|psnr)\(|allclose|torch\.equal|isclose|\bassert |largest error\"")
MISTAKES = "test_exercises.py::test_each_mistake_is_recognised_by_name"
HEAD = """# What the checks would catch

Every comparison in the notebooks, and what would have made it fail, as its cell says it. Behind each line stands a test
that makes it fail: for an exercise its named mistakes. Made by `python -m tools.checks`.

| notebook | cell | it catches, for example | an exercise or a test |
|---|---|---|---|
"""

# By the cell's id: an exercise, whose named mistakes are such, or the test that makes the comparison fail.
BROKEN_LINE = "test_traffic.py::test_a_broken_line_gives_wrong_values"
NO_SEAM = "test_mochi.py::test_a_missing_halo_makes_seams"
OTHER_VIDEO = "test_mochi_pipeline.py::test_the_video_is_diffusers_video"
CHECKS = {
    "8d0a14fe": "test_tensors.py::test_gather_refuses_partial_sums_and_unnamed_slices",
    "01three": "sum_everywhere",
    "1d786a4c": "column_parallel",
    "eccbd98f": "mlp",
    "3b3b5cce": "mlp",
    "340d893e": "position_bias",
    "02norm2": "norm_over_tp",
    "789c7451": "attention",
    "638cb604": "test_mochi.py::test_text_encoder",
    "fbe0345f": "attention_over_tp",
    "2ec3a111": "attention_over_tp",
    "c3a12aca": "test_mochi.py::test_text_encoder",
    "139b7ca7": "test_mochi.py::test_text_encoder",
    "0d81a438": "turned_on_chips",
    "denoise-035": "block",
    "denoise-037": "block",
    "denoise-042": "block",
    "denoise-055": "merge",
    "denoise-061": "ring_attention",
    "denoise-063": BROKEN_LINE,
    "denoise-067": "ring_attention",
    "denoise-070b": "test_mochi.py::test_denoiser",
    "denoise-074": "test_mochi.py::test_denoiser",
    "denoise-085": OTHER_VIDEO,
    "denoise-087": "test_checks.py::test_a_first_frame_hears_no_later_one",
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
    "2b850fc1": "test_frames_stills.py::test_stills_are_diffusers_stills",
    "e8d72d6d": "look",
    "7452120f": "temporal_attention",
    "e2e65e77": "temporal_attention",
    "9d8a9e45": "test_frames_motion_module.py::test_what_would_not_be_equal",
    "da91e7d5": "flicker",
    "bef9ac23": "test_mochi_pipeline.py::test_the_video_is_diffusers_video",
    "6c47e3b0": OTHER_VIDEO,
    "d3f303ad": "clip_bytes",
    "5821ca0a": "both_at_once",
    "42e5285e": "test_mochi_pipeline.py::test_interrupted_and_run_again",
    "7a1c55e2": OTHER_VIDEO,
    "79fbfd95": "test_planner_time.py::test_links_are_what_crosses_the_wires",
}


def row(path: Path, number: int, cell) -> str:
    """Raises ValueError where the cell does not say what it would catch, or nobody has tested that."""
    where = f"{path.name}, cell {number} ({cell.id}) compares, and"
    said = CATCHES.search(cell.source)
    if not said:
        raise ValueError(f"{where} does not say what it would catch: `# catches a missing halo`.")
    if cell.id not in CHECKS:
        raise ValueError(f"{where} tools/checks.py does not know a test that makes it fail.")
    test = CHECKS[cell.id]
    proof = f"`tests/{test}`" if "::" in test else f"`{test}` in `tests/{MISTAKES}`"
    return f"| [{path.stem[:2]}](../notebooks/{path.name}) | {number} | {said[1]} | {proof} |"


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
