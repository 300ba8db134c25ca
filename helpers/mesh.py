"""Any Tenstorrent system, on any machine, in one line: `with open_mesh("galaxy") as mesh: ...`

`mesh` is a real ttnn.MeshDevice. Where there is Tenstorrent hardware it is that hardware, with TT_METAL_SIMULATOR set
it is Tenstorrent's simulator, and anywhere else it is emulated (ttnn_emulator). Which one is printed at opening
and kept in `mesh.backend`; the code that uses the mesh is the same.
"""

import atexit
import itertools
import os
import sys
import tempfile
from pathlib import Path

import cloudpickle
import ttnn
import yaml

import ttnn_emulator
from helpers import forks
from helpers.words import say
from ttnn_emulator.session import end_in_time
from ttnn_emulator.systems import System, find_system
from ttnn_emulator.traffic import Traffic

BACKENDS = ("silicon", "simulator", "emulated")
L1_SMALL = 32 * 1024  # bytes of each core's L1 kept for conv2d's and pooling's tables; ttnn's default of 0 fails them

_mesh: ttnn.MeshDevice | None = None  # the open one: ttnn drives one system in a process
_system: System | None = None  # the one that ttnn has looked at; it never looks twice
_backend: str | None = None  # and what that was


def find_backend() -> str:
    """What this machine has: `silicon`, else `simulator` where one is set, else `emulated`."""
    if os.environ.get("TT_METAL_SIMULATOR"):
        return "simulator"
    return "silicon" if Path("/dev/tenstorrent").exists() else "emulated"


def open_mesh(system: str = "galaxy", *, backend: str | None = None, numerics: bool = True) -> ttnn.MeshDevice:
    """Opens a system as one mesh of chips.

    The device has, beside all that ttnn gives it: `mesh.system` (its row in ttnn_emulator/systems.py), `mesh.backend`,
    and `mesh.traffic` (what crossed each wire, ttnn_emulator/traffic.py; only an emulated mesh can count that, and on
    others it stays empty). Opened again while open, it is the same mesh; used with `with`, it closes at the end of the
    outermost block.

    system: a name in ttnn_emulator.systems.SYSTEMS; "galaxy:8x4" takes a Galaxy as 8 chips along tp, 4 along sp.
    backend: one of BACKENDS; what this machine has unless given.
    numerics: False turns values off on the emulated mesh, for dry runs of memory and shapes.

    Raises ValueError for an unknown system or backend, and RuntimeError where this process has already been another
    system (open it with `run_on`, or restart the kernel), or the same by another backend, or the hardware is not the
    system asked for.
    """
    global _mesh, _system
    system, backend = find_system(system), backend or find_backend()
    if backend not in BACKENDS:
        raise ValueError(f"There is no backend {backend!r}. Choose one of: {', '.join(BACKENDS)}.")
    if _system not in (None, system):
        raise RuntimeError(
            f"This process has already opened {_system.name}, and ttnn drives one system per process. Restart the "
            f'kernel to open {system.name}, or run a function on it with run_on("{system.name}", function).'
        )
    if _backend not in (None, backend):
        raise RuntimeError(
            f"This process has already opened {_backend} {system.name}, and what ttnn has found it does not look for "
            f"again. Restart the kernel to open {backend} {system.name}."
        )
    if _mesh is not None:
        if (backend, numerics) != (_mesh.backend, _mesh.numerics):
            raise RuntimeError(f"{label(_mesh)} is open in another way. Close it first: close_mesh(mesh).")
        _mesh.users += 1
        return _mesh
    _mesh = _open(system, backend, numerics)
    _mesh.system, _mesh.backend, _mesh.numerics = system, backend, numerics
    _mesh.users = 1  # how many open_mesh calls have not been left
    say(f"{label(_mesh)}: {EXPLAINED[backend]}")
    return _mesh


EXPLAINED = {
    "silicon": "real chips.",
    "simulator": "Tenstorrent's simulator.",
    "emulated": "no chips here. ttnn's own host code runs, torch supplies the values, times mean nothing.",
}


def _open(system: System, backend: str, numerics: bool) -> ttnn.MeshDevice:
    global _system, _backend
    if backend == "emulated":
        emulator = ttnn_emulator.install(system.name, numerics)
    else:
        check_hardware(system, backend)
    _system, _backend = system, backend
    ttnn.set_fabric_config(fabric(system))
    try:
        mesh = ttnn.open_mesh_device(ttnn.MeshShape(*system.mesh), l1_small_size=L1_SMALL)
    except RuntimeError as error:
        raise RuntimeError(
            f"ttnn could not open {system.name}. Restart the kernel and open it again. ttnn says: {error}"
        ) from error
    if backend == "emulated":
        mesh.emulator, mesh.traffic = emulator, emulator.wires.traffic
        mesh.traffic.clear()
    else:
        mesh.traffic = Traffic(f"{backend} {system}: not counted there")
    return mesh


