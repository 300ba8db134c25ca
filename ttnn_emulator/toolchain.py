"""The kernel compiler and the cache folder that ttnn needs on a machine without chips.

ttnn compiles a RISC-V kernel for every op. Its compiler (sfpi) is in no wheel, and on a mock cluster no kernel
ever runs, so nullcc.sh stands in and writes the smallest kernel that ttnn's loader accepts. Where a real sfpi is
installed, that one is used. Nothing is written outside one cache folder:

    $XDG_CACHE_HOME/video-on-the-mesh/ttnn-<version>-<hash>/
        root/      what ttnn takes for its installation: links into the wheel, and the compiler
        kernels/   compiled kernels
        logs/      ttnn's reports
        <system>.yaml   cluster descriptors
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from ttnn_emulator import cluster
from ttnn_emulator.systems import System

SYSTEM_SFPI = Path("/opt/tenstorrent/sfpi")  # where Tenstorrent's packages put the compiler; ttnn looks there itself
COMPILER = "compiler/bin/riscv-tt-elf-g++"
LINKS = ("tt_metal", "ttnn", "runtime/hw")
NULLCC = [Path(__file__).with_name(name) for name in ("nullcc.sh", "nullcc.py")]


def environment(system: System) -> dict[str, str]:
    """The variables that turn ttnn's next first device into `system`. Creates what they point to."""
    wheel = Path(importlib.util.find_spec("ttnn").origin).parent
    cache = cache_folder(wheel)
    root = runtime_root(cache, wheel)
    described = cache / f"{system.name}.yaml"
    write_whole(described, cluster.to_yaml(system))
    return {
        "TT_METAL_MOCK_CLUSTER_DESC_PATH": str(described),
        "TT_METAL_RUNTIME_ROOT": str(root),
        "TT_METAL_CACHE": str(cache / "kernels"),
        "TT_METAL_LOGS_PATH": str(cache / "logs"),
        "TT_METAL_SHM_TRACKING_DISABLED": "1",  # a record of allocations for other processes: 40 % of a call's time
    }


def cache_folder(wheel: Path) -> Path:
    """One folder per ttnn version, place of installation, Python and null compiler: a change of any starts afresh."""
    sources = [path.read_text() for path in (*NULLCC, Path(__file__))]
    identity = "\n".join((str(wheel), sys.executable, *sources))
    name = f"ttnn-{importlib.metadata.version('ttnn')}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "video-on-the-mesh" / name
    if " " in str(folder):
        raise RuntimeError(
            f"ttnn cannot work in a folder with a space in its name, and the cache would be {folder}. "
            "Set XDG_CACHE_HOME to a folder without spaces."
        )
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RuntimeError(
            f"The emulated mesh keeps its files in {folder}, which cannot be created ({error.strerror}). "
            "Set XDG_CACHE_HOME to a folder you can write to."
        ) from error
    return folder


def runtime_root(cache: Path, wheel: Path) -> Path:
    """ttnn's installation folder as ttnn wants to see it. Built aside and renamed: other kernels see all or nothing."""
    root, compiler = cache / "root", {} if has_compiler(wheel) else null_compiler(wheel)
    if is_whole(root, compiler):
        return root
    building = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    for link in LINKS:
        (building / link).parent.mkdir(parents=True, exist_ok=True)
        (building / link).symlink_to(wheel / link)
    if compiler:
        install(compiler, (building / "runtime/sfpi" / COMPILER).parent)
    elif (wheel / "runtime/sfpi").exists():
        (building / "runtime/sfpi").symlink_to(wheel / "runtime/sfpi")
    (building / "complete").touch()
    try:
        if root.exists():  # half-written by something that was killed, or emptied
            root.rename(building / "broken")
        building.rename(root)
    except OSError:  # another kernel was faster
        pass
    shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(root / "broken", ignore_errors=True)
    if not is_whole(root, compiler):
        raise RuntimeError(f"The cache folder {cache} is damaged. Delete it and open the mesh again.")
    return root


def drop_kernels() -> None:
    """Forgets the compiled kernels of this process's mesh: one of them may be damaged."""
    shutil.rmtree(os.environ["TT_METAL_CACHE"], ignore_errors=True)


def is_whole(root: Path, compiler: dict[str, str]) -> bool:
    """Whether all is there that runtime_root makes, with what it should hold: files may have been emptied."""
    folder = (root / "runtime/sfpi" / COMPILER).parent
    there = all((root / name).exists() for name in ("complete", *LINKS))
    return there and all(holds(folder / name, text) for name, text in compiler.items())


def has_compiler(wheel: Path) -> bool:
    """Whether ttnn finds a real compiler by itself."""
    return any((sfpi / COMPILER).exists() for sfpi in (wheel / "runtime/sfpi", SYSTEM_SFPI))


def null_compiler(wheel: Path) -> dict[str, str]:
    """The files of the stand-in by name. It answers with the version that compiled the wheel's firmware."""
    shell, python = NULLCC
    return {
        Path(COMPILER).name: shell.read_text().replace("PYTHON", shlex.quote(sys.executable)),
        "nullcc.py": python.read_text(),
        "version": firmware_compiler(wheel) + "\n",
    }


def install(compiler: dict[str, str], folder: Path) -> None:
    """Writes the null compiler's files into its folder."""
    (folder / "linked").mkdir(parents=True)
    for name, text in compiler.items():
        (folder / name).write_text(text)
    (folder / Path(COMPILER).name).chmod(0o755)


def firmware_compiler(wheel: Path) -> str:
    """The version line that ttnn expects: with any other it would compile its firmware anew."""
    firmware = next((wheel / "tt_metal/pre-compiled").glob("*/brisc/brisc.elf"), None)
    stamp = re.search(rb"GCC: (\(tenstorrent/sfpi:[^)]*\) [\d.]+)", firmware.read_bytes()) if firmware else None
    if stamp is None:
        raise RuntimeError(
            f"ttnn {importlib.metadata.version('ttnn')} names no compiler in its firmware, so it cannot be emulated. "
            "This project was made for ttnn 0.81.1: run `make` again to install it."
        )
    return f"riscv-tt-elf-g++ {stamp[1].decode()}"


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that no other process ever sees a part of it."""
    if holds(path, text):
        return
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as part:
        part.write(text)
    os.replace(part.name, path)


def holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() == text.encode()
