"""What the first cell of a notebook does in Colab: see whether the machine suffices, install, go to the notebooks.

The cell (tools/badges.py writes it) clones the project and runs this file, with the Python of the notebook and nothing
but its standard library. Exactly what uv.lock names is installed. What was imported before in another version is only
gone after a restart, so then it asks for one.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

PYTHON, GLIBC, MACHINE = (3, 12), (2, 34), "x86_64"  # of the wheel of ttnn 0.81.1 that this project takes
DISK_GB = 8
REPLACED = ("numpy", "torch", "transformers", "diffusers")  # what Colab has in versions of its own


def problem(python, machine, libc, free_gb):
    """Why this machine does not do, in one sentence; empty where it does."""
    if tuple(python) != PYTHON:
        return f"ttnn needs Python 3.12, and this runtime has {'.'.join(map(str, python))}."
    if machine != MACHINE:
        return f"ttnn has a build for {MACHINE} only, and this runtime is {machine}."
    if libc[0] != "glibc" or tuple(map(int, libc[1].split("."))) < GLIBC:
        return f"ttnn needs glibc 2.34 or newer, and this runtime has {' '.join(libc).strip() or 'another C library'}."
    if free_gb < DISK_GB:
        return f"about {DISK_GB} GB of disk are needed, and {free_gb:.0f} GB are free."
    return ""


def install(course, run):
    """Installs the lock file's versions into this Python; says what failed."""
    uv = [sys.executable, "-m", "uv"]
    steps = [
        [sys.executable, "-m", "pip", "install", "--quiet", "uv"],
        [*uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--output-file", "colab.txt"],
        [*uv, "pip", "install", "--quiet", "--python", sys.executable, "--requirement", "colab.txt"],
    ]
    if run(["sh", "-c", "ldconfig -p | grep -q libatomic.so.1"], cwd=course).returncode:
        steps.insert(0, ["apt-get", "install", "--quiet", "--quiet", "libatomic1"])
    for step in steps:
        if run(step, cwd=course).returncode:
            raise SystemExit(f"Installing stopped at: {' '.join(step)}. Run this cell again.")


def begin(course, run=subprocess.run, modules=sys.modules):
    """Everything in order. Raises SystemExit with one sentence where it cannot go on."""
    course = Path(course).resolve()
    done = course / ".installed"
    if not done.exists():
        disk = os.statvfs(course)
        free = disk.f_bavail * disk.f_frsize / 1e9
        found = problem(sys.version_info[:2], platform.machine(), platform.libc_ver(), free)
        if found:
            raise SystemExit(found)
        print("Installing, which takes some minutes; about 3 GB are downloaded.", flush=True)
        install(course, run)
        done.touch()
        if any(name in modules for name in REPLACED):
            raise SystemExit("Installed. Now choose Runtime, Restart session, and run this cell again.")
    sys.path.insert(0, str(course))
    os.chdir(course / "notebooks")
    print("Ready.")


if __name__ == "__main__":
    begin(Path(__file__).resolve().parent.parent)
