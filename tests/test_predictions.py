"""Predictions, what is kept of them and of exercises, and the pictures that come of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers import answers
from helpers.exercises import Prediction, overview, predict, progress, reward
from helpers.exercises.predictions import mistake_behind
from helpers.exercises.verdict import Verdict
from helpers.words import OPEN, RIGHT, WRONG, say


@pytest.mark.parametrize(
    ("guess", "actual", "expected"),
    [
        (196_608, 196_608, f"{RIGHT} You said 196,608: exactly right."),
        (100, 400, f"{WRONG} You said 100: 4 times too low."),
        (600, 200, f"{WRONG} You said 600: 3 times too high."),
        (1.05, 1.0, f"{RIGHT} You said 1.05: 5.0% too high."),
        (1.2, 1.0, f"{WRONG} You said 1.2: 1.2 times too high."),
        (0, 7, f"{WRONG} You said 0: off by 7."),
        ((1, 2), (1, 3), f"{WRONG} You said (1, 2): not what happened."),
        ("left", "right", f"{WRONG} You said left: not what happened."),
        (..., 5, "You made no prediction."),
    ],
)
def test_predictions_say_how_far_off_they_were(guess, actual, expected, capsys):
    predict("bytes", guess).reveal(actual, "B")
    asked, said = capsys.readouterr().out.splitlines()[-2:]
    assert asked.startswith("bytes: ") and asked.endswith(" B") and said == expected


@pytest.mark.parametrize(
    ("guess", "actual", "because"),
    [
        (32_768, 229_376, "One slice."),
        (32_000, 229_376, ""),
        (32_500, 229_376, "One slice."),
        (262_144, 229_376, "A chip's own is counted."),
        (229_376, 229_376, ""),
        ((1, 2), (2, 1), "Swapped."),
        ("above", "left", "Neither."),
        (1.0, 1.01, ""),  # nearer to what is right than any mistake
    ],
)
def test_a_wrong_guess_is_answered_by_the_mistake_that_gives_it(guess, actual, because, capsys):
    mistakes = {
        32_768: "One slice.",
        262_144: "A chip's own is counted.",
        (1, 2): "Swapped.",
        "above": "Neither.",
        0.98: "-",
    }
    assert mistake_behind(guess, actual, mistakes) == because
    predict("bytes", guess).reveal(actual, mistakes=mistakes)
    assert " ".join(capsys.readouterr().out.split()).endswith(because)


def test_several_numbers_are_one_guess(capsys):
    predict("slice", 1, 2).reveal((1, 2))
    predict("slice", [1, 2]).reveal((1, 2))
    assert capsys.readouterr().out.count("exactly right") == 2


def test_an_open_prediction_asks(capsys):
    assert not predict("bytes that each chip sends").made and not Prediction("q", None).made
    assert capsys.readouterr().out.startswith(f"{OPEN} Your turn: bytes that each chip sends?")


def test_messages_fill_their_lines_and_keep_what_is_set(capsys):
    say("word " * 40 + "\n    a line of code that stays as it is, however long it may happen to be: " + "x" * 40, WRONG)
    *words, code = capsys.readouterr().out.splitlines()
    plain = [line.replace(WRONG, "✗") for line in words]
    assert max(map(len, plain)) in range(80, 86) and plain[0].startswith("✗ word") and plain[1].startswith("  word")
    assert code.startswith("    a line") and len(code) > 95


# --- what is kept ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A learner's folder, in which a notebook runs"""
    (tmp_path / answers.FILE).write_text(answers.EMPTY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_is_written_where_no_file_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    answers.keep_try("mesh.mlp", right=True)
    predict("bytes", 3).reveal(4)
    assert list(tmp_path.iterdir()) == [] and answers.read() is None and progress() is None
    assert "Nothing is kept here" in capsys.readouterr().out


def test_the_first_guess_and_every_try_are_kept(folder):
    predict("bytes", 3).reveal(4)
    predict("bytes", 4).reveal(4)
    predict("slice", (1, 2)).reveal((1, 3))
    predict("steps", ...).reveal(7)
    answers.keep_try("mesh.mlp", right=False)
    answers.keep_help("mesh.mlp", 2)
    for _ in range(2):
        answers.keep_try("mesh.mlp", right=True)
    answers.keep_help("mesh.mlp", 3)
    answers.keep_help("mesh.mlp")
    answers.keep_help("text.bucket")
    assert json.loads(Path(answers.FILE).read_text()) == {
        "exercises": {
            "mesh.mlp": {"tries": 2, "hints": [2], "answer": False, "right": True},
            "text.bucket": {"tries": 0, "hints": [], "answer": True, "right": False},
        },
        "predictions": {"bytes": {"guess": 3, "actual": 4}, "slice": {"guess": [1, 2], "actual": [1, 3]}},
    }
    assert [path.name for path in folder.iterdir()] == [answers.FILE]


@pytest.mark.parametrize("text", ["", "[]", '{"exercises": 3}', "\x00\x01"])
def test_a_broken_file_is_left_alone_and_named(folder, text, capsys):
    Path(answers.FILE).write_text(text)
    predict("bytes", 3).reveal(4)
    assert Path(answers.FILE).read_text() == text
    assert "answers.json is not what was written to it. Delete it" in capsys.readouterr().out
    with pytest.raises(ValueError, match="begins a new one"):
        answers.read()


def test_progress_names_what_was_done(folder):
    for guess, actual in ((3, 4), (100, 100), (1, 1000), ("left", "right"), (0, 3)):
        predict(f"how many {actual}", guess).reveal(actual)
    answers.keep_try("mesh.slice_of", right=True)
    answers.keep_try("mesh.mlp", right=False)
    figure = progress()
    left, right = figure.axes
    assert left.get_title() == f"Exercises: 1 of {sum(map(len, overview.exercises_of().values()))} right"
    assert right.get_title() == "Predictions: 1 of 5 within 10 %"
    assert [tick.get_text() for tick in left.get_yticklabels()] == list(overview.exercises_of())
    marks = [(line.get_marker(), float(line.get_xdata()[0])) for line in right.lines[:-1]]
    assert marks == [("X", 0.75), ("o", 1.0), ("X", 0.01), ("X", 100.0), ("X", 100.0)]


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (None, "not begun"),
        ({"tries": 1, "hints": [], "answer": False, "right": True}, "right at the first try"),
        ({"tries": 2, "hints": [], "answer": False, "right": True}, "right, with hints or more tries"),
        ({"tries": 1, "hints": [1], "answer": False, "right": True}, "right, with hints or more tries"),
        ({"tries": 1, "hints": [1], "answer": True, "right": True}, "answer looked up"),
        ({"tries": 4, "hints": [], "answer": False, "right": False}, "not right yet"),
    ],
)
def test_states(row, state):
    assert overview.state(row) == state and state in overview.STATES


