"""`make video`: what the command makes, and the one sentence for what it cannot."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from helpers import video
from helpers.mochi import __main__ as command
from helpers.mochi.pipeline import Mochi
from tools.series import ROOT


def refusal(capsys, *arguments) -> str:
    """What the command says on stderr; it ends with an error and without a file."""
    try:
        code = command.main(list(arguments))
    except SystemExit as end:
        code = end.code
    assert code in (1, 2)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([" "], "the prompt is empty: say what to paint"),
        (["a ball", "--system", "n151"], "There is no system called 'n151' here. Choose one of: n150, "),
        (["a ball", "--steps", "1"], "1 steps are too few: the schedule has two halves. Try 20."),
        (["a ball", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["a ball", "--seed", "-3"], "a seed is 0 or more, not -3."),
        (
            ["a ball", "--out", "ball.gif"],
            "--out is the name of an MP4 file, so it ends in .mp4, and ball.gif does",
        ),
        (["a ball", "--step", "5"], "unrecognized arguments: --step 5"),
        ([], "the following arguments are required: prompt"),
    ],
)
def test_refused_in_one_sentence_before_anything_is_loaded(capsys, monkeypatch, arguments, said):
    monkeypatch.setattr(command, "open_mesh", lambda system: pytest.fail("opened a mesh"))
    error = refusal(capsys, *arguments)
    assert error.startswith("video: ") and said in error and error.count("\n") == 1


def test_missing_weights_and_a_stop_leave_no_file(capsys, monkeypatch, tmp_path):
    out = tmp_path / "video.mp4"
    assert f"There is no folder {tmp_path}/none" in refusal(
        capsys, "a ball", "--weights", f"{tmp_path}/none", "--out", str(out)
    )

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "Mochi", interrupted)
    assert command.main(["a ball", "--out", str(out)]) == 130 and not out.exists()
    assert "stopped, and no file was written" in capsys.readouterr().err


def test_makes_a_video_and_names_unknown_words(folder, tmp_path, monkeypatch, capsys):
    def small(mesh, weights):  # seven small frames are enough to see the whole way
        return lambda prompt, **settings: Mochi(mesh, weights)(prompt, frames=7, height=32, width=48, **settings)

    monkeypatch.setattr(command, "MINIATURE", folder)
    monkeypatch.setattr(command, "Mochi", small)
    monkeypatch.chdir(tmp_path)
    asked = "a red dragon bouncing left", "--steps", "2", "--seed", "3", "--weights", str(folder), "--out", "new/a.mp4"
    assert command.main(list(asked)) == 0
    said = capsys.readouterr()
    assert "the miniature does not know 'dragon'; nearest that it knows: " in said.out
    assert "new/a.mp4, 7 frames of 32 x 48, made by emulated galaxy 4x8 in " in said.out
    assert "denoise 2/2 on emulated galaxy 4x8" in said.err and "decode on emulated galaxy 4x8" in said.out
    assert b"emulated galaxy 4x8" in Path("new/a.mp4").read_bytes() and video.read("new/a.mp4")[1] == 12


def test_settings_reach_the_model(tmp_path, monkeypatch):
    asked = []

    def model(mesh, weights):
        return lambda prompt, callback, **settings: (
            asked.append((prompt, weights, settings)) or torch.rand(7, 32, 48, 3)
        )

    monkeypatch.setattr(command, "Mochi", model)
    assert command.main(["a ball", "--seed", "5", "--steps", "9", "--out", str(tmp_path / "a.mp4")]) == 0
    assert asked == [("a ball", command.MINIATURE, {"steps": 9, "seed": 5, "traced": True})]


def test_make_hands_the_sentence_over_as_it_is():
    """Quotes in a prompt stay in the prompt: neither make nor the shell reads them. The recipe runs a fake Python."""
    prompt = 'it\'s a "red" ball; touch nothing'
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    made = subprocess.run(
        ["make", "video", f"PROMPT={prompt}", "SEED=7", "setup=", "python=printf '[%s]'"],
        cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith(f"[--system][galaxy][--seed][7][--steps][20][--][{prompt}]")
