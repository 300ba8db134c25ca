"""What the drivers of tt_dit's programs share: the mesh as their tests open it, how it is cut, a clock, the result.

A driver ends with main(part, ...) and is run as `python -m tools.foreign.mochi part`; each part takes the open mesh and
returns what it measured, which is printed as one line of JSON behind MARK.
"""

import contextlib
import json
import sys
import time

import torch
import ttnn
from models.tt_dit.parallel.config import DiTParallelConfig, ParallelFactor
from models.tt_dit.parallel.manager import CCLManager

from tools.foreign.programs import MARK

SHAPES = {8: (2, 4), 32: (4, 8)}  # of the mesh, by the number of chips
# Of each mesh: the axes along which their pipelines cut the sequence and the matrices, and the links that they drive.
LAYOUTS = {(2, 4): (0, 1, 1), (4, 8): (1, 0, 4)}


def main(*parts) -> None:
    """Runs the part that the command line names."""
    part = {part.__name__: part for part in parts}[sys.argv[1]]
    torch.manual_seed(3)
    with opened(ttnn.FabricConfig.FABRIC_1D) as mesh:
        print(MARK + json.dumps(part(mesh)), flush=True)


@contextlib.contextmanager
def opened(fabric):
    """All chips of the emulated system."""
    ttnn.set_fabric_config(fabric)
    mesh = ttnn.open_mesh_device(ttnn.MeshShape(*SHAPES[ttnn.get_num_devices()]))
    yield mesh
    ttnn.close_mesh_device(mesh)


def collectives(mesh) -> CCLManager:
    return CCLManager(mesh_device=mesh, num_links=LAYOUTS[tuple(mesh.shape)][2], topology=ttnn.Topology.Linear)


def layout(mesh) -> DiTParallelConfig:
    sp, tp, _ = LAYOUTS[tuple(mesh.shape)]
    return DiTParallelConfig(
        tensor_parallel=along(mesh, tp), sequence_parallel=along(mesh, sp), cfg_parallel=ParallelFactor(1, 0)
    )


def along(mesh, axis: int) -> ParallelFactor:
    return ParallelFactor(factor=mesh.shape[axis], mesh_axis=axis)


def timed(function):
    """(what it returns, seconds that it took on this computer)"""
    start = time.perf_counter()
    return function(), time.perf_counter() - start
