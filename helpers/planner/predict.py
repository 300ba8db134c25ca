"""How long many calls take: a pass of a model on a system, predicted from its calls (calls.py), priced (cost.py).

    one = Pass.of(recorded("mochi", "galaxy").whole(), find_system("galaxy"))
    one.seconds("mid"), one.bound              # 3.76, "host"
    one.by_kind()                              # {"attention": 0.96, "collective": 0.35, ...} seconds of the device

The device works through its calls one after the other. Where a program is not traced, the host sends each call to each
chip, ahead of the device: a pass takes as long as the slower of the two. What is not modelled: work on the host
between calls, reading back, and anything that overlaps but for what one fused op does.
"""

from collections import Counter
from dataclasses import dataclass, field

from helpers.planner import rates
from helpers.planner.calls import Calls
from helpers.planner.cost import Time, price
from ttnn_emulator.systems import System

WHICH = {"quick": "high", "mid": "mid", "slow": "low"}  # of a time -> of the shares that it is made with


@dataclass(frozen=True)
class Pass:
    system: System
    traced: bool
    times: tuple[tuple[Time, int], ...] = field(repr=False)  # each with how often

    @classmethod
    def of(cls, calls: Calls, system: System, *, shape: tuple[int, int] | None = None, traced: bool = False) -> "Pass":
        """shape: of the mesh that the calls see, where it is not the system's: a part of it, or taken otherwise."""
        priced = ((price(call, system, shape), times) for call, times in calls.items())
        return cls(system, traced, tuple((time, n) for time, n in priced if time.kind != "view"))

    @property
    def num_calls(self) -> int:
        """Of the device: views are none."""
        return sum(n for _, n in self.times)

    def device(self, which: str = "mid") -> float:
        """Seconds that the chips work, gaps between calls included. which: "quick", "mid" or "slow"."""
        share = WHICH[which]
        busy = sum(n * time.seconds(share) for time, n in self.times)
        return busy / self.pace(share) + self.num_calls * rates.GAP_S[self.traced].at(share)

    def pace(self, share: str) -> float:
        return rates.CARD_PACE.at(share) if self.system.board in rates.CARDS else 1.0

    def host(self, which: str = "mid") -> float:
        """Seconds that the host needs to send all calls to all chips. A traced program was sent before."""
        each = self.system.num_chips * rates.HOST_S_PER_CHIP.at(WHICH[which])
        return 0.0 if self.traced else self.num_calls * each

    def seconds(self, which: str = "mid") -> float:
        return max(self.device(which), self.host(which))

    def by_kind(self) -> dict[str, float]:
        """Device seconds of each kind of call (cost.KINDS), and of the gaps between calls; longest first."""
        total = Counter({"gaps": self.num_calls * rates.GAP_S[self.traced].mid})
        for time, n in self.times:
            total[time.kind] += n * time.seconds() / self.pace("mid")
        return dict(total.most_common())

    @property
    def bound(self) -> str:
        """What the pass waits for: "host", or the kind of call that takes longest."""
        return "host" if self.host() > self.device() else next(iter(self.by_kind()))
