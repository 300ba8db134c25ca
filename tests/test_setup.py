"""tools/setup.sh on a toy project that needs no network: what it says when it cannot, and that it heals."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.series import ROOT

COMMANDS = (
    "awk cat df dirname env find flock getconf grep head mkdir mktemp rm sed sh sha256sum sleep tail tee tr uname"
)
PYTHON = os.path.realpath(sys.executable)
UV = shutil.which("uv", path=Path(sys.executable).parent)
PROJECT = """
[project]
name = "toy"
version = "0.1.0"
requires-python = "==3.12.*"
[build-system]
requires = ["uv_build>=0.9,<0.14"]
build-backend = "uv_build"
[tool.uv.build-backend]
module-name = "toy"
module-root = ""
namespace = true
"""
LOCK = """
version = 1
revision = 3
requires-python = "==3.12.*"
[[package]]
name = "toy"
version = "0.1.0"
source = { editable = "." }
"""
MISSING = """dependencies = [{ name = "absent" }]
[[package]]
name = "absent"
version = "1.0"
source = { registry = "https://index.invalid/simple" }
wheels = [{ url = "https://index.invalid/absent-1.0-py3-none-any.whl", hash = "sha256:%s" }]
""" % ("0" * 64)


class Toy:
    """A project folder and a PATH that holds only what is put there."""

    def __init__(self, folder: Path):
        self.folder, self.bin, self.more = folder / "project", folder / "bin", {"NVIDIA_DRIVER": "/nowhere"}
        (self.folder / "tools").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / "tools" / "setup.sh", self.folder / "tools")
        (self.folder / "pyproject.toml").write_text(PROJECT)
        (self.folder / "uv.lock").write_text(LOCK)
        (self.folder / ".python-version").write_text("3.12\n")
        for command in COMMANDS.split():
            (self.bin / command).symlink_to(shutil.which(command))

    def fake(self, command: str, script: str):
        path = self.bin / command
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def give(self, command: str, target: str):
        (self.bin / command).symlink_to(target)

    def environment(self, **more: str) -> dict[str, str]:
        home = self.folder.parent
        return {
            "PATH": str(self.bin),
            "HOME": str(home),
            "UV_CACHE_DIR": f"{home}/cache",
            "UV_OFFLINE": "1",
            **self.more,
            **more,
        }

    def start(self, **more: str) -> subprocess.Popen:
        pipes = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "stdin": subprocess.DEVNULL,
            "text": True,
        }
        # Where these tests run in the background INT is ignored, and a shell cannot trap what it was born ignoring.
        command = ["/usr/bin/env", "--default-signal=INT", "tools/setup.sh"]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment(**more), **pipes)

    def setup(self, **more: str) -> tuple[int, str, list[str]]:
        process = self.start(**more)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err.splitlines()

    @property
    def stamp(self) -> Path:
        return self.folder / ".venv" / "complete"

    def runs(self) -> bool:
        """The environment is complete: its Python starts and finds the project."""
        code = "import os, importlib.metadata as m; m.version('toy'); print(os.environ.get('x'))"
        python = self.folder / ".venv" / "bin" / "python"
        return self.stamp.exists() and subprocess.run([python, "-c", code], capture_output=True).returncode == 0


@pytest.fixture
def bare(tmp_path):
    return Toy(tmp_path)


@pytest.fixture
def toy(bare):
    bare.give("python3.12", PYTHON)
    bare.give("uv", UV)
    return bare


def one_line(toy: Toy, **more: str) -> str:
    """The one sentence of a set-up that cannot go on, and leaves nothing that looks done."""
    code, _, errors = toy.setup(**more)
    assert (code, len(errors)) == (1, 1), errors
    assert not toy.stamp.exists()
    return errors[0]


@pytest.mark.parametrize("platform", ["Darwin arm64", "Linux aarch64", "MINGW64_NT-10.0 x86_64"])
def test_platform_without_ttnn(toy, platform):
    toy.fake("uname", f'[ "$1" = -s ] && echo "{platform.split()[0]}" || echo "{platform.split()[1]}"')
    sentence = one_line(toy)
    assert platform in sentence and "Linux x86-64, WSL 2 on Windows, Docker (linux/amd64), Google Colab" in sentence


@pytest.mark.parametrize(("said", "named"), [("echo glibc 2.31", "glibc 2.31"), ("exit 1", "no glibc")])
def test_an_old_c_library_or_another_one(toy, said, named):
    toy.bin.joinpath("getconf").unlink()
    toy.fake("getconf", said)
    wanted = f"ttnn needs glibc 2.34 or newer (Debian 12, Ubuntu 22.04), and this machine has {named}."
    assert one_line(toy) == f"setup: {wanted}"


def test_no_room(toy):
    toy.fake("df", "echo Filesystem; echo /dev/disk 9000000 5000000 3000000 60% /")
    assert "about 8 GB of free disk are needed here and 3 GB are left" in one_line(toy)


def test_wrong_python(bare):
    bare.fake("python3", "echo Python 3.11.2")
    assert "Python 3.12 is needed and not found (here: Python 3.11.2); install python3.12, or" in one_line(bare)


def test_no_python(bare):
    assert "Python 3.12 is needed and not found (here: " in one_line(bare)


def test_no_network(toy):
    (toy.folder / "uv.lock").write_text(LOCK + MISSING)
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "UV_OFFLINE": "0", "UV_HTTP_RETRIES": "0"}
    assert "the package index could not be reached; check the network" in one_line(toy, **proxy)
    assert "absent" in (toy.folder / "runs" / "setup.log").read_text()


def test_disk_fills_up(toy):
    toy.bin.joinpath("uv").unlink()
    toy.fake("uv", "[ $1 != sync ] || { echo 'error: No space left on device (os error 28)'; exit 2; }")
    assert "the disk filled up; about 8 GB are needed" in one_line(toy)


def test_a_library_that_ttnn_needs_is_named_before_the_download(toy):
    script = toy.folder / "tools" / "setup.sh"
    script.write_text(script.read_text().replace("libatomic.so.1", "libabsent.so.9"))
    said = "setup: ttnn needs libabsent.so.9, which this machine lacks; on Debian and Ubuntu: apt install libatomic1."
    assert one_line(toy).startswith(said)
    assert "Installed" not in (toy.folder / "runs" / "setup.log").read_text()


def test_other_failures_name_the_log(toy):
    (toy.folder / "pyproject.toml").write_text("[project")
    assert "all of it is in runs/setup.log" in one_line(toy)


def test_no_pip(bare):
    bare.give("python3.12", PYTHON)
    for module in ("uv", "pip"):
        (bare.folder / f"{module}.py").write_text("raise ImportError")
    assert "has no pip; install uv or pip" in one_line(bare, PYTHONPATH=str(bare.folder))


def test_pyenv_with_no_version_selected(bare):
    bare.give("uv", UV)
    bare.fake("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    behind = bare.folder.parent / ".pyenv" / "versions" / "3.12.9" / "bin"
    behind.mkdir(parents=True)
    (behind / "python3.12").symlink_to(PYTHON)
    assert bare.setup()[0] == 0 and bare.runs()


def test_python_through_uv(bare):
    bare.fake("uv", f'[ "$1" = python ] && echo "{PYTHON}" || exec "{UV}" "$@"')
    assert bare.setup()[0] == 0 and bare.runs()


def test_second_run_does_nothing(toy):
    code, out, errors = toy.setup(PYTHONDONTWRITEBYTECODE="1")
    assert (code, errors) == (0, []) and "setup: done" in out and toy.runs()
    before = toy.stamp.stat().st_mtime_ns
    toy.fake("uname", "exit 9")  # nothing slow is asked any more
    assert toy.setup() == (0, "", []) and toy.stamp.stat().st_mtime_ns == before


def delete_a_file(toy):
    time.sleep(0.1)  # a file system's clock ticks every few milliseconds
    next((toy.folder / ".venv").rglob("toy-0.1.0.dist-info/METADATA")).unlink()


def dead_interpreter(toy):
    link = toy.folder / ".venv" / "bin" / "python"
    link.unlink()
    link.symlink_to("/nowhere/python3.12")


def driver_comes(toy):
    toy.more = {"NVIDIA_DRIVER": PYTHON}  # any file that is there


def half_finished(toy):
    toy.stamp.unlink()
    shutil.rmtree(next((toy.folder / ".venv").rglob("site-packages")))


def other_lock(toy):
    (toy.folder / "uv.lock").write_text(LOCK + "\n")


def other_folder(toy):
    toy.folder = toy.folder.rename(toy.folder.with_name("moved"))


def test_heals(toy):
    """One damage after the other; each finds what the last one left, healed."""
    toy.setup()
    for damage in (delete_a_file, dead_interpreter, half_finished, other_lock, driver_comes, other_folder):
        damage(toy)
        code, out, _ = toy.setup()
        assert code == 0 and "setup: done" in out and toy.runs(), damage.__name__
        assert toy.setup() == (0, "", []), damage.__name__


def hit_after_sync(toy, signal: str) -> subprocess.Popen:
    """A set-up that gets a signal when uv has done its work, as soon as it is known which process that is."""
    toy.bin.joinpath("uv").unlink()
    hit = f'until [ -s "$HOME/pid" ]; do sleep 0.1; done; kill -{signal} "$(cat "$HOME/pid")"; sleep 1'
    toy.fake("uv", f'"{UV}" "$@"; [ "$1" != sync ] || {{ {hit}; }}')
    process = toy.start()
    (toy.folder.parent / "pid").write_text(str(process.pid))
    return process


def test_killed_midway(toy):
    process = hit_after_sync(toy, "9")
    process.communicate(timeout=60)
    assert process.returncode == -9 and not toy.stamp.exists()
    toy.bin.joinpath("uv").unlink()
    toy.give("uv", UV)
    assert toy.setup()[0] == 0 and toy.runs()


def test_two_at_once(toy):
    both = [toy.start(), toy.start()]
    outs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0] and toy.runs()
    assert sum("setup: done" in out for out in outs) == 1


def test_what_counts_the_bytes_holds_nothing_when_it_is_done(toy):
    """Killed, it leaves a sleep of two seconds behind. Whoever sets up next must not wait for that."""
    process = toy.start()
    process.wait(timeout=60)
    lock = ["flock", "--nonblock", toy.folder / "tools" / "setup.sh", "true"]
    assert subprocess.run(lock).returncode == 0 and process.returncode == 0


@pytest.mark.parametrize(("grown", "said"), [(2_140_000, ", 2.1 of at most 5.4 GB"), (5_600_000, "")])
def test_the_figure_is_left_out_where_others_write_too(grown, said):
    """What is counted is the whole disk's growth; more than the set-up takes cannot all be the set-up's."""
    function = re.search(r"^written\(\).*?^}$", (ROOT / "tools" / "setup.sh").read_text(), re.MULTILINE | re.DOTALL)[0]
    shell = ["sh", "-euc", f"size_gb=5.4\n{function}\nwritten {grown}"]
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == said


def test_ctrl_c_says_how_to_go_on(toy):
    process = hit_after_sync(toy, "INT")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and not toy.stamp.exists()
    assert errors == "setup: interrupted. Run it again: what is downloaded is kept, and it goes on from there.\n"


@pytest.mark.parametrize(("driver", "left_out"), [("/nowhere", True), (PYTHON, False)])
def test_without_an_nvidia_driver_what_only_cuda_uses_stays_away(toy, driver, left_out):
    toy.bin.joinpath("uv").unlink()
    toy.fake("uv", f'echo "$@" >> "$HOME/asked"; exec "{UV}" "$@"')
    code, out, _ = toy.setup(NVIDIA_DRIVER=driver)
    asked = (toy.folder.parent / "asked").read_text()
    assert code == 0 and ("--no-install-package triton --no-install-package cuda-bindings" in asked) == left_out
    assert f"Downloads at most {'2.7' if left_out else '3.1'} GB" in out
