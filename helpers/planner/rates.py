"""How much of its peak an op reaches on a chip: shares that others have measured, each with its source.

A share has three numbers: low, mid and high. Mid is what was measured where an op does what ours does; low and high are
the least and the most that was measured for its kind. Nothing here was fitted on how long a whole model takes, but for
the two numbers in FITTED.

Sources, by letter; all but [I] are files of tenstorrent/tt-metal:
  [G] tech_reports/GEMM_FLOPS/GEMM_FLOPS.md@06bd3735: matmuls of one chip
  [H] models/tt_dit/models/minimax_h3_wormhole/README.md@08005674: every op of a block of MiniMax-H3 on a Galaxy
  [B] models/tt_dit/models/minimax_h3_blackhole/agmm_fused_vs_unfused.md@08d13a46: the same on a Blackhole Galaxy
  [S] models/tt_dit/models/minimax_h3_wormhole/sdpa.md@08d13a46: its ring attention by the size of chunks
  [C] tech_reports/CCLs/results/FULL_wormhole_b0_bfloat16_6144.md@608f1592, and SUMMARY_blackhole...@1080d1c4:
      collectives by size
  [I] issues and pull requests of tenstorrent/tt-metal, by number
"""

from dataclasses import dataclass

from ttnn_emulator.systems import System

FIDELITY = 2  # HiFi2: two passes through the matrix unit; LoFi takes one. What tt_dit and this project run at


@dataclass(frozen=True)
class Share:
    low: float
    mid: float
    high: float
    source: str

    def at(self, which: str) -> float:
        return getattr(self, which)


def peak(system: System, cores: int | None = None) -> float:
    """FLOP/s of a chip at HiFi2, on all of its cores or on so many."""
    return (cores or system.grid[0] * system.grid[1]) * system.chip.flops_per_core / FIDELITY


# Matmuls, of the peak at HiFi2. Mid: the ops of H3's block, to_qkv, ff1, ff2 and to_out 58, 51, 53 and 46 % [H] on
# Wormhole, and as its model blocks them alone 74, 71 and 55 % [B] on Blackhole. Low: the mean of TT-DiT's matmuls in
# September 2025, 32.3 % [I 29716]. High: untuned 4096^3 59.5 % [G]; a fused matmul and sum 79 % [B].
MATMUL = {"wormhole_b0": Share(0.32, 0.53, 0.60, "[H] [G] [I 29716]"), "blackhole": Share(0.45, 0.71, 0.79, "[B]")}
# Under 3e10 FLOP: 1024^3 41.7 and 2048^3 66.7 % [G]; 10.5 % at worst [I 29716]. On Blackhole to_out's 55 % [B].
SMALL_MATMUL_FLOP = 3e10
SMALL_MATMUL = {
    "wormhole_b0": Share(0.11, 0.42, 0.60, "[G] [I 29716]"),
    "blackhole": Share(0.20, 0.55, 0.71, "[B]"),
}
# A matmul of one row of tiles waits for its weights: 28 % of the bandwidth [H, M=32].
ONE_ROW = Share(0.20, 0.28, 0.50, "[H] MinimalMatmul M=32")

# Attention: 1 / share = a + b / (queries in a chunk), for chunks of 512 keys, from two measurements each.
# Wormhole: 48.1 % at 256 queries and 44.4 at 192, the mean of two runs [S]. Blackhole: 68.9 % at 288 [I 49715] and 65.3
# at 224 [I 43061].
ATTENTION = {
    "wormhole_b0": ((256, 0.481), (192, 0.444), "[S]"),
    "blackhole": ((288, 0.689), (224, 0.653), "[I 49715, 43061]"),
}
ATTENTION_SPREAD = 0.12  # of the share, up and down: runs of the same shape differ by 5 % [S], other shapes by more

