"""Runs the notebooks in order, leaves them executed under runs/, and says where the time went."""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from helpers import video
from tools.pages import index, page, title
from ttnn_emulator.systems import SYSTEMS

ROOT = Path(__file__).resolve().parent.parent
CELL_TIMEOUT = 600  # seconds; a cell that hangs ends the notebook, never the series
QUIET_KERNEL = ["--log-level=ERROR"]  # or each kernel warns that it talks over plain TCP
BANNER = "papermill-error-cell-tag"
WIDGET = "application/vnd.jupyter.widget-view+json"


def choose(only: str, folder: Path) -> list[Path]:
    """The notebooks in order: all of them, or the one that ONLY names ("01" or "01_mesh")."""
    found = sorted(folder.glob("*.ipynb"))
    chosen = [path for path in found if not only or only in (path.stem, path.stem.split("_")[0])]
    if not chosen:
        there = ", ".join(path.stem.split("_")[0] for path in found) or "none yet"
        raise SystemExit(f"There is no notebook {only or 'to run'}; there are: {there}.")
    return chosen


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(notebook) -> list:
    """The author's code cells: number n in this list is what Jupyter shows as [n]."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    return [cell for cell in code if "injected-parameters" not in tags(cell)]


def first_line(cell) -> str:
    """A cell's name in tables and messages."""
    return cell.source.strip().splitlines()[0]


def takes(notebook, parameter: str) -> bool:
    """Without a cell tagged `parameters` the notebook's own SYSTEM would silently overwrite papermill's."""
    tagged = [c.source for c in notebook.cells if "parameters" in tags(c)]
    return any(re.search(rf"^{parameter}\b", source, re.MULTILINE) for source in tagged)


def without_widget(output) -> bool:
    """Takes a live widget out of an output; False if nothing but its text name is left to show."""
    live = output.get("data", {}).pop(WIDGET, None)
    return live is None or set(output.data) > {"text/plain"}


def still(notebook) -> None:
    """Without a kernel a widget shows nothing, so its static form takes its place."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if without_widget(output)]


def describe(error: Exception | None, cell) -> str:
    """What went wrong, in one line."""
    if isinstance(error, CellTimeoutError):
        return f"took longer than {CELL_TIMEOUT} s"
    if isinstance(error, DeadKernelError):
        return "the kernel died"
    last = [f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"][-1:]
    text = " ".join((last or [f"{type(error).__name__}: {error}"])[0].split())
    return text if len(text) <= 300 else text[:300] + " ..."


def failure(error: Exception | None, notebook) -> str | None:
    """Names the cell that stopped the notebook; what a cell tagged raises-exception shows is no failure."""
    started = [cell for cell in code_cells(notebook) if cell.metadata.papermill.start_time]
    if not started:
        return f"no cell ran: {error}"
    last = started[-1]
    if isinstance(error, PapermillExecutionError | None) and not last.metadata.papermill.exception:
        return None
    return f"cell [{len(started)}] `{first_line(last)}`: {describe(error, last)}"


def execute(path: Path, out: Path, system: str) -> dict:
    """Runs one notebook; the executed copy and its HTML are kept even when it fails."""
    done, error, start = out / path.name, None, time.perf_counter()
    known = {"SYSTEM": system, "OUT": str(out)}  # OUT: where a notebook leaves its videos
    given = {name: value for name, value in known.items() if takes(nbformat.read(path, as_version=4), name)}
    try:
        papermill.execute_notebook(
            path, done, parameters=given, kernel_name="python3", language="python",
            cwd=path.parent, execution_timeout=CELL_TIMEOUT, extra_arguments=QUIET_KERNEL,
            progress_bar={"desc": path.stem, "disable": None},
        )  # fmt: skip
    except Exception as caught:  # reported with its cell, after the other notebooks have run
        error = caught
    seconds = round(time.perf_counter() - start, 2)
    notebook = nbformat.read(done, as_version=4)
    problem = failure(error, notebook)
    if problem is None:  # papermill puts a red banner over expected errors too
        notebook.cells = [cell for cell in notebook.cells if BANNER not in tags(cell)]
    still(notebook)
    nbformat.write(notebook, done)
    names = [other.stem for other in choose("", path.parent)]
    before, after = (names[n] if 0 <= n < len(names) else "" for n in (names.index(path.stem) + k for k in (-1, 1)))
    done.with_suffix(".html").write_text(page(notebook, before, after), encoding="utf-8")
    return {"notebook": path.stem, "seconds": seconds, "failure": problem, "cells": cell_times(notebook)}


def cell_times(notebook) -> list[dict]:
    """Seconds per code cell, slowest first."""
    rows = []
    for n, cell in enumerate(code_cells(notebook), 1):
        seconds = round(cell.metadata.papermill.duration or 0, 2)
        rows.append({"cell": n, "id": cell.id, "seconds": seconds, "name": first_line(cell)})
    return sorted(rows, key=lambda row: -row["seconds"])


def run(notebooks: list[Path], out: Path, system: str) -> list[dict]:
    """Runs all of them, one after the other, also after one has failed."""
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for path in notebooks:
        if takes(nbformat.read(path, as_version=4), "SYSTEM"):
            results.append(execute(path, out, system))
        else:
            problem = "no cell tagged `parameters` sets SYSTEM"
            results.append({"notebook": path.stem, "seconds": 0.0, "failure": problem, "cells": []})
    there = [path for path in sorted(out.glob("*.ipynb")) if path.with_suffix(".html").exists()]
    titles = {path.stem: title(nbformat.read(path, as_version=4)) for path in there}
    (out / "index.html").write_text(index(titles), encoding="utf-8")
    (out / "times.json").write_text(json.dumps({"system": system, "notebooks": results}, indent=1) + "\n")
    return results


def table(results: list[dict], slowest: int = 10) -> str:
    lines = []
    for result in results:
        lines.append(f"\n{result['notebook']:<30}{result['seconds']:>8.1f} s")
        for row in result["cells"][:slowest]:
            lines.append(f"  [{row['cell']:>2}] {row['seconds']:>8.2f} s   {row['name'][:80]}")
    return "\n".join(lines)


def videos(out: Path, since: float) -> str:
    """Names each video in `out` that is not older than `since`."""
    lines = []
    for path in sorted(out.glob("*.mp4")):
        if path.stat().st_mtime >= since:
            frames, fps = video.read(path)
            count, height, width, _ = frames.shape
            size = f"{count} frames of {height} x {width}, {count / fps:.1f} s"
            lines.append(f"  {os.path.relpath(path):<40} {size}")
    return "\n".join(["", "videos, for any browser:", *lines]) if lines else ""


def main(arguments=None, folder: Path = ROOT / "notebooks", out: Path = ROOT / "runs") -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", default="galaxy")
    parser.add_argument("--only", default="")
    options = parser.parse_args(arguments)
    if options.system not in SYSTEMS:
        raise SystemExit(f"There is no system {options.system!r}; there are: {', '.join(SYSTEMS)}.")
    start = time.time()
    results = run(choose(options.only, folder), out, options.system)
    print(table(results) + videos(out, start))
    failed = [f"{r['notebook']}, {r['failure']}" for r in results if r["failure"]]
    if failed:
        sys.exit("\nFAILED " + "\nFAILED ".join(failed))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
