"""What tools/setup.sh says that it will download is what uv.lock names."""

import re
import tomllib
from urllib.parse import unquote

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from tools.series import ROOT


def test_sizes_said_are_those_of_the_lock():
    script = (ROOT / "tools" / "setup.sh").read_text()
    lean, full = (float(x) for x in re.findall(r"download_gb=([\d.]+)", script))
    cuda_only = re.search(r'cuda_only="(.*)"', script)[1].split()
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    wanted = installed(lock)
    sizes = {name: size for name, size in wheel_sizes(lock).items() if name in wanted}
    assert full == pytest.approx(sum(sizes.values()) / 1e9, abs=0.06)
    assert lean == pytest.approx(sum(size for name, size in sizes.items() if name not in cuda_only) / 1e9, abs=0.06)
    assert set(cuda_only) <= set(sizes)


def installed(lock: dict) -> set[str]:
    """What the project and its group `dev` need; the website's group is for those who build it."""
    packages = {package["name"]: package for package in lock["package"]}
    project = packages["video-on-the-mesh"]
    found, open_ones = set(), project["dependencies"] + project["dev-dependencies"]["dev"]
    while open_ones:
        one = open_ones.pop()
        package, key = packages[one["name"]], (one["name"], *one.get("extra", []))
        if key not in found:
            found.add(key)
            open_ones += package.get("dependencies", [])
            open_ones += [part for extra in one.get("extra", []) for part in package["optional-dependencies"][extra]]
    assert "sphinx" in packages and ("torch",) in found and ("sphinx",) not in found
    return {name for name, *_ in found}


def wheel_sizes(lock: dict) -> dict[str, int]:
    """Bytes of the wheel of each locked package that this Python takes."""
    tags, sizes = list(sys_tags()), {}
    for package in lock["package"]:
        fitting = {}
        for wheel in package.get("wheels", []):
            kinds = parse_wheel_filename(unquote(wheel["url"].rpartition("/")[2]))[3]
            ranks = [tags.index(kind) for kind in kinds if kind in tags]
            if ranks:
                fitting[min(ranks)] = wheel["size"]
        if fitting:
            sizes[package["name"]] = fitting[min(fitting)]
    return sizes
