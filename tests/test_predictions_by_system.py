"""What predictions answer on other systems, for the instructor."""

import nbformat
import pytest

from tools import predictions
from tools.series import ROOT


def asked(answer: str, name="guess", question='how long: "a" or "b"'):
    v4 = nbformat.v4
    said = [v4.new_output("stream", text=answer)]
    turn = v4.new_output("stream", text=f"Your turn: {question}?\nPut your guess in place")
    cells = [
        v4.new_code_cell(f"{name} = predict(\n    {question!r}, ...\n)", outputs=[turn]),
        v4.new_code_cell(f"{name}.reveal(3)", outputs=said),
    ]
    return v4.new_notebook(cells=cells)


def test_answers_are_read_as_they_are_said():
    answer = 'how long: "a"\nor "b": 3.5 MB a\nchip\nYou made no prediction.\nmore: 7\n'
    assert predictions.answers(asked(answer)) == {"guess": ('how long: "a" or "b"', "3.5 MB a chip")}
    assert predictions.answers(asked("nothing")) == {"guess": ('how long: "a" or "b"', "-")}


def test_every_prediction_of_the_series_has_an_answer():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        found = predictions.answers(notebook)
        count = sum(cell.source.count("= predict(") for cell in notebook.cells if cell.cell_type == "code")
        assert len(found) == count and "-" not in {answer for _, answer in found.values()}, path.stem


def test_the_part_stands_behind_its_heading_and_is_replaced():
    stored = {"x": ("a", "1"), "y": ("b", "2"), "z": ("c of (2, 5)", "4")}
    first = predictions.part({"galaxy": stored, "n300": {"x": ("a", "3"), "z": ("c of (0, 1)", "5")}})
    assert first.splitlines()[2:7] == [
        "| prediction | galaxy | n300 |",
        "|---|---|---|",
        "| a | 1 | 3 |",
        "| b | 2 | - |",
        "| c of (2, 5) | 4 | 5: c of (0, 1) |",
    ]
    lesson = "# L\n\n## On other systems\n"
    page = predictions.put(lesson + "\n| old |\n", first, len(lesson))
    assert page.startswith(f"# L\n\n## On other systems\n\n{predictions.BEGIN}") and page.endswith("| old |\n")
    again = predictions.put(page, predictions.part({"galaxy": {"x": ("a", "9")}}), len(lesson))
    assert again.count(predictions.BEGIN) == 1 and "| a | 9 |" in again and "| b |" not in again


@pytest.mark.parametrize("failure", [None, "cell [2] `x`: gone"])
def test_a_notebook_that_fails_leaves_the_page_alone(tmp_path, monkeypatch, capsys, failure):
    for name in ("notebooks", "lessons"):
        (tmp_path / name).mkdir()
    nbformat.write(asked('how long: "a" or "b": 1 You made no prediction.'), tmp_path / "notebooks" / "01_toy.ipynb")
    page = tmp_path / "lessons" / "01_toy.md"
    page.write_text("## On other systems\n")

    def execute(path, out, system):
        nbformat.write(asked(f'how long: "a" or "b": {system}! You made no prediction.'), out / path.name)
        return {"failure": failure if system == "t3000" else None}

    monkeypatch.setattr(predictions, "execute", execute)
    assert predictions.main([], tmp_path) == (0 if failure is None else 1)
    row = '| how long: "a" or "b" | 1 | n300! | t3000! | quietbox2! |'
    assert (row in page.read_text()) == (failure is None)
    assert (f"01_toy on t3000: {failure}" in capsys.readouterr().err) == (failure is not None)


def test_every_lesson_has_its_table():
    for page in sorted((ROOT / "lessons").glob("0[1-9]*.md")):
        text = page.read_text()
        table = text[text.index(predictions.BEGIN) : text.index(predictions.END)]
        notebook = nbformat.read(ROOT / "notebooks" / f"{page.stem}.ipynb", as_version=4)
        for question, answer in predictions.answers(notebook).values():
            assert f"| {question} | {answer} |" in table, f"{page.stem}: run python -m tools.predictions"
