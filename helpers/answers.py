"""What a learner has answered: `answers.json`, beside their copies of the notebooks.

tools/copies.py puts an empty one into the learners' folder. Where there is none, nothing is written: a notebook that is
run in place, by a test or by CI, leaves no trace.
"""

import json
from pathlib import Path

from helpers.words import say

FILE = "answers.json"  # in the folder that the kernel runs in, which is the notebook's
EMPTY = '{"exercises": {}, "predictions": {}}\n'


def read() -> dict | None:
    """exercise -> {tries, hints, answer, right}, question -> {guess, actual}; None where nothing is kept.

    Raises ValueError for a file that is not what was written.
    """
    path = Path(FILE)
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # no JSON, or not even text
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(kept.get(part), dict) for part in ("exercises", "predictions")):
        raise ValueError(f"{FILE} is not what was written to it. Delete it, and `make lab` begins a new one.")
    return kept


def keep(change) -> None:
    """Lets `change` alter what is kept. A file that cannot be read is left alone, and the notebook goes on."""
    try:
        kept = read()
    except ValueError as error:
        say(str(error))
        return
    if kept is None:
        return
    change(kept)
    part = Path(f"{FILE}.part")
    part.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(FILE)


def keep_prediction(question: str, guess, actual) -> None:
    """The first guess counts: after the reveal nobody predicts any more."""
    keep(lambda kept: kept["predictions"].setdefault(question, {"guess": plain(guess), "actual": plain(actual)}))


def keep_try(exercise: str, right: bool) -> None:
    def change(kept):
        row = row_of(kept, exercise)
        row["tries"] += not row["right"]  # run again after it was right, it is no new try
        row["right"] = row["right"] or right

    keep(change)


def keep_help(exercise: str, hint: int | None = None) -> None:
    """A hint, or the answer, that was asked for before the exercise was right."""

    def change(kept):
        row = row_of(kept, exercise)
        if row["right"]:
            return
        if hint is None:
            row["answer"] = True
        else:
            row["hints"] = sorted({*row["hints"], hint})

    keep(change)


def row_of(kept: dict, exercise: str) -> dict:
    return kept["exercises"].setdefault(exercise, {"tries": 0, "hints": [], "answer": False, "right": False})


def plain(value):
    """As JSON can hold it."""
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    return value if isinstance(value, (int, float, str)) else str(value)