# Ops that read and write DRAM, of the chip's bandwidth. Norms: H3's four distributed ones move 342 MB in 2.64 ms on
# Wormhole; 68 % on Blackhole [B], where the others were not told apart: the same shares are taken.
NORM = {"wormhole_b0": Share(0.35, 0.45, 0.60, "[H]"), "blackhole": Share(0.45, 0.68, 0.75, "[B]")}
BINARY = Share(0.40, 0.51, 0.81, "[H] BinaryNg, Ternary")
MOVE = Share(0.45, 0.58, 0.67, "[H] Untilize, Tilize, Concat, heads")
# Rows looked up in a table, of the bandwidth: H3's six take 10.4 ms for 440 MB on Wormhole [H], 8 % on Blackhole [B].
EMBEDDING = {"wormhole_b0": Share(0.10, 0.15, 0.30, "[H]"), "blackhole": Share(0.06, 0.08, 0.20, "[B]")}
LAUNCH_S = Share(8e-6, 5e-6, 3e-6, "[H] Slice, Typecast, Unary: 3 to 8 us a call")

# Collectives on a line or ring of so many chips: of the links' rate where tensors are large, and the least they take
# [C]. Two chips reach 50.8 %, four 93.9, eight 94; a ring of eight 83.2; sums less.
GATHER = {2: 0.51, 4: 0.94, 8: 0.94}
SUM = {2: 0.70, 4: 0.88, 8: 0.84}
RING = {"gather": 0.83, "sum": 0.66}
FLOOR_S = {"gather": 10e-6, "sum": 13e-6}  # and a hop's latency for each chip
# tt_dit's own all_gather_async and reduce_scatter_minimal_async. Wormhole: 58 % at every size [B]; in 2025 43.65 % on
# a line and 65.65 in a ring [I 30001]; H3's reduce_scatter 40 [H]. Blackhole: 91 to 93 % with packets of 8 KB [B].
ASYNC = {"wormhole_b0": Share(0.40, 0.58, 0.66, "[B] [I 30001]"), "blackhole": Share(0.58, 0.91, 0.93, "[B]")}
BLACKHOLE_LINKS = 0.5  # they run at half of their rate today [C]

# The host. A program that is not traced pays for each call on each chip. Kimi K2.6 on 32 chips: 703 calls in 768 ms, of
# them 436 inside EnqueueMeshWorkload and 218 between, without a profiler [I 50932]: 0.93 ms a call, 29 us a chip. On 8
# chips 163 us inside EnqueueMeshWorkload alone, 20 us a chip [I 52775]. Since August 2026 less.
HOST_S_PER_CHIP = Share(35e-6, 29e-6, 20e-6, "[I 50932, 52775]")
# Between two calls on the device, where the host keeps up. Not traced: H3's block of 72 calls takes 250.8 ms with gaps
# and 246.9 without [H]. Traced: 2 to 22 us [I 11386].
GAP_S = {False: Share(70e-6, 54e-6, 20e-6, "[H]"), True: Share(22e-6, 8e-6, 2e-6, "[I 11386]")}

# FITTED, the only two numbers here that were: each on one published run, and Mochi on a Galaxy is not among them.
# 1. conv3d, of the peak: so that Mochi's decoder takes the 55 s on a T3000 that its own test allows
#    (models/tt_dit/tests/models/mochi/test_performance_mochi.py@79925a3f). Nobody has published it; later versions are
#    quicker [I 41873, 43541, 45975].
CONV3D = Share(0.014, 0.0205, 0.08, "fitted: Mochi's decoder on T3000, 55 s")
# 2. How much of their pace Blackhole cards keep under Wan, which throttles them [I 35990]: so that Wan denoises
#    in 406 s on a QuietBox 2: 466 in all, 60 allowed for the decoder (models/tt_dit/models/Wan2_2.md@511bc4d0,
#    models/tt_dit/tests/models/wan2_2/test_performance_wan.py@79925a3f).
CARD_PACE = Share(0.60, 0.655, 1.0, "fitted: Wan 480p on QuietBox 2, 466 s")
CARDS = ("p150", "p300")  # boards of Blackhole that are cards; a Galaxy's are cooled otherwise
