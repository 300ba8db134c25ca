"""What crossed the wires between the chips, call by call: counted from the tensors that were handed on (hops.py)."""

from collections import Counter
from dataclasses import dataclass, field

Chip = tuple[int, int]  # (row, column)
Link = tuple[Chip, Chip]  # from, to: two neighbours, all wires between them together, one direction


@dataclass(frozen=True)
class Sent:
    """One call of an op in which chips exchange data."""

    op: str  # ttnn's name, without the module
    axis: str  # along which: its name in the system, "tp" or "sp"
    ring: bool  # around a closed line
    shape: tuple[int, ...]  # of the first tensor that went in, one chip's part
    steps: tuple[dict[Link, int], ...]  # bytes in each step; the next begins when one is over

    @property
    def busiest(self) -> int:
        """Bytes over the busiest link of each step, in one direction: what the call has to wait for."""
        return sum(max(step.values(), default=0) for step in self.steps)

    @property
    def total(self) -> int:
        """Bytes over all links together."""
        return sum(sum(step.values()) for step in self.steps)


@dataclass
class Traffic:
    """All calls since the beginning, or since `clear()`."""

    title: str  # which mesh
    sent: list[Sent] = field(default_factory=list)

    def clear(self) -> None:
        self.sent.clear()

    def by_link(self, axis: str | None = None) -> dict[Link, int]:
        """Bytes that crossed each link, over both axes or over one: ((row, column), (row, column)) -> bytes."""
        total = Counter()
        for one in self.sent:
            for step in one.steps if axis in (None, one.axis) else ():
                total.update(step)
        return dict(total)

    def busiest_link(self) -> tuple[Link, int]:
        """The link that most bytes crossed, and how many. Raises ValueError where nothing was sent."""
        links = self.by_link()
        if not links:
            raise ValueError(f"Nothing was sent on {self.title}.")
        return max(links.items(), key=lambda item: item[1])

    def by_axis(self) -> dict[str, int]:
        """For each axis the bytes over the busiest link, step after step: what the calls have to wait for."""
        return self._busiest_by(lambda one: one.axis)

    def by_op(self) -> dict[tuple[str, str], int]:
        """As by_axis, for each op and axis."""
        return self._busiest_by(lambda one: (one.op, one.axis))

    def _busiest_by(self, key) -> dict:
        total = {}
        for one in self.sent:
            total[key(one)] = total.get(key(one), 0) + one.busiest
        return total

    def __str__(self) -> str:
        width = max((len(one.op) for one in self.sent), default=2) + 2
        rows = [
            f"{one.op:<{width}}{one.axis:<6}{'ring' if one.ring else 'line':<6}{one.busiest:>13,}{one.total:>14,}"
            f"  {one.shape}"
            for one in self.sent
        ]
        head = f"{'op':<{width}}{'axis':<6}{'':6}{'busiest link':>13}{'all links':>14}  a chip's part"
        return "\n".join([f"bytes that crossed links of {self.title}", head, *rows])
