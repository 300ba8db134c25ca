"""Each number in the notebooks' text is computed, cited, or worked out where a reader can follow."""

import nbformat
import pytest

from tools import figures
from tools.series import ROOT

COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_no_figure_is_from_nowhere(path):
    assert figures.from_nowhere(path) == []


@pytest.mark.parametrize("name, written", [(name, one) for name, ones in figures.ON_PAPER.items() for one in ones])
def test_what_is_worked_out_on_paper_is_right_and_needed(name, written):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert written in {one.written for one in figures.figures(path)}, "it stands in no text"
    assert figures.wrong_on_paper(name, written) is None


def test_a_wrong_sum_is_named(monkeypatch):
    monkeypatch.setitem(figures.ON_PAPER, "toy", {"1,153": "6 * 8 * 8 * 3", "0.73": "2 * 0.3663"})
    assert figures.wrong_on_paper("toy", "1,153") == "toy says 1,153, and 6 * 8 * 8 * 3 is 1152"
    assert figures.wrong_on_paper("toy", "0.73") is None


@pytest.fixture
def toy(tmp_path):
    """Writes a notebook of texts and one code cell, and returns the figures from nowhere."""
    v4 = nbformat.v4

    def write(*texts, code="x = 5", printed="", name="01_toy"):
        cell = v4.new_code_cell(code, outputs=[v4.new_output("stream", text=printed)])
        cells = [*map(v4.new_markdown_cell, texts), cell]
        nbformat.write(v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
        return [one.written for one in figures.from_nowhere(tmp_path / f"{name}.ipynb")]

    return write


def test_figures_from_nowhere_are_named(toy):
    assert toy("It takes 391 s and 12.87 GB, 44,520 tokens.") == ["391", "12.87", "44,520"]
    assert toy("It takes 391 s.", "Mochi_1.md at 52393d83: 5.6 s") == ["391"], "a source is for its own cell"
    assert toy("In 17 ways (", code="x = 170") == ["17"]


def test_computed_and_cited_figures_are_not(toy):
    assert toy("44,520 tokens, a share of 71 %", printed="44,520 and 0.71") == []
    assert toy("391 s", code="seconds = 391") == [] and toy("10,027,677,744 numbers", code="n = 10_027_677_744") == []
    for source in ("`f.md` at 0d617aff", "issue 4638", "diffusers 0.42.1", "(Shazeer, 2020)", "`rates.py`"):
        assert toy(f"It is 391, says {source}.") == [], source


def test_a_figure_may_come_from_the_notebook_that_is_named(toy):
    toy("", printed="12.87 GB", name="03_before")
    assert toy("12.87 GB (notebook 03)", name="04_toy") == [] and toy("12.87 GB (notebook 02)", name="04_toy") == [
        "12.87"
    ]


def test_what_is_no_figure(toy):
    assert (
        toy("## Ten\n\n*14 minutes.* Exercise 15, notebook 17, `x[99]`, $x^{99}$, in 2017, [a](b99.md), 12 of them")
        == []
    )
