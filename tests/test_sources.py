"""lessons/sources.md is what the notebooks cite today, and what nobody could look up is refused."""

import nbformat
import pytest

from tools import sources
from tools.series import ROOT, choose
from tools.sources import Source


def test_the_page_is_what_is_made_today():
    assert sources.page(choose("", ROOT / "notebooks")) == sources.PAGE.read_text()


def test_a_commit_has_the_repository_and_path_before_it():
    text = (
        "(tenstorrent/tt-metal, `a/b.py` at 0d617aff; sizes: `c.md` at 1080d1c4), google/t5-v1_1-xxl, `config.json` at "
    )
    text += "b87b840"
    assert sources.sources_in(text) == [
        Source("tenstorrent/tt-metal", "a/b.py", "0d617aff"), Source("tenstorrent/tt-metal", "c.md", "1080d1c4"),
        Source("google/t5-v1_1-xxl", "config.json", "b87b840"),
    ]  # fmt: skip


def test_issues_count_and_short_names_are_whole():
    assert sources.sources_in("(tt-metal, issue 50932)") == [Source("tenstorrent/tt-metal", "issue 50932", "")]


@pytest.mark.parametrize(
    "text", ["`a.py` at 0d617aff", "genmoai/mochi at 0c86aebf", "tt-metal, all of it @79925a3f", "see issue 12"]
)
def test_what_cannot_be_looked_up_is_refused(text):
    with pytest.raises(ValueError, match="no repository"):
        sources.sources_in(text)


def test_a_row_names_each_notebook_once(tmp_path):
    v4 = nbformat.v4
    cell = v4.new_markdown_cell("genmoai/mochi, `a.py` at 0c86aebf")
    for name in ("01_a", "02_b"):
        nbformat.write(
            v4.new_notebook(cells=[cell, cell, v4.new_code_cell("'`x` at 00000000'")]), tmp_path / f"{name}.ipynb"
        )
    rows = sources.page(sorted(tmp_path.glob("*.ipynb"))).splitlines()
    links = "[01](../notebooks/01_a.ipynb), [02](../notebooks/02_b.ipynb)"
    assert rows[-1] == f"| genmoai/mochi | `a.py` | 0c86aebf | {links} |" and rows[-2].startswith("|---")
