"""Every exercise of the series: the reference is right, each named mistake is recognised, nothing blocks."""

import ast
import importlib
import inspect
import linecache
import pkgutil
import re
from pathlib import Path
from unittest import mock

import nbformat
import pytest
import torch
import ttnn

from helpers import collectives, exercises
from helpers.collectives import all_gather, reduce_scatter
from helpers.exercises import Exercise, overview
from helpers.exercises import decode as decode_exercises
from helpers.exercises import denoise as denoise_exercises
from helpers.exercises import mesh as mesh_exercises
from helpers.exercises.verdict import same
from helpers.mesh import close_mesh, open_mesh, run_on
from helpers.tensors import replicate
from helpers.words import RIGHT, WRONG

MODULES = [importlib.import_module(f"helpers.exercises.{m.name}") for m in pkgutil.iter_modules(exercises.__path__)]
EXERCISES = {value.key: value for module in MODULES for value in vars(module).values() if isinstance(value, Exercise)}
MESH_CODE = r"\bttnn\.|\b(all_gather|all_reduce|reduce_scatter|mesh_partition|shard|gather|pass_on)\("
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
    verdict = exercise.judge(exercise.reference)
    assert verdict.right and verdict.words == f"{exercise.name} is right."


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_each_mistake_is_recognised_by_name(mesh, name, mistake):
    exercise = EXERCISES[name]
    verdict = exercise.judge(exercise.mistakes[mistake])
    assert not verdict.right and verdict.words == f"{exercise.name} is not right yet: {mistake}"


def test_there_are_at_least_three_mistakes_and_a_discussion_for_each():
    assert len(EXERCISES) >= 40
    assert [key for key, exercise in EXERCISES.items() if len(exercise.mistakes) < 3] == []
    assert [key for key, exercise in EXERCISES.items() if len(exercise.discussion) < 100] == []


