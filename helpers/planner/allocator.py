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
    """Appends `allocated(mesh)` to history after each ttnn op in the block after which it may be more than ever before.

    That is where the buffers made since it was last asked could make it so, if none had been freed: asking takes as
    long as many an op.
    """
    call, banks = ttnn.decorators.FastOperation.__call__, ttnn.get_memory_view(mesh, ttnn.BufferType.DRAM).num_banks
    newest, most, at_most = 0, 0, 0  # number of a buffer; bytes as asked; bytes now, unless some were freed

    def followed(op, *args, **kwargs):
        nonlocal newest, most, at_most
        result = call(op, *args, **kwargs)
        made = {number: one for one in results_of(result) if (number := buffer_number(one)) > newest}
        if made:
            newest, at_most = max(made), at_most + sum(size_in(banks, one) for one in made.values())
        if at_most > most:
            at_most = allocated(mesh)
            most = max(most, at_most)
            history.append(at_most)
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


def size_in(banks: int, tensor: ttnn.Tensor) -> int:
    """Bytes that a tensor takes of a chip's DRAM: its pages go round the banks, and all banks give as much."""
    return -(-tensor.buffer_num_pages() // banks) * tensor.buffer_aligned_page_size() * banks


def words_of(error: RuntimeError) -> str:
    """ttnn's sentence without the place in its source and the backtrace."""
    return str(error).split("info:")[-1].split("backtrace:")[0].strip()
