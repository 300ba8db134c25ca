"""After Run All, in the same kernel: quick cells again, and what predictions would answer.

From the last to the first, which finds names that a later cell has changed; then in order, as a second pass would,
which finds what adds up.

tests/test_budgets.py adds two cells to a copy of a notebook. The first notes how long each of the others takes, the
second comes at the end. So it costs what the quick cells cost, and no second kernel. Slow cells are not run again;
tests/test_notebooks.py looks at the names in all of them. The kernel has IPython already; nothing else is loaded.
"""

import json
import time

from IPython import get_ipython
from IPython.utils.capture import capture_output


def watch(quick: float = 0.25) -> list[str]:
    """A list that grows: the source of each cell that ran without an error, within `quick` seconds."""
    shell, ran, started = get_ipython(), [], []

    def before(info):
        started.append(time.perf_counter())

    def after(result):
        if result.success and started and time.perf_counter() - started[-1] < quick:
            ran.append(result.info.raw_cell)

    shell.events.register("pre_run_cell", before)
    shell.events.register("post_run_cell", after)
    shell.user_ns["_unwatch"] = lambda: (
        shell.events.unregister("pre_run_cell", before),
        shell.events.unregister("post_run_cell", after),
    )
    return ran


def again(ran: list[str]) -> None:
    """Runs them from the last to the first, then in order, and prints what failed as JSON."""
    shell, failed, cells = get_ipython(), [], list(ran)
    shell.user_ns["_unwatch"]()
    unclear = unclear_predictions(shell.user_ns)  # before a name stands for an earlier one
    for source in [*reversed(cells), *cells]:
        with capture_output():
            result = shell.run_cell(source, store_history=False)
        if not result.success:
            error = result.error_in_exec or result.error_before_exec
            failed.append(f"{source.strip().splitlines()[0]}: {type(error).__name__}: {error}")
    print(json.dumps({"failed": failed, "predictions": unclear, "cells": len(cells)}))


def unclear_predictions(names: dict) -> list[str]:
    """Predictions that name no mistake, or one whose answer would not be recognised: too near to another, or right."""
    from helpers.exercises import Prediction
    from helpers.exercises.predictions import mistake_behind

    found = []
    for one in [value for value in names.values() if isinstance(value, Prediction)]:
        if not one.mistakes:
            found.append(f"{one.question}: names no mistake")
        for wrong, sentence in one.mistakes.items():
            if mistake_behind(wrong, one.actual, one.mistakes) != sentence:
                found.append(f"{one.question}: {wrong} is answered by another sentence, or right")
    return found
