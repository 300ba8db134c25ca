"""Which options of ttnn's ops cannot change what they compute, and the refusal of all others that are not handled.

ttnn's ops take options that its golden functions swallow in `**kwargs`. An option that is swallowed and matters gives
a wrong value without a word, so: what a golden function does not name must stand in INERT, or be switched off.
"""

import contextlib
import dis
import functools
import inspect
import itertools
from types import FunctionType

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
    use_multicore use_pack_untilize numeric_stable reshape_tile_mode skip_padding_fill
    applied_shard_scheme use_core_locs return_mesh_tensor skip_tiling
    out num_out_blocks inplace negative_mask reciprocals use_welford use_column_major_ccl recip_tensor use_2d_core_grid
    dram_slice_config reallocate_output config_tensor_in_dram enable_secondary_dm compute_with_storage_grid_size
    use_falcon7b_backend enable_kv_block_cache persistent_output_buffer_joint_k persistent_output_buffer_joint_v
    """.split()  # noqa: SIM905
)

HINT = "_ttnn_"  # how the names begin that ttnn adds for its own comparison


class Swallowed(NotImplementedError):
    """An option that can change values, given to an op whose golden function does not know it."""


def strict(function):
    """The golden function without what cannot change values; anything else that it does not name is refused.

    What a function of ttnn's does that reads its `**kwargs` cannot be told from outside: it gets all of them.
    """
    try:
        named, places = named_by(function), places_of(function)
    except ValueError:  # written in C: it names what it takes and refuses the rest by itself
        return function

    @functools.wraps(function)
    def checked(*args, **kwargs):
        for value in () if places is None else args[places:]:
            if matters(value):
                raise Swallowed(f"its option {str(value)[:60]}, given without a name, is not emulated")
        handled = kwargs
        if named is not None:
            for name, value in kwargs.items():
                known = name in named or name in INERT or name == "seed" or name.startswith(HINT)
                if not known and value is not None and value is not False:
                    raise Swallowed(f"its option {name}={str(value)[:60]} is not emulated")
            handled = {name: value for name, value in kwargs.items() if name in named}
        if "seed" not in kwargs or "seed" in (named or ()):
            return function(*args, **handled)
        with seeded(kwargs["seed"]):
            return function(*args, **handled)

    return checked


def parameters_of(function, kind) -> list[str]:
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is kind]


def named_by(function) -> set[str] | None:
    """The options that it names, with those of a function that it hands its `**kwargs` on to. None where it reads them.

    Raises ValueError for a function that is written in C.
    """
    rest = parameters_of(function, inspect.Parameter.VAR_KEYWORD)
    named = set(inspect.signature(function).parameters) - set(rest)
    if not rest or not reads(function, rest[0]):
        return named
    within = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    within = [inner for inner in within if isinstance(inner, FunctionType)]
    if len(within) != 1 or reads(function, rest[0], but_hands_on=True):
        return None
    inner = named_by(within[0])
    return None if inner is None else named | inner


def places_of(function) -> int | None:
    """How many arguments it takes without a name. None where it reads all that it gets."""
    rest = parameters_of(function, inspect.Parameter.VAR_POSITIONAL)
    if not rest or reads(function, rest[0]):
        return None
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return sum(len(parameters_of(function, kind)) for kind in kinds)


def matters(value) -> bool:
    """Whether an argument is a number or a word, which may change values: not a place, a dtype, a configuration."""
    if isinstance(value, (list, tuple)):
        return any(map(matters, value))
    return isinstance(value, (int, float, str)) and value is not False


@contextlib.contextmanager
def seeded(seed: int | None):
    """Random numbers of a seed: other ones than a chip's, but the same each time. Without a seed torch goes on."""
    if not seed:  # 0 is ttnn's word for none
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def reads(function, name: str, but_hands_on: bool = False) -> bool:
    """Whether a function's own code looks at the variable of that name.

    but_hands_on: `other(**name)` does not count as a look.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or name in code.co_cellvars:
        return True
    steps = itertools.pairwise(dis.get_instructions(code))
    looks = [after for step, after in steps if step.opname == "LOAD_FAST" and step.argval == name]
    return any(not but_hands_on or after.opname != "DICT_MERGE" for after in looks)
