"""Which options of ttnn's ops cannot change what they compute, and the refusal of all others that are not handled.

ttnn's ops take options that its golden functions swallow in `**kwargs`. An option that is swallowed and matters gives
a wrong value without a word, so: what a golden function does not name must stand in INERT, or be switched off.
"""

import contextlib
import dis
import functools
import inspect

import torch

# Where a result lies, how the work is cut and sent, with which cores and buffers: never what is computed. A dtype, too,
# is here: the emulator rounds to the dtype of the tensor that ttnn made.
INERT = frozenset(
    """
    dtype output_dtype layout output_layout memory_config output_memory_config output_mem_config
    memory_config_mm rs_output_mem_config rs_intermediate_mem_config intermediate_memory_config output_tensor
    optional_output_tensor output output_tensors persistent_output_buffer persistent_output_buffers
    persistent_intermediate_buffer persistent_output_buffer_k persistent_output_buffer_v
    use_optimal_ccl_for_llama program_config config compute_kernel_config compute_config conv_config
    slice_config core_grid sub_core_grids sub_core_grid sub_device_id subdevice_id queue_id cq_id use_legacy
    device mesh_device global_cb num_links topology multi_device_global_semaphore barrier_semaphore
    global_semaphore semaphore neighbor_semaphore final_semaphore ccl_core_grid_offset reduce_scatter_core_grid_offset
    worker_sub_device_id chunks_per_sync num_workers_per_link num_workers_per_dim num_buffers_per_channel
    force_transpose use_broadcast reverse_order use_l1_small_for_semaphores mm_progress_counters
    mm_credit_counters optional_rs_output_tensor using_persistent_buffers chunk_width_in_mm_blocks
    math_approx_mode fast_and_approximate_mode fast_approx deallocate_input reallocate_halo_output in_place
    use_multicore use_pack_untilize reshape_tile_mode skip_padding_fill
    applied_shard_scheme use_core_locs return_mesh_tensor skip_tiling
    out num_out_blocks inplace negative_mask reciprocals use_welford use_column_major_ccl
    """.split()  # noqa: SIM905
)

HINT = "_ttnn_"  # how the names begin that ttnn adds for its own comparison


class Swallowed(NotImplementedError):
    """An option that can change values, given to an op whose golden function does not know it."""


def strict(function):
    """The golden function without what cannot change values; anything else that it does not name is refused.

    A function of ttnn's that reads its `**kwargs` is left alone: what it does with them cannot be told from outside.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # written in C: it names what it takes and refuses the rest by itself
        return function
    rest = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    if rest and reads(function, rest[0]):
        return function
    named = {p.name for p in parameters} - set(rest)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        for name, value in kwargs.items():
            if not (
                name in named
                or name in INERT
                or name == "seed"
                or name.startswith(HINT)
                or value is None
                or value is False
            ):
                raise Swallowed(f"its option {name}={str(value)[:60]} is not emulated")
        handled = {name: value for name, value in kwargs.items() if name in named}
        with seeded(None if "seed" in named else kwargs.get("seed")):
            return function(*args, **handled)

    return checked


@contextlib.contextmanager
def seeded(seed: int | None):
    """Random numbers of a seed: other ones than a chip's, but the same each time. Without a seed torch goes on."""
    if not seed:  # 0 is ttnn's word for none
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def reads(function, name: str) -> bool:
    """Whether a function's own code looks at the variable of that name."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or name in code.co_cellvars:
        return True
    return any(name in str(i.argrepr) for i in dis.get_instructions(code) if i.opname.startswith("LOAD_FAST"))
