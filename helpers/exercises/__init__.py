"""Predictions and checks: how the notebooks ask, and how they answer.

    guess = predict("bytes over the busiest link", 196_608)      # before the reveal; `...` where there is no guess yet
    guess.reveal(sent, "bytes", mistakes={sent // 7: "That is one slice. Slices of others are handed on, too."})

    row_parallel = check.row_parallel(row_parallel)             # right | which mistake this is | what to do
    check.row_parallel.hint(1)                                  # 1, 2, 3: each says more
    check.row_parallel.answer()                                 # the reference, and why it is so

    progress()                                                  # what you have answered, over the series

Nothing blocks: an exercise that is untouched or wrong says so and hands back the reference, so the notebook goes on.
The exercises of a notebook are in the module of its name, `from helpers.exercises import mesh as check`.
"""

from helpers.exercises.exercise import Exercise
from helpers.exercises.overview import progress
from helpers.exercises.predictions import Prediction, predict

__all__ = ["Exercise", "Prediction", "predict", "progress"]
