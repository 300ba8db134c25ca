"""A pytest plugin for tests that nobody here wrote: a sample of each, on meshes that exist here, without a download.

pytest -p ttnn_emulator.pytest_plugin -p tools.foreign.pytest_sample --most 4 ...

tt_dit's tests of Mochi ask a hub for its weights. They compare with diffusers on the same weights, so random ones of
the same width serve, two layers of them.
"""

import math
from collections import defaultdict

import diffusers
import pytest
import torch

from tools.foreign.shaken import shaken


def pytest_addoption(parser):
    parser.addoption("--most", type=int, default=0, help="so many cases of each test, spread evenly; 0 for all")


def pytest_configure(config):
    model = diffusers.MochiTransformer3DModel
    model.from_pretrained = lambda *args, torch_dtype=torch.float32, **options: random(model, torch_dtype)


def random(model, dtype):
    torch.manual_seed(7)
    return shaken(model(num_layers=2)).to(dtype)


@pytest.hookimpl(trylast=True)  # after -k has chosen
def pytest_collection_modifyitems(config, items):
    from ttnn_emulator.systems import find_system

    chips, most = find_system(config.getoption("--system")).num_chips, config.getoption("--most")
    cases = defaultdict(list)
    for item in items:
        if fits(item, chips):
            cases[item.nodeid.split("[")[0]].append(item)
    kept = [item for found in cases.values() for item in spread(found, most)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def fits(item, chips: int) -> bool:
    mesh = item.callspec.params.get("mesh_device", 1) if hasattr(item, "callspec") else 1
    return (mesh if isinstance(mesh, int) else math.prod(mesh)) <= chips


def spread(found: list, most: int) -> list:
    """At most so many of a list, from its first on in equal steps."""
    return found[:: math.ceil(len(found) / most)] if most else found
