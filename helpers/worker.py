"""The other process of helpers.mesh.run_on: opens the system, runs the function, writes the answer."""

import os
import sys
import traceback
from pathlib import Path

import cloudpickle

from helpers.mesh import open_mesh


def main(system: str, task: str, answer: str) -> None:
    try:
        function, args, how = cloudpickle.loads(Path(task).read_bytes())
        written = cloudpickle.dumps((function(open_mesh(system, **how), *args), None))
    except BaseException:
        written = cloudpickle.dumps((None, traceback.format_exc()))
    part = Path(f"{answer}.part")
    part.write_bytes(written)
    part.rename(answer)
    sys.stdout.flush()
    os._exit(0)  # ttnn's threads may not want to end


if __name__ == "__main__":
    main(*sys.argv[1:])
