"""The minutes that texts state are those that tools/hours.py works out."""

import nbformat
import pytest

from tools import hours
from tools.series import ROOT

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_texts_state_the_minutes_that_a_learner_takes(path):
    found = hours.hours(nbformat.read(path, as_version=4), hours.measured(path.stem))
    assert set(hours.stated_in(path).values()) == {found.stated}, hours.table({path.stem: found})
    assert found.stated <= hours.LONGEST


def test_hours_are_counted():
    v4 = nbformat.v4
    task = "### Exercise {} · one\n\n*Difficulty {} of 5 · importance 1 of 5 · 9 minutes{}.* Do it."
    notebook = v4.new_notebook(cells=[
        v4.new_markdown_cell("word " * 378 + "12 34 - **bold** `code_too`"),  # numbers and marks are no words
        v4.new_code_cell("a = predict('x', ...)\n\n\nb = 2  # two lines, not four"),
        v4.new_code_cell("# read as eleven more words, as it is text and no code"),
        v4.new_markdown_cell(task.format(1, 4, "")),
        v4.new_markdown_cell(task.format(2, 5, "; leave it for later if you like")),
    ])  # fmt: skip
    found = hours.hours(notebook, seconds=90)
    assert found == hours.Hours(
        reading=pytest.approx(417 / 200), code=2 * 4 / 60, predictions=1, exercises=8, running=1.5
    )
    assert found.stated == 15 and f"{found.stated:9}" in hours.table({"toy": found})
