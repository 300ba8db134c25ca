"""JupyterLab on a learner's copies, with a page to choose from: `make lab`. What follows goes to JupyterLab itself.

The project's own settings lie in tools/jupyter and touch neither .venv nor the learner's: the kernel's and the
terminal's name, and no question about news at the first start.
"""

import json
import os
import sys
from pathlib import Path

from ipykernel.kernelspec import write_kernel_spec

from tools import copies
from tools.series import ROOT, choose

NAME = "Video on the Mesh"
SETTINGS = ROOT / "tools" / "jupyter"
KERNELS = Path(sys.prefix, "share", "video-on-the-mesh")  # found before ipykernel's own, by JUPYTER_PATH


def command(work: Path, *more: str) -> list[str]:
    """What starts JupyterLab on a folder. Its token stays on, whatever the address."""
    shell = {"shell_command": ["bash", "--rcfile", str(SETTINGS / "terminal.sh"), "-i"]}
    root = ["--allow-root"] if os.getuid() == 0 else []
    return [
        sys.executable, "-m", "jupyterlab", *root,
        f"--ServerApp.root_dir={work}",
        f"--ServerApp.terminado_settings={json.dumps(shell)}",
        f"--LabApp.app_settings_dir={SETTINGS / 'lab'}",
        f"--LabApp.workspaces_dir={work / '.jupyter'}",  # which tabs are open: of this folder, not of other projects
        f"--LabApp.default_url=/lab/tree/{copies.PAGE}",
        *more,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    spec = KERNELS / "kernels" / "python3"
    if not spec.exists():
        write_kernel_spec(spec, overrides={"display_name": NAME})
    paths = [str(KERNELS), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(paths), "VIDEO_ON_THE_MESH": str(ROOT)}


def main() -> None:
    work = ROOT / "work"
    try:
        print(*copies.make(choose("", ROOT / "notebooks"), work), sep="\n", end="")
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if sys.stdout.isatty():
        print(f"\033]0;{NAME}\007", end="", flush=True)  # the title of the terminal
    os.execve(sys.executable, command(work, *sys.argv[1:]), environment())


if __name__ == "__main__":
    main()
