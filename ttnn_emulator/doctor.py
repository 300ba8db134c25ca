"""What works on this machine, line by line, and what to do where something does not."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from ttnn_emulator import toolchain

MADE_FOR = "0.81.1"
SECONDS = 120  # the first opening compiles some kernels
# Each chip of a row of eight gives one number; 1 + 2 + ... + 8 is 36 on every chip.
PROGRAM = """
import torch, ttnn
ttnn.set_fabric_config(ttnn.FabricConfig.FABRIC_1D)
mesh = ttnn.open_mesh_device(ttnn.MeshShape(4, 8))
x = torch.arange(1, 9).float().reshape(1, 1, 1, 8).repeat(1, 1, 32, 1).repeat_interleave(32, -1)
mapper = ttnn.ShardTensor2dMesh(mesh, mesh_shape=(4, 8), dims=(None, 3))
x = ttnn.from_torch(x, device=mesh, layout=ttnn.TILE_LAYOUT, dtype=ttnn.bfloat16, mesh_mapper=mapper)
total = ttnn.all_reduce(x, cluster_axis=1)
print({float(t.to_torch()[0, 0, 5, 7]) for t in ttnn.get_device_tensors(total)})
ttnn.close_mesh_device(mesh)
"""


def main() -> int:
    """Prints a line for each check; 0 where all hold."""
    results = [ttnn_version(), cache(), fast_mode(), right_number()]
    for fine, line in results:
        print(f"{'ok ' if fine else 'NO '} {line}")
    return 0 if all(fine for fine, _ in results) else 1


def ttnn_version() -> tuple[bool, str]:
    here = importlib.metadata.version("ttnn")
    return here == MADE_FOR, f"ttnn {here}" + ("" if here == MADE_FOR else f": this was made for {MADE_FOR}")


def cache() -> tuple[bool, str]:
    try:
        folder = toolchain.cache_folder(Path(importlib.util.find_spec("ttnn").origin).parent)
    except RuntimeError as error:
        return False, str(error)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return os.access(folder, os.W_OK), f"cache {folder}, {size / 1e6:.0f} MB"


def fast_mode() -> tuple[bool, str]:
    overrides = os.environ.get("TTNN_CONFIG_OVERRIDES")
    return True, "ttnn's own configuration" if overrides is None else f"ttnn configured by {overrides}"


def right_number() -> tuple[bool, str]:
    """In another process, for this one may be another system already"""
    code = f"import ttnn_emulator; ttnn_emulator.install('galaxy')\n{PROGRAM}"
    try:
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"an emulated Galaxy did not add up eight numbers within {SECONDS} s"
    said = ended.stdout.strip().splitlines()[-1:] or [ended.stderr.strip()[-300:]]
    return said == ["{36.0}"], f"emulated Galaxy: 1 + 2 + ... + 8 along a row of chips is {said[0]}"
