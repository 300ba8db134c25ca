import atexit
import os

import nbformat
import pytest


@pytest.fixture
def toy(tmp_path):
    """Writes a small notebook: a parameters cell, then the cells given as text or as (text, tag)."""

    def write(name, *cells, parameters=True):
        cells = [(c, None) if isinstance(c, str) else c for c in cells]
        if parameters:
            cells.insert(0, ('SYSTEM = "galaxy"', "parameters"))
        notebook = nbformat.v4.new_notebook()
        for n, (source, tag) in enumerate(cells):
            cell = nbformat.v4.new_code_cell(source, id=f"cell-{n}", metadata={"tags": [tag] if tag else []})
            notebook.cells.append(cell)
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write


def pytest_terminal_summary(terminalreporter):
    """What a test wants read although it passed, for example the slowest cells."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    for name, text in [item for report in reports for item in report.user_properties]:
        terminalreporter.write_sep("-", name)
        terminalreporter.write_line(text)


if os.environ.get("PYTEST_XDIST_WORKER"):
    # At a worker's exit nanobind lists, in eighty lines, what pytest still holds. It would bury the summary.
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
