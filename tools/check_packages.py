"""The part of tools/check.py that needs the project's packages: prints "ok" or "NO", a tab, and what was found."""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from helpers import video
from helpers.metrics import psnr

CLEAR = 30  # dB: a clip that was written and read back differs by compression only
WIDGET = "application/vnd.jupyter.widget-view+json"


def widgets(prefix: str = sys.prefix) -> tuple[bool, str]:
    """A kernel makes a slider, and JupyterLab has the extension that draws it, of the version that goes with it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import ipywidgets\nipywidgets.IntSlider()")])
    NotebookClient(notebook, kernel_name="python3", timeout=40, extra_arguments=["--log-level=ERROR"]).execute()
    if not any(WIDGET in output.get("data", {}) for output in notebook.cells[0].outputs):
        return False, "widgets: the kernel made no slider"
    package = Path(prefix, "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager/package.json")
    if not package.exists():
        return False, "widgets: JupyterLab lacks the extension that draws them. Run: rm -rf .venv, then make setup"
    drawn = json.loads(package.read_text())["version"]
    return True, f"widgets: ipywidgets {version('ipywidgets')}, drawn by JupyterLab's extension {drawn}"


def film(seed: int = 0) -> tuple[bool, str]:
    """Writes a short clip as MP4 and reads it back."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 5, 7, 3)).astype(np.uint8)
    frames = small.repeat(16, 1).repeat(16, 2)  # (6, 80, 112, 3), in blocks, as a codec can keep them
    with tempfile.TemporaryDirectory() as folder:
        back, fps = video.read(video.write(Path(folder, "clip.mp4"), frames, 12))
    clear = float(psnr(back / 255, frames / 255)) if back.shape == frames.shape else 0.0
    fine = clear > CLEAR and fps == 12
    return fine, f"video: an MP4 of {len(back)} frames written and read back, {clear:.0f} dB"


def main() -> int:
    results = []
    for check in (widgets, film):
        try:
            results.append(check())
        except Exception as error:  # whatever it is, it is what does not work
            last = (str(error).strip().splitlines() or ["no reason given"])[-1]
            results.append((False, f"{check.__name__}: {type(error).__name__}: {last}"))
    for fine, text in results:
        print(f"{'ok' if fine else 'NO'}\t{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
