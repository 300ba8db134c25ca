"""Pages of executed notebooks: formulas, folded answers, contents, words, and nothing from the network."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from tools.pages import drawn, index, page
from tools.series import ROOT


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
    assert "<msub>" in html and "$a_1" not in html
    assert BeautifulSoup(html, "html.parser").img["alt"] == 'a "bar" < b'
    assert not re.search(r"""(src|href)=["'](https?:)?//|import\(|@import|cdn""", html), "something from elsewhere"


def test_a_page_folds_answers_only_and_knows_its_place():
    v4 = nbformat.v4
    said = [v4.new_output("stream", text=f"said {n}") for n in range(4)]
    sources = ["f()", "guess.reveal(3)", "check.f.hint(1)", "check.f.answer()"]
    cells = [v4.new_code_cell(source, outputs=[output]) for source, output in zip(sources, said)]
    headings = [v4.new_markdown_cell(f"## {n}. Part <{n}>") for n in (1, 2)]
    soup = BeautifulSoup(
        page(notebook(v4.new_markdown_cell("# Toy"), *headings, *cells), "00_before", ""), "html.parser"
    )
    contents, *folded = soup.find_all("details")
    assert [f"said {n}" in part.text for part, n in zip(folded, (1, 2, 3))] == [True] * 3 and len(folded) == 3
    assert soup.title.text == "Toy" and "said 0" in soup.text
    links = [(link["href"], link.text) for link in contents.find_all("a")]
    assert links == [("#section-1", "1. Part <1>"), ("#section-2", "2. Part <2>")]
    assert all(soup.find(id=href[1:]) for href, _ in links)
    assert [link["href"] for link in soup.nav.find_all("a")] == ["index.html", "00_before.html"]


def test_the_front_page_names_all():
    made = BeautifulSoup(index({"01_a": "On <chips>", "02_b": "On words"}), "html.parser")
    assert [(link["href"], link.parent.text) for link in made.find_all("a")] == [
        ("01_a.html", "01_a: On <chips>"), ("02_b.html", "02_b: On words"),
    ]  # fmt: skip


def test_the_notebooks_formulas_can_all_be_drawn():
    found = 0
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                text = drawn(cell.source)
                found += text.count("<math")
                assert "\\" not in "".join(part.split("</math>")[0] for part in text.split("<math")[1:])
    assert found >= 6
