"""Docker, compose, devcontainer and VS Code: what can be said of their files without running them.

tools/bare_root.py runs the Dockerfile's steps; here, that it reads them rightly and refuses what it does not know.
"""

import json
import re
import tomllib

import pytest
import yaml

from tools import bare_root
from tools.series import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STEPS = bare_root.instructions(DOCKERFILE)


class Recorder(bare_root.Machine):
    """Writes down what would be run, by whom and where."""

    def run(self, command, user=""):
        self.ran = [*getattr(self, "ran", []), (user or self.user, self.workdir, command)]


def test_the_dockerfile_is_one_that_can_be_run_here(tmp_path):
    machine = Recorder(tmp_path)
    ending = bare_root.build(machine, STEPS)
    assert bare_root.base(STEPS) == "bookworm"
    assert machine.user == "learner" and machine.workdir == "/course"  # what it starts, root does not run
    assert ("learner", "/course", "tools/setup.sh && rm -rf /home/learner/.cache/uv") in machine.ran
    assert json.loads(ending["CMD"])[1:3] == ["-m", "tools.lab"] and "8888" in ending["HEALTHCHECK"]
    assert (tmp_path / "course/tools/setup.sh").stat().st_mode & 0o100
    assert (tmp_path / "course/models/tiny-mochi/model_index.json").exists()
    assert not (tmp_path / "course/.git").exists() and not (tmp_path / "course/.venv").exists()


def test_the_packages_are_installed_before_what_changes_often_is_copied():
    """Or every change of a notebook would install everything anew. What the set-up needs must be there by then."""
    install = next(n for n, step in enumerate(STEPS) if step[0] == "RUN" and "setup.sh" in step[1])
    before = " ".join(rest for word, rest in STEPS[:install] if word == "COPY")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["tool"]["uv"]["build-backend"]["module-name"], project["project"]["readme"], "uv.lock"]
    assert all(re.search(rf"(?<!/){re.escape(name)}\b", before) for name in needed), before
    assert "notebooks" not in before and " . " not in before


def test_instructions_are_joined_and_comments_left_out():
    text = "# no\nRUN a && \\\n    b\n\n  # nor this\nUSER anna\n"
    assert bare_root.instructions(text) == [("RUN", "a && b"), ("USER", "anna")]


@pytest.mark.parametrize("step", [("ADD", "https://example.org/x /x"), ("VOLUME", "/x"), ("SHELL", '["bash"]')])
def test_an_instruction_that_is_not_known_is_refused_by_name(tmp_path, step):
    with pytest.raises(SystemExit, match=f"an instruction that this does not know: {step[0]}"):
        bare_root.build(Recorder(tmp_path), [("USER", "anna"), step])


@pytest.mark.parametrize("image", ["ubuntu:24.04", "python:3.13-slim-bookworm", "python:3.12-slim-buster"])
def test_another_image_is_refused(image):
    with pytest.raises(SystemExit, match=f"nothing here stands in for the image {image}"):
        bare_root.base([("ARG", f"BASE={image}"), ("FROM", "${BASE}")])
    assert bare_root.base([("FROM", "python:3.12-slim-trixie@sha256:abc")]) == "trixie"


def test_a_copy_puts_files_where_docker_does(tmp_path):
    machine = Recorder(tmp_path)
    machine.copy(["pyproject.toml", "uv.lock"], "/course/", None)
    machine.copy(["tools/setup.sh"], "/course/tools/setup.sh", None)
    machine.copy(["helpers"], "/course/helpers", "learner:learner")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"course/uv.lock", "course/pyproject.toml", "course/tools/setup.sh", "course/helpers/mesh.py"} <= found
    assert "course/helpers/show/studio.py" in found and not any("helpers/helpers" in name for name in found)
    assert machine.ran == [("root", "/", "chown -R learner:learner /course/helpers")]


def test_compose_uses_this_dockerfile_and_its_folders():
    service = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]["course"]
    assert service["build"] == "." and service["ports"] == ["127.0.0.1:8888:8888"]
    folder = dict(STEPS)["WORKDIR"]
    assert {volume.partition(":")[2] for volume in service["volumes"]} == {f"{folder}/work", f"{folder}/runs"}


def test_a_devcontainer_sets_up_as_the_dockerfile_does():
    """It has another folder for the checkout, so it makes the environment itself, with the same Debian packages."""
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    packages = re.compile(r"apt-get install -y --no-install-recommends ([\w ]+?) &&")
    assert packages.search(container["postCreateCommand"])[1] == packages.search(DOCKERFILE)[1]
    assert container["postCreateCommand"].endswith("&& make setup")
    assert container["image"].endswith(f"python:3.12-{bare_root.base(STEPS)}")
    editor = json.loads((ROOT / ".vscode" / "settings.json").read_text())
    inside = container["customizations"]["vscode"]["settings"]
    for settings in (editor, inside):
        assert settings["python.defaultInterpreterPath"].endswith("older}/.venv/bin/python")


def test_two_commands_are_read_from_readme():
    text = "# x\n```\nnot this\n```\n## Two commands\n\n```\nmake a B='c'   # why\n\nmake d\n```\n```\nnor this\n```\n"
    assert bare_root.two_commands(text) == ["make a B='c'", "make d"]


def test_debian_comes_from_this_machines_mirror_or_its_own(tmp_path):
    (tmp_path / "debian.sources").write_text("Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n")
    line = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} trixie main"
    assert bare_root.source("trixie", tmp_path / "debian.sources") == line.format("http://mirror.example/debian")
    assert bare_root.source("trixie", tmp_path / "none") == line.format("http://deb.debian.org/debian")


def test_a_python_that_fills_usr_is_refused(monkeypatch):
    """Its folder would be copied into the root: all of the machine's programs."""
    monkeypatch.setattr(bare_root.os, "getuid", lambda: 0)
    monkeypatch.setattr(bare_root.shutil, "which", lambda name: name)
    monkeypatch.setattr(bare_root.sys, "base_prefix", "/usr")
    with pytest.raises(SystemExit, match="this Python is the system's"):
        bare_root.main(["readme"])
