"""How long one call takes on a chip, and what it waits for: the slowest of its arithmetic, its DRAM and its links.

    time = price(call, find_system("galaxy"))
    time.seconds("mid"), time.bound        # 0.0172, "arithmetic"

    arithmetic   FLOP / (the peak at HiFi2 * the share of it that such an op reaches)
    DRAM         bytes read and written / (the chip's bandwidth * share)
    links        bytes over the busiest link in one direction / (its links' rate * share) + what any collective takes

plus what launching takes. Shares and their sources are in rates.py. Predicted, not measured.
"""

import math
from dataclasses import dataclass

from helpers.planner import rates
from helpers.planner.calls import Call, Operand
from helpers.planner.rates import Share
from ttnn_emulator.systems import HOP_LATENCY_S, System

BYTES = {"BFLOAT16": 2, "FLOAT32": 4, "BFLOAT8_B": 1088 / 1024, "BFLOAT4_B": 576 / 1024, "UINT32": 4, "INT32": 4,
         "UINT16": 2, "UINT8": 1}  # fmt: skip
VIEWS = ("reshape", "unsqueeze", "squeeze", "unsqueeze_to_4D", "view")  # no data moves where rows stay rows
MATMULS = ("matmul", "linear", "minimal_matmul", "minimal_matmul_split", "all_gather_minimal_matmul_async",
           "minimal_matmul_strided_reduce_scatter_async")  # fmt: skip
NORMS = ("norm", "softmax")
MOVES = ("heads", "qkv", "concat", "chunk", "split", "slice", "pad", "tilize", "layout", "permute", "transpose",
         "getitem", "typecast", "clone", "reshape", "partition", "rotary")  # fmt: skip
KINDS = ("attention", "matmul", "convolution", "collective", "elementwise")


@dataclass(frozen=True)
class Time:
    """One call. `needs` is for each resource (work, rate at its best, share): FLOP and FLOP/s, or bytes and bytes/s."""

    kind: str  # one of KINDS; "view" for what takes no time
    needs: tuple[tuple[str, float, float, Share], ...]
    fixed: Share  # seconds that no size changes

    def parts(self, which: str) -> dict[str, float]:
        return {name: work / (rate * share.at(which)) for name, work, rate, share in self.needs}

    def seconds(self, which: str = "mid") -> float:
        """`which` is the share taken: "low" makes the longest time, "high" the shortest."""
        return max(self.parts(which).values(), default=0.0) + self.fixed.at(which)

    @property
    def bound(self) -> str:
        parts = self.parts("mid")
        slowest = max(parts, key=parts.get, default="launch")
        return slowest if parts and parts[slowest] > self.fixed.mid else "launch"


NOTHING = Share(0.0, 0.0, 0.0, "")


def price(call: Call, system: System, shape: tuple[int, int] | None = None) -> Time:
    """shape: of the mesh that the call sees, where that is not the system's own."""
    shape = shape or system.mesh
    if call.op in VIEWS and is_view(call):
        return Time("view", (), NOTHING)
    if "dot_product_attention" in call.op:
        return attention(call, system, shape)
    if call.op in MATMULS:
        return matmul(call, system, shape)
    if "conv3d" in call.op or "conv2d" in call.op:
        return convolution(call, system)
    if is_collective(call):
        return collective(call, system, shape)
    return elementwise(call, system)


def is_view(call: Call) -> bool:
    """Whether rows stay rows. (Rows that a reshape moves between tiles look the same here: shapes come padded.)"""
    before, after = call.inputs[0].shape, call.outputs[0].shape
    return before[-1] == after[-1]


def num_bytes(*operands: Operand) -> float:
    """In DRAM. What lies in L1 is as good as free."""
    return sum(math.prod(o.shape) * BYTES[o.dtype] for o in operands if o.place == "DRAM")


def dram(system: System, amount: float, share: Share):
    return "DRAM", amount, system.chip.dram_bytes_per_s, share


def matmul(call: Call, system: System, shape) -> Time:
    """Of A (..., M, K) and B (K, N). With a collective fused into it, its links too."""
    out = call.outputs[0]
    inner = call.inputs[1].shape[-2]
    flop = 2 * math.prod(call.inputs[0].shape[:-1]) * inner * call.inputs[1].shape[-1]
    share = product_share(flop, system)
    one_row = math.prod(call.inputs[0].shape[:-1]) <= 32
    moved = num_bytes(*call.inputs[:2], *call.outputs)
    needs = [
        ("arithmetic", flop, rates.peak(system), share),
        dram(system, moved, rates.ONE_ROW if one_row else rates.MOVE),
    ]
    chips = chips_along(call, shape)
    if "all_gather" in call.op:
        needs.append(links(call, system, (chips - 1) * num_bytes(call.inputs[0]), chips, "gather"))
    if "reduce_scatter" in call.op:
        needs.append(links(call, system, (chips - 1) / chips * num_bytes(out), chips, "sum"))
    return Time("matmul", tuple(needs), rates.LAUNCH_S)


def product_share(flop: float, system: System) -> Share:
    """What a product of matrices of so many operations reaches of the peak."""
    return (rates.SMALL_MATMUL if flop < rates.SMALL_MATMUL_FLOP else rates.MATMUL)[system.chip.arch]


