"""A learner's copies: without outputs, renewed with the answers in them, started over; how JupyterLab is started."""

import json

import nbformat
import pytest

from helpers import answers
from tools import copies, lab
from tools.series import ROOT


@pytest.fixture
def course(tmp_path):
    """A folder of originals with outputs, and an empty one for the copies."""
    originals, work = tmp_path / "notebooks", tmp_path / "work"
    originals.mkdir()
    cells = [
        nbformat.v4.new_markdown_cell("# Toy\n\n**Notebook 01 · about 25 minutes**", id="head"),
        nbformat.v4.new_code_cell("guess = ...", id="guess"),
        nbformat.v4.new_code_cell("print(6 * 7)", id="reveal"),
    ]
    cells[2].outputs, cells[2].execution_count = [nbformat.v4.new_output("stream", text="42\n")], 2
    for name in ("01_toy", "02_toy"):
        nbformat.write(nbformat.v4.new_notebook(cells=cells), originals / f"{name}.ipynb")
    return originals, work


def change(path, **sources):
    """Gives cells, by id, another source; a new id becomes a new cell at the end."""
    notebook = nbformat.read(path, as_version=4)
    for name, source in sources.items():
        found = [cell for cell in notebook.cells if cell.id == name]
        if found:
            found[0].source = source
        else:
            notebook.cells.append(nbformat.v4.new_code_cell(source, id=name))
    nbformat.write(notebook, path)


def make(course) -> list[str]:
    return copies.make(sorted(course[0].glob("*.ipynb")), course[1])


def run(course, *arguments):
    copies.main(list(arguments), *course)


def sources(path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells][1:]


def page(course) -> str:
    return (course[1] / copies.PAGE).read_text()


def test_copies_show_no_output_and_originals_keep_theirs(course):
    assert make(course) == []
    copy = nbformat.read(course[1] / "01_toy.ipynb", as_version=4)
    assert [cell.outputs for cell in copy.cells[1:]] == [[], []] and copy.cells[2].execution_count is None
    assert "42" in (course[0] / "01_toy.ipynb").read_text()
    assert "| 01 | [Toy](01_toy.ipynb) | 25 minutes | not begun |" in page(course)


def test_the_file_for_answers_is_begun_once(course):
    make(course)
    kept = course[1] / answers.FILE
    assert kept.read_text() == answers.EMPTY and f"kept in `{answers.FILE}`" in page(course)
    kept.write_text('{"exercises": {"mesh.mlp": {}}, "predictions": {}}')
    make(course)
    assert "mesh.mlp" in kept.read_text() and not (course[0] / answers.FILE).exists()


def test_starting_everything_over_puts_the_answers_aside(course):
    make(course)
    kept = course[1] / answers.FILE
    kept.write_text('{"exercises": {"mesh.mlp": {}}, "predictions": {}}')
    run(course, "reset", "--only", "01")
    assert "mesh.mlp" in kept.read_text()
    run(course, "reset", "--only", "all")
    (aside,) = (course[1] / "before").glob("answers.*.json")
    assert "mesh.mlp" in aside.read_text() and kept.read_text() == answers.EMPTY


def test_a_second_time_leaves_answers_and_counts_them(course):
    make(course)
    change(course[1] / "01_toy.ipynb", guess="guess = 12")
    assert make(course) == [] and sources(course[1] / "01_toy.ipynb") == ["guess = 12", "print(6 * 7)"]
    assert "| 1 cell of yours |" in page(course) and page(course).count("not begun") == 1


def test_an_untouched_copy_follows_its_original(course):
    make(course)
    change(course[0] / "01_toy.ipynb", head="# Toy, newer")
    assert make(course) == []
    assert "# Toy, newer" in (course[1] / "01_toy.ipynb").read_text() and not (course[1] / "before").exists()


def test_a_copy_with_answers_says_that_it_is_older_until_it_is_renewed(course, capsys):
    make(course)
    change(course[1] / "02_toy.ipynb", guess="guess = 12")
    change(course[0] / "02_toy.ipynb", reveal="print(8 * 7)")
    said = "02_toy.ipynb is older than its original. `make renew ONLY=02` takes over what is new and keeps your answers"
    assert said in make(course)[0] and said in page(course)
    assert sources(course[1] / "02_toy.ipynb") == ["guess = 12", "print(6 * 7)"]
    run(course, "renew")
    assert sources(course[1] / "02_toy.ipynb") == ["guess = 12", "print(8 * 7)"]
    assert capsys.readouterr().out.startswith("02_toy.ipynb: renewed, 1 cells of yours kept; as it was: before/02_toy.")
    (before,) = (course[1] / "before").iterdir()
    assert sources(before) == ["guess = 12", "print(6 * 7)"]
    assert make(course) == [] and "older" not in page(course)
    run(course, "renew")
    assert capsys.readouterr().out == "All copies are as new as their originals.\n"


