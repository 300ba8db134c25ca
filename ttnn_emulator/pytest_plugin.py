"""pytest -p ttnn_emulator.pytest_plugin --system galaxy: tests that want chips, on an emulated system.

A conftest that opens its own devices does so on the emulated system. Where there is none, the fixtures below are those
that tt-metal's tests ask for, in their meaning there: `mesh_device`, with a shape or a number of chips as parameter,
opened as `device_params` says; `device`, one chip; `reset_seeds`.
"""

import atexit
import math
import os

import pytest


def pytest_addoption(parser):
    parser.addoption("--system", default="galaxy", help="the Tenstorrent system to emulate (ttnn_emulator)")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    """Before any conftest, which may look at devices while it is imported."""
    import ttnn_emulator

    # At the exit nanobind lists, in up to eighty lines, what pytest still holds. It would bury the summary.
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
    try:
        ttnn_emulator.install(early_config.known_args_namespace.system)
    except (ValueError, RuntimeError) as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config):
    return f"ttnn: emulated {config.getoption('--system')}, no chips"


@pytest.fixture
def device_params(request):
    """What a test parametrises: options of ttnn.open_mesh_device, and fabric_config among them."""
    return dict(getattr(request, "param", {}))


@pytest.fixture
def reset_seeds():
    import torch

    torch.manual_seed(213919)


def shape_of(wanted, whole: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of the mesh that a test asks for: a shape, a number of chips in a row, or all."""
    if wanted is None:
        return whole
    return (1, wanted) if isinstance(wanted, int) else tuple(wanted)


@pytest.fixture
def mesh_device(request, device_params):
    import ttnn

    shape = shape_of(getattr(request, "param", None), tuple(system(request).mesh))
    if math.prod(shape) > system(request).num_chips:
        pytest.skip(f"needs a mesh of {shape}, and {system(request)} is emulated")
    fabric = {name: device_params.pop(name) for name in [*device_params] if name.startswith("fabric_")}
    config = fabric.pop("fabric_config", None)
    if config is not None:
        ttnn.set_fabric_config(config)
    mesh = ttnn.open_mesh_device(ttnn.MeshShape(*shape), **device_params)
    yield mesh
    for submesh in mesh.get_submeshes():
        ttnn.close_mesh_device(submesh)
    ttnn.close_mesh_device(mesh)
    if config is not None:
        ttnn.set_fabric_config(ttnn.FabricConfig.DISABLED)


@pytest.fixture
def device(device_params):
    import ttnn

    opened = ttnn.open_device(device_id=0, **device_params)
    yield opened
    ttnn.close_device(opened)


def system(request):
    from ttnn_emulator.systems import find_system

    return find_system(request.config.getoption("--system"))
