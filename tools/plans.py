"""Plans many videos on many systems, for the explorer of notebook 07 (helpers/show/planned.py), and all splits.

python -m tools.plans            # everything
python -m tools.plans splits     # how tp and sp share the chips (helpers/planner/splits.py) only

A plan takes a dry run of some ten seconds; the explorer must not wait. What it shows goes to a small file: peaks and
predicted seconds, nothing else.
"""

import argparse
import itertools
import json
import sys

from helpers.planner.splits import GALAXIES, keep, splits
from helpers.planner.whole import Plan, plan
from helpers.show.planned import PLANS

SYSTEMS = ("n150", "n300", "n300x2", "t3000", "galaxy", "galaxy_torus", "quietbox2", "p150x8", "bh_galaxy")
SPLIT = ("t3000", "galaxy", "galaxy_torus", "quietbox2", "p150x8", "bh_galaxy", *GALAXIES)
FRAMES = (19, 49, 85, 163)
SIZES = (dict(height=288, width=512), dict(height=480, width=848))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.plans", description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", choices=["splits"], help="without it everything")
    options = parser.parse_args(arguments)
    keep([way for system in SPLIT for way in splits(system)])
    if options.only:
        return 0
    rows = []
    for system, size in itertools.product(SYSTEMS, SIZES):
        full = None  # a plan that does not fit; with more frames it does not either
        for frames in FRAMES:
            made = full or plan(system=system, frames=frames, **size)
            full = made if made.fits is False else None
            rows.append(kept(made) | dict(frames=frames))
            print(rows[-1], flush=True)
    PLANS.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    return 0


def kept(made: Plan) -> dict:
    """What the explorer shows of a plan; seconds of 50 steps with guidance."""
    peaks = [stage.need.peak for stage in made.stages]
    return {
        "system": made.system.name,
        **{name: made.request[name] for name in ("frames", "height", "width")},
        "peak": max(peaks) if made.fits else None,
        "stages": {stage.name: round(stage.seconds(), 2) for stage in made.stages} if made.fits else None,
        "range": [round(made.low), round(made.high)] if made.fits else None,
        "traced": round(made.if_traced().seconds) if made.fits else None,
        "bound": made.stages[1].bound,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
