"""The arithmetic of the emulated mesh: after each real ttnn call, its meaning in torch, chip by chip.

ttnn's host code runs for real: it checks shapes, layouts and memory, allocates, and builds the program. Only the
kernels do nothing. Nearly every ttnn op carries a golden function, its meaning in torch, which ttnn's own tests
compare the chips with. Here that function supplies the values. So each call is checked twice: the shape that ttnn
reports and the shape that torch computes must be equal, always.

One call of `emulate` is one op on all chips. Chips that hold equal inputs are computed once.
"""

import contextlib

import torch
import ttnn
import ttnn.decorators

from helpers.emulator import transfers
from helpers.emulator.memory import Memory, kept_as, share, unknown_values

# Python wrappers around other ops: what they call is emulated, one by one.
TRANSPARENT = {"ttnn.as_tensor", "ttnn.load_tensor", "ttnn.to_torch", "ttnn.pearson_correlation_coefficient"}
# With these ttnn asks for no answer where it would not compare one.
COMPARISON_HINTS = {"_ttnn_skip_comparison", "_ttnn_input_is_bfloat8_b"}
# Ops whose host code brings the whole process down on a mock cluster.
CRASHES = {"ttnn.point_to_point"}
SILENT = {"ttnn.deallocate"}  # nothing to compute
real_call = ttnn.decorators.FastOperation.__call__
real_to_torch = ttnn.decorators.to_torch_for_comparison


class Emulator:
    """Follows every ttnn call of this process while installed."""

    def __init__(self, numerics: bool):
        self.numerics = numerics
        self.memory = Memory()
        self._inside = False  # an op calls other ops: only the outermost is emulated
        self._chip = None  # whose values ttnn's input preparation sees
        self._shards = {}  # of the op that is being computed: id of an input -> its values
        self._in_place = False  # whether that op writes into one of its inputs

    @contextlib.contextmanager
    def _within(self):
        before = self._inside, self._chip
        self._inside, self._chip = True, None
        try:
            yield
        finally:
            self._inside, self._chip = before

    def call(self, op, *args, **kwargs):
        """Takes the place of ttnn's FastOperation.__call__."""
        name = op.python_fully_qualified_name
        if self._chip is not None and name == "ttnn.to_torch":
            return self._of_chip(args[0])
        if name in CRASHES:
            raise NotImplementedError(
                f"{name} cannot run without chips: ttnn itself crashes. Use ttnn.broadcast to send to others."
            )
        if self._inside or name in SILENT or name in TRANSPARENT:
            return real_call(op, *args, **kwargs)
        for tensor in tensors_in((args, kwargs)):
            if on_device(tensor) and not tensor.is_allocated():  # many ops would crash on it
                raise RuntimeError(unknown_values(tensor))
        if not self.numerics:
            if name == "ttnn.from_device":
                raise RuntimeError(transfers.NO_VALUES)
            return real_call(op, *args, **kwargs)
        if name in transfers.OPS:
            with self._within():
                return transfers.OPS[name](self.memory, lambda *a, **k: real_call(op, *a, **k), *args, **kwargs)
        return self.emulate(op, args, kwargs)

    def emulate(self, op, args, kwargs):
        """Runs the real op, then its golden function once for each set of chips with equal inputs."""
        inputs = [t for t in tensors_in((args, kwargs)) if on_device(t)]
        if inputs and op.golden_function is None:
            raise NotImplementedError(no_golden(op))
        # Read before the op runs: it may free its inputs or write over them.
        shards = {id(t): self.memory.read(t) for t in inputs}
        places = {place_of(t) for t in inputs}
        with self._within():
            result = real_call(op, *args, **kwargs)
        outputs = tensors_in(result)
        if not any(map(on_device, outputs)):
            return result
        if op.golden_function is None:
            raise NotImplementedError(no_golden(op))
        where = next(filter(on_device, outputs))  # not an input: the op may have freed it
        host = [t for t in tensors_in((args, kwargs)) if not on_device(t)]
        shards |= {id(t): transfers.spread(transfers.host_values(t), where) for t in host}
        shards = in_one_precision(shards, outputs)
        num_chips = len(where.device_coords())
        self._in_place = any(place_of(t) in places for t in filter(on_device, outputs))
        if getattr(op.golden_function, "over_mesh", False):
            values = self._over_mesh(op, args, kwargs, shards, tuple(where.device().shape))
        else:
            values = self._per_chip(op, args, kwargs, shards, num_chips)
        self._store(op, outputs, values)
        return result

    def _per_chip(self, op, args, kwargs, shards, num_chips):
        """values[output][chip]; chips whose inputs are the same objects share one result."""
        self._shards = shards
        rows = zip(*shards.values()) if shards else [()] * num_chips  # one a chip: its values of all inputs
        done, by_chip = {}, []
        with self._within(), torch.set_grad_enabled(is_backward(op)), golden_errors(op):
            for chip, row in enumerate(rows):
                signature = tuple(map(id, row))
                if signature not in done:
                    self._chip = chip
                    done[signature] = self._golden(op, args, kwargs)
                by_chip.append(done[signature])
        return list(zip(*by_chip))

    def _golden(self, op, args, kwargs):
        """The op's golden function on what the current chip holds."""
        prepare = op.preprocess_golden_function_inputs or ttnn.decorators.default_preprocess_golden_function_inputs
        golden_args, golden_kwargs = prepare(args, kwargs)
        for name in COMPARISON_HINTS & golden_kwargs.keys():
            del golden_kwargs[name]
        if is_backward(op):
            inputs = clone((golden_args, golden_kwargs))
            golden_args, golden_kwargs = ttnn.decorators.prepare_backward_golden_inputs(inputs)
            return torch_tensors_in(op.golden_function(*golden_args, **golden_kwargs))
        if self._in_place:
            golden_args, golden_kwargs = clone((golden_args, golden_kwargs))
            return torch_tensors_in(op.golden_function(*golden_args, **golden_kwargs))
        inputs = torch_tensors_in([*golden_args, *golden_kwargs.values()])
        before = [tensor._version for tensor in inputs]
        outputs = torch_tensors_in(op.golden_function(*golden_args, **golden_kwargs))
        if [tensor._version for tensor in inputs] != before:
            raise RuntimeError(f"The golden function of {op.python_fully_qualified_name} wrote over its inputs.")
        return outputs

    def _over_mesh(self, op, args, kwargs, shards, mesh_shape):
        """values[output][chip] of an op in which chips exchange data; its golden function sees all chips at once."""
        all_chips = lambda t: shards.get(id(t), t)
        with self._within(), torch.no_grad(), golden_errors(op):
            result = op.golden_function(
                *replace_tensors(args, all_chips), mesh_shape=mesh_shape, **replace_tensors(kwargs, all_chips)
            )
        return result if isinstance(result, tuple) else (result,)

    def _store(self, op, outputs, values):
        if len(outputs) != len(values):
            raise RuntimeError(
                f"{op.python_fully_qualified_name} returned {len(outputs)} tensors, its golden function {len(values)}."
            )
        with self._within(), golden_errors(op):
            for tensor, of_chips in zip(outputs, values):
                if on_device(tensor):
                    self.memory.write(tensor, list(of_chips))

    def _of_chip(self, tensor):
        return self._shards[id(tensor)][self._chip]

    def to_torch_for_comparison(self, tensor, *args, **kwargs):
        """Takes the place of ttnn's function of that name, with which golden inputs are prepared."""
        if self._chip is None or not isinstance(tensor, ttnn.Tensor):
            return real_to_torch(tensor, *args, **kwargs)
        return self._of_chip(tensor)


