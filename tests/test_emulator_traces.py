"""Traces: an execution computes what the calls that were captured compute, with what lies in their inputs then."""

import contextlib

import pytest
import torch
import ttnn

from helpers.collectives import all_gather, all_reduce
from helpers.mesh import run_on
from helpers.tensors import gather, replicate, shard, shards_of
from tests.on_galaxy import opened

mesh = pytest.fixture(scope="module")(opened)


@contextlib.contextmanager
def capturing(mesh):
    """Captures a trace of what the block calls."""
    trace = ttnn.begin_trace_capture(mesh, cq_id=0)
    try:
        yield trace
    finally:
        ttnn.end_trace_capture(mesh, trace, cq_id=0)


def numbers(seed, *shape):
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(seed))


def test_a_trace_computes_with_what_is_in_its_inputs_then(mesh):
    x, other = (torch.randn(1, 1, 37, 70, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    source = replicate(x, mesh, dtype=ttnn.float32)
    trace = ttnn.begin_trace_capture(mesh, cq_id=0)
    doubled = ttnn.add(source, source)
    result = ttnn.add(doubled, 1.0)
    ttnn.deallocate(doubled)  # a trace goes on without it
    ttnn.end_trace_capture(mesh, trace, cq_id=0)
    ttnn.copy_host_to_device_tensor(ttnn.from_torch(other, layout=ttnn.TILE_LAYOUT, dtype=ttnn.float32), source)
    with pytest.raises(RuntimeError, match="has not been executed: a capture computes nothing"):
        gather(result)
    ttnn.execute_trace(mesh, trace, cq_id=0, blocking=True)
    torch.testing.assert_close(gather(result), 2 * other + 1)
    ttnn.release_trace(mesh, trace)
    with pytest.raises(RuntimeError, match="no captured trace"):
        ttnn.execute_trace(mesh, trace, cq_id=0)


def test_what_a_trace_would_not_call_again(mesh):
    """A method of a tensor is no op: what comes of it would be one execution old."""
    x = replicate(torch.randn(1, 1, 32, 64), mesh)
    trace = ttnn.begin_trace_capture(mesh, cq_id=0)
    for method in (lambda: x.reshape([1, 32, 64]), lambda: x.to(ttnn.ROW_MAJOR_LAYOUT)):
        with pytest.raises(NotImplementedError, match="is no op, so a trace would not call it again. Use ttnn"):
            method()
    on_host = ttnn.from_torch(torch.randn(1, 1, 32, 64)).to(ttnn.TILE_LAYOUT)
    assert on_host.layout == ttnn.TILE_LAYOUT, "nothing of it is on chips"
    ttnn.end_trace_capture(mesh, trace, cq_id=0)
    assert tuple(x.reshape([1, 32, 64]).shape) == (1, 32, 64)
    ttnn.release_trace(mesh, trace)


def parts_in_a_trace(mesh):
    """The sum of a doubled tensor and one, taken through a chip's part: at first, and after the input changed."""
    x = replicate(torch.full((1, 1, 32, 64), 2.0), mesh)
    trace = ttnn.begin_trace_capture(mesh, cq_id=0)
    doubled = ttnn.multiply(x, 2.0)
    result = ttnn.add(ttnn.get_device_tensors(doubled)[0], 1.0)
    ttnn.end_trace_capture(mesh, trace, cq_id=0)
    ttnn.execute_trace(mesh, trace, cq_id=0)
    first = gather(result).float().unique().tolist()
    five = ttnn.from_torch(torch.full((1, 1, 32, 64), 5.0), dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT)
    ttnn.copy_host_to_device_tensor(five, x)
    ttnn.execute_trace(mesh, trace, cq_id=0)
    return first, gather(result).float().unique().tolist()


def test_a_part_within_a_trace():
    assert run_on("n150", parts_in_a_trace) == ([5.0], [11.0])


def test_a_trace_without_values_sends_each_time(mesh, monkeypatch):
    """Once for each execution, as with values, and not for the capture."""
    monkeypatch.setattr(mesh.emulator, "numerics", False)
    x = ttnn.empty((1, 1, 32, 96), dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=mesh)
    ttnn.all_gather(x, dim=3, cluster_axis=1)
    mesh.traffic.clear()
    trace = ttnn.begin_trace_capture(mesh)
    ttnn.all_gather(x, dim=2, cluster_axis=0)
    ttnn.end_trace_capture(mesh, trace)
    assert not mesh.traffic.sent
    for _ in range(3):
        ttnn.execute_trace(mesh, trace)
    assert len(mesh.traffic.sent) == 3
    three = mesh.traffic.by_link()
    mesh.traffic.clear()
    ttnn.all_gather(x, dim=2, cluster_axis=0)
    assert three == {link: 3 * size for link, size in mesh.traffic.by_link().items()} and sum(three.values()) > 0
    ttnn.release_trace(mesh, trace)
    with pytest.raises(RuntimeError, match="no captured trace"):
        ttnn.execute_trace(mesh, trace)


def test_one_trace_at_a_time(mesh):
    trace = ttnn.begin_trace_capture(mesh)
    try:
        with pytest.raises(RuntimeError, match="End it first"):
            ttnn.begin_trace_capture(mesh)
        with pytest.raises(RuntimeError, match="never ended"):
            ttnn.execute_trace(mesh, trace)
    finally:
        ttnn.end_trace_capture(mesh, trace)
        ttnn.release_trace(mesh, trace)


def test_an_execution_computes_and_calls_nothing(mesh):
    """Products, views and copies of other shapes, slices, and sums over chips, which are counted each time."""
    x, weight = numbers(5, 64, 256), numbers(3, 256, 96)
    source = shard(x, mesh, tp=3, dtype=ttnn.float32)
    columns = source.shape[-1]
    part = shard(weight, mesh, tp=2, dtype=ttnn.float32)
    with capturing(mesh) as trace:
        copied = ttnn.reshape(ttnn.reshape(source, (1, 1, 128, columns // 2)), (1, 1, 64, columns))
        viewed = ttnn.reshape(copied, (1, 2, 32, columns))
        below = ttnn.silu(viewed[:, 1:])  # rows 32 and on
        total = all_reduce(ttnn.linear(below, part), "tp")
        result = all_gather(total[:, :, :, 32:], 3, "sp")
    assert source.buffer_unique_id() != copied.buffer_unique_id() == viewed.buffer_unique_id()
    heard, sent = [], len(mesh.traffic.sent)
    mesh.emulator.listeners.append(lambda *call: heard.append(call))
    try:
        for seed in (6, 7):
            shard(numbers(seed, 64, 256), mesh, tp=3, dtype=ttnn.float32, into=source)
            heard.clear()
            ttnn.execute_trace(mesh, trace, cq_id=0)
            assert not heard
            want = (torch.nn.functional.silu(numbers(seed, 64, 256)) @ weight)[..., 32:, 32:]
            want = torch.cat([want] * mesh.shape[mesh.system.axes["sp"]], 3)
            for got in shards_of(result).values():
                torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-3)
    finally:
        mesh.emulator.listeners.clear()
    assert [call.op for call in mesh.traffic.sent[sent:]] == ["all_reduce", "all_gather"] * 2
    ttnn.release_trace(mesh, trace)


def test_what_is_written_in_place_goes_on_from_execution_to_execution(mesh):
    x, start = numbers(1, 32, 70), numbers(2, 32, 70)
    source, total = replicate(x, mesh, dtype=ttnn.float32), replicate(start, mesh, dtype=ttnn.float32)
    with capturing(mesh) as trace:
        ttnn.add_(total, source)
        seen = ttnn.multiply(total, 3.0)
    for _ in range(2):
        ttnn.execute_trace(mesh, trace, cq_id=0)
    torch.testing.assert_close(gather(total), start + 2 * x)  # the capture adds nothing
    torch.testing.assert_close(gather(seen), 3 * (start + 2 * x))
    ttnn.release_trace(mesh, trace)


def test_what_is_freed_during_a_capture_leaves_no_values(mesh, monkeypatch):
    """Neither do tensors that the program lets go of: a trace holds no memory but that of its results."""
    memory, source = mesh.emulator.memory, replicate(numbers(1, 512, 512), mesh, dtype=ttnn.float32)
    memory.sweep()
    before = memory.num_bytes()
    with capturing(mesh) as trace:
        x = source
        for _ in range(5):
            x = ttnn.add(x, 1.0)
    assert memory.num_bytes() == memory._held == before
    replicate(numbers(2, 512, 512), mesh, dtype=ttnn.float32, into=source)
    renew, renewed = memory.renew, []
    monkeypatch.setattr(memory, "renew", lambda *what: (renewed.append(what), renew(*what)))
    ttnn.execute_trace(mesh, trace, cq_id=0)
    torch.testing.assert_close(gather(x), numbers(2, 512, 512) + 5)
    assert len(renewed) == 1, "what is freed is let go of as soon as nothing reads it"
    assert memory.num_bytes() == before + 512 * 512 * 4
    ttnn.release_trace(mesh, trace)


def test_values_that_take_more_room_than_at_the_capture(mesh):
    """Chips that held the same hold different numbers then, and the emulator counts what it keeps."""
    source = replicate(numbers(1, 32, 64), mesh)
    with capturing(mesh) as trace:
        result = ttnn.neg(source)
    x = numbers(2, 32 * 8, 64)
    shard(x, mesh, sp=2, into=source)
    ttnn.execute_trace(mesh, trace, cq_id=0)
    torch.testing.assert_close(gather(result, sp=2), -x.bfloat16())
    memory = mesh.emulator.memory
    assert memory._held == memory.num_bytes()
    ttnn.release_trace(mesh, trace)


def test_an_input_that_was_freed(mesh):
    source = replicate(numbers(1, 32, 64), mesh)
    with capturing(mesh) as trace:
        kept = ttnn.exp(source)
    ttnn.deallocate(source)
    del source
    other = replicate(numbers(2, 32, 64), mesh)
    with pytest.raises(RuntimeError, match=r"reads a tensor of shape \(1, 1, 32, 64\) that has been freed"):
        ttnn.execute_trace(mesh, trace, cq_id=0)
    assert tuple(kept.shape) == tuple(other.shape)
    ttnn.release_trace(mesh, trace)


def test_what_stands_in_padding_after_an_execution(mesh):
    """As after the capture, if it was the same before; else it is not known."""
    x = numbers(1, 32, 70)
    source = replicate(x, mesh)
    with capturing(mesh) as trace:
        result = ttnn.add(source, 1.0)
    padding = mesh.emulator.memory.padding
    assert padding(source) == 0
    ttnn.execute_trace(mesh, trace, cq_id=0)
    assert padding(result) == 1
    ttnn.add_(source, 2.0)
    ttnn.execute_trace(mesh, trace, cq_id=0)
    assert padding(result) is None
    ttnn.release_trace(mesh, trace)


def test_padding_that_a_trace_writes_over(mesh):
    total = replicate(numbers(1, 32, 70), mesh)
    with capturing(mesh) as trace:
        ttnn.add_(total, 2.0)
    padding = mesh.emulator.memory.padding
    assert padding(total) == 0, "not yet"
    ttnn.execute_trace(mesh, trace, cq_id=0)
    assert padding(total) == 2
    ttnn.execute_trace(mesh, trace, cq_id=0)
    assert padding(total) is None, "4, but it is not followed"
    ttnn.release_trace(mesh, trace)


def test_a_trace_that_reads_what_another_has_not_made_yet(mesh):
    source = replicate(numbers(1, 32, 64), mesh, dtype=ttnn.float32)
    with capturing(mesh) as first:
        between = ttnn.neg(source)
    with capturing(mesh) as second:
        result = ttnn.add(between, 1.0)
    with pytest.raises(RuntimeError, match="that another trace has not made yet"):
        ttnn.execute_trace(mesh, second, cq_id=0)
    for trace in (first, second):
        ttnn.execute_trace(mesh, trace, cq_id=0)
        ttnn.release_trace(mesh, trace)
    torch.testing.assert_close(gather(result), 1 - numbers(1, 32, 64))


def test_a_trace_rounds_as_its_ops_do(mesh):
    """Block floats too, whose values ttnn itself packs."""
    source = replicate(numbers(1, 32, 64), mesh)
    with capturing(mesh) as trace:
        result = ttnn.typecast(ttnn.exp(source), ttnn.bfloat8_b)
    replicate(numbers(2, 32, 64), mesh, into=source)
    ttnn.execute_trace(mesh, trace, cq_id=0)
    want = gather(ttnn.typecast(ttnn.exp(source), ttnn.bfloat8_b))
    assert torch.equal(gather(result), want) and not torch.equal(want, gather(ttnn.exp(source)))
    ttnn.release_trace(mesh, trace)


def test_complex_tensors_are_refused(mesh):
    real, imaginary = (replicate(numbers(seed, 32, 64), mesh) for seed in (1, 2))
    both = ttnn.complex_tensor(real, imaginary)
    with capturing(mesh) as trace, pytest.raises(NotImplementedError, match="within a trace.*Use their .real and"):
        ttnn.conj(both, memory_config=ttnn.DRAM_MEMORY_CONFIG)
    ttnn.release_trace(mesh, trace)


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        (lambda x: x[..., :5], r"made tensors of shapes \[\(1, 1, 32, 64\)\] in ttnn.neg, its golden .* 5\)\]"),
        (lambda x: x.nonsense, "accepted this call of ttnn.neg, but its golden function did not: .*nonsense"),
    ],
)
def test_a_golden_function_that_disagrees_is_named_when_it_is_executed(mesh, monkeypatch, golden, message):
    x = replicate(numbers(1, 32, 64), mesh)
    monkeypatch.setattr(ttnn.neg, "golden_function", golden)
    with capturing(mesh) as trace:
        ttnn.neg(x)
    with pytest.raises(RuntimeError, match=message):
        ttnn.execute_trace(mesh, trace, cq_id=0)
    ttnn.release_trace(mesh, trace)


def test_nothing_goes_between_host_and_chips_during_a_capture(mesh):
    x = replicate(numbers(1, 32, 64), mesh)
    calls = {
        "Writes": [lambda: replicate(numbers(2, 32, 64), mesh), lambda: replicate(numbers(2, 32, 64), mesh, into=x)],
        "Reads": [lambda: ttnn.from_device(x), lambda: ttnn.to_torch(x), lambda: x.cpu(), lambda: x.to_list()],
    }
    with capturing(mesh) as trace:
        for kind, several in calls.items():
            for call in several:
                with pytest.raises(RuntimeError, match=f"{kind} are not supported while a trace is captured"):
                    call()
        ttnn.from_torch(numbers(3, 32, 64), layout=ttnn.TILE_LAYOUT)  # nothing of it is on chips
        with pytest.raises(RuntimeError, match="is being captured. End it first"):
            ttnn.release_trace(mesh, trace)
    torch.testing.assert_close(gather(x), numbers(1, 32, 64).bfloat16())
    ttnn.release_trace(mesh, trace)
