"""One environment for everybody, modules that import downwards only, and the command that CI runs."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tools.series import ROOT

# --- environment.yml and uv.lock -------------------------------------------------------------------


def locked_versions(project: dict, lock: dict) -> dict[str, str]:
    """The direct dependencies with the versions that uv.lock gives them."""
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    versions = {package["name"]: package.get("version") for package in lock["package"]}
    names = [re.match(r"[\w.-]+", requirement)[0] for requirement in wanted]
    return {name: versions[name] for name in names}


def conda_versions(environment: dict) -> tuple[str, dict[str, str]]:
    """Python's version, and what pip installs; raises if anything is not pinned exactly."""
    python = next(d.removeprefix("python=") for d in environment["dependencies"] if str(d).startswith("python="))
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    return python, dict(line.split("==") for line in pip if line != "-e .")


def load():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return project, lock, yaml.safe_load((ROOT / "environment.yml").read_text())


def test_conda_and_uv_install_the_same():
    project, lock, environment = load()
    python, versions = conda_versions(environment)
    assert versions == locked_versions(project, lock)
    assert python == (ROOT / ".python-version").read_text().strip()
    assert project["project"]["requires-python"] == lock["requires-python"] == f"=={python}.*"


@pytest.mark.parametrize("line", ["torch==2.12.0", "torch", "torch>=2.13.0"])
def test_another_torch_for_conda_is_noticed(line):
    project, lock, environment = load()
    pip = environment["dependencies"][-1]["pip"]
    pip[:] = [line if entry.startswith("torch==") else entry for entry in pip]
    try:
        same = conda_versions(environment)[1] == locked_versions(project, lock)
    except ValueError:  # not pinned with ==
        same = False
    assert not same


# --- layers ----------------------------------------------------------------------------------------

# Three houses. A module imports from its own line and the lines before it. What is in no line may import anything,
# and nothing in these lines may import it: give it a place first.
ORDER = [
    [
        "ttnn_emulator",
        "helpers.world",
        "helpers.video",
        "helpers.metrics",
        "helpers.words",
        "helpers.answers",
        "helpers.forks",
    ],
    ["helpers.tensors", "helpers.collectives"],
    ["helpers.mesh", "helpers.worker"],  # the worker is a program of its own, which mesh starts and which opens a mesh
    ["helpers.layers"],
    ["helpers.mochi", "helpers.frames"],
    ["helpers.mochi.pipeline", "helpers.mochi.upstream", "helpers.mochi.ways", "helpers.mochi.__main__"],
    ["helpers.planner", "helpers.exercises", "helpers.show"],
    ["training"],
]
LINES = {module: n for n, line in enumerate(ORDER) for module in line}
HOUSES = ("ttnn_emulator", "helpers", "training")


def place(module: str) -> int | None:
    """The line of the longest listed prefix: helpers.mochi.pipeline before helpers.mochi."""
    while module and module not in LINES:
        module = module.rpartition(".")[0]
    return LINES.get(module)


def imported(tree: ast.AST, package: str) -> set[str]:
    """Modules of the three houses that a file of a package names, absolutely or relatively."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            base = ".".join(above[: len(above) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).rstrip(".")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] in HOUSES}


def upward_imports(root: Path) -> list[str]:
    found = []
    for path in sorted(path for house in HOUSES for path in (root / house).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module, package = ".".join(parts).removesuffix(".__init__"), ".".join(parts[:-1])
        here = place(module)
        if here is None:
            continue
        for other in sorted(imported(ast.parse(path.read_text()), package)):
            there = place(other)
            if there is None or there > here:
                found.append(f"{module} imports {other}")
    return found


def test_the_houses_import_downwards_only():
    assert upward_imports(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("helpers/mesh", "from ttnn_emulator.systems import Galaxy", []),
        ("helpers/mesh", "from .collectives import Traffic", []),
        ("helpers/mochi/t5", "from ..mesh import shard", []),
        ("helpers/mochi/t5", "import torch, os.path", []),
        ("helpers/mochi/pipeline", "from helpers.mochi.vae import decode", []),
        ("helpers/show/text", "from helpers import mesh, tensors", []),
        ("helpers/extra", "from helpers.show import grid", []),
        ("training/mochi/train", "from helpers.world import scenes", []),
        ("helpers/tensors", "from helpers.mesh import shard", ["helpers.tensors imports helpers.mesh.shard"]),
        ("ttnn_emulator/golden", "from helpers import mesh", ["ttnn_emulator.golden imports helpers.mesh"]),
        ("ttnn_emulator/__init__", "import helpers.mesh", ["ttnn_emulator imports helpers.mesh"]),
        ("helpers/world/draw", "from .. import mesh", ["helpers.world.draw imports helpers.mesh"]),
        ("helpers/mesh", "def f():\n    from helpers import show", ["helpers.mesh imports helpers.show"]),
        ("helpers/show/text", "import training.card", ["helpers.show.text imports training.card"]),
        ("helpers/mochi/vae", "from .pipeline import sample",
         ["helpers.mochi.vae imports helpers.mochi.pipeline.sample"]),
        ("helpers/mochi/vae", "from helpers.extra import x", ["helpers.mochi.vae imports helpers.extra.x"]),
    ],
)  # fmt: skip
def test_upward_imports(tmp_path, module, line, expected):
    path = tmp_path / f"{module}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)
    assert upward_imports(tmp_path) == expected


# --- .ci/run ---------------------------------------------------------------------------------------


PASSED = "echo '==== 3 passed in 1.20s ===='"


@pytest.mark.parametrize(
    ("test", "browser", "code", "last"),
    [
        (PASSED, "echo '=== 7 passed in 90.00s ==='", 0, "==== 3 passed in 1.20s ===="),
        (PASSED, "echo '=== 7 skipped in 0.10s ==='", 0, "==== 3 passed in 1.20s ===="),
        (PASSED, "echo '=== 1 failed, 6 passed in 90.00s ==='; exit 1", 2, "=== 1 failed, 6 passed in 90.00s ==="),
        ("echo '= 1 failed, 2 passed in 61.20s (0:01:01) ='; exit 1", PASSED, 2, "= 1 failed, 2 passed in 61.20s"),
        ("echo '=== no tests ran in 0.01s ==='; exit 5", PASSED, 2, "=== no tests ran in 0.01s ==="),
        ("echo 'setup: no network'; exit 1", PASSED, 1, "no test ran"),
        ("true", "true", 1, "no test ran"),
    ],
)
def test_ci_shows_the_closing_line_and_fails_with_the_tests(tmp_path, test, browser, code, last):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(f"test:\n\t@{test}\ntest-browser:\n\t@{browser}\n")
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run([".ci/run"], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert last in done.stdout.splitlines()[-1]


def test_make_names_its_targets():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) - {"help", "setup"}
    assert targets == set(re.findall(r"'make ([\w-]+) ", makefile))
    wanted = "video series test lab renew reset notebooks book test-browser check bench foreign lint clean"
    assert set(wanted.split()) == targets


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")
def test_a_file_s_tests_are_sent_to_one_worker(request):
    """Else each worker sets up what a file's tests share, which costs minutes: pytest 9.2 with pytest-xdist 3.8.0."""
    assert request.node.nodeid.endswith("@test_frame")
