"""What stands in the padding of tiles, as far as it can be known, and a warning where that counts on chips.

A tile is 32 x 32. Where a tensor does not fill its last tiles, chips compute on the rest too, and some ops read it.
Here a tensor has its logical values only, so such a program is more right here than on chips: then a warning names the
op, once for each line that calls it. Which ops read what: tenstorrent/tt-metal@79925a3f, ttnn/cpp/ttnn/operations,
their program factories and kernels. Reductions, topk, sort, softmax, layer and RMS norm and attention do not: they
fill the padding with what changes nothing, or leave it out.

Followed is one number for a whole tensor's padding: 0 where ttnn moves numbers into tiles, and through elementwise ops
what they make of it. Anything else makes it unknown, and of what is unknown there is no warning.
"""

import sys
import warnings
from pathlib import Path

import torch
import ttnn

from ttnn_emulator.memory import TILE, Memory


class PaddingWarning(UserWarning):
    """A result that depends on the padding of tiles on chips, and not here."""


UNFILLED = {"ttnn.to_device", "ttnn.to_layout", "ttnn.tilize_with_zero_padding", "ttnn.zeros"}
KEEPING = {"ttnn.clone", "ttnn.to_memory_config", "ttnn.typecast", "ttnn.identity", "ttnn.move", "ttnn.reallocate"}
ELEMENTWISE = {"unary", "unary_complex", "binary", "ternary"}  # modules of ttnn's golden functions
NOT_ELEMENTWISE = {f"ttnn.{name}" for name in ("tril", "triu", "normalize_global", "normalize_hw", "fill", "outer",
                                               "alt_complex_rotate90")}  # fmt: skip
PRODUCTS = {
    "ttnn.matmul": ("input_tensor_a", "input_tensor_b"),
    "ttnn.linear": ("input_tensor_a", "input_tensor_b"),
    "ttnn.experimental.minimal_matmul": ("input_tensor", "weight_tensor"),
    "ttnn.experimental.minimal_matmul_split": ("input_tensor", "weight_tensor"),
    "ttnn.experimental.dit_minimal_matmul_addcmul_fused": ("matmul_input_tensor", "matmul_weight_tensor"),
}
PACKAGES = tuple(f"{Path(module.__file__).parent}/" for module in (ttnn, sys.modules["ttnn_emulator"]))
_warned = set()  # (op, file, line)


def check(memory: Memory, name: str, args, kwargs) -> None:
    """Warns where the op's result depends on padding on chips."""
    reads = READERS.get(name)
    if reads is not None and (why := reads(memory, name, args, kwargs)):
        warn(name, why)


def of_product(memory, name, args, kwargs) -> str | None:
    """The padding of the inner dimension of both factors is multiplied and added up."""
    a, b = (argument(args, kwargs, place, key) for place, key in enumerate(PRODUCTS[name]))
    if not all(isinstance(factor, ttnn.Tensor) and padded(factor) for factor in (a, b)):
        return None
    inner = a.shape[-2 if kwargs.get("transpose_a") else -1]
    of_a, of_b = memory.padding(a), memory.padding(b)
    if inner % TILE == 0 or of_a is None or of_b is None or of_a * of_b == 0:
        return None
    return f"adds up {-inner % TILE} products of paddings, {of_a:.4g} x {of_b:.4g}, behind the {inner} inner numbers"


def of_group_norm(memory, name, args, kwargs) -> str | None:
    """Rows of padding count as pixels, whatever stands in them."""
    x = argument(args, kwargs, 0, "input_tensor")
    if not padded(x) or not x.shape[-2] % TILE:
        return None
    return f"counts {-x.shape[-2] % TILE} rows of padding as pixels, behind {x.shape[-2]}"


