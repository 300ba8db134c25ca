"""Opening and closing: every way a notebook can do it, and what is said where it cannot."""

import importlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import ttnn

from helpers import forks
from helpers import mesh as mesh_module
from helpers.mesh import close_mesh, current_mesh, find_backend, label, open_mesh, run_on
from helpers.tensors import gather, replicate


def python(code: str, cwd, timeout=120, **environment) -> subprocess.CompletedProcess:
    """Runs code in a fresh process with helpers on its path."""
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=cwd, timeout=timeout, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": path} | environment,
    )  # fmt: skip


@pytest.fixture
def opened():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


def test_it_is_ttnns_own_device_and_says_what_it_is(opened, capsys):
    assert type(opened) is ttnn.MeshDevice and tuple(opened.shape) == (4, 8)
    assert (opened.backend, label(opened)) == ("emulated", "emulated galaxy 4x8")
    close_mesh(opened)
    capsys.readouterr()
    open_mesh("galaxy")
    assert capsys.readouterr().out.startswith("emulated galaxy 4x8: no chips here.")


def test_opened_twice_it_is_the_same_and_inner_blocks_leave_it_open(opened):
    x = replicate(torch.arange(64.0).reshape(1, 1, 2, 32), opened)
    with open_mesh("galaxy") as inner:
        assert inner is opened is current_mesh()
    assert gather(x)[0, 0, 1, 5] == 37


def test_closed_twice_and_opened_again(opened):
    close_mesh(opened)
    close_mesh(opened)
    with pytest.raises(RuntimeError, match="No mesh is open"):
        current_mesh()
    with open_mesh("galaxy") as again:
        assert gather(replicate(torch.full((1, 1, 3, 5), 2.5), again)).sum() == 37.5
    with pytest.raises(RuntimeError, match="No mesh is open"):
        current_mesh()


def test_tensors_of_a_closed_mesh_are_refused_not_crashed_on(opened):
    x = replicate(torch.randn(1, 1, 32, 64), opened)
    close_mesh(opened)
    open_mesh("galaxy")
    for use in (lambda: ttnn.add(x, x), lambda: ttnn.to_torch(x), lambda: x + 1, lambda: print(x), lambda: x.cpu()):
        with pytest.raises(RuntimeError, match="mesh has been closed"):
            use()
    with pytest.raises(ValueError, match="mesh has been closed"):
        gather(x)


