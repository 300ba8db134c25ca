"""Plans of videos on many systems, and the splits of each, to turn over.

Beside explorer.py, since the planner imports every model: seconds.
"""

import json

import ipywidgets
from matplotlib.figure import Figure

from helpers.planner import splits
from helpers.planner.calls import FOLDER
from helpers.show import plan
from helpers.show.live import Live

PLANS = FOLDER / "plans.json"  # tools/plans.py


class Planned(Live):
    """System, length and size -> what the video would take. Worked out beforehand by tools/plans.py."""

    def __init__(self):
        self.rows = json.loads(PLANS.read_text())
        options = lambda name: list(dict.fromkeys(row[name] for row in self.rows))
        self.system = ipywidgets.Dropdown(options=options("system"), value="galaxy", description="system")
        self.frames = ipywidgets.SelectionSlider(options=options("frames"), value=163, description="frames")
        sizes = dict.fromkeys((row["width"], row["height"]) for row in self.rows)
        names = [(f"{width} x {height}", (width, height)) for width, height in sizes]
        self.size = ipywidgets.Dropdown(options=names, value=names[-1][1], description="size")
        super().__init__((self.system, self.frames, self.size), self.draw, plan.all_plans(self.rows))

    def draw(self) -> Figure:
        """The picture of what is chosen now."""
        wanted = self.system.value, self.frames.value, *self.size.value
        key = lambda row: (row["system"], row["frames"], row["width"], row["height"])
        return plan.kept_plan(next(row for row in self.rows if key(row) == wanted))


class Splits(Live):
    """System and split -> memory and predicted time of a pass of Mochi's denoiser, beside the other splits."""

    def __init__(self, system: str = "galaxy"):
        self.system = ipywidgets.Dropdown(options=splits.kept_systems(), value=system, description="system")
        self.way = ipywidgets.SelectionSlider(options=self.ways(), description="tp x sp")
        self.way.value = splits.best(splits.kept(system))
        self.system.observe(lambda change: setattr(self.way, "options", self.ways()), "value")
        super().__init__((self.system, self.way), self.draw)

    def ways(self) -> list[tuple[str, splits.Split]]:
        return [(f"{way.tp} x {way.sp}", way) for way in splits.kept(self.system.value)]

    def draw(self) -> Figure:
        """The picture of what is chosen now."""
        return plan.split_ways(splits.kept(self.way.value.system), self.way.value)
