import atexit
import os

import nbformat
import pytest

WEEKLY = os.environ.get("EXAMPLES") == "all"

collect_ignore = ["browser"]  # make test-browser runs these, in an environment of their own


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


@pytest.fixture
def one_thread():
    """Beside other tests several threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A Mochi folder with random weights, shaped as the miniature's but smaller."""
    import torch

    from training.config import configuration
    from training.export import save_pipeline
    from training.parts import new_autoencoder, new_text_encoder, new_transformer

    config = configuration()
    config["transformer"] |= {"attention_head_dim": 32, "num_layers": 2, "pooled_projection_dim": 64}
    config["text_encoder"] |= {"num_layers": 1}
    config["autoencoder"] |= {
        "decoder_block_out_channels": (32, 32, 64, 64), "encoder_block_out_channels": (32, 32, 64, 64),
        "layers_per_block": (1, 1, 1, 1, 1),
    }  # fmt: skip
    torch.manual_seed(1)
    models = new_autoencoder(config), new_transformer(config), new_text_encoder(config)
    path = tmp_path_factory.mktemp("mochi")
    return save_pipeline(path, *models, 0.2 * torch.randn(12), 1 + torch.rand(12))


def pytest_itemcollected(item):
    """A file's tests stay together on one worker, so that they share what they set up; notebooks go one by one."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_configure(config):
    config.addinivalue_line("markers", "weekly(why): slow, and run with EXAMPLES=all only, as it is once a week")


def pytest_collection_modifyitems(items):
    """The notebooks come first: begun last, the longest of them would run alone."""
    items.sort(key=lambda item: item.path.stem != "test_budgets")
    for item in items if not WEEKLY else ():
        if weekly := item.get_closest_marker("weekly"):
            item.add_marker(pytest.mark.skip(reason=f"once a week: {weekly.args[0]}"))


def pytest_terminal_summary(terminalreporter):
    """What a test wants read although it passed, for example the slowest cells."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    for name, text in [item for report in reports for item in report.user_properties]:
        terminalreporter.write_sep("-", name)
        terminalreporter.write_line(text)


if os.environ.get("PYTEST_XDIST_WORKER"):
    # At a worker's exit nanobind lists, in eighty lines, what pytest still holds. It would bury the summary.
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