def install(emulator: Emulator) -> None:
    """Lets every ttnn call of this process go through the emulator."""
    ttnn.decorators.FastOperation.__call__ = lambda op, *args, **kwargs: emulator.call(op, *args, **kwargs)
    ttnn.decorators.to_torch_for_comparison = emulator.to_torch_for_comparison
    transfers.install(emulator)


def uninstall() -> None:
    ttnn.decorators.FastOperation.__call__ = real_call
    ttnn.decorators.to_torch_for_comparison = real_to_torch
    transfers.uninstall()


def in_one_precision(shards: dict, outputs: list[ttnn.Tensor]) -> dict:
    """The inputs as they are, or, where an input or an output is kept as float32, all floats as float32.

    torch multiplies no matrices of two dtypes, and what is asked for in float32 must not be computed in bfloat16.
    """
    dtypes = {values[0].dtype for values in shards.values()}
    dtypes |= {kept_as(tensor.dtype) for tensor in outputs}
    if not {torch.float32, torch.bfloat16} <= dtypes:
        return shards
    widened = lambda value: value.float() if value.dtype == torch.bfloat16 else value
    return {key: share(values, widened) for key, values in shards.items()}


def no_golden(op) -> str:
    name = op.python_fully_qualified_name
    return (
        f"{name} has no golden function, so the emulated mesh cannot compute it. Give it one with "
        f"ttnn.attach_golden_function({name}, function), as helpers/emulator/ops.py does, or open the mesh with "
        "numerics=False for a dry run without values."
    )


@contextlib.contextmanager
def golden_errors(op):
    """Says whose golden function failed: the real op has already accepted these arguments."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(
            f"ttnn accepted this call of {op.python_fully_qualified_name}, but its golden function did not: {error}"
        ) from error


def place_of(tensor: ttnn.Tensor) -> tuple:
    """Equal for an input and an output of an op that writes in place; not for views of another shape."""
    return tensor.buffer_unique_id(), tuple(tensor.shape)


def is_backward(op) -> bool:
    return op.python_fully_qualified_name.endswith("_bw")


def on_device(tensor: ttnn.Tensor) -> bool:
    return ttnn.is_tensor_storage_on_device(tensor)


def tensors_in(value) -> list[ttnn.Tensor]:
    if isinstance(value, ttnn.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return []
    return [tensor for part in value for tensor in tensors_in(part)]


def torch_tensors_in(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for part in value for tensor in torch_tensors_in(part)] if isinstance(value, (list, tuple)) else []


def replace_tensors(value, function):
    if isinstance(value, ttnn.Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: replace_tensors(part, function) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(replace_tensors(part, function) for part in value)
    return value


def clone(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: clone(part) for key, part in value.items()}
    return type(value)(map(clone, value)) if isinstance(value, (list, tuple)) else value
