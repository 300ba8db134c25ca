"""Every exercise of the series: the reference is right, each named mistake is recognised, nothing blocks."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import torch
import ttnn

from helpers import collectives, exercises
from helpers.exercises import Exercise, Prediction, predict, same
from helpers.exercises import denoise as denoise_exercises
from helpers.exercises import mesh as mesh_exercises
from helpers.mesh import close_mesh, open_mesh, run_on
from helpers.tensors import replicate

MODULES = [importlib.import_module(f"helpers.exercises.{m.name}") for m in pkgutil.iter_modules(exercises.__path__)]
EXERCISES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, Exercise)
}
MISTAKES = [(name, mistake) for name, exercise in EXERCISES.items() for mistake in exercise.mistakes]


@pytest.fixture(scope="module")
def mesh():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_is_right(mesh, name):
    exercise = EXERCISES[name]
    assert exercise.name == name.rpartition(".")[2]
    assert exercise.judge(exercise.reference) == (True, f"{exercise.name} is right.")


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_each_mistake_is_recognised_by_name(mesh, name, mistake):
    exercise = EXERCISES[name]
    assert exercise.judge(exercise.mistakes[mistake]) == (False, f"{exercise.name} is not right yet: {mistake}")


def test_there_are_at_least_three_mistakes_for_each():
    assert len(EXERCISES) >= 4
    assert all(len(exercise.mistakes) >= 3 for exercise in EXERCISES.values())


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("untouched", [lambda *args: None, lambda *args: ...])
def test_untouched_it_says_so_and_goes_on(mesh, name, untouched, capsys):
    exercise = EXERCISES[name]
    assert exercise(untouched) is exercise.reference
    said = " ".join(capsys.readouterr().out.split())
    assert f"{exercise.name} is yours to write: it returns nothing yet." in said
    assert f"check.{exercise.name}.hint(1)" in said


@pytest.mark.parametrize("name", EXERCISES)
def test_a_right_answer_is_used_and_a_crash_is_not(mesh, name, capsys):
    exercise = EXERCISES[name]
    mine = lambda *args: exercise.reference(*args)
    assert exercise(mine) is mine
    assert exercise(lambda *args: args[99]) is exercise.reference
    assert "stopped with IndexError: tuple index out of range" in capsys.readouterr().out


def test_other_wrong_answers_say_what_is_wrong(mesh):
    row = mesh_exercises.row_parallel
    right, verdict = row.judge(lambda x, w, bias: ttnn.multiply(row.reference(x, w, bias), 1.5))
    assert not right and "the values are wrong on 32 of 32 chips" in verdict
    right, verdict = row.judge(lambda x, w, bias: x)
    assert not right and "Each chip should hold (1, 1, 32, 256), and holds (1, 1, 32, 96)" in verdict
    right, verdict = row.judge(lambda x, w, bias: torch.zeros(3))
    assert not right and "should return a tensor on the mesh, and returned Tensor" in verdict
    right, verdict = mesh_exercises.slice_of.judge(lambda *args: (1, 2))
    assert not right and "For 96, (4, 8), 0, (2, 5) it should give (48, 72), and gave (1, 2)" in verdict


def test_plain_tensors_are_told_apart_by_shape_and_then_by_value(mesh):
    right, verdict = denoise_exercises.rotate.judge(lambda x, cos, sin: x)
    assert not right and verdict.endswith("The shapes are right, the values are not.")
    right, verdict = denoise_exercises.rotate.judge(lambda x, cos, sin: cos)
    assert not right and verdict.endswith("Wanted: a tensor (2, 5, 12). Got: a tensor (2, 5, 6).")
    right, verdict = denoise_exercises.merge.judge(lambda one, other: one[0])
    wanted = "a tensor (7, 3) and a tensor (7, 1) and a tensor (7, 1)"
    assert not right and verdict.endswith(f"Wanted: {wanted}. Got: a tensor (7, 3).")


def test_whole_numbers_are_whole(mesh):
    right, verdict = mesh_exercises.all_gather_bytes.judge(lambda b, n, r: float(b * (n - 1) // (1 + r)))
    assert not right and "Whole numbers are wanted" in verdict
    right, verdict = mesh_exercises.slice_of.judge(lambda n, m, a, c: (n / m[a] * c[a], n / m[a] * (c[a] + 1)))
    assert not right and "Whole numbers are wanted" in verdict


def test_errors_without_words_are_told(mesh):
    def unfinished(*args):
        raise NotImplementedError

    assert mesh_exercises.mlp.judge(unfinished) == (False, "mlp stopped with NotImplementedError")


def test_checks_leave_the_traffic_alone(mesh, capsys):
    mesh.traffic.clear()
    collectives.all_gather(replicate(torch.randn(1, 1, 32, 32), mesh), 2, "sp")
    before = list(mesh.traffic.sent)
    mesh_exercises.mlp(mesh_exercises.mlp.reference)
    assert mesh.traffic.sent == before and len(before) == 1


def test_a_mesh_too_small_to_tell_is_not_trusted():
    """On one chip a missing all_reduce changes nothing; the check must still find it."""

    def on_one_chip(mesh):
        check = mesh_exercises.row_parallel
        kept = check(lambda x, w, bias: ttnn.add(ttnn.linear(x, w), bias))
        return kept is check.reference, check(check.reference) is check.reference

    refused, accepted = run_on("n150", on_one_chip)
    assert refused and accepted


def test_hints_and_answer(capsys):
    check = mesh_exercises.row_parallel
    for number in (1, 2, 3):
        check.hint(number)
    check.answer()
    said = capsys.readouterr().out
    assert "Hint 3: all_reduce(partial, 'tp') first." in said and "def row_parallel(x, w, bias):" in said
    with pytest.raises(ValueError, match="hints 1, 2 and 3, not 4"):
        check.hint(4)


@pytest.mark.parametrize(
    ("guess", "actual", "expected"),
    [
        (196_608, 196_608, "You said 196,608: exactly right."),
        (100, 400, "You said 100: 4 times too low."),
        (600, 200, "You said 600: 3 times too high."),
        (1.05, 1.0, "You said 1.05: 5.0% too high."),
        (0, 7, "You said 0: off by 7."),
        ((1, 2), (1, 3), "You said (1, 2): not what happened."),
        (..., 5, "You made no prediction."),
    ],
)
def test_predictions_say_how_far_off_they_were(guess, actual, expected, capsys):
    predict("bytes", guess).reveal(actual, "B")
    asked, said = capsys.readouterr().out.splitlines()[-2:]
    assert asked.startswith("bytes: ") and asked.endswith(" B") and said == expected


def test_several_numbers_are_one_guess(capsys):
    predict("slice", 1, 2).reveal((1, 2))
    predict("slice", [1, 2]).reveal((1, 2))
    assert capsys.readouterr().out.count("exactly right") == 2


def test_an_open_prediction_asks(capsys):
    assert not predict("bytes that each chip sends").made and not Prediction("q", None).made
    assert capsys.readouterr().out.startswith("Your turn: bytes that each chip sends?")


def test_same_is_neither_too_strict_nor_too_lax():
    right = torch.randn(3, 4)
    assert same(right.bfloat16(), right) and not same(right + 0.1 * right.abs().max(), right)
    assert not same(right[:2], right) and not same(right, right[:2]) and not same(None, right)
    assert same(2.0000001, 2.0) and not same(2.01, 2.0) and not same((1, 2), (2, 1)) and not same(1, (1,))


@pytest.mark.parametrize("page", sorted(Path("lessons").glob("0[1-9]*.md")), ids=lambda page: page.stem)
def test_the_instructors_solutions_are_right(mesh, page):
    """The code under "Solutions" on each lesson's page, judged as a learner's would be."""
    notebook = Path("notebooks", f"{page.stem}.ipynb").read_text()
    name = re.search(r"from helpers.exercises import (\w+) as check", notebook)[1]
    module = importlib.import_module(f"helpers.exercises.{name}")
    solutions = {"ttnn": ttnn, **vars(collectives)}
    exec(re.search(r"## Solutions\n\n```python\n(.*?)```", page.read_text(), re.S)[1], solutions)
    checks = [value for value in vars(module).values() if isinstance(value, Exercise)]
    assert checks and all(check.judge(solutions[check.name])[0] for check in checks)
