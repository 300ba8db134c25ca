"""The cache folder: where it is, several at once, half-written, another ttnn."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ttnn_emulator import nullcc, toolchain
from ttnn_emulator.systems import SYSTEMS

OPEN = """
from helpers.mesh import open_mesh
from helpers.tensors import gather, replicate
import torch, ttnn
mesh = open_mesh("n300")
x = torch.arange(2048.0).reshape(1, 1, 32, 64)
assert torch.equal(gather(ttnn.neg(replicate(x, mesh, dtype=ttnn.float32))), -x)
"""


def start(cache: Path, where: Path) -> subprocess.Popen:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.getcwd()}
    return subprocess.Popen([sys.executable, "-c", OPEN], env=environment, cwd=where, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    _, errors = process.communicate(timeout=180)
    return process.returncode, errors


def only_folder(cache: Path) -> Path:
    (folder,) = (cache / "video-on-the-mesh").iterdir()
    return folder


@pytest.fixture(scope="module")
def cold_start(tmp_path_factory):
    """Three kernels at once, on a cache that is not there yet: the cache, their folder, and how they ended."""
    cache, work = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("work")
    together = [start(cache, work) for _ in range(3)]
    return cache, work, [ended(process) for process in together]


@pytest.fixture
def cache(cold_start):
    """One that works; a test that damages it heals it."""
    return cold_start[0]


def test_several_kernels_start_at_once_on_a_cold_cache(cold_start):
    cache, work, endings = cold_start
    assert endings == [(0, "")] * 3
    assert list(work.iterdir()) == []
    assert sorted(p.name for p in only_folder(cache).iterdir()) == ["kernels", "logs", "n300.yaml", "root"]


def test_half_written_and_emptied_files_are_healed(cache, tmp_path):
    folder = only_folder(cache)
    (folder / "root/runtime/sfpi" / toolchain.COMPILER).unlink()
    (folder / "root" / "tt_metal").unlink()
    (folder / "n300.yaml").write_text("arch:")
    for object_file in folder.glob("kernels/**/*.o"):
        object_file.unlink()
    assert ended(start(cache, tmp_path)) == (0, "")
    own = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(own) > 100
    for path in own:  # as a disk that was full leaves them: all there, nothing inside
        path.write_bytes(b"")
    assert ended(start(cache, tmp_path)) == (0, "")


def test_damaged_kernels_are_dropped_with_a_sentence(cache, tmp_path):
    for kernel in only_folder(cache).glob("kernels/**/*.elf"):
        kernel.write_bytes(kernel.read_bytes()[:100])
    status, errors = ended(start(cache, tmp_path))
    assert status == 1 and "Restart the kernel and open it again" in errors
    assert ended(start(cache, tmp_path)) == (0, "")


def test_another_version_gets_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    toolchain.environment(SYSTEMS["n150"])
    monkeypatch.setattr(toolchain.importlib.metadata, "version", lambda name: "0.99")
    toolchain.environment(SYSTEMS["n150"])
    names = sorted(p.name[:11] for p in (tmp_path / "video-on-the-mesh").iterdir())
    assert names == ["ttnn-0.81.1", "ttnn-0.99-" + names[1][-1]]


def test_a_folder_with_a_space_or_without_permission(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache"))
    with pytest.raises(RuntimeError, match="space in its name.*Set XDG_CACHE_HOME"):
        toolchain.environment(SYSTEMS["n150"])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RuntimeError, match="cannot be created.*Set XDG_CACHE_HOME"):
        toolchain.environment(SYSTEMS["n150"])


def test_a_real_compiler_is_used_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real = tmp_path / "sfpi" / toolchain.COMPILER
    real.parent.mkdir(parents=True)
    real.touch()
    monkeypatch.setattr(toolchain, "SYSTEM_SFPI", tmp_path / "sfpi")
    root = Path(toolchain.environment(SYSTEMS["n150"])["TT_METAL_RUNTIME_ROOT"])
    assert not (root / "runtime/sfpi").exists()  # ttnn goes on to look where the system keeps it


def test_the_null_compiler_answers_as_the_firmwares_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = Path(toolchain.environment(SYSTEMS["n150"])["TT_METAL_RUNTIME_ROOT"])
    said = subprocess.run([root / "runtime/sfpi" / toolchain.COMPILER, "--version"], capture_output=True, text=True)
    assert said.stdout.startswith("riscv-tt-elf-g++ (tenstorrent/sfpi:")


def test_null_kernel_is_an_elf_with_the_symbols_it_was_given():
    elf = nullcc.kernel(0x4F30, 0xFFB00640)
    assert elf[:7] == b"\x7fELF\x01\x01\x01"
    assert nullcc.symbols(elf)["_start"] == 0x4F30 and nullcc.symbols(elf)["v"] == 0xFFB00640