# --- what a right answer earns ---------------------------------------------------------------------


def test_code_that_sent_something_earns_a_picture_of_its_links():
    sent = {((0, 0), (1, 0)): 4096, ((1, 0), (0, 0)): 1024}
    figure = reward.made_for("mesh.row_parallel", Verdict(True, "", links=sent, by="emulated galaxy 4x8"))
    assert figure.axes[0].get_title() == "your row_parallel: 4 kB on the busiest link"
    assert len([patch for patch in figure.axes[0].patches if type(patch).__name__ == "FancyArrowPatch"]) == 2


def test_other_code_earns_a_frame_for_each_exercise(monkeypatch):
    monkeypatch.setattr(reward, "_earned", set())
    pictures = [np.asarray(reward.made_for(key, Verdict(True, ""))) for key in ("a.one", "a.two", "a.one")]
    side, gap = 96, 4
    for picture, earned in zip(pictures, (1, 2, 2)):
        tiles = [picture[gap : gap + side, gap + n * (side + gap) :][:, :side] for n in range(reward.FRAMES)]
        assert [len(np.unique(tile.reshape(-1, 3), axis=0)) > 50 for tile in tiles] == [n < earned for n in range(6)]
    assert not np.array_equal(reward.clip()[0], reward.clip()[1])
