"""What ran where, for how long, and what it sent.

line = Timeline(mesh)
with line.stage("encode", "mesh"):
    ...
print(line)                     # times and bytes by stage; helpers/show/clip.py draws them
"""

import contextlib
import time
from dataclasses import dataclass

import ttnn

WHERE = ("mesh", "host")


@dataclass(frozen=True)
class Stage:
    """One run of a stage: seconds on this computer's clock, and bytes over the busiest link of each axis."""

    name: str
    where: str
    seconds: float
    sent: dict[str, int]


class Timeline:
    def __init__(self, mesh: ttnn.MeshDevice):
        self.mesh = mesh
        self.stages: list[Stage] = []

    @contextlib.contextmanager
    def stage(self, name: str, where: str):
        """Times what happens inside. `where` is one of WHERE, else ValueError. A stage may run many times."""
        if where not in WHERE:
            raise ValueError(f"A stage runs on {' or '.join(WHERE)}, not on {where!r}.")
        start, before = time.perf_counter(), len(self.mesh.traffic.sent)
        yield
        sent = {}
        for one in self.mesh.traffic.sent[before:]:
            sent[one.axis] = sent.get(one.axis, 0) + one.busiest
        self.stages.append(Stage(name, where, time.perf_counter() - start, sent))

    @property
    def names(self) -> list[str]:
        """The stages in the order in which they first ran"""
        return list(dict.fromkeys(stage.name for stage in self.stages))

    def runs(self, name: str) -> list[Stage]:
        return [stage for stage in self.stages if stage.name == name]

    def sent(self, *names: str, axis: str | None = None) -> int:
        """Bytes over the busiest link in these stages, or in all; along one axis, or both."""
        wanted = [stage.sent for stage in self.stages if not names or stage.name in names]
        return sum(size for sent in wanted for along, size in sent.items() if axis in (None, along))

    def __str__(self) -> str:
        rows = [f"{'stage':<10}{'where':<8}{'times':>5}{'tp: busiest link':>20}{'sp: busiest link':>20}"]
        for name in self.names:
            runs = self.runs(name)
            sizes = "".join(f"{self.sent(name, axis=axis):>20,}" for axis in ("tp", "sp"))
            rows.append(f"{name:<10}{runs[0].where:<8}{len(runs):>5}{sizes}")
        return "\n".join(rows)
