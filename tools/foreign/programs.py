"""Which programs are run, on which system, and what of each must hold."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from tools.foreign import mnist

LIMIT = 1800  # seconds for one program
MARK = "RESULT "  # how the line of JSON begins that a driver prints
TUTORIALS = "ttnn/tutorials/basic_python"


@dataclass(frozen=True)
class Driver:
    """A part of tt_dit beside diffusers: python -m tools.foreign.<module> <part> prints how right it was."""

    name: str
    system: str
    module: str
    part: str
    measure: str  # of what it prints
    least: float
    at_root = True  # the weights are named from there

    def prepare(self, folder: Path) -> None:
        pass

    def command(self, checkout: Path, folder: Path) -> list[str]:
        return ["-m", f"tools.foreign.{self.module}", self.part]

    def judge(self, ended: CompletedProcess, folder: Path) -> tuple[bool, str]:
        lines = [line for line in ended.stdout.splitlines() if line.startswith(MARK)]
        if ended.returncode or not lines:
            return False, last_error(ended)
        value = json.loads(lines[-1].removeprefix(MARK))[self.measure]
        text = f"{value:.1f} dB" if self.measure == "psnr" else f"PCC {value:.5f}"
        return value >= self.least, f"{text} of diffusers ({self.least:g} asked)"


@dataclass(frozen=True)
class Suite:
    """Tests of theirs, run by pytest. `known` names those that fail, and why that is right."""

    name: str
    system: str
    paths: tuple[str, ...]
    keyword: str = ""
    most: int = 0  # cases of each test, 0 for all
    known: dict[str, str] = field(default_factory=dict)
    at_root = False

    def prepare(self, folder: Path) -> None:
        pass

    def command(self, checkout: Path, folder: Path) -> list[str]:
        sample = ["--most", str(self.most), "-k", self.keyword, *(str(checkout / path) for path in self.paths)]
        return [
            "-m", "pytest", "-q", "-o", "addopts=", "--import-mode=importlib", "--noconftest", "-p", "no:cacheprovider",
            "-p", "ttnn_emulator.pytest_plugin", "-p", "tools.foreign.pytest_sample", "--system", self.system,
            "--rootdir", str(checkout), "--junitxml", str(folder / "found.xml"), *sample,
        ]  # fmt: skip

    def judge(self, ended: CompletedProcess, folder: Path) -> tuple[bool, str]:
        if not (folder / "found.xml").is_file():
            return False, last_error(ended)
        cases = list(ElementTree.parse(folder / "found.xml").iter("testcase"))
        tagged = lambda *tags: {case.get("name") for case in cases if any(case.find(tag) is not None for tag in tags)}
        failed, skipped = tagged("failure", "error"), tagged("skipped")
        unknown = sorted(name for name in failed if name.partition("[")[0] not in self.known)
        mended = sorted(set(self.known) - {name.partition("[")[0] for name in failed})
        found = f"{len(cases) - len(failed) - len(skipped)} of {len(cases)} pass"
        found += f"; {len(skipped)} they skip themselves" if skipped else ""
        found += "".join(f"; {name}: {why}" for name, why in self.known.items())
        for what, names in (("failed", unknown), ("no longer failing", mended)):
            found += f"; {what}: {', '.join(names)}" if names else ""
        return bool(cases) and not unknown and not mended, found


@dataclass(frozen=True)
class Tutorial:
    """A script of theirs. Where it cannot run, `refused` is what it must say, and `why` what the table says."""

    name: str
    refused: str = ""
    why: str = ""
    system = "n150"
    at_root = False

    def prepare(self, folder: Path) -> None:
        mnist.write(folder / "data")

    def command(self, checkout: Path, folder: Path) -> list[str]:
        return [str(checkout / TUTORIALS / self.name)]

    def judge(self, ended: CompletedProcess, folder: Path) -> tuple[bool, str]:
        if self.refused:
            return self.refused in ended.stderr, self.why if self.refused in ended.stderr else last_error(ended)
        return ended.returncode == 0, "runs to its end" if ended.returncode == 0 else last_error(ended)


@dataclass(frozen=True)
class Row:
    program: Driver | Suite | Tutorial
    ok: bool
    found: str
    seconds: float


def last_error(ended: CompletedProcess) -> str:
    """The last line of a traceback, or of what was said"""
    lines = (ended.stdout + ended.stderr).splitlines()
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or ["it said nothing"])[-1].strip()[:300]


SYSTEMS = ("t3000", "galaxy")
UNIT = "models/tt_dit/tests/unit/test_{}.py"
TRACES = "tests/ttnn/unit_tests/base_functionality/test_{}_device_trace.py"
PROGRAMS = [
    *(Driver(f"tt_dit, Mochi's {part}", system, "mochi", part, "pcc", 0.999)
      for part in ("transformer", "decoder", "t5") for system in SYSTEMS),
    *(Driver("tt_dit, the whole MochiPipeline with tiny-mochi, 20 steps", system, "mochi", "pipeline", "psnr", 40)
      for system in SYSTEMS),
    *(Driver("tt_dit, SD 3.5's transformer, two layers", system, "stable_diffusion", "transformer", "pcc", 0.999)
      for system in SYSTEMS),
    *(Driver("tt_dit, Wan 2.2's transformer, two layers", system, "wan", "transformer", "pcc", 0.999)
      for system in SYSTEMS),
    Suite("tt_dit, its tests of layers", "t3000",
          tuple(UNIT.format(name) for name in ("normalization", "linear", "feedforward", "embeddings", "module")),
          keyword="not patch_embed_sd35", most=3),
    Suite("tt_dit, its tests of Mochi's attention and blocks", "t3000",
          ("models/tt_dit/tests/models/mochi/test_attention_mochi.py",
           "models/tt_dit/tests/models/mochi/test_transformer_mochi.py"),
          keyword="short_seq and 2x4 and yes_fsdp and (attention or block) and not cach", most=2),
    Suite("ttnn's tests of traces on one chip", "n150", (TRACES.format("single"),)),
    Suite("ttnn's tests of traces on eight chips", "t3000", (TRACES.format("multi"),)),
    Suite("ttnn's documentation examples", "n150", ("tests/ttnn/docs_examples",), known={
        "test_gelu_bw": "approximate= is not in ttnn 0.81.1",
        "test_untilize_with_unpadding": "asks for more rows than the tensor has",
        "test_manual_seed": "refused, a chip's random numbers are its own",
        "test_copy_device_to_host_tensor": "refused by name",
    }),
    *(Tutorial(f"ttnn_{name}.py") for name in (
        "add_tensors", "basic_operations", "basic_matrix_multiplication", "basic_conv", "mlp_inference_mnist")),
    Tutorial("ttnn_multihead_attention.py", refused="assert torch.allclose(torch_output, torch_optimized_output)",
             why="runs to its last line, which wants the same bits of two orders of rounding; the scores are in the "
                 "thousands, so one bit moves the softmax"),
    Tutorial("ttnn_simplecnn_inference.py", refused="urlopen error", why="downloads its data set"),
    Tutorial("ttnn_tracer_model.py", refused="Tracing is not supported in fast runtime mode",
             why="asks for the slow runtime mode when ttnn is imported already, which is too late on chips as well"),
    Tutorial("ttnn_clip_zero_shot_classification.py", refused="openai/clip", why="asks a hub for its model"),
]  # fmt: skip
