"""Predictions and checks: how the notebooks ask, and how they answer.

    guess = predict("bytes over the busiest link", 196_608)      # before the reveal; `...` where there is no guess yet
    guess.reveal(mesh.traffic.by_axis()["sp"], "bytes")

    row_parallel = check.row_parallel(row_parallel)             # right | which mistake this is | what to do
    check.row_parallel.hint(1)                                  # 1, 2, 3: each says more
    check.row_parallel.answer()

Nothing blocks: an exercise that is untouched or wrong says so and hands back the reference, so the notebook goes on.
The exercises of a notebook are in the module of its name, `from helpers.exercises import mesh as check`.
"""

import contextlib
import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch
import ttnn

from helpers.mesh import current_mesh, run_on
from helpers.tensors import shards_of


@dataclass
class Prediction:
    question: str
    guess: object

    def reveal(self, actual, unit: str = "") -> None:
        """Prints the answer, and how far off the guess was."""
        print(f"{self.question}: {written(actual)} {unit}".rstrip())
        off = f"You said {written(self.guess)}: {distance(self.guess, actual)}"
        print(off if self.made else "You made no prediction.")

    @property
    def made(self) -> bool:
        return self.guess not in (..., None, ())


def predict(question: str, *guess) -> Prediction:
    """Keeps a guess until its reveal: one number, or several. `...` stands for no guess yet."""
    if len(guess) == 1:
        (guess,) = guess
    prediction = Prediction(question, tuple(guess) if isinstance(guess, list) else guess)
    if not prediction.made:
        say(f"Your turn: {question}? Put your guess in place of the three dots, then run the next cell.")
    return prediction


def distance(guess, actual) -> str:
    """How far off: as a factor for numbers, right or wrong for anything else."""
    if guess == actual:
        return "exactly right."
    if not all(isinstance(x, (int, float)) for x in (guess, actual)):
        return "not what happened."
    if actual == 0 or guess <= 0:
        return f"off by {written(abs(guess - actual))}."
    factor = guess / actual
    way = "high" if factor > 1 else "low"
    off = max(factor, 1 / factor)
    return f"{off:.3g} times too {way}." if off >= 1.1 else f"{off - 1:.1%} too {way}."


def written(value) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)


@dataclass
class Exercise:
    """A function for the learner to write.

    cases: makes a list of (arguments, right outcome). The inputs cannot pass by luck: nothing uniform or symmetric,
    every dimension another size; the outcome is computed without the reference.
    mistakes: what it is, in a sentence -> a function that makes it.
    """

    name: str
    reference: Callable
    cases: Callable[[], list[tuple[tuple, object]]]
    mistakes: dict[str, Callable]
    hints: tuple[str, str, str]
    needs_mesh: bool = False  # at least 2x2, or most mistakes could not be seen

    def __call__(self, attempt: Callable) -> Callable:
        """Says right, or which mistake this is. Returns the attempt if it is right, else the reference."""
        if self.needs_mesh and min(current_mesh().shape) < 2:
            say(f"{current_mesh().system} has too few chips to tell right from wrong: checking on emulated galaxy.")
            right, verdict = run_on("galaxy", lambda mesh: self.judge(attempt), backend="emulated")
        else:
            with untouched_traffic():
                right, verdict = self.judge(attempt)
        say(verdict)
        if not right:
            help_with = f"check.{self.name}.hint(1), then 2 and 3, then check.{self.name}.answer()"
            say(f"Help: {help_with}. The notebook goes on with the reference.")
        return attempt if right else self.reference

    def judge(self, attempt: Callable) -> tuple[bool, str]:
        """(right, what to tell the learner)"""
        cases = self.cases()
        try:
            results = [outcome(attempt(*args)) for args, _ in cases]
        except Exception as error:
            return False, f"{self.name} stopped with {type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(
                ": "
            )
        if any(result is None for result in results):
            return False, f"{self.name} is yours to write: it returns nothing yet."
        if all(same(result, right) for result, (_, right) in zip(results, cases)):
            return True, f"{self.name} is right."
        for mistake, function in self.mistakes.items():
            if all(same(result, outcome(function(*args))) for result, (args, _) in zip(results, cases)):
                return False, f"{self.name} is not right yet: {mistake}"
        return False, f"{self.name} is not right yet. {difference(results, cases)}"

    def hint(self, number: int) -> None:
        """Prints the first, second or third hint."""
        if number not in (1, 2, 3):
            raise ValueError(f"There are hints 1, 2 and 3, not {number}.")
        say(f"Hint {number}: {self.hints[number - 1]}")

    def answer(self) -> None:
        """Prints the reference."""
        print(textwrap.dedent(inspect.getsource(self.reference)))


@contextlib.contextmanager
def untouched_traffic():
    """What a check sends is not the notebook's traffic."""
    sent = current_mesh().traffic.sent
    before = list(sent)
    try:
        yield
    finally:
        sent[:] = before


def say(text: str) -> None:
    print(textwrap.fill(text, 100))


def outcome(result):
    """What of a result counts: of a tensor on the mesh, what every chip holds, (chips, ...)."""
    if result is ...:
        return None
    if isinstance(result, ttnn.Tensor):
        return torch.stack(list(shards_of(result).values())).float()
    return tuple(result) if isinstance(result, list) else result


def same(result, right) -> bool:
    """Equal, for tensors within 2 % of the largest value: bfloat16 keeps 8 bits."""
    if isinstance(right, torch.Tensor):
        if not isinstance(result, torch.Tensor) or result.shape != right.shape:
            return False
        return torch.allclose(result.float(), right.float(), rtol=0, atol=0.02 * right.abs().max().item())
    if isinstance(right, float):
        return isinstance(result, (int, float)) and math.isclose(result, right, rel_tol=1e-6)
    if isinstance(right, tuple):
        return isinstance(result, tuple) and len(result) == len(right) and all(map(same, result, right))
    return type(result) is type(right) and result == right


def difference(results: list, cases: list) -> str:
    """What the first wrong result should have been"""
    (args, right), result = next((case, r) for case, r in zip(cases, results) if not same(r, case[1]))
    if any(isinstance(arg, ttnn.Tensor) for arg in args):
        return difference_on_mesh(result, right)
    if "tensor" in sort_of(right):
        wanted, found = sort_of(right), sort_of(result)
        return "The shapes are right, the values are not." if wanted == found else f"Wanted: {wanted}. Got: {found}."
    whole = " Whole numbers are wanted: divide with //." if result == right else ""
    return f"For {', '.join(map(str, args))} it should give {right}, and gave {result}.{whole}"


def difference_on_mesh(result, right: torch.Tensor) -> str:
    if not isinstance(result, torch.Tensor) or result.shape[:1] != right.shape[:1]:
        return f"It should return a tensor on the mesh, and returned {type(result).__name__}."
    if result.shape != right.shape:
        return f"Each chip should hold {tuple(right.shape[1:])}, and holds {tuple(result.shape[1:])}."
    wrong = [chip for chip, (mine, its) in enumerate(zip(result, right)) if not same(mine, its)]
    return f"The shapes are right, the values are wrong on {len(wrong)} of {len(right)} chips."


def sort_of(value) -> str:
    """What kind of thing: tensors with their shapes, anything else by its type."""
    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)}"
    return " and ".join(map(sort_of, value)) if isinstance(value, tuple) else type(value).__name__