def fabric(system: System) -> ttnn.FabricConfig:
    """How chips talk: not at all, along a line, or around a ring where the cabling closes one."""
    if system.num_chips == 1:
        return ttnn.FabricConfig.DISABLED
    return ttnn.FabricConfig.FABRIC_1D_RING if system.torus else ttnn.FabricConfig.FABRIC_1D


def check_hardware(system: System, backend: str) -> None:
    """Raises RuntimeError where this machine's chips, or the simulator's, are not the system."""
    os.environ.pop("TT_METAL_MOCK_CLUSTER_DESC_PATH", None)
    found = ttnn.cluster.get_cluster_type().name
    if found != system.cluster_type:
        raise RuntimeError(
            f"This machine's {backend} is {found}, not {system.name}. Open what is there, or emulate: "
            f'open_mesh("{system.name}", backend="emulated").'
        )


def close_mesh(mesh: ttnn.MeshDevice) -> None:
    """Closes a mesh and forgets its tensors' values. Closing it again does nothing."""
    global _mesh
    if mesh is None or mesh is not _mesh:
        return
    _mesh, mesh.users = None, 0
    ttnn.close_mesh_device(mesh)


def current_mesh() -> ttnn.MeshDevice:
    """The mesh that is open. Raises RuntimeError where none is."""
    if _mesh is None:
        raise RuntimeError("No mesh is open. Open one first: mesh = open_mesh(SYSTEM).")
    return _mesh


def label(mesh: ttnn.MeshDevice) -> str:
    """Which system, and which kind of it, made a picture or a number: `emulated galaxy 4x8`."""
    return f"{mesh.backend} {mesh.system}"


def links(mesh: ttnn.MeshDevice) -> dict[tuple, int]:
    """(chip, chip) -> number of Ethernet links, chips as (row, column), read from ttnn's own cluster descriptor."""
    with open(ttnn.cluster.serialize_cluster_descriptor()) as file:
        wired = yaml.safe_load(file)["ethernet_connections"]
    coords = list(itertools.product(*map(range, mesh.shape)))
    chips = {mesh.get_device_id(ttnn.MeshCoordinate(*coord)): coord for coord in coords}
    found = {}
    for ends in wired:
        pair = tuple(sorted(chips[end["chip"]] for end in ends))
        found[pair] = found.get(pair, 0) + 1
    return found


def _leave_block(mesh, *exception) -> None:
    mesh.users = max(0, mesh.users - 1)  # it may have been closed inside the block
    if mesh.users == 0:
        close_mesh(mesh)


ttnn.MeshDevice.__enter__ = lambda mesh: mesh
ttnn.MeshDevice.__exit__ = _leave_block


@atexit.register
def _leave_process() -> None:
    if _system is not None:  # whatever the backend: where ttnn has looked at chips, its threads may not end
        end_in_time()
    close_mesh(_mesh)


def run_on(system: str, function, *args, numerics: bool = True, backend: str | None = None, timeout: float = 600):
    """Opens `system` in a fresh process, runs function(mesh, *args) there, and returns its result.

    A process can be one system only; this is the way to a second one. Functions defined in a notebook work too.
    Raises RuntimeError with the other process's own words where the function failed, TimeoutError after `timeout`
    seconds.
    """
    find_system(system)
    with tempfile.TemporaryDirectory() as folder:
        task, answer, said, errors = (Path(folder, name) for name in ("task", "answer", "said", "errors"))
        task.write_bytes(cloudpickle.dumps((function, args, dict(numerics=numerics, backend=backend))))
        try:
            status = forks.run(worker_environment(), timeout, system=system, folder=folder)
        except TimeoutError:
            raise TimeoutError(
                f"{function.__name__} on {system} took longer than {timeout} s and was stopped."
            ) from None
        print(said.read_text(), end="")
        if not answer.exists():
            raise RuntimeError(f"The process for {system} died with status {status}:\n{errors.read_text()[-2000:]}")
        result, error = cloudpickle.loads(answer.read_bytes())
    if error:
        raise RuntimeError(f"{function.__name__} failed on {system}:\n{error}")
    return result


def worker_environment() -> dict[str, str]:
    """This process's environment and import path, without the system that it emulates."""
    kept = {name: value for name, value in os.environ.items() if name != "TT_METAL_MOCK_CLUSTER_DESC_PATH"}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
