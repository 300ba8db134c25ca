"""Measures what has a stated speed: `make bench`. Times are this CPU's, never a chip's; only ratios mean something.

Every ratio is measured in one run, the two sides in turn, and the median of the turns is compared with its bound.
Exits with status 1 when a bound is missed.
"""

import contextlib
import functools
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
import ttnn
from diffusers import MochiPipeline, MochiTransformer3DModel

from helpers.collectives import all_reduce
from helpers.mesh import open_mesh, run_on
from helpers.mochi.pipeline import Mochi, Request, first_noise
from helpers.mochi.transformer import Transformer
from helpers.planner import cases, whole_program
from helpers.tensors import replicate, shard
from training.config import configuration
from training.export import save_pipeline
from training.parts import new_autoencoder, new_text_encoder, new_transformer
from ttnn_emulator import golden, memory, traces, transfers

OPEN = """
import time
from helpers.mesh import open_mesh
start = time.perf_counter()
open_mesh("galaxy")
print(time.perf_counter() - start)
"""


def opening(cache: str) -> float:
    """Seconds that open_mesh("galaxy") takes in a fresh process, imports not counted."""
    ended = subprocess.run(
        [sys.executable, "-c", OPEN],
        env=os.environ | {"XDG_CACHE_HOME": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(ended.stdout.split()[-1])


def in_turn(first: Callable, second: Callable, turns: int = 21) -> float:
    """The median over the turns of first's time over second's."""
    first(), second()
    return statistics.median(seconds(first) / seconds(second) for _ in range(turns))


def seconds(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> int:
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        rows.append(("open a Galaxy, cold cache", opening(cache), 10, "s"))
        warm = statistics.median(opening(cache) for _ in range(5))
        rows.append(("open a Galaxy, warm cache", warm, 0.5, "s"))
    rows += whole_mochi()
    mesh = open_mesh("galaxy")
    rows += [*ops(mesh), mlp(mesh), block(mesh), *miniature(mesh)]
    print(f"\n{'':52s}{'measured':>10s}{'bound':>8s}")
    for name, measured, bound, unit in rows:
        print(f"{name:52s}{measured:>8.2f} {unit}{bound:>8g}{'' if measured <= bound else '   missed'}")
    print("\nWhat others measured on chips, and what the planner predicts for it (helpers/planner/cases.py):")
    print(cases.table())
    return int(any(measured > bound for _, measured, bound, _ in rows))


def whole_mochi() -> list[tuple]:
    """The planner's dry run of all of Mochi-1, 163 frames on a Galaxy, in a process of its own."""
    took = seconds(lambda: whole_program("galaxy"))
    held = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9  # the largest process until now
    return [("a dry run of all of Mochi-1 on Galaxy", took, 30, "s"), ("the memory that it takes here", held, 2, "GB")]


def ops(mesh) -> list[tuple]:
    """An op on 32 chips over the golden calls that it needs: 8 where the shards differ along sp, 1 where all are equal.

    Large shards are as large as what a chip of a Galaxy holds of a real video, 5,565 tokens of 3,072 numbers.
    Beside the golden calls an op costs some 0.4 ms of Python and ttnn's own host code, which small shards do not hide:
    the last row shows that, without a bound.
    """
    x, w = torch.randn(1, 1, 131072, 1024), torch.randn(1, 1, 1024, 1024)
    cut, copied, part = shard(x, mesh, sp=2), replicate(x[:, :, :16384], mesh), x[:, :, :16384]
    rows, columns, small = shard(part, mesh, sp=2), shard(w, mesh, tp=3), shard(part[..., :256], mesh, sp=2, tp=3)
    cases = {
        "linear, shards of 2048 x 1024 @ 1024 x 256": (1.1, ttnn.linear, rows, columns),
        "softmax, shards of 16384 x 1024": (1.1, ttnn.softmax, cut),
        "gelu, shards of 16384 x 1024": (1.1, ttnn.gelu, cut),
        "add, shards of 16384 x 1024": (1.1, ttnn.add, cut, cut),
        "gelu, 16384 x 1024 replicated": (1.1, ttnn.gelu, copied),
        "add, shards of 2048 x 64 (no bound)": (math.inf, ttnn.add, small, small),
    }
    return [
        (name, in_turn(functools.partial(op, *args), golden_calls(mesh, op, *args)), bound, "x")
        for name, (bound, op, *args) in cases.items()
    ]


def golden_calls(mesh, op, *args) -> Callable:
    """Calls the op's golden function as often as the mesh needs it, once for each set of equal shards.

    What comes out is rounded to bfloat16, which a CPU that computes in it does by itself, and kept until the next call,
    as the mesh keeps what its chips hold.
    """
    by_chip = zip(*(mesh.emulator.memory.read(tensor) for tensor in args))
    needed = {tuple(map(id, shards)): shards for shards in by_chip}.values()
    kept = []

    def call():
        kept[:] = [memory.rounded(op.golden_function(*shards), ttnn.bfloat16) for shards in needed]

    return call


def mlp(mesh) -> tuple:
    """A tensor-parallel MLP over the same MLP in plain torch, float32, on the same CPU."""
    x, up, down = torch.randn(1, 1, 4096, 512), torch.randn(1, 1, 512, 2048) / 22, torch.randn(1, 1, 2048, 512) / 45
    tx, tup, tdown = shard(x, mesh, sp=2), shard(up, mesh, tp=3), shard(down, mesh, tp=2)

    def emulated():
        return all_reduce(ttnn.linear(ttnn.silu(ttnn.linear(tx, tup)), tdown), "tp")

    def plain():
        return F.silu(x @ up) @ down

    return "MLP, width 512, 4096 tokens, over plain torch", in_turn(emulated, plain, 9), 3, "x"


def block(mesh) -> tuple:
    """One block of Mochi's transformer over diffusers' own in float32: 4,096 video tokens, 256 of text."""
    config = dict(num_attention_heads=8, attention_head_dim=128, num_layers=1, pooled_projection_dim=512)
    torch.manual_seed(0)
    reference = MochiTransformer3DModel(**config, text_embed_dim=256)
    on_mesh = Transformer(mesh, reference.state_dict(), dict(reference.config))
    latents, text = torch.randn(1, 12, 4, 64, 64), torch.randn(1, 256, 256)
    mask = torch.ones(1, 256)
    prompt = on_mesh.prompt(text, mask)

    def plain():
        with torch.no_grad():
            reference(latents, text, torch.tensor([500.0]), mask.bool())

    return (
        "Mochi block, width 1024, 4096 tokens, over diffusers",
        in_turn(lambda: on_mesh(latents, prompt, 500.0), plain, 5),
        2,
        "x",
    )


PROMPT = "a butterfly landing on a flower, wings gently moving in the breeze"


def miniature(mesh) -> list[tuple]:
    """A clip of the miniature, 31 frames in 20 steps with guidance, and what the emulator takes of a step."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path("models/tiny-mochi").resolve()
        if not weights.exists():
            weights = random_miniature(folder)
        return [
            ("a clip of the miniature on Galaxy, over diffusers", clip(mesh, weights), 5, "x"),
            ("the same, traced", clip(mesh, weights, traced=True), 2, "x"),
            ("a clip of the miniature on n150, over diffusers", run_on("n150", clip, weights), 2.5, "x"),
            ("the same, traced", run_on("n150", clip, weights, True), 1.3, "x"),
            ("the emulator's own part of a step of the miniature", bookkeeping(mesh, weights), 40, "%"),
            ("the same, traced", bookkeeping(mesh, weights, traced=True), 25, "%"),
        ]


def random_miniature(folder: str) -> Path:
    """The miniature with random weights, which take as long as trained ones."""
    config = configuration()
    models = new_autoencoder(config), new_transformer(config), new_text_encoder(config)
    return save_pipeline(folder, *models, torch.zeros(12), torch.ones(12))


def clip(mesh, weights: Path, traced: bool = False) -> float:
    """From a prompt to frames, over diffusers' own pipeline in float32; both with their weights loaded."""
    mochi, settings = Mochi(mesh, weights), {"height": 96, "width": 96, "num_frames": 31, "num_inference_steps": 20}
    diffusers = MochiPipeline.from_pretrained(weights, dtype=torch.float32, low_cpu_mem_usage=False)
    diffusers.set_progress_bar_config(disable=True)
    ours = lambda: mochi(PROMPT, steps=20, guidance=4.5, traced=traced)
    return in_turn(ours, lambda: diffusers(PROMPT, guidance_scale=4.5, **settings), turns=5)


def bookkeeping(mesh, weights: Path, traced: bool = False) -> float:
    """Per cent of a denoising step that are neither ttnn's host calls, nor the model's Python, nor golden functions and
    the rounding of what they give."""
    mochi, watch, used = Mochi(mesh, weights), Stopwatch(), set()
    noise, prompt = first_noise(mochi.transformer.config["in_channels"], Request(PROMPT)), mochi.encode(PROMPT)
    emulate = golden.Emulator.emulate

    def noting(self, op, *call):
        used.add(op)
        return emulate(self, op, *call)

    def step(flows):
        watch.spent.clear()
        total = seconds(lambda: flows(noise, 500.0))
        return (watch.spent["emulator"] - watch.spent["ttnn"] - watch.spent["golden"]) / total

    with mock.patch.object(golden.Emulator, "emulate", noting), mochi.flows([prompt], False) as flows:
        step(flows)
    with contextlib.ExitStack() as stack:
        for owner, names, kind in [
            (ttnn.decorators.FastOperation, ["__call__"], "emulator"),
            (ttnn.Tensor, transfers.real_methods, "emulator"),
            (traces.Trace, ["execute"], "emulator"),
            (golden, ["real_call"], "ttnn"),
            (memory, ["rounded"], "golden"),
            (traces, ["rounded"], "golden"),
            *((op, ["golden_function"], "golden") for op in used),
        ]:
            for name in names:
                stack.enter_context(mock.patch.object(owner, name, watch.around(getattr(owner, name), kind)))
        flows = stack.enter_context(mochi.flows([prompt], traced))
        step(flows), step(flows)  # the second captures the trace
        return 100 * statistics.median(step(flows) for _ in range(9))


class Stopwatch:
    """Adds up the seconds of functions, by kind; a call within another of its kind is not counted twice."""

    def __init__(self):
        self.spent, self._running = Counter(), set()

    def around(self, function: Callable, kind: str) -> Callable:
        @functools.wraps(function)
        def timed(*args, **kwargs):
            if kind in self._running:
                return function(*args, **kwargs)
            self._running.add(kind)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[kind] += time.perf_counter() - start
                self._running.remove(kind)

        return timed


if __name__ == "__main__":
    sys.exit(main())
