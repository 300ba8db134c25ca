"""What a program asks of each chip: its ttnn calls as data, counted, without the program.

    calls = recorded("mochi", "t3000")                # tt-metal's own, from a file here
    with listening(mesh) as heard: model(latents)     # of this project's, in a dry run
    calls = counted(heard)

A recording holds what ttnn_emulator/record.py wrote, less what says nothing about time (addresses, weights being
loaded), equal calls counted. The files in recorded/ were made by tools/streams.py from a checkout of tt-metal; they
hold names, shapes and options, no code. Shapes are of one chip's shard, padded to whole tiles where it is tiled.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ttnn_emulator.record import line_of

FOLDER = Path(__file__).parent / "recorded"
# Options that decide how long a call takes. The chunks of attention stand in the middle of a longer text.
TELLING = ("cluster_axis", "num_links", "topology", "kernel_size", "logical_n")
IN_TEXT = {
    "q_chunk": r"q_chunk_size=(\d+)",
    "k_chunk": r"k_chunk_size=(\d+)",
    "grid": r"compute_with_storage_grid_size=(\d+-\d+)",
}
HOST = ("from_torch", "to_torch", "as_tensor", "prepare_conv3d_weights", "deallocate", "synchronize_device",
        "create_global_semaphore", "from_device", "to_device", "copy_host_to_device_tensor")  # fmt: skip


@dataclass(frozen=True)
class Operand:
    """A tensor of a call. `shape` is one chip's, padded; `place` is "DRAM" or "L1"."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    place: str


@dataclass(frozen=True)
class Call:
    """One ttnn call. `options` are those of TELLING and IN_TEXT that it was given."""

    op: str  # without ttnn and its modules
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    options: tuple[tuple[str, object], ...]

    def option(self, name: str, default=None):
        return dict(self.options).get(name, default)


Calls = Counter  # Call -> how often


def counted(lines: Iterable[dict]) -> Calls:
    """Lines of ttnn_emulator/record.py as calls. What stays on the host is left out."""
    calls = (call_of(line) for line in lines)
    return Counter(call for call in calls if call.inputs and call.op not in HOST)


def call_of(line: dict) -> Call:
    options = line["options"]
    text = " ".join(str(value) for value in options.values())
    found = {name: re.search(pattern, text) for name, pattern in IN_TEXT.items()}
    kept = {name: frozen(options[name]) for name in TELLING if name in options}
    kept |= {name: match[1] if name == "grid" else int(match[1]) for name, match in found.items() if match}
    if line["op"].endswith("neighbor_pad_async"):  # its options have no names
        kept |= {name: frozen(options[place]) for name, place in (("widths", "2"), ("widths_after", "3"))}
        kept |= {"dim": frozen(options["1"]), "cluster_axis": frozen(options["5"])}
    return Call(
        line["op"].split(".")[-1],
        tuple(operand(one) for one in line["inputs"] if "buffer" in one),
        tuple(operand(one) for one in line["outputs"] if "buffer" in one),
        tuple(sorted(kept.items())),
    )


def operand(one: dict) -> Operand:
    return Operand(str(one.get("name", "")), tuple(one["padded_shape"]), one["dtype"], one["buffer"])


def frozen(value):
    return tuple(map(frozen, value)) if isinstance(value, list) else value


@contextlib.contextmanager
def listening(mesh):
    """Gives a list that fills with what is called in the block. `mesh` is emulated."""
    lines = []

    def hear(op, args, kwargs, result):
        lines.append(line_of(op, args, kwargs, result))

    mesh.emulator.listeners.append(hear)
    try:
        yield lines
    finally:
        mesh.emulator.listeners.remove(hear)


# Files


def written(calls: Calls) -> list:
    """As JSON keeps them: [times, op, inputs, outputs, options]"""
    texts = lambda operands: [f"{o.name}:{','.join(map(str, o.shape))}:{o.dtype}:{o.place}" for o in operands]
    return [[n, c.op, texts(c.inputs), texts(c.outputs), dict(c.options)] for c, n in calls.items()]


def read(rows: list) -> Calls:
    def operands(texts):
        parts = (text.split(":") for text in texts)
        return tuple(Operand(n, tuple(map(int, shape.split(","))), dtype, place) for n, shape, dtype, place in parts)

    return Counter({
        Call(op, operands(ins), operands(outs), tuple(sorted((k, frozen(v)) for k, v in options.items()))): n
        for n, op, ins, outs, options in rows
    })  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A program on a system: what a pass of one layer calls, and what each further layer adds."""

    program: str
    system: str
    source: str  # repository and commit
    shape: tuple[int, int]  # the mesh that its calls see
    layers: int  # of the real model
    first: Calls
    block: Calls

    @property
    def sp_axis(self) -> int:
        """Along which tokens travel in ring attention. Raises ValueError where there is none."""
        for call in self.first:
            if "ring" in call.op and "attention" in call.op:
                return call.option("cluster_axis")
        raise ValueError(f"{self.program} on {self.system} has no ring attention.")

    @property
    def sp(self) -> int:
        return self.shape[self.sp_axis]

    def whole(self) -> Calls:
        """All calls of one pass."""
        return self.first + Counter({call: times * (self.layers - 1) for call, times in self.block.items()})


def recorded(program: str, system: str) -> Recording:
    """A recording that lies here. Raises ValueError, naming those that do, where there is none."""
    path = FOLDER / f"{program}.{system}.json"
    if not path.exists():
        there = ", ".join(sorted(one.stem.replace(".", " on ") for one in FOLDER.glob("*.json")))
        raise ValueError(f"There is no recording of {program} on {system}. There are: {there}.")
    kept = json.loads(path.read_text())
    return Recording(
        program, system, kept["source"], tuple(kept["shape"]), kept["layers"], read(kept["first"]), read(kept["block"])
    )