@pytest.mark.parametrize("path", sorted(Path("notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_each_notebook_has_four_that_write_mesh_code(path):
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    asked = set(re.findall(r"^(\w+) = check\.\1\(\1\)", source, re.MULTILINE))
    references = {name: inspect.getsource(exercise.reference) for exercise in EXERCISES.values()
                  for name in [exercise.name] if name in asked}  # fmt: skip
    on_mesh = [name for name, code in references.items() if re.search(MESH_CODE, code)]
    assert len(on_mesh) >= 4, f"{path.stem}: of {sorted(asked)} only {sorted(on_mesh)}"


def test_answers_fit_a_notebook():
    answers = [line for exercise in EXERCISES.values() for line in inspect.getsource(exercise.reference).splitlines()]
    assert [line for line in answers if len(line) > 95] == []


def test_the_picture_of_progress_has_every_exercise():
    assert sorted(key for keys in overview.exercises_of().values() for key in keys) == sorted(EXERCISES)


def test_right_values_that_cost_too_much_are_told_the_bytes(mesh):
    """A way that nobody has thought of: the tokens once around too often."""
    check = mesh_exercises.mlp_in_slices
    said = wrong(check, lambda x, u, d: check.reference(reduce_scatter(all_gather(x, 3, "sp"), 3, "sp"), u, d))
    assert "Each chip should hold" in said or "wrong on" in said
    twice = lambda x, u, d: (collectives.all_gather(x, 2, "sp"), check.reference(x, u, d))[1]
    assert wrong(check, twice).endswith("28,672 bytes go over the busiest link along sp, and 0 are enough.")


@pytest.mark.parametrize("name", EXERCISES)
def test_untouched_or_without_return_it_says_so_and_goes_on(mesh, name, capsys):
    exercise = EXERCISES[name]
    assert exercise(lambda *args: ...) is exercise.reference
    assert exercise(lambda *args: None) is exercise.reference
    said = " ".join(capsys.readouterr().out.split())
    assert said.count(f"○ {exercise.name} is yours to write: it returns nothing yet.") == 1
    assert said.count("it computes something and gives back None. Is `return` missing?") == 1
    assert said.count(f"check.{exercise.name}.hint(1)") == 2


def test_a_way_without_return_is_named(mesh):
    judged = mesh_exercises.slice_of.judge(
        lambda n, m, a, c: mesh_exercises.slice_of.reference(n, m, a, c) if a else None
    )
    assert "for length=96, mesh_shape=(4, 8), axis=0, chip=(2, 5) it gives back None." in judged.words


@pytest.mark.parametrize("name", EXERCISES)
def test_a_right_answer_is_used_and_a_crash_is_not(mesh, name, capsys):
    exercise = EXERCISES[name]
    mine = lambda *args: exercise.reference(*args)
    assert exercise(mine) is mine
    assert exercise(lambda *args: args[99]) is exercise.reference
    said = capsys.readouterr().out
    assert f"{RIGHT} {name.partition('.')[2]} is right." in said
    assert f"{WRONG} {name.partition('.')[2]} stopped with IndexError: tuple index out of range" in said
    assert "      assert exercise(lambda *args: args[99]) is exercise.reference" in said  # the learner's line


def wrong(exercise, attempt) -> str:
    """What is said of it"""
    verdict = exercise.judge(attempt)
    assert not verdict.right
    return verdict.words


def test_other_wrong_answers_say_what_is_wrong(mesh):
    row = mesh_exercises.row_parallel
    scaled = lambda x, w, bias: ttnn.multiply(row.reference(x, w, bias), 1.5)
    assert "the values are wrong on 32 of 32 chips" in wrong(row, scaled)
    said = wrong(row, lambda x, w, bias: x)
    assert "Each chip should hold (1, 1, 32, 256), and holds (1, 1, 32, 96)" in said
    said = wrong(row, lambda x, w, bias: torch.zeros(3))
    assert "should return a tensor on the mesh, and returned Tensor" in said
    said = wrong(mesh_exercises.slice_of, lambda *args: (1, 2))
    named = "For length=96, mesh_shape=(4, 8), axis=0, chip=(2, 5) it should give (48, 72), and gave (1, 2)"
    assert named in said


def test_plain_tensors_are_told_apart_by_shape_and_then_by_value(mesh):
    said = wrong(denoise_exercises.merge, lambda one, other: one)
    assert said.endswith("The shapes are right, the values are not.")
    said = wrong(denoise_exercises.merge, lambda one, other: one[0])
    wanted = "a tensor (7, 3) and a tensor (7, 1) and a tensor (7, 1)"
    assert said.endswith(f"Wanted: {wanted}. Got: a tensor (7, 3).")


def test_whole_numbers_are_whole(mesh):
    said = wrong(decode_exercises.frames_of, lambda k: tuple(map(float, decode_exercises.frames_of.reference(k))))
    assert "Whole numbers are wanted" in said
    said = wrong(mesh_exercises.slice_of, lambda n, m, a, c: (n / m[a] * c[a], n / m[a] * (c[a] + 1)))
    assert "Whole numbers are wanted" in said


def test_errors_without_words_are_told(mesh):
    def unfinished(*args):
        raise NotImplementedError

    assert wrong(mesh_exercises.mlp, unfinished) == "mlp stopped with NotImplementedError"


CELLS = {  # file as IPython names it -> a learner's cell
    "/tmp/ipykernel_7/11.py": "def part_of(x):\n    return all_reduce(x, 'pt')\n",
    "/tmp/ipykernel_7/12.py": "def row_parallel(x, w, bias):\n    y = ttnn.linear(x, w)\n    return part_of(y)\n",
    "/tmp/ipykernel_7/13.py": "def too_long(x, w, bias, left=7):\n    if left: return too_long(x, w, bias, left - 1)\n"
    "    return ttnn.linear(x, w, memory_config='a string is of no use', activation='nor is this', dtype=5)\n",
}


@pytest.fixture
def cells(monkeypatch):
    """What a notebook would have after running the cells: functions whose source only this process knows."""
    space = {"ttnn": ttnn, **vars(collectives)}
    for file, source in CELLS.items():
        monkeypatch.setitem(linecache.cache, file, (len(source), None, source.splitlines(True), file))
        exec(compile(source, file, "exec"), space)
    for name in ("part_of", "row_parallel", "too_long"):
        space[name].__module__ = "__main__"  # so that it travels whole, as a notebook's functions do
    return space


def test_an_exception_shows_the_learners_own_line_and_the_last_frames(mesh, cells, capsys):
    mesh_exercises.row_parallel(cells["row_parallel"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"{WRONG} row_parallel stopped with ValueError: The mesh has no axis 'pt'. Its axes are tp (4",
        "  chips), sp (8 chips).",
    ]
    assert lines[2:5] == ["  Your line 2, in part_of:", "      return all_reduce(x, 'pt')", "  From there it came to:"]
    shown = [re.sub(r":\d+", ":N", line) for line in lines[5:-2]]
    assert shown[::2] == [
        "      helpers/collectives.py:N, in all_reduce",
        "      helpers/collectives.py:N, in line_of",
        "      helpers/tensors.py:N, in axis_index",
    ]
    assert shown[1] == "          index, chips = line_of(x, axis)"
    assert max(map(len, lines[2:])) <= 95


def test_a_long_traceback_is_cut_in_the_middle_and_in_width(mesh, cells, capsys):
    mesh_exercises.row_parallel(cells["too_long"])
    lines = capsys.readouterr().out.splitlines()
    where = next(n for n, line in enumerate(lines) if line.startswith("  Your line 3, in too_long"))
    assert lines[where + 1].startswith("      return ttnn.linear(") and lines[where + 1].endswith(" …")
    assert all(len(line) <= 95 for line in lines[where:]) and len(lines) < 16 and "backtrace" not in "".join(lines)


def test_a_result_that_cannot_be_read_is_not_blamed_on_a_line(mesh, capsys):
    def gone(x, w, bias):
        ttnn.deallocate(x)
        return x

    mesh_exercises.row_parallel(gone)
    said = capsys.readouterr().out
    assert "row_parallel stopped with ValueError: This tensor has been deallocated." in " ".join(said.split())
    assert "Your line" not in said


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
        accepted = check(check.reference) is check.reference
        with mock.patch("helpers.exercises.exercise.run_on", side_effect=AssertionError("nobody has begun")):
            return kept is check.reference, accepted, check(lambda *args: ...) is check.reference

    assert run_on("n150", on_one_chip) == (True, True, True)


def test_the_learners_line_is_known_when_the_check_ran_in_another_process(cells, capsys):
    """The verdict comes back from there as places; only here are they text."""
    verdict = run_on("n300", lambda mesh: mesh_exercises.row_parallel.judge(cells["row_parallel"]))
    capsys.readouterr()
    mesh_exercises.row_parallel.tell(verdict)
    assert "  Your line 2, in part_of:\n      return all_reduce(x, 'pt')\n" in capsys.readouterr().out


def test_hints_and_answer(capsys):
    check = mesh_exercises.row_parallel
    for number in (1, 2, 3):
        check.hint(number)
    check.answer()
    said = capsys.readouterr().out
    assert "Hint 3: all_reduce(partial, 'tp') first." in said and "def row_parallel(x, w, bias):" in said
    assert " ".join(check.discussion.split()) in " ".join(said.split())
    with pytest.raises(ValueError, match="hints 1, 2 and 3, not 4"):
        check.hint(4)


def test_same_is_neither_too_strict_nor_too_lax():
    right = torch.randn(3, 4)
    assert same(right.bfloat16(), right) and not same(right + 0.1 * right.abs().max(), right)
    assert not same(right[:2], right) and not same(right, right[:2]) and not same(None, right)
    assert same(2.0000001, 2.0) and not same(2.01, 2.0) and not same((1, 2), (2, 1)) and not same(1, (1,))


def imported(path: Path) -> dict:
    """What the cells of a notebook import, by name"""
    cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    found = [node for cell in cells for node in ast.parse(cell).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {}
    exec("\n".join(map(ast.unparse, found)), names)
    return names


@pytest.mark.parametrize("page", sorted(Path("lessons").glob("0[1-9]*.md")), ids=lambda page: page.stem)
def test_the_instructors_solutions_are_right(mesh, page):
    """The code under "Solutions" on each lesson's page, as a learner's would be: with what the notebook imports."""
    solutions = imported(Path("notebooks", f"{page.stem}.ipynb"))
    module = solutions["check"]
    exec(re.search(r"## Solutions\n\n```python\n(.*?)```", page.read_text(), re.S)[1], solutions)
    checks = [value for value in vars(module).values() if isinstance(value, Exercise)]
    assert checks and all(check.judge(solutions[check.name]).right for check in checks)
