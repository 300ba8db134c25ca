"""MiniMax-H3's calls, from what is published of it: its program is newer than any checkout that could be had here.

Ops, their number and their shapes on a 4x8 Galaxy with FSDP, in a ring: tenstorrent/tt-metal,
models/tt_dit/models/minimax_h3_wormhole/README.md@08005674, Part 2. Each length has its rows of tokens on a chip.
"""

from collections import Counter

from helpers.planner.calls import Call, Calls, Operand

LAYERS, FORWARDS = 50, 49
ROWS = {124: 4736, 243: 9184, 362: 13664}  # frames of 1344 x 768 -> rows of tokens on each chip
HIDDEN, FFN, HEADS, HEAD = 5376, 14336, 14, 128  # of the model; heads of one chip of four
SP, TP = 8, 4
WEIGHTS_MB = 193  # of a block on a chip before FSDP cuts them over eight


def block(frames: int) -> Calls:
    """What one block calls. Raises ValueError for a length that was not measured."""
    if frames not in ROWS:
        raise ValueError(f"{frames} frames were not measured. These were: {', '.join(map(str, ROWS))}.")
    rows, width, inner = ROWS[frames], HIDDEN // TP, HEADS * HEAD
    qkv = [tensor(1, HEADS, rows, HEAD)] * 3
    spread = {"num_links": 4, "topology": "Ring"}
    ring = spread | {"cluster_axis": 1, "q_chunk": 256, "grid": "7-9"}
    return Counter(
        {
            call("ring_joint_scaled_dot_product_attention", qkv, qkv[0], ring): 1,
            gather_matmul(rows, width, HIDDEN, 3 * inner, spread): 1,
            gather_matmul(rows, inner, inner * TP, width, spread): 1,
            gather_matmul(rows, width, HIDDEN, 2 * FFN // TP, spread): 1,
            call("minimal_matmul", [tensor(rows, FFN // TP), tensor(FFN // TP, HIDDEN)], tensor(rows, HIDDEN)): 1,
            call("minimal_matmul", [tensor(32, 2688), tensor(2688, 24192)], tensor(32, 24192)): 1,
            call("reduce_scatter_async", [tensor(rows, HIDDEN)], tensor(rows, width), spread, cluster_axis=0): 1,
            call("embedding", [tensor(rows, width)], tensor(rows, width)): 6,
            call("norm", [tensor(rows, width)], tensor(rows, width)): 2,
            call("norm", [tensor(rows, inner)], tensor(rows, inner)): 2,
            call("modulate", [tensor(rows, width)], tensor(rows, width)): 4,
            call("gate", [tensor(rows, width)] * 3, tensor(rows, width)): 1,
            call("heads", [tensor(rows, inner)], tensor(rows, inner)): 2,
            # FSDP: each weight's eighth to all eight, through four formats
            call("all_gather_async", [weights(SP * 5)], weights(5), spread, cluster_axis=1): 5,
            call("untilize", [weights(21)], weights(21)): 15,
            call("tilize", [weights(8)], weights(8)): 6,
            call("concat", [weights(2)], weights(2)): 1,
            call("small", [tensor(32, 32)], tensor(32, 32)): 10,
        }
    )  # fmt: skip


def whole(frames: int) -> Calls:
    """One forward."""
    return Counter({call: LAYERS * n for call, n in block(frames).items()})


def gather_matmul(rows: int, mine: int, inner: int, out: int, spread: dict) -> Call:
    ends = [tensor(rows, mine), tensor(inner, out)], tensor(rows, out)
    return call("all_gather_minimal_matmul_async", *ends, spread, cluster_axis=0, grid="8-8")


def weights(parts: int) -> Operand:
    """One of so many equal parts of a block's weights"""
    return tensor(WEIGHTS_MB * 10**6 // 2 // 32 // parts, 32)


def tensor(*shape: int) -> Operand:
    return Operand("", shape, "BFLOAT16", "DRAM")


def call(op: str, inputs: list[Operand], output: Operand, spread: dict | None = None, **options) -> Call:
    return Call(op, tuple(inputs), (output,), tuple(sorted(((spread or {}) | options).items())))
