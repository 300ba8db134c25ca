"""What works on this machine, a line each, and what to do about the rest: `make check`, in less than a minute.

It runs with any Python 3.8 or newer, also before the set-up, and so imports nothing but the standard library; what
needs the project's packages is asked of .venv's Python (tools/check_packages.py). Exits with 1 where something that the
notebooks need does not work.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
DISK_GB, LEFT_GB = 8, 1  # before the set-up, and to work with after it
KERNEL_GB, MEMORY_GB = 2.5, 4  # one notebook's kernel at its largest; below MEMORY_GB in all nothing is comfortable
CORES = 2
PORTS = range(8888, 8898)  # JupyterLab takes the first that is free
SECONDS = 50
DEVICES, DRIVER = Path("/dev/tenstorrent"), Path("/sys/module/tenstorrent/version")
AFRESH = "Run: rm -rf .venv, then make setup"
OK, NO, WITHOUT = "ok", "NO", "--"  # works; does not, and is needed; is not here, and nothing needs it


def python(venv=ROOT / ".venv"):
    if (venv / "complete").exists() and (venv / "bin" / "python").exists():
        found = re.search(r"^version_info = (.*)$", (venv / "pyvenv.cfg").read_text(), re.MULTILINE)
        return OK, f"Python {found[1]} in .venv, with the project's packages"
    if venv.exists():
        return NO, "set-up: was interrupted. Run: make setup"
    if shutil.which("python3.12") or shutil.which("uv"):
        return NO, "set-up: not done yet. Run: make setup"
    here = "{}.{}".format(*sys.version_info)
    return NO, f"Python: 3.12 is needed, and here is {here}. Install python3.12, or uv, which fetches one"


def disk():
    free, need = shutil.disk_usage(ROOT).free / 1e9, LEFT_GB if PYTHON.exists() else DISK_GB
    said = f"disk: {free:.0f} GB free"
    return (OK, said) if free >= need else (NO, f"{said}, {need} GB needed. Free some space")


def memory():
    gb = available(Path("/proc/meminfo").read_text())
    said = f"memory: {gb:.1f} GB free, for {int(gb / KERNEL_GB)} notebooks at once"
    if gb >= MEMORY_GB:
        return OK, said
    return NO, f"memory: {gb:.1f} GB free, {MEMORY_GB} GB needed. Close other programs; in WSL or Docker allow more"


def available(meminfo):
    """GB that programs can still have, from the text of /proc/meminfo, whose kB are 1024 bytes."""
    kib = next(line for line in meminfo.splitlines() if line.startswith("MemAvailable")).split()[1]
    return int(kib) * 1024 / 1e9


def cores():
    count, busy = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    said = f"cores: {count}, {busy:.1f} of them busy"
    if count < CORES:
        return WITHOUT, f"{said}. The series is measured on {CORES}, and takes longer here"
    return OK, said


def ports():
    free = [port for port in PORTS if is_free(port)]
    if not free:
        return (
            WITHOUT,
            f"ports: {PORTS[0]} to {PORTS[-1]} are taken. JupyterLab will look further up",
        )
    return OK, f"ports: JupyterLab will be at {free[0]}"


def is_free(port, host="127.0.0.1"):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def browser():
    try:
        return OK, f"browser: {webbrowser.get().name}"
    except (webbrowser.Error, AttributeError):
        return WITHOUT, "browser: no window can open here. Open the address that `make lab` prints, from where you sit"


def packages():
    """Widgets and video, as tools/check_packages.py says, a line each"""
    if not PYTHON.exists():
        return [(NO, "widgets, video, mesh: checked after the set-up")]
    code, said = asked("tools/check_packages.py")
    lines = [tuple(line.split("\t")) for line in said.splitlines() if line.count("\t") == 1]
    return lines if code == 0 else [*lines, (NO, f"packages: {last(said)}. {AFRESH}")]


def mesh():
    """What ttnn_emulator's doctor says, each of its lines one of ours"""
    if not PYTHON.exists():
        return []
    said = asked("-m", "ttnn_emulator", "doctor")[1]
    lines = [line.split(maxsplit=1) for line in said.splitlines() if line.startswith(("ok ", "NO "))]
    return [(mark, text) for mark, text in lines] or [(NO, f"emulated mesh: {last(said)}. {AFRESH}")]


def asked(*arguments):
    """-> (exit status, everything that .venv's Python printed)"""
    try:
        ended = subprocess.run(
            [str(PYTHON), *arguments], cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {SECONDS} s"
    return ended.returncode, ended.stdout.decode(errors="replace")


def last(said):
    return (said.strip().splitlines() or ["no answer"])[-1][:200].rstrip(".")


def silicon(devices=DEVICES, driver=DRIVER):
    """The chips' device files, and the version of the kernel driver that makes them"""
    there = sorted(path.name for path in devices.iterdir()) if devices.exists() else []
    version = driver.read_text().strip() if driver.exists() else None
    if there and all(os.access(devices / name, os.R_OK | os.W_OK) for name in there):
        return OK, f"chips: {len(there)}, driver {version or 'of unknown version'}"
    if there:
        return NO, f"chips: {len(there)}, and you may not open {devices / there[0]}. Ask for read and write access"
    if version:
        return WITHOUT, f"chips: driver {version} is loaded and sees none. Check power and seating, or run: tt-smi"
    return WITHOUT, "chips: none, so the mesh is emulated. That is enough for every notebook"


def cuda():
    if Path("/proc/driver/nvidia/version").exists():
        return OK, "CUDA: an NVIDIA driver is loaded"
    return WITHOUT, "CUDA: no NVIDIA driver, and nothing needs one"


def weights():
    """The miniatures come with the project; the real model is looked for where the Hugging Face cache is"""
    if not list((ROOT / "models").glob("*/model_index.json")):
        return NO, "weights: the miniatures in models/ are missing. Get them back: git checkout -- models"
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE", cache / "hub"))
    if (hub / "models--genmo--mochi-1-preview").exists():
        return OK, "weights: the miniatures, and files of the real Mochi-1 in the Hugging Face cache"
    return WITHOUT, "weights: the miniatures. The real Mochi-1 is not here; only section 7 of notebook 06 asks for it"


def network():
    """Whether a name can be looked up: the set-up alone needs more, and it says so itself"""
    try:
        socket.getaddrinfo("github.com", 443)
    except OSError:
        need = "Nothing needs it any more" if PYTHON.exists() else "The set-up needs it, directly or through a proxy"
        return WITHOUT, f"network: none, or through a proxy only. {need}"
    return OK, "network: names are found"


CHECKS = (python, disk, memory, cores, ports, browser, packages, mesh, silicon, cuda, weights, network)


def main(checks=CHECKS):
    with ThreadPoolExecutor(len(checks)) as pool:  # the slow ones wait for other processes
        results = [line for found in pool.map(lambda check: check(), checks) for line in as_lines(found)]
    for mark, text in results:
        print(f"{mark}  {text}")
    failed = sum(mark == NO for mark, _ in results)
    print(f"\n{'Everything that the notebooks need works.' if not failed else f'{failed} to mend, marked {NO}.'}")
    return int(failed > 0)


def as_lines(found):
    return found if isinstance(found, list) else [found]


if __name__ == "__main__":
    sys.exit(main())
