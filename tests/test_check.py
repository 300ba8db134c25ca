"""`make check`: what makes each of its lines fail, and that it needs no set-up to say so."""

import os
import socket
import subprocess
import sys
import webbrowser
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from helpers import video
from tools.series import ROOT


def load(name: str):
    """tools/check.py is a program of its own, which imports nothing of the project."""
    spec = spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check():
    return load("check")


def test_before_the_set_up_it_says_so_with_nothing_but_a_python(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "check.py").write_text((ROOT / "tools" / "check.py").read_text())
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "tools/check.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=os.environ | {"PATH": "/nowhere"},
    )  # fmt: skip
    assert ended.returncode == 1 and ended.stderr == ""
    assert "NO  Python: 3.12 is needed, and here is 3.12. Install python3.12, or uv" in ended.stdout
    assert "NO  widgets, video, mesh: checked after the set-up" in ended.stdout
    assert "NO  weights: the miniatures in models/ are missing. Get them back" in ended.stdout
    assert ended.stdout.endswith("to mend, marked NO.\n")


def test_python(check, tmp_path, monkeypatch):
    venv = tmp_path / ".venv"
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert check.python(venv) == ("NO", "set-up: not done yet. Run: make setup")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text("home = /x\nversion_info = 3.12.7\n")
    assert check.python(venv) == ("NO", "set-up: was interrupted. Run: make setup")
    (venv / "complete").touch()
    assert check.python(venv) == ("ok", "Python 3.12.7 in .venv, with the project's packages")
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nowhere/python3.12")
    assert check.python(venv)[0] == "NO"


def test_disk_memory_and_cores(check, monkeypatch):
    monkeypatch.setattr(check, "LEFT_GB", 10**6)
    monkeypatch.setattr(check, "MEMORY_GB", 10**6)
    monkeypatch.setattr(check, "CORES", 10**6)
    assert check.disk()[0] == "NO" and "1000000 GB needed. Free some space" in check.disk()[1]
    assert check.memory()[0] == "NO" and "Close other programs" in check.memory()[1]
    assert check.cores()[0] == "--" and "takes longer here" in check.cores()[1]
    assert check.available("MemTotal: 9 kB\nMemAvailable:    5078125 kB\nMemFree: 7 kB") == 5.2


def test_a_taken_port_is_passed_over(check, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(check, "PORTS", range(port, port + 1))
        assert check.ports()[0] == "--" and "are taken" in check.ports()[1]
    assert check.ports() == ("ok", f"ports: JupyterLab will be at {port}")


def test_browser_network_and_cuda_are_named_where_they_are_not(check, monkeypatch):
    def fail(*_):
        raise webbrowser.Error if not _ or _ == (None,) else OSError

    monkeypatch.setattr(check.webbrowser, "get", fail)
    monkeypatch.setattr(check.socket, "getaddrinfo", fail)
    assert check.browser() == (
        "--", "browser: no window can open here. Open the address that `make lab` prints, from where you sit"
    )  # fmt: skip
    assert check.network()[0] == "--" and check.network()[1].startswith("network: none, or through a proxy only. ")


def test_chips(check, tmp_path):
    devices, driver = tmp_path / "tenstorrent", tmp_path / "version"
    assert check.silicon(devices, driver)[1].startswith("chips: none, so the mesh is emulated")
    driver.write_text("2.3.0\n")
    assert check.silicon(devices, driver)[1].startswith("chips: driver 2.3.0 is loaded and sees none")
    devices.mkdir()
    (devices / "0").touch()
    (devices / "1").touch()
    assert check.silicon(devices, driver) == ("ok", "chips: 2, driver 2.3.0")
    (devices / "1").unlink()
    (devices / "1").symlink_to("nowhere")
    assert check.silicon(devices, driver)[0] == "NO" and "you may not open" in check.silicon(devices, driver)[1]


def test_the_real_weights_are_found_in_the_cache(check, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert check.weights()[0] == "--"
    (tmp_path / "models--genmo--mochi-1-preview").mkdir()
    assert check.weights()[0] == "ok"


def test_what_the_packages_and_the_doctor_say_is_passed_on(check, monkeypatch):
    answers = {
        "tools/check_packages.py": (0, "noise\nok\tvideo: fine\nNO\twidgets: no\n"),
        "-m": (1, "ok  a b\nNO  c\n"),
    }
    monkeypatch.setattr(check, "asked", lambda first, *_: answers[first])
    assert check.packages() == [("ok", "video: fine"), ("NO", "widgets: no")]
    assert check.mesh() == [("ok", "a b"), ("NO", "c")]
    answers.update({"tools/check_packages.py": (1, "Traceback\nImportError: no x."), "-m": (1, "killed")})
    assert check.packages() == [("NO", "packages: ImportError: no x. Run: rm -rf .venv, then make setup")]
    assert check.mesh() == [("NO", "emulated mesh: killed. Run: rm -rf .venv, then make setup")]


def test_one_line_to_mend_ends_with_a_status(check, capsys):
    assert check.main([lambda: ("ok", "a"), lambda: [("--", "b")]]) == 0
    assert capsys.readouterr().out == "ok  a\n--  b\n\nEverything that the notebooks need works.\n"
    assert check.main([lambda: ("ok", "a"), lambda: [("NO", "b")]]) == 1
    assert capsys.readouterr().out.endswith("1 to mend, marked NO.\n")


def test_widgets_and_video_fail_where_they_do_not_work(tmp_path, monkeypatch):
    inside = load("check_packages")
    assert inside.film()[0]
    monkeypatch.setattr(inside.video, "read", lambda path: (video.to_uint8(0.5 + 0 * READ(path)[0] / 255), 12))
    assert not inside.film()[0] and "video: an MP4" in inside.film()[1]
    fine, said = inside.widgets(str(tmp_path))
    assert not fine and said.startswith("widgets: JupyterLab lacks the extension")


READ = video.read
