"""Executed notebooks as pages for any browser, without a network: formulas drawn, answers folded, pictures in words.

The looks are in tools/page, a template of nbconvert's. Nothing is live here.
"""

import copy
import html
import re
from pathlib import Path

from latex2mathml.converter import convert
from nbconvert import HTMLExporter

from docs.notebooks import ANSWER

# Code is left alone, in fences and in a line; a formula has no space just inside its dollars, as in Jupyter.
FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?=\S)(?P<line>[^$\n]+?)(?<=\S)\$(?!\d)", re.DOTALL
)
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def page(notebook, before: str = "", after: str = "") -> str:
    """A notebook as one HTML page, as its author wrote it: with its title, without the cell that papermill put in.

    before, after: names of its neighbours in the series, whose pages stand beside it.
    """
    shown, contents = copy.deepcopy(notebook), []
    shown.cells = [cell for cell in shown.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in shown.cells:
        if cell.cell_type == "markdown":
            cell.source = with_places(drawn(cell.source), contents)
        elif cell.cell_type == "code" and ANSWER.search(cell.source):
            cell.metadata.tags = [*cell.metadata.get("tags", []), "folded"]
    number_as_one_run(shown)
    exporter = HTMLExporter(template_name="page", extra_template_basedirs=[str(Path(__file__).parent)])
    about = {"metadata": {"name": title(notebook)}, "before": before, "after": after, "contents": contents}
    return exporter.from_notebook_node(shown, about)[0]


def title(notebook) -> str:
    """The first heading; an empty text where there is none."""
    lines = (line for cell in notebook.cells for line in cell.source.splitlines())
    return next((line for line in lines if line.startswith("# ")), "# ").removeprefix("# ")


def with_places(text: str, contents: list[tuple[str, str]]) -> str:
    """Markdown whose sections can be linked to; adds (place, words) of each to the contents."""

    def place(found: re.Match) -> str:
        contents.append((f"section-{len(contents) + 1}", found[1]))
        return f'<a id="{contents[-1][0]}"></a>\n\n{found[0]}'

    return SECTION.sub(place, text)


def number_as_one_run(notebook) -> None:
    """Cells are numbered from 1, whatever papermill ran besides."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for number, cell in enumerate(code, 1):
        cell.execution_count = number if cell.execution_count else None
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = cell.execution_count


def drawn(text: str) -> str:
    """Markdown with each formula between dollars as MathML, which browsers draw by themselves."""

    def formula(found: re.Match) -> str:
        if found["code"]:
            return found["code"]
        block = found["block"] is not None
        mathml = convert((found["block"] or found["line"]).strip(), display="block" if block else "inline")
        return f"\n\n<div>{mathml}</div>\n\n" if block else mathml

    return FORMULA.sub(formula, text)


def index(titles: dict[str, str]) -> str:
    """The page in front of the others. titles: of each notebook by its name."""
    rows = "".join(f'<li><a href="{name}.html">{name}</a>: {html.escape(words)}</li>' for name, words in titles.items())
    style = "body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; font: 1rem/1.6 sans-serif; }"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!DOCTYPE html><html lang="en"><head>{head}<title>Video on the Mesh</title><style>{style}</style></head>'
        f"<body><h1>Video on the Mesh</h1><p>The notebooks as they ran here.</p><ul>{rows}</ul></body></html>\n"
    )