def test_where_both_changed_both_stay_and_the_answer_counts(course):
    make(course)
    change(course[1] / "01_toy.ipynb", guess="guess = 12", mine="notes = 1")
    change(course[0] / "01_toy.ipynb", guess="guess = ...  # in bytes")
    run(course, "renew", "--only", "01")
    after = ["guess = ...  # in bytes", copies.YOURS + "guess = 12", "print(6 * 7)", "notes = 1"]
    assert sources(course[1] / "01_toy.ipynb") == after
    change(course[0] / "01_toy.ipynb", head="# again")
    run(course, "renew", "--only", "01")
    assert sources(course[1] / "01_toy.ipynb") == after


def test_an_answer_whose_cell_is_gone_keeps_its_place(course):
    make(course)
    change(course[1] / "01_toy.ipynb", guess="guess = 12")
    original = nbformat.read(course[0] / "01_toy.ipynb", as_version=4)
    del original.cells[1]
    nbformat.write(original, course[0] / "01_toy.ipynb")
    run(course, "renew")
    assert sources(course[1] / "01_toy.ipynb") == ["guess = 12", "print(6 * 7)"]


def test_reset_starts_one_over_and_keeps_it_aside(course, capsys):
    make(course)
    for name in ("01_toy", "02_toy"):
        change(course[1] / f"{name}.ipynb", guess="guess = 12")
    run(course, "reset", "--only", "02")
    assert sources(course[1] / "01_toy.ipynb")[0] == "guess = 12"
    assert sources(course[1] / "02_toy.ipynb")[0] == "guess = ..."
    assert sources(next((course[1] / "before").iterdir()))[0] == "guess = 12"
    with pytest.raises(SystemExit, match="Which one"):
        run(course, "reset")
    run(course, "reset", "--only", "all")
    assert sources(course[1] / "01_toy.ipynb")[0] == "guess = ..." and "of yours" not in page(course)


def test_a_learner_in_a_room_is_named_by_the_folder(course, tmp_path):
    make(course)
    room = tmp_path / "room" / "anna" / "work"
    copies.make([course[0] / "01_toy.ipynb"], room)
    for path in (room / "01_toy.ipynb", course[1] / "01_toy.ipynb"):
        change(path, guess="guess = 7")
    run(course, "reset", "--only", "01", "--work", str(room))
    assert sources(room / "01_toy.ipynb")[0] == "guess = ..." and list((room / "before").iterdir())
    assert sources(course[1] / "01_toy.ipynb")[0] == "guess = 7"
    with pytest.raises(SystemExit, match="no folder .*/ben"):
        run(course, "reset", "--only", "01", "--work", str(tmp_path / "room" / "ben"))
    assert not (tmp_path / "room" / "ben").exists()


def test_a_copy_from_before_there_were_marks_is_renewed_too(course):
    """What equals its original is no answer, although nothing says where it came from."""
    course[1].mkdir()
    (course[1] / "01_toy.ipynb").write_bytes((course[0] / "01_toy.ipynb").read_bytes())
    change(course[1] / "01_toy.ipynb", guess="guess = 12")
    assert "older than its original" in make(course)[0]
    run(course, "renew", "--only", "01")
    assert sources(course[1] / "01_toy.ipynb") == ["guess = ...", copies.YOURS + "guess = 12", "print(6 * 7)"]


def test_a_damaged_copy_is_named_with_what_to_do(course):
    make(course)
    (course[1] / "01_toy.ipynb").write_text('{"cells": [')
    with pytest.raises(ValueError, match=r"01_toy\.ipynb is no notebook any more\. Start it over: make reset ONLY=01"):
        make(course)
    with pytest.raises(SystemExit, match="is no notebook any more"):
        run(course, "renew")
    run(course, "reset", "--only", "01")
    assert sources(course[1] / "01_toy.ipynb")[0] == "guess = ..."


def test_lab_is_the_projects_and_keeps_its_token(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "KERNELS", tmp_path / "share")
    command, environment = lab.command(tmp_path, "--port=8890"), lab.environment()
    assert f"--ServerApp.root_dir={tmp_path}" in command and command[-1] == "--port=8890"
    assert not any("token" in part or "password" in part or "xsrf" in part for part in command)
    spec = json.loads((tmp_path / "share" / "kernels" / "python3" / "kernel.json").read_text())
    assert spec["display_name"] == lab.NAME and environment["JUPYTER_PATH"].split(":")[0] == str(tmp_path / "share")
    lab.environment()  # a second start finds it there


@pytest.mark.parametrize("name", ["overrides", "page_config"])
def test_settings_name_plugins_and_options_that_this_jupyterlab_has(name):
    """A setting that JupyterLab does not know is passed over in silence."""
    settings = json.loads((ROOT / "tools" / "jupyter" / "lab" / f"{name}.json").read_text())
    if name == "page_config":
        assert settings == {"appName": lab.NAME}
        return
    for plugin, options in settings.items():
        package, _, schema = plugin.partition(":")
        known = json.loads((lab_schemas() / package / f"{schema}.json").read_text())["properties"]
        assert set(options) <= set(known)


def lab_schemas():
    from jupyterlab.commands import get_app_dir

    return copies.Path(get_app_dir()) / "schemas"
