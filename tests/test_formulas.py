"""Formulas of a page that needs no network."""

import nbformat
import pytest

from tools.formulas import drawn
from tools.series import ROOT, page


def test_a_formula_in_a_line_and_one_of_its_own():
    text = drawn("for $e^{s_j}$ and\n\n$$t = \\frac{a}{b}$$\n\nmore")
    line, block = text.split("<div>")
    assert line.startswith('for <math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><msup>')
    assert 'display="block"' in block and "<mfrac>" in block and text.endswith("\n\nmore") and "$" not in text


@pytest.mark.parametrize(
    "text", ["`make $HOME` and `$x$`", "```\n$$a$$\n```", "it costs $5 to $10", "from 5 $ to 6 $ a day", "a $ b"]
)
def test_what_is_no_formula_stays(text):
    assert drawn(text) == text


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def test_a_page_draws_its_formulas_and_says_its_pictures():
    v4 = nbformat.v4
    output = v4.new_output("display_data", {"image/png": "aGk="}, metadata={"image/png": {"alt": 'a "bar" < b'}})
    html = page(
        notebook(v4.new_markdown_cell("# Toy\n\n$a_1 \\times 2$"), v4.new_code_cell("draw()", outputs=[output]))
    )
    assert "<msub>" in html and "$a_1" not in html and "cdnjs.cloudflare.com/ajax/libs/mathjax" not in html
    assert "alt='a \"bar\" &lt; b'" in html and "No description has been provided" not in html


def test_the_notebooks_formulas_can_all_be_drawn():
    found = 0
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                text = drawn(cell.source)
                found += text.count("<math")
                assert "\\" not in "".join(part.split("</math>")[0] for part in text.split("<math")[1:])
    assert found >= 6