def of_row_statistics(memory, name, args, kwargs) -> str | None:
    """Mean and variance are those of whole tiles."""
    x = argument(args, kwargs, 0, "input_tensor")
    if not padded(x) or not x.shape[-1] % TILE:
        return None
    return f"counts {-x.shape[-1] % TILE} columns of padding, behind {x.shape[-1]}"


def of_cache(memory, name, args, kwargs) -> str | None:
    """Whole tiles are written, over what the cache holds behind the new rows."""
    x = argument(args, kwargs, 1, "input")
    if not isinstance(x, ttnn.Tensor) or not padded(x) or not x.shape[-2] % TILE:
        return None
    return f"writes {-x.shape[-2] % TILE} rows of padding into the cache, behind the {x.shape[-2]} new ones"


def of_all(memory, name, args, kwargs) -> str | None:
    """It is what the program asks for. Here it gets zeros."""
    return "gives what stands in the padding" if padded(args[0]) and memory.padding(args[0]) != 0 else None


def of_sharded_softmax(memory, name, args, kwargs) -> str | None:
    """The sharded kernel does not leave padding out, as the interleaved ones do."""
    x = argument(args, kwargs, 0, "input_tensor")
    return of_row_statistics(memory, name, args, kwargs) if x.is_sharded() else None


READERS = {
    **dict.fromkeys(PRODUCTS, of_product),
    "ttnn.group_norm": of_group_norm,
    "ttnn.experimental.dit_layernorm_pre_allgather": of_row_statistics,
    "ttnn.fill_cache": of_cache,
    "ttnn.kv_cache.fill_cache_for_user_": of_cache,
    "ttnn.Tensor.to_torch_with_padded_shape": of_all,
    "ttnn.softmax_in_place": of_sharded_softmax,
    "ttnn.scale_mask_softmax_in_place": of_sharded_softmax,
}


def known(memory: Memory, tensors: list) -> list[float | None]:
    """What stands in the padding of an op's inputs, asked before it runs: it may write over them."""
    return [memory.padding(tensor) if padded(tensor) else None for tensor in tensors]


def follow(memory: Memory, op, inputs: list, before: list, outputs: list, compute) -> None:
    """Notes what the op leaves in the padding of its outputs.

    before: `known` of its inputs; compute: its golden function, of one value for each input.
    """
    for tensor in outputs:
        if padded(tensor):
            memory.note_padding(tensor, after(op, inputs, before, tensor, compute))


def after(op, inputs, before, output, compute) -> float | None:
    name = op.python_fully_qualified_name
    if name in UNFILLED:
        return before[0] if inputs and inputs[0].layout == output.layout else 0.0
    if not inputs or None in before or any(tensor.shape != output.shape for tensor in inputs):
        return None
    if name in KEEPING:
        return before[0]
    if not is_elementwise(op):
        return None
    try:
        result = compute([torch.full((1, 1), value) for value in before])
    except Exception:  # it wants more than one number, so it is not elementwise
        return None
    return result.item() if isinstance(result, torch.Tensor) and result.shape == (1, 1) else None


def is_elementwise(op) -> bool:
    name, module = op.python_fully_qualified_name, getattr(op.golden_function, "__module__", None) or ""
    return name == "ttnn.exp" or (module.rpartition(".")[2] in ELEMENTWISE and name not in NOT_ELEMENTWISE)


def padded(tensor: ttnn.Tensor) -> bool:
    return tensor.layout == ttnn.TILE_LAYOUT and tensor.shape != tensor.padded_shape


def argument(args, kwargs, place: int, name: str):
    return args[place] if place < len(args) else kwargs.get(name)


def warn(name: str, why: str) -> None:
    """Once for an op and the line of the program that calls it."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGES):
        frame = frame.f_back
    place = frame.f_code.co_filename, frame.f_lineno
    if (name, *place) in _warned:
        return
    _warned.add((name, *place))
    message = f"On chips {name} {why}. The emulated mesh keeps no padding, so its result is another one."
    warnings.warn_explicit(message, PaddingWarning, *place)
