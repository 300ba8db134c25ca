"""Traces: what a program calls between begin and end is noted, and computed again when the trace is executed.

On a mock cluster ttnn crashes at the first op after begin_trace_capture, so it never hears of a trace. During a capture
its host code runs, and nothing is computed. An execution is the other way round: it computes, and no call goes through
ttnn's host code again, which is what a trace is for. Without values, in a dry run, an execution counts what the capture
would have sent.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import ttnn

from ttnn_emulator.arguments import on_device
from ttnn_emulator.computation import Accepted
from ttnn_emulator.memory import Memory, as_shape, nothing, rounded
from ttnn_emulator.shards import Shards

NAMES = ("begin_trace_capture", "end_trace_capture", "execute_trace", "release_trace")
real = {name: getattr(ttnn, name) for name in NAMES}


class Place(NamedTuple):
    """Where a tensor on chips lay at the capture. The tensor itself may be gone when the trace is executed."""

    buffer: int
    shape: tuple[int, ...]
    padded: tuple[int, ...]
    dtype: ttnn.DataType


def place_of(tensor: ttnn.Tensor) -> Place | None:
    """None for a tensor on the host, or one without a single number"""
    if not on_device(tensor) or 0 in tuple(tensor.shape):
        return None
    return Place(tensor.buffer_unique_id(), tuple(tensor.shape), tuple(tensor.padded_shape), tensor.dtype)


@dataclass
class Call:
    name: str  # of the op
    compute: Callable[[list[Shards]], list[Shards]]  # inputs' values -> outputs' values
    inputs: list[Place | Shards]  # values of what came from the host, or is empty
    outputs: list[Place | None]  # None where there is nothing to write
    last_read: tuple[int, ...] = ()  # buffers that no later call reads, and that were freed by the end

    def values(self, inputs: list[Shards]) -> list[Shards]:
        """Raises RuntimeError where they are no values for the outputs that ttnn made."""
        wanted = [place and place.shape for place in self.outputs]
        with Accepted(self.name):
            values = self.compute(inputs)
        got = [place and tuple(shards.shape) for place, shards in zip(self.outputs, values)]
        if len(values) != len(wanted) or got != wanted:
            raise RuntimeError(f"ttnn made tensors of shapes {wanted} in {self.name}, its golden function {got}")
        return values


class Trace:
    """The calls of one capture."""

    def __init__(self, memory: Memory):
        self.memory, self.calls, self.sent = memory, [], []
        self.found, self.left = {}, {}  # buffer -> what stands in its tiles' padding before an execution, and after it

    def note(self, name: str, compute, inputs: list, outputs: list) -> None:
        """inputs: tensors on chips, and the values of others"""
        read = [part if isinstance(part, Shards) else place_of(part) or nothing(part) for part in inputs]
        written = [place_of(tensor) for tensor in outputs]
        self.calls.append(Call(name, compute, read, written))
        for buffer in {place.buffer for place in read if isinstance(place, Place)} - self.left.keys():
            self.found.setdefault(buffer, self.memory.padding_in(buffer))
        self.left |= {place.buffer: None for place in written if place}
        for tensor in filter(on_device, outputs):
            self.memory.reserve(tensor)

    def note_view(self, tensor: ttnn.Tensor, view: ttnn.Tensor) -> None:
        """A view of the same buffer is read there. One of another is a copy."""
        if on_device(view) and view.buffer_unique_id() != tensor.buffer_unique_id():
            shape = tuple(view.shape)
            self.note("ttnn.reshape", lambda inputs: [inputs[0].reshaped(shape)], [tensor], [view])

    def end(self, sent: list) -> None:
        """sent: what would have crossed wires during the capture, in a dry run"""
        self.sent, later = sent, set()
        self.memory.sweep()  # what the program has let go of needs no place
        self.left = {buffer: self.memory.padding_in(buffer) for buffer in self.left}
        for buffer in self.left.keys() & self.found.keys():  # written over, but not yet
            self.memory.renew(buffer, self.memory.held(buffer), self.found[buffer])
        for call in reversed(self.calls):
            read = {place.buffer for place in call.inputs if isinstance(place, Place)}
            call.last_read = tuple(buffer for buffer in read - later if self.memory.held(buffer) is None)
            later |= read

    @torch.no_grad()
    def execute(self) -> None:
        """Computes all calls in turn, and puts what they make where it was, as far as that is still held.

        Raises RuntimeError where the trace reads a tensor that has been freed, or values are not what ttnn allows.
        """
        self.memory.sweep()  # what has been freed since is not read
        as_then = all(self.memory.padding_in(buffer) == padding for buffer, padding in self.found.items())
        now = {}  # buffer -> what it holds
        for call in self.calls:
            for place, shards in zip(call.outputs, call.values([self.read(part, now) for part in call.inputs])):
                if place is not None:
                    now[place.buffer] = shards.elementwise(partial(rounded, dtype=place.dtype))
            for buffer in call.last_read:
                now.pop(buffer, None)
        for buffer, shards in now.items():
            self.memory.renew(buffer, shards, self.left[buffer] if as_then else None)

    def read(self, part: Place | Shards, now: dict) -> Shards:
        if isinstance(part, Shards):
            return part
        shards = now[part.buffer] if part.buffer in now else self.memory.held(part.buffer)
        if shards is None or shards.is_meta:
            why = "has been freed" if shards is None else "another trace has not made yet"
            raise RuntimeError(f"This trace reads a tensor of shape {part.shape} that {why}.")
        return as_shape(shards, part.shape, part.padded)


class Traces:
    """ttnn's functions of traces."""

    def __init__(self, emulator):
        self.emulator, self.numbers, self.captured = emulator, itertools.count(), {}  # number -> Trace
        self.sent_before = 0  # how much was sent before the trace that is being captured

    def begin_trace_capture(self, mesh_device, *, cq_id=None):
        if self.emulator.capturing is not None:
            raise RuntimeError("A trace is being captured already. End it first: ttnn.end_trace_capture.")
        number, trace = next(self.numbers), Trace(self.emulator.memory)
        self.emulator.memory.capturing = self.captured[number] = trace
        self.sent_before = len(self.emulator.wires.traffic.sent)
        return ttnn.MeshTraceId(number)

    def end_trace_capture(self, mesh_device, trace_id, *, cq_id=None):
        trace = self.captured.get(int(trace_id))
        if trace is None or trace is not self.emulator.capturing:
            raise RuntimeError(f"Trace {int(trace_id)} is not being captured.")
        sent = self.emulator.wires.traffic.sent
        trace.end(sent[self.sent_before :])
        del sent[self.sent_before :]
        self.emulator.memory.capturing = None

    def execute_trace(self, mesh_device, trace_id, *, cq_id=None, blocking=True):
        trace = self.captured.get(int(trace_id))
        if trace is None or trace is self.emulator.capturing:
            raise RuntimeError(f"There is no captured trace {int(trace_id)}: it was released, or never ended.")
        if self.emulator.numerics:
            trace.execute()
        else:
            self.emulator.wires.traffic.sent += trace.sent

    def release_trace(self, mesh_device, trace_id):
        if self.captured.get(int(trace_id)) is self.emulator.capturing is not None:
            raise RuntimeError(f"Trace {int(trace_id)} is being captured. End it first: ttnn.end_trace_capture.")
        self.captured.pop(int(trace_id), None)


def install(emulator) -> None:
    traces = Traces(emulator)
    for name in NAMES:
        setattr(ttnn, name, getattr(traces, name))


def uninstall() -> None:
    for name, function in real.items():
        setattr(ttnn, name, function)
