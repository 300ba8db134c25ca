"""What ttnn's own allocator says while a program runs: bytes given away on each chip, op by op, and why it refused."""

import contextlib

import ttnn
import ttnn.decorators


def allocated(mesh) -> int:
    """Bytes of each chip's DRAM that ttnn has given away."""
    view = ttnn.get_memory_view(mesh, ttnn.BufferType.DRAM)
    return view.total_bytes_allocated_per_bank * view.num_banks


@contextlib.contextmanager
def follow(mesh, history: list[int]):
    """Appends `allocated(mesh)` to history after each ttnn op in the block that made a buffer: only then is there more.

    What was freed since the op before shows with the next buffer. Asking takes as long as many an op.
    """
    call, newest = ttnn.decorators.FastOperation.__call__, 0

    def followed(op, *args, **kwargs):
        nonlocal newest
        result = call(op, *args, **kwargs)
        made = max((buffer_number(part) for part in results_of(result)), default=0)
        if made > newest:
            newest = made
            history.append(allocated(mesh))
        return result

    ttnn.decorators.FastOperation.__call__ = followed
    try:
        yield
    finally:
        ttnn.decorators.FastOperation.__call__ = call


def results_of(result) -> list:
    return result if isinstance(result, list | tuple) else [result]


def buffer_number(result) -> int:
    """ttnn numbers buffers as it makes them. 0 for what is no tensor on a device."""
    on_device = isinstance(result, ttnn.Tensor) and ttnn.is_tensor_storage_on_device(result) and result.is_allocated()
    return result.buffer_unique_id() if on_device else 0


def words_of(error: RuntimeError) -> str:
    """ttnn's sentence without the place in its source and the backtrace."""
    return str(error).split("info:")[-1].split("backtrace:")[0].strip()