def attention(call: Call, system: System, shape) -> Time:
    """Queries (B, heads, S, D): 4 FLOP for each query, key and number of a head. In a ring k and v travel meanwhile."""
    q, k = call.inputs[0].shape, call.inputs[1].shape
    ring = "ring" in call.op
    joint = call.inputs[3].shape[-2] if "joint" in call.op and len(call.inputs) > 3 else 0
    chips = chips_along(call, shape) if ring else 1
    keys = k[-2] * chips + joint
    cores = math.prod(map(int, call.option("grid", f"{system.grid[0]}-{system.grid[1]}").split("-")))
    flop = 4 * q[0] * q[1] * (q[-2] + joint) * keys * q[-1]
    needs = [
        ("arithmetic", flop, rates.peak(system, cores), attention_share(call, system, cores)),
        dram(system, num_bytes(*call.inputs[:3], *call.outputs[:1]), rates.MOVE),
    ]
    if ring:
        needs.append(links(call, system, (chips - 1) * num_bytes(*call.inputs[1:3]), chips, "gather"))
    return Time("attention", tuple(needs), rates.LAUNCH_S)


def attention_share(call: Call, system: System, cores: int) -> Share:
    """By the queries in a chunk, less the cores that have no chunk in the last round."""
    (q1, share1), (q2, share2), source = rates.ATTENTION[system.chip.arch]
    slope = (1 / share2 - 1 / share1) / (1 / q2 - 1 / q1)
    chunk = call.option("q_chunk", 256)
    share = 1 / (1 / share1 + slope * (1 / chunk - 1 / q1))
    batch, heads, length = call.inputs[0].shape[:3]
    chunks = batch * heads * math.ceil(length / chunk)
    share *= chunks / (math.ceil(chunks / cores) * cores) * length / (math.ceil(length / chunk) * chunk)
    spread = rates.ATTENTION_SPREAD
    return Share(share * (1 - spread), share, share * (1 + spread), source)


def convolution(call: Call, system: System) -> Time:
    """Weights (kernel * channels, channels out). On pictures a product of matrices, and taken to be as quick as one."""
    out = call.outputs[0]
    flop = 2 * math.prod(out.shape[:-1]) * math.prod(call.inputs[1].shape[-2:])
    share = rates.CONV3D if "conv3d" in call.op else product_share(flop, system)
    needs = (
        ("arithmetic", flop, rates.peak(system), share),
        dram(
            system, num_bytes(*call.inputs[:2] if "conv2d" in call.op else call.inputs[:1], *call.outputs), rates.MOVE
        ),
    )
    return Time("convolution", needs, rates.LAUNCH_S)


def elementwise(call: Call, system: System) -> Time:
    share = rates.BINARY
    if any(name in call.op for name in NORMS):
        share = rates.NORM[system.chip.arch]
    elif "embedding" in call.op and "rotary" not in call.op:
        share = rates.EMBEDDING[system.chip.arch]
    elif any(name in call.op for name in MOVES):
        share = rates.MOVE
    return Time("elementwise", (dram(system, num_bytes(*call.inputs, *call.outputs), share),), rates.LAUNCH_S)


# Collectives


def is_collective(call: Call) -> bool:
    return any(name in call.op for name in ("all_gather", "reduce_scatter", "all_reduce", "all_broadcast",
                                            "neighbor_pad", "slice_reshard"))  # fmt: skip


def chips_along(call: Call, shape: tuple[int, int]) -> int:
    axis = call.option("cluster_axis")
    axis = axis[0] if isinstance(axis, tuple) else axis
    return math.prod(shape) if axis is None else shape[axis]


def collective(call: Call, system: System, shape: tuple[int, int]) -> Time:
    """Bytes over the busiest link in one direction, as [C] counts them for a line."""
    chips, mine = chips_along(call, shape), num_bytes(call.inputs[0])
    if chips == 1:
        return Time("collective", (), rates.LAUNCH_S)
    cut = "reduce" in call.op and (call.op != "all_reduce" or shared_evenly(call.inputs[0].shape, chips))
    kind = "sum" if cut else "gather"
    rounds = 2 if cut and "all_reduce" in call.op else 1
    if "neighbor_pad" in call.op:
        sent = num_bytes(*call.outputs) - mine
    elif "slice_reshard" in call.op:
        sent = mine
    elif kind == "gather":
        sent = (chips - 1) * mine
    else:
        sent = rounds * (chips - 1) / chips * mine
    moved = dram(system, num_bytes(call.inputs[0], *call.outputs), rates.MOVE)
    floor = rounds * (rates.FLOOR_S[kind] + (chips - 1) * HOP_LATENCY_S)
    needs = links(call, system, sent, chips, kind), moved
    return Time("collective", needs, Share(2 * floor, floor, 0.8 * floor, "[C]"))


def shared_evenly(shape: tuple[int, ...], chips: int) -> bool:
    """Whether ttnn.all_reduce gives each chip a slice to add up; else each gets everything.

    As in exchange.py, as far as a call tells: rows that only fill up a tile look like others here.
    """
    *outer, rows, columns = shape
    return any(count % chips == 0 for count in (*outer, -(-rows // 32), -(-columns // 32)))


def links(call: Call, system: System, amount: float, chips: int, kind: str):
    """amount: bytes over the busiest link of a line. Around a ring half of them go the other way."""
    ring = "Ring" in str(call.option("topology", "")) or (system.torus and call.option("topology") is None)
    asked = call.option("num_links")
    many = min(asked, system.driven_links) if isinstance(asked, int) else system.driven_links
    rate = many * system.chip.link_bytes_per_s * (2 if ring else 1)
    if system.chip.arch == "blackhole":
        rate *= rates.BLACKHOLE_LINKS
    if "async" in call.op:
        share = rates.ASYNC[system.chip.arch]
    else:
        nearest = min(rates.GATHER, key=lambda n: abs(n - chips))
        most = rates.RING[kind] if ring else (rates.GATHER if kind == "gather" else rates.SUM)[nearest]
        share = Share(most * 0.85, most, min(0.96, most * 1.05), "[C]")
    return "links", amount, rate, share
