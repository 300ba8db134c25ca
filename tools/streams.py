"""Records what Tenstorrent's own programs call at their real sizes, for the planner (helpers/planner/calls.py).

python -m tools.streams tt-metal [--only mochi.t3000]

`tt-metal` is a checkout. Each program runs in a process of its own, in a dry run on an emulated system; what it calls
goes to helpers/planner/recorded as a small file of names, shapes and options, with the checkout's commit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers.planner.calls import FOLDER, Calls, counted, written
from tools.foreign.__main__ import commit_of
from ttnn_emulator.systems import find_system

# Layers of the real models: 48, 40 and 38. A decoder has no blocks that repeat.
LAYERS = {"mochi": 48, "decoder": 1, "wan480": 40, "wan720": 40, "sd35": 38}
WANTED = (
    "mochi.t3000", "mochi.galaxy", "mochi.quietbox2", "decoder.t3000", "decoder.galaxy", "decoder.quietbox2",
    "wan480.t3000", "wan480.quietbox2", "wan480.p150x8", "wan720.galaxy_torus", "wan720.bh_galaxy",
    "sd35.t3000", "sd35.galaxy",
)  # fmt: skip
# The meshes that calls see where they are not the system's: a decoder's, and half of the mesh for a pass of guidance
SHAPES = {"decoder.t3000": (1, 8), "decoder.quietbox2": (1, 4), "sd35.t3000": (2, 2), "sd35.galaxy": (4, 4)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--only", choices=WANTED)
    options = parser.parse_args()
    if not (options.checkout / "models/tt_dit").is_dir():
        parser.error(f"{options.checkout} is no checkout of tt-metal: there is no models/tt_dit in it.")
    source = f"tenstorrent/tt-metal@{commit_of(options.checkout)}"
    FOLDER.mkdir(exist_ok=True)
    for name in [options.only] if options.only else WANTED:
        program, system = name.split(".")
        layers = LAYERS[program]
        first = heard(options.checkout, program, 1, system)
        more = heard(options.checkout, program, 2, system) if layers > 1 else first
        kept = {
            "source": source,
            "shape": SHAPES.get(name, find_system(system).mesh),
            "layers": layers,
            "first": written(first),
            "block": written(difference(more, first)),
        }
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(kept, indent=None, separators=(",", ":")).replace("],[", "],\n[") + "\n")
        print(f"{path.name}: {sum(first.values())} calls of one layer, {sum(more.values())} of two", flush=True)
    return 0


def difference(more: Calls, less: Calls) -> Calls:
    """What one more layer calls. Raises ValueError where a call went away: then layers are not alike."""
    gone = less - more
    if gone:
        raise ValueError(f"A second layer calls {next(iter(gone)).op} less often. Layers are not alike.")
    return more - less


def heard(checkout: Path, program: str, layers: int, system: str) -> Calls:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "calls.jsonl")
        command = [sys.executable, "-m", "ttnn_emulator", "record", "--dry", "--system", system, "--out", str(out),
                   "-m", "tools.foreign.fullsize", program, str(layers), system]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        if ended.returncode:
            raise RuntimeError(f"{program} on {system} failed:\n{ended.stderr[-3000:]}")
        return counted(map(json.loads, out.read_text().splitlines()))


if __name__ == "__main__":
    sys.exit(main())
