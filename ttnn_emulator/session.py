"""Turns this process's ttnn into that of an emulated system, and back."""

import atexit
import os
import signal
import sys

import ttnn

from ttnn_emulator import constructor, devices, golden, toolchain, traces
from ttnn_emulator.systems import System, find_system

EXIT_SECONDS = 20  # after a failed kernel build ttnn's threads can outlive the interpreter

_system: System | None = None  # the one that ttnn has looked at; it never looks twice
_emulator: golden.Emulator | None = None


def install(system: str, numerics: bool = True) -> golden.Emulator:
    """From now on this process is `system`; every ttnn call goes through the emulator that is returned.

    system: a name in ttnn_emulator.SYSTEMS; "galaxy:8x4" counts what is sent along the axes of that mesh.
    numerics: False turns values off, for dry runs of memory and shapes.

    Raises ValueError for an unknown system, and RuntimeError where ttnn has looked at this machine's devices before.
    Called again, it changes no more than `numerics` and what the axes are called.
    """
    global _system, _emulator
    asked = find_system(system)
    system = find_system(asked.machine)  # the same chips and wires, whatever mesh they are taken as
    if _system not in (None, system):
        raise RuntimeError(
            f"This process already emulates {_system.name}, and ttnn drives one system per process. "
            f"Start another process for {system.name}."
        )
    if _emulator is None:
        _become(system)
        _emulator = golden.Emulator(numerics, system)
        golden.install(_emulator)
        devices.install(_emulator.memory, failed=toolchain.drop_kernels)
        traces.install(_emulator)
        constructor.install(_emulator)
        sys.modules["ttnn_emulator.conv"].install(_emulator)
    _emulator.numerics = numerics
    _emulator.wires.take_as(asked)
    return _emulator


def _become(system: System) -> None:
    global _system
    os.environ |= toolchain.environment(system)
    os.environ.pop("TT_METAL_WATCHER", None)  # it waits for chips to answer
    found = ttnn.cluster.get_cluster_type().name
    if found != system.cluster_type:
        raise RuntimeError(
            f"ttnn had already looked at this machine's devices ({found}) before {system.name} could be emulated. "
            "Start again (in a notebook: restart the kernel), and install the emulator before any other ttnn call."
        )
    if _system is None:
        atexit.register(leave)
    _system = system
    # Not at the top: they attach golden functions, and on real chips ttnn's comparison mode needs its own.
    from ttnn_emulator import attention, backward, conv, dit, exchange, ops, pictures  # noqa: F401


def uninstall() -> None:
    """Gives ttnn its own functions back. The process stays the system that it is: ttnn never looks twice."""
    global _emulator
    _emulator = None
    golden.uninstall()
    devices.uninstall()
    traces.uninstall()
    constructor.uninstall()
    sys.modules["ttnn_emulator.conv"].uninstall()


def leave() -> None:
    """At the end of the process."""
    end_in_time()
    uninstall()


def end_in_time() -> None:
    """If ttnn's threads keep the process alive from now on, an alarm ends it: on real chips too (helpers/mesh.py)."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(EXIT_SECONDS)
