"""Formulas as MathML, which every browser draws by itself: a page of runs/ needs no MathJax from the network."""

import re

from latex2mathml.converter import convert

# Code is left alone, in fences and in a line; a formula has no space just inside its dollars, as in Jupyter.
FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?=\S)(?P<line>[^$\n]+?)(?<=\S)\$(?!\d)", re.DOTALL
)


def drawn(text: str) -> str:
    """Markdown with each formula between dollars replaced by MathML."""

    def formula(found: re.Match) -> str:
        if found["code"]:
            return found["code"]
        block = found["block"] is not None
        mathml = convert((found["block"] or found["line"]).strip(), display="block" if block else "inline")
        return f"\n\n<div>{mathml}</div>\n\n" if block else mathml

    return FORMULA.sub(formula, text)
