"""Traces: what a program calls between begin and end is noted, and called again when the trace is executed.

On a mock cluster ttnn crashes at the first op after begin_trace_capture, so it never hears of a trace. A capture here
also runs its ops, so the tensors that it makes have values before the first execution; on chips they have none.
Without values, in a dry run, what the capture sent is counted again for each execution.
"""

import itertools

import ttnn

from ttnn_emulator.arguments import replaced, tensors_in

NAMES = ("begin_trace_capture", "end_trace_capture", "execute_trace", "release_trace")
real = {name: getattr(ttnn, name) for name in NAMES}


class Traces:
    def __init__(self, emulator):
        self.emulator, self.numbers = emulator, itertools.count()
        self.captured = {}  # trace -> (its calls, what they sent)
        self.sent_before = 0  # how much was sent before the trace that is being captured

    def begin_trace_capture(self, mesh_device, *, cq_id=None):
        if self.emulator.capturing is not None:
            raise RuntimeError("A trace is being captured already. End it first: ttnn.end_trace_capture.")
        self.emulator.capturing = next(self.numbers)
        self.captured[self.emulator.capturing] = [], []
        self.sent_before = len(self.emulator.wires.traffic.sent)
        self.emulator.listeners.append(self.note)
        return ttnn.MeshTraceId(self.emulator.capturing)

    def note(self, *call):
        self.captured[self.emulator.capturing][0].append(call)

    def end_trace_capture(self, mesh_device, trace_id, *, cq_id=None):
        if self.emulator.capturing != int(trace_id):
            raise RuntimeError(f"Trace {int(trace_id)} is not being captured.")
        self.emulator.listeners.remove(self.note)
        self.captured[self.emulator.capturing][1].extend(self.emulator.wires.traffic.sent[self.sent_before :])
        self.emulator.capturing = None

    def execute_trace(self, mesh_device, trace_id, *, cq_id=None, blocking=True):
        if int(trace_id) not in self.captured or self.emulator.capturing == int(trace_id):
            raise RuntimeError(f"There is no captured trace {int(trace_id)}: it was released, or never ended.")
        calls, sent = self.captured[int(trace_id)]
        if self.emulator.numerics:
            replay(calls, self.emulator.memory)
        else:
            self.emulator.wires.traffic.sent += sent

    def release_trace(self, mesh_device, trace_id):
        self.captured.pop(int(trace_id), None)


def replay(calls, memory) -> None:
    """Calls all ops again, each on what the ones before it made this time, and puts the results where they were.

    At once: what is no op, such as ttnn.get_device_tensors, sees them there.
    """
    again = {}  # id of a tensor that the capture made -> (it, the one in its place now)
    for op, args, kwargs, result in calls:
        args, kwargs = replaced(args, kwargs, lambda part: again[id(part)][1] if id(part) in again else part)
        for before, now in zip(tensors_in(result), tensors_in(op(*args, **kwargs))):
            again[id(before)] = before, now
            if before is not now and ttnn.is_tensor_storage_on_device(before) and before.is_allocated():
                memory.write(before, memory.read(now))


def install(emulator) -> None:
    traces = Traces(emulator)
    for name in NAMES:
        setattr(ttnn, name, getattr(traces, name))


def uninstall() -> None:
    for name, function in real.items():
        setattr(ttnn, name, function)