def test_interrupted_in_the_middle_of_an_op(opened, monkeypatch):
    x = replicate(torch.randn(1, 1, 32, 64), opened)
    golden = ttnn.exp.golden_function

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(ttnn.exp, "golden_function", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ttnn.exp(x)
    monkeypatch.setattr(ttnn.exp, "golden_function", golden)
    assert torch.allclose(gather(ttnn.exp(x)).float(), gather(x).float().exp(), rtol=0.02)
    with pytest.raises(KeyboardInterrupt), open_mesh("galaxy"):
        raise KeyboardInterrupt
    assert current_mesh() is opened


def test_a_second_system_is_refused_with_the_ways_out(opened):
    with pytest.raises(RuntimeError, match=r'already opened galaxy.*Restart the kernel.*run_on\("n300", function\)'):
        open_mesh("n300")
    close_mesh(opened)
    with pytest.raises(RuntimeError, match="already opened galaxy"):
        open_mesh("n150")


def test_emulated_chips_are_never_called_silicon(opened, capsys):
    """ttnn keeps the mock cluster that it has found, so a look for the hardware would find that."""
    close_mesh(opened)
    capsys.readouterr()
    for backend in ("silicon", "simulator"):
        with pytest.raises(RuntimeError, match=f"already opened emulated galaxy.*Restart .* open {backend} galaxy"):
            open_mesh("galaxy", backend=backend)
    assert not capsys.readouterr().out


def test_other_settings_need_a_close(opened):
    with pytest.raises(RuntimeError, match="open in another way. Close it first"):
        open_mesh("galaxy", numerics=False)


def test_unknown_names():
    with pytest.raises(ValueError, match="no system called 'galxy'"):
        open_mesh("galxy")
    with pytest.raises(ValueError, match="no backend 'mock'.*silicon, simulator, emulated"):
        open_mesh("galaxy", backend="mock")


def test_dry_run_has_shapes_and_memory_but_no_values(opened):
    close_mesh(opened)
    mesh = open_mesh("galaxy", numerics=False)
    x = ttnn.empty((1, 1, 64, 96), dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=mesh)
    y = ttnn.matmul(x, x, transpose_b=True)
    assert tuple(y.shape) == (1, 1, 64, 64)
    assert ttnn.get_memory_view(mesh, ttnn.BufferType.DRAM).total_bytes_allocated_per_bank > 0
    for read in (lambda: ttnn.to_torch(y), lambda: str(y), lambda: y.cpu()):
        with pytest.raises(RuntimeError, match="numerics=False"):
            read()
    assert gather(y, sp=2).is_meta and gather(y, sp=2).shape == (1, 1, 8 * 64, 64)
    close_mesh(mesh)


def test_which_backend_this_machine_has(monkeypatch, tmp_path):
    monkeypatch.delenv("TT_METAL_SIMULATOR", raising=False)
    real = mesh_module.Path
    monkeypatch.setattr(
        mesh_module, "Path", lambda *p: tmp_path / "tenstorrent" if p == ("/dev/tenstorrent",) else real(*p)
    )
    assert find_backend() == "emulated"
    (tmp_path / "tenstorrent").mkdir()
    assert find_backend() == "silicon"
    monkeypatch.setenv("TT_METAL_SIMULATOR", "/opt/simulator.so")
    assert find_backend() == "simulator"


def test_silicon_that_is_not_there_is_not_replaced(tmp_path):
    ended = python('from helpers.mesh import open_mesh; open_mesh("n150", backend="silicon")', tmp_path)
    assert ended.returncode == 1 and "RuntimeError" in ended.stderr
    assert "emulated n150" not in ended.stdout


def test_hardware_of_another_kind_is_named(monkeypatch):
    monkeypatch.setattr(ttnn.cluster, "get_cluster_type", lambda: SimpleNamespace(name="N150"))
    with pytest.raises(RuntimeError) as error:
        mesh_module.check_hardware(mesh_module.find_system("galaxy"), "silicon")
    assert str(error.value) == (
        "This machine's silicon is N150, not galaxy. Open what is there, or emulate: "
        'open_mesh("galaxy", backend="emulated").'
    )


def test_ttnn_asked_before_open_mesh(tmp_path):
    ended = python(
        """
        import os
        from ttnn_emulator import toolchain
        from ttnn_emulator.systems import SYSTEMS
        os.environ |= toolchain.environment(SYSTEMS["n150"])
        import ttnn
        ttnn.cluster.get_cluster_type()
        from helpers.mesh import open_mesh
        open_mesh("galaxy")
        """,
        tmp_path,
    )
    assert "already looked at this machine's devices (N150)" in ended.stderr.splitlines()[-1]


def test_a_process_ends_by_itself_and_leaves_nothing_behind(tmp_path):
    start = time.monotonic()
    ended = python(
        """
        import torch, ttnn
        from helpers.mesh import open_mesh
        from helpers.tensors import replicate
        mesh = open_mesh("n300")
        kept = ttnn.gelu(replicate(torch.randn(1, 1, 32, 32), mesh))
        """,
        tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert time.monotonic() - start < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "opened",
    [
        'helpers.mesh.open_mesh("n150")',
        'ttnn_emulator.install("n150")',  # by a program that knows only the emulator
        'helpers.mesh._system = "chips"',  # silicon: opened without the emulator
    ],
)
def test_a_process_that_would_hang_is_ended(tmp_path, opened):
    ended = python(
        f"""
        import atexit, time
        atexit.register(time.sleep, 60)  # runs last: stands for ttnn's threads that do not end
        import helpers.mesh, ttnn_emulator
        ttnn_emulator.session.EXIT_SECONDS = 1
        kept = {opened}
        """,
        tmp_path,
        timeout=50,
    )
    assert ended.returncode == -14  # by its alarm


def test_run_on_returns_and_reports():
    factor = 3

    def double(mesh, x):
        return label(mesh), gather(ttnn.multiply(replicate(x, mesh), factor)).float()

    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    name, y = run_on("n300", double, x)
    assert name == "emulated n300 1x2" and torch.equal(y, 3 * x)
    with pytest.raises(RuntimeError, match="(?s)fails failed on n150.*ZeroDivisionError"):

        def fails(mesh):
            return 1 / 0

        run_on("n150", fails)
    with pytest.raises(TimeoutError, match="longer than 2 s"):
        run_on("n150", lambda mesh: time.sleep(60), timeout=2)
    with pytest.raises(RuntimeError, match="died with status 7"):
        run_on("n150", lambda mesh: os._exit(7))
    with pytest.raises(RuntimeError, match="(?s)failed on n150.*cannot pickle"):
        run_on("n150", lambda mesh: mesh)
    with pytest.raises(ValueError, match="no system called"):
        run_on("n160", double)


def test_each_call_has_a_fresh_process_and_none_imports_ttnn_again(monkeypatch):
    def where(mesh):
        """Its process, the one that it was copied from, and what a call before it has left behind"""
        watcher = Path(f"/proc/{os.getppid()}/stat").read_text().rsplit(")")[1].split()
        ttnn.left_behind = [*getattr(ttnn, "left_behind", []), 1]
        return os.getpid(), int(watcher[1]), ttnn.left_behind, os.environ.get("A_NAME")

    monkeypatch.setenv("A_NAME", "one")
    first = run_on("n150", where)
    monkeypatch.delenv("A_NAME")
    second = run_on("n300", where)
    assert first[2:] == ([1], "one") and second[2:] == ([1], None)
    assert first[0] != second[0] and first[1] == second[1]


def test_what_a_call_imported_the_next_one_finds():
    """CpmAnt's configuration is one of transformers' modules that nothing here imports."""
    name = "transformers.models.cpmant.configuration_cpmant"
    assert name not in forks._ahead

    def was_there(mesh, name):
        there = name in sys.modules
        importlib.import_module(name)
        return there

    assert [run_on("n150", was_there, name) for _ in range(2)] == [False, True]


def test_another_process_waits_where_this_one_would_have_imported_something_else(tmp_path, monkeypatch):
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 30")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(forks, "_waiting", None)
    monkeypatch.setattr(forks, "sys", SimpleNamespace(executable=str(tmp_path / "python")))
    processes = []

    def started(**more):
        forks.waiting({"PATH": os.environ["PATH"], **more})
        process = forks._waiting[0]
        new = process not in processes
        processes.append(process)
        return new

    assert started() and not started() and not started(TT_METAL_CACHE="read later")
    assert started(OMP_NUM_THREADS="2") and not started(OMP_NUM_THREADS="2") and started()
    monkeypatch.chdir(tmp_path)
    assert started() and not started()
    processes[-1].kill()
    processes[-1].wait()
    assert started() and not started()
    for process in processes:
        process.kill()


def test_the_process_that_waits_ends_with_its_parent(tmp_path):
    code = "import os\nfrom helpers import forks\nforks.waiting(dict(os.environ))\nprint(forks._waiting[0].pid)"
    ended = python(code, tmp_path)
    waiting = Path("/proc", ended.stdout.strip())
    assert ended.returncode == 0 and ended.stdout.strip(), ended.stderr[-2000:]
    for _ in range(300):
        if not waiting.exists() or "Z" in (waiting / "stat").read_text():
            return
        time.sleep(0.1)
    pytest.fail("it still waits")
