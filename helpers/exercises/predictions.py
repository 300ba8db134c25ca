"""Guesses before the reveal: how far off they were, and which mistake gives just this number."""

from dataclasses import dataclass, field

from helpers import answers
from helpers.words import OPEN, RIGHT, WRONG, say, written


@dataclass
class Prediction:
    question: str
    guess: object
    actual: object = None  # as the last reveal said it
    mistakes: dict = field(default_factory=dict)  # as it named them

    def reveal(self, actual, unit: str = "", mistakes: dict | None = None) -> None:
        """Prints the answer, how far off the guess was, and what may have led to it.

        mistakes: a wrong answer -> the mistake that gives it, in a sentence. Compute the answers as the right one is.
        """
        self.actual, self.mistakes = actual, mistakes or {}
        say(f"{self.question}: {written(actual)} {unit}".rstrip())
        if not self.made:
            say("You made no prediction.")
            return
        answers.keep_prediction(self.question, self.guess, actual)
        because = mistake_behind(self.guess, actual, self.mistakes)
        off = f"You said {written(self.guess)}: {distance(self.guess, actual)}"
        say(f"{off} {because}".rstrip(), RIGHT if near(self.guess, actual, 0.1) else WRONG)

    @property
    def made(self) -> bool:
        return self.guess not in (..., None, ())


def predict(question: str, *guess) -> Prediction:
    """Keeps a guess until its reveal: one number, or several. `...` stands for no guess yet."""
    if len(guess) == 1:
        (guess,) = guess
    prediction = Prediction(question, tuple(guess) if isinstance(guess, list) else guess)
    if not prediction.made:
        say(f"Your turn: {question}? Put your guess in place of the three dots, then run the next cell.", OPEN)
    return prediction


def numbers(*values) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def near(guess, other, share: float) -> bool:
    """Equal, or both numbers and apart by no more than a share of the other."""
    return guess == other or (numbers(guess, other) and abs(guess - other) <= share * abs(other))


def mistake_behind(guess, actual, mistakes: dict) -> str:
    """The sentence whose wrong answer lies within 2 % of the guess, and nearer to it than the right one."""
    for wrong, sentence in mistakes.items():
        nearer = not numbers(guess, wrong, actual) or abs(guess - wrong) < abs(guess - actual)
        if guess != actual and near(guess, wrong, 0.02) and nearer:
            return sentence
    return ""


def distance(guess, actual) -> str:
    """How far off: as a factor for numbers, right or wrong for anything else."""
    if guess == actual:
        return "exactly right."
    if not numbers(guess, actual):
        return "not what happened."
    if actual == 0 or guess <= 0:
        return f"off by {written(abs(guess - actual))}."
    factor = guess / actual
    way = "high" if factor > 1 else "low"
    off = max(factor, 1 / factor)
    return f"{off:.3g} times too {way}." if off >= 1.1 else f"{off - 1:.1%} too {way}."
