"""Any ttnn program on any Tenstorrent system, on a machine without chips.

    import ttnn_emulator
    ttnn_emulator.install("galaxy")     # before the first device; then ttnn as ever

The real ttnn does all that its host does, on a mock cluster; torch supplies what the chips would have computed.

systems.py     what can be emulated, as data
cluster.py     the machine: a descriptor from which ttnn's mock cluster believes in chips
toolchain.py   the compiler: null kernels where the real one is missing, and the cache folder
session.py     install and uninstall
devices.py     opening and closing devices
memory.py      the values: what each chip holds behind every live device buffer
golden.py      the arithmetic: every ttnn call's meaning in torch, chip by chip
arguments.py   the tensors among a call's arguments
per_chip.py    a golden function on all chips, once for those that hold the same
shards.py      what the chips of a tensor hold, equal values once
options.py     which options cannot change values; all others are handled or refused
transfers.py   host to device and back
exchange.py    ops in which chips exchange data; attention.py: ring attention
hops.py        a line of chips that hand tensors on, and the bytes that cross each wire
wires.py       which chips are wired to which; traffic.py: what crossed the wires, call by call
side_by_side.py  the work on one line of chips, for several at once
ops.py         golden functions that ttnn does not carry itself; of them
  dit.py       those of diffusion transformers
  conv.py      2D convolutions, and weights laid out for them once
  pictures.py  pools, sampling, turning
  backward.py  gradients
complexes.py   ops on complex tensors
padding.py     what stands in the padding of tiles, and warnings where it counts on chips
traces.py      traces, captured and executed
record.py      what a program calls, as data; report.py: the same for ttnn-visualizer
doctor.py      what works on this machine
__main__.py    the command line; pytest_plugin.py: the same for pytest
"""

import os
import platform
import sys

if (sys.platform, platform.machine()) != ("linux", "x86_64") or sys.version_info[:2] != (3, 12):
    raise ImportError(
        f"ttnn does not run on Python {platform.python_version()} on {platform.system()} {platform.machine()} here. "
        "What works is Python 3.12 on Linux x86-64: a Linux machine, WSL 2 on Windows, a linux/amd64 Docker "
        "container, or Google Colab."
    )

# Counts when torch is imported: how often its threads look for work before they sleep. Those that look long lose whole
# slices of time where other programs run too, and those that sleep at once are late. On two cores a clip of tiny-mochi
# took 4.1 s alone and 14 s beside two busy programs with as many looks as libgomp takes by itself, 5.0 and 9.6 s with
# none, 4.2 and 9.7 s with these.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
# ttnn talks a lot at start. The next two count when it is imported; set them yourself to hear more.
os.environ.setdefault("TT_LOGGER_LEVEL", "off")  # its errors are in the exceptions too
os.environ.setdefault("LOGURU_LEVEL", "ERROR")

from ttnn_emulator.systems import SYSTEMS

__all__ = ["SYSTEMS", "install", "uninstall"]


def __getattr__(name: str):
    """install and uninstall, when they are asked for: ttnn and torch take seconds to import, and a table needs none."""
    if name not in ("install", "uninstall"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ttnn_emulator import session

    return getattr(session, name)
