"""Refreshes the committed notebooks: runs each with its defaults and stores the outputs in the file itself.

What differs from run to run without meaning anything is left out, so a second run changes nothing.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tools.series import CELL_TIMEOUT, QUIET_KERNEL, ROOT, choose, describe, first_line, without_widget

LARGEST = 1_000_000  # bytes of one committed notebook
VOLATILE = ("execution", "papermill", "ExecuteTime")


def source_hash(notebook) -> str:
    """Changes with any code cell, so outputs of other sources are noticed; prose may change freely."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def read(path: Path):
    """nbformat invents random ids for cells that have none; these depend on place and text only."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["nbformat"], raw["nbformat_minor"] = 4, 5
    for n, cell in enumerate(raw["cells"]):
        cell.setdefault("id", hashlib.sha256(f"{n} {cell['source']}".encode()).hexdigest()[:8])
    return nbformat.reads(json.dumps(raw), as_version=4)


def with_one_picture(output):
    """A PIL image comes as PNG and as JPEG. The smaller one is enough."""
    kinds = {"image/png", "image/jpeg"} & set(output.get("data", {}))
    if len(kinds) == 2:
        output.data.pop(max(kinds, key=lambda kind: len(output.data[kind])))
    return output


def joined(outputs: list) -> list:
    """What is printed arrives in pieces of chance length; pieces that follow each other become one.

    nbclient's own coalesce_streams takes minutes over one very long line.
    """
    whole = []
    for output in outputs:
        last = whole[-1] if whole else {}
        if output.output_type == last.get("output_type") == "stream" and output.name == last.name:
            last.text += output.text
        else:
            whole.append(output)
    return whole


def without_folder(value, folder: str):
    """Tracebacks name files; the place of this checkout is no part of the lesson."""
    if isinstance(value, dict):
        return nbformat.from_dict({k: without_folder(v, folder) for k, v in value.items()})
    if isinstance(value, list):
        return [without_folder(v, folder) for v in value]
    return value.replace(folder + "/", "") if isinstance(value, str) else value


def tidy(notebook):
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            shown = [with_one_picture(output) for output in joined(cell.outputs) if without_widget(output)]
            cell.outputs = without_folder(shown, str(ROOT))
    notebook.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "source_sha256": source_hash(notebook),
    })  # fmt: skip
    return notebook


def execute(notebook, folder: Path) -> str | None:
    """Runs it in place; says in a line what stopped it, if something did."""
    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
        extra_arguments=QUIET_KERNEL, record_timing=False, store_widget_state=False,
    )  # fmt: skip
    started = []
    client.on_cell_execute = lambda cell, cell_index: started.append(cell)
    try:
        client.execute()
    except Exception as error:
        if not started:
            return f"no cell ran: {error}"
        return f"cell [{len(started)}] `{first_line(started[-1])}`: {describe(error, started[-1])}"
    return None


def refresh(path: Path) -> str | None:
    """Returns why the file was left as it is, or None when it is up to date."""
    notebook = read(path)
    problem = execute(notebook, path.parent)
    if problem:
        return problem
    text = nbformat.writes(tidy(notebook)) + "\n"
    if len(text.encode()) > LARGEST:
        return f"{len(text.encode())} bytes, and at most {LARGEST} are committed"
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)  # whole or not at all
    return None


def main(arguments=None, folder: Path = ROOT / "notebooks") -> None:
    parser = argparse.ArgumentParser(description="Run the notebooks and store their outputs in place.")
    parser.add_argument("--only", default="")
    failed = False
    for path in choose(parser.parse_args(arguments).only, folder):
        problem = refresh(path)
        print(f"{path.stem}: {'left as it was, ' + problem if problem else 'refreshed'}", flush=True)
        failed = failed or problem is not None
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
