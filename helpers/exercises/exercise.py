"""A function for the learner to write, its check, its hints and its answer."""

import contextlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from helpers import answers
from helpers.exercises import reward, stopped
from helpers.exercises.verdict import Verdict, difference, named, outcome, same
from helpers.mesh import current_mesh, label, run_on
from helpers.words import OPEN, RIGHT, WRONG, say
from ttnn_emulator.traffic import Sent, Traffic


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
    discussion: str = ""  # shown with the answer: why it is so, what else would work
    needs_mesh: bool = False  # at least 2x2, or most mistakes could not be seen
    counts_traffic: bool = False  # cases' outcomes are (values, AtMost): what it sends counts, too

    @property
    def key(self) -> str:
        """The name that it has in the learner's file: mesh.row_parallel"""
        return f"{self.reference.__module__.rpartition('.')[2]}.{self.name}"

    def __call__(self, attempt: Callable) -> Callable:
        """Says right, or which mistake this is. Returns the attempt if it is right, else the reference."""
        with untouched_traffic():
            verdict = self.judge(attempt)
        if verdict.begun and self.needs_mesh and min(current_mesh().shape) < 2:
            say(f"{current_mesh().system} has too few chips to tell right from wrong: checking on emulated galaxy.")
            verdict = run_on("galaxy", lambda mesh: self.judge(attempt), backend="emulated")
        self.tell(verdict)
        return attempt if verdict.right else self.reference

    def judge(self, attempt: Callable) -> Verdict:
        """Runs it on every case, and holds what comes against what is right, then against each mistake."""
        cases = self.cases()
        try:
            ran = [run(attempt, args) for args, _ in cases]
        except Exception as error:
            words = f"{self.name} stopped with {stopped.message_of(error)}"
            return Verdict(False, words, places=tuple(stopped.places_of(error, attempt)))
        returned = [result for result, _ in ran]
        if any(result is ... for result in returned):
            return Verdict(False, f"{self.name} is yours to write: it returns nothing yet.", begun=False)
        if any(result is None for result in returned):
            return Verdict(False, f"{self.name} is not right yet: {self.without_return(returned, cases)}")
        results = [self.compared(result, calls) for result, calls in ran]
        if all(same(result, right) for result, (_, right) in zip(results, cases)):
            links = Traffic("", [call for _, calls in ran for call in calls]).by_link()
            return Verdict(True, f"{self.name} is right.", links=links, by=label(current_mesh()))
        for mistake, function in self.mistakes.items():
            if all(same(result, self.compared(*run(function, args))) for result, (args, _) in zip(results, cases)):
                return Verdict(False, f"{self.name} is not right yet: {mistake}")
        return Verdict(False, f"{self.name} is not right yet. {difference(results, cases, self.reference)}")

    def compared(self, result, calls: list[Sent]):
        """What of one case is held against the right outcome"""
        return (result, Traffic("", calls).by_axis() | {"calls": len(calls)}) if self.counts_traffic else result

    def without_return(self, results: list, cases: list) -> str:
        """A function that ends without `return` gives None: always, or on one way through it."""
        if all(result is None for result in results):
            return "it computes something and gives back None. Is `return` missing?"
        args = next(args for result, (args, _) in zip(results, cases) if result is None)
        return f"for {named(args, self.reference)} it gives back None. Is `return` missing on that way through it?"

    def tell(self, verdict: Verdict) -> None:
        """Prints the verdict, keeps it, and shows what a right answer earns."""
        mark = RIGHT if verdict.right else WRONG if verdict.begun else OPEN
        say("\n".join([verdict.words, *stopped.shown(list(verdict.places))]), mark)
        if verdict.begun:
            answers.keep_try(self.key, verdict.right)
        if verdict.right:
            reward.show(self.key, verdict)
        else:
            help_with = f"check.{self.name}.hint(1), then 2 and 3, then check.{self.name}.answer()"
            say(f"Help: {help_with}. The notebook goes on with the reference.")

    def hint(self, number: int) -> None:
        """Prints the first, second or third hint."""
        if number not in (1, 2, 3):
            raise ValueError(f"There are hints 1, 2 and 3, not {number}.")
        answers.keep_help(self.key, number)
        say(f"Hint {number}: {self.hints[number - 1]}")

    def answer(self) -> None:
        """Prints the reference, and what there is to say about it."""
        answers.keep_help(self.key)
        print(textwrap.dedent(inspect.getsource(self.reference)))
        say(self.discussion)


def run(function: Callable, args: tuple) -> tuple[object, list[Sent]]:
    """What came of one case, and the calls in which chips exchanged data"""
    sent = current_mesh().traffic.sent
    before = len(sent)
    return outcome(function(*args)), sent[before:]


@contextlib.contextmanager
def untouched_traffic():
    """What a check sends is not the notebook's traffic."""
    sent = current_mesh().traffic.sent
    before = list(sent)
    try:
        yield
    finally:
        sent[:] = before
