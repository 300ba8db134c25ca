"""The arithmetic of the emulated mesh: after each real ttnn call, its meaning in torch, chip by chip.

ttnn's host code runs for real: it checks shapes, layouts and memory, allocates, and builds the program. Only the
kernels do nothing. Nearly every ttnn op carries a golden function, its meaning in torch, which ttnn's own tests
compare the chips with. Here that function supplies the values. So each call is checked twice: the shape that ttnn
reports and the shape that torch computes must be equal, always.

One call of `emulate` is one op on all chips. Chips that hold equal inputs are computed once.
"""

import functools

import torch
import ttnn
import ttnn.decorators

from ttnn_emulator import complexes, padding, transfers
from ttnn_emulator.arguments import looks, on_device, tensors_in
from ttnn_emulator.computation import (
    Accepted,
    OverMesh,
    PerChip,
    arguments_of,
    in_one_precision,
    is_backward,
    on_copies,
    strictly,
)
from ttnn_emulator.memory import Memory, kept_as, no_values, unknown_values
from ttnn_emulator.per_chip import per_chip, stand_in
from ttnn_emulator.systems import System
from ttnn_emulator.wires import Mesh, Wires

# Python wrappers around other ops: what they call is emulated, one by one.
TRANSPARENT = {"ttnn.as_tensor", "ttnn.load_tensor", "ttnn.to_torch", "ttnn.pearson_correlation_coefficient"}
# What cannot be emulated, and what to do instead.
REFUSED = {
    "ttnn.point_to_point": "cannot run without chips: ttnn itself crashes. Use ttnn.broadcast to send to others.",
    "ttnn.moreh_clip_grad_norm": "writes over its inputs, which is not emulated. Multiply by what the norm asks.",
}
SILENT = {"ttnn.deallocate"}  # nothing to compute
READING = {"ttnn.from_device", "ttnn.dump_tensor"}  # of single chips, too: see ttnn.get_device_tensors
# Ops in which chips exchange data, or compute by their place, and whose golden functions see one chip at a time.
ALONE = {
    f"ttnn.{name}"
    for name in (
        "all_to_all_combine", "all_to_all_dispatch", "moe_routing_remap", "reduce_to_root",
        "transformer.ring_distributed_scaled_dot_product_attention", "transformer.ring_mla",
    )
}  # fmt: skip
# An op is of the first class, or, where ttnn was imported with its fast runtime mode off, of the second.
real_calls = {kind: kind.__call__ for kind in (ttnn.decorators.FastOperation, ttnn.decorators.Operation)}
real_to_torch = ttnn.decorators.to_torch_for_comparison


class Depth:
    """How many `with` blocks of it are being run."""

    def __init__(self):
        self.depth = 0

    def __enter__(self):
        self.depth += 1

    def __exit__(self, *error):
        self.depth -= 1


def real_call(op, *args, **kwargs):
    return real_calls[type(op)](op, *args, **kwargs)


class Emulator:
    """Follows every ttnn call of this process while installed."""

    def __init__(self, numerics: bool, system: System):
        self.numerics, self.wires = numerics, Wires(system)
        self.memory = Memory()
        self.within = Depth()  # of an op, which may call other ops: only the outermost is emulated
        self.listeners = []  # functions of (op, args, kwargs, result), called after each op
        self._counted = {}  # what a call looks like -> what it sent, without values
        self._stand_ins = None  # id of an input -> what ttnn's preparation of golden arguments sees of it

    @property
    def capturing(self):
        """The Trace that is being captured (traces.py)"""
        return self.memory.capturing

    def call(self, op, *args, **kwargs):
        """Takes the place of the __call__ of ttnn's ops."""
        name = op.python_fully_qualified_name
        if self._stand_ins is not None and name == "ttnn.to_torch":
            return self._stand_ins[id(args[0])]
        if self.within.depth or name in SILENT or name in TRANSPARENT:
            return real_call(op, *args, **kwargs)
        result = self.outermost(op, name, args, kwargs)
        for listen in self.listeners:
            listen(op, args, kwargs, result)
        return result

    def outermost(self, op, name, args, kwargs):
        """An op that no other op has called."""
        if name in REFUSED:
            raise NotImplementedError(f"{name} {REFUSED[name]}")
        tensors = tensors_in((args, kwargs))
        if name in ALONE and any(on_device(tensor) and len(tensor.device_coords()) > 1 for tensor in tensors):
            raise NotImplementedError(f"{name} over several chips is not emulated.")
        for tensor in tensors:
            if on_device(tensor):
                check_usable(tensor, name)
        if not self.numerics:
            if name == "ttnn.from_device":
                raise RuntimeError(transfers.NO_VALUES)
            with self.within:
                return self.count_only(op, args, kwargs, tensors)
        with self.within:
            if name not in transfers.OPS:
                return self.emulate(op, args, kwargs, tensors)
            if self.capturing is not None:
                transfers.check_in_trace(name, tensors, kwargs)
            result = transfers.OPS[name](self.memory, functools.partial(real_call, op), *args, **kwargs)
            if self.capturing is not None and name in transfers.VIEWS:
                self.capturing.note_view(tensors[0], result)
            return result

    def count_only(self, op, args, kwargs, tensors):
        """Runs the real op without values. What chips send is counted from shapes, once for calls that look alike."""
        if not getattr(op.golden_function, "over_mesh", False):
            return real_call(op, *args, **kwargs)
        on_chips = [tensor for tensor in tensors if on_device(tensor)]
        device, sent = on_chips[0].device(), self.wires.traffic.sent
        mesh = (*device.get_device_ids(), *device.shape, ttnn._ttnn.fabric.get_fabric_config())
        axes = tuple(self.wires.system.axes.items())  # what is sent is noted by their names
        call = (op.python_fully_qualified_name, mesh, axes, looks(args), looks(kwargs.items()))
        shards = {id(tensor): no_values(tensor) for tensor in on_chips}
        result = real_call(op, *args, **kwargs)
        if call not in self._counted:
            before = len(sent)
            self.over_mesh(op, args, kwargs, shards, [], device)(list(shards.values()))
            self._counted[call] = sent[before:]
        else:
            sent += self._counted[call]
        return result

    def emulate(self, op, args, kwargs, tensors):
        """Runs the real op, then its golden function once for each set of chips with equal inputs."""
        if complexes.among(args, kwargs):
            if self.capturing is not None:
                raise NotImplementedError("Complex tensors within a trace are not emulated. Use their .real and .imag.")
            return complexes.emulate(self.memory, op, real_call, per_chip, args, kwargs)
        name, inputs = op.python_fully_qualified_name, {id(t): t for t in tensors if on_device(t)}
        if inputs and op.golden_function is None:
            raise NotImplementedError(no_golden(op))
        # Read before the op runs: it may free its inputs or write over them.
        padding.check(self.memory, name, args, kwargs)
        before = padding.known(self.memory, inputs.values())
        shards = {key: self.memory.read(t) for key, t in inputs.items()}
        shapes = {t.buffer_unique_id(): t.shape for t in inputs.values()}
        result = real_call(op, *args, **kwargs)
        updated = getattr(op.golden_function, "updates", ())  # inputs that it writes over and does not return
        outputs = tensors_in(result) + [kwargs[name] for name in updated if kwargs.get(name) is not None]
        on_chips = [t for t in outputs if on_device(t)]
        if not on_chips:
            return result
        if op.golden_function is None:
            raise NotImplementedError(no_golden(op))
        if getattr(op.golden_function, "sees_output_shapes", False):
            kwargs = kwargs | {"output_shapes": [tuple(t.shape) for t in outputs]}
        where = on_chips[0]  # not an input: the op may have freed it
        shards |= {id(t): transfers.spread(transfers.host_values(t), where) for t in tensors if id(t) not in shards}
        in_place = any(shapes.get(t.buffer_unique_id()) == t.shape for t in on_chips)  # a view has another shape
        kept = [kept_as(tensor.dtype) for tensor in outputs]
        with Accepted(name), torch.no_grad():
            if getattr(op.golden_function, "over_mesh", False):
                compute = self.over_mesh(op, args, kwargs, shards, kept, where.device())
            else:
                compute = self.per_chip(op, args, kwargs, shards, kept, len(where.device_coords()), in_place)
            if self.capturing is None:
                self._store(outputs, compute(list(shards.values())))
            else:
                self.capturing.note(name, compute, [inputs.get(key, part) for key, part in shards.items()], outputs)
            padding.follow(self.memory, op, list(inputs.values()), before, on_chips, compute.of_one_value_each)
        return result

    def over_mesh(self, op, args, kwargs, shards, kept, device) -> OverMesh:
        first = next(tensor for tensor in tensors_in((args, kwargs)) if id(tensor) in shards)
        arguments = arguments_of(args, kwargs, {key: number for number, key in enumerate(shards)})
        mesh = Mesh(self.wires, device, first.dtype, first.layout)
        return OverMesh(op, arguments, kept, self.wires, mesh, tuple(first.shape))

    def per_chip(self, op, args, kwargs, shards, kept, num_chips: int, in_place: bool) -> PerChip:
        """An op's own preparation of its arguments is the same for all chips. It runs once, on stand-ins."""
        golden = on_copies(op) if in_place or is_backward(op) else strictly(op.golden_function)
        usual = op.python_fully_qualified_name if not in_place and leads(args, kwargs, shards) else ""
        number_of = {key: number for number, key in enumerate(shards)}
        prepare = op.preprocess_golden_function_inputs
        if prepare not in (None, ttnn.decorators.default_preprocess_golden_function_inputs):
            values = in_one_precision(list(shards.values()), kept)
            stand_ins = [stand_in(number, value.shape, value.dtype) for number, value in enumerate(values)]
            self._stand_ins = dict(zip(shards, stand_ins))
            try:
                args, kwargs = prepare(args, kwargs)
            finally:
                self._stand_ins = None
            number_of = {id(tensor): number for number, tensor in enumerate(stand_ins)}
        return PerChip(golden, arguments_of(args, kwargs, number_of), num_chips, kept, usual)

    def _store(self, outputs, values):
        if len(outputs) != len(values):
            raise RuntimeError(f"it returned {len(values)} tensors, ttnn {len(outputs)}")
        for tensor, shards in zip(outputs, values):
            if on_device(tensor):
                self.memory.write(tensor, shards)

    def to_torch_for_comparison(self, tensor, *args, **kwargs):
        """Takes the place of ttnn's function of that name, with which golden inputs are prepared."""
        if self._stand_ins is None or not isinstance(tensor, ttnn.Tensor):
            return real_to_torch(tensor, *args, **kwargs)
        return self._stand_ins[id(tensor)]


def install(emulator: Emulator) -> None:
    """Lets every ttnn call of this process go through the emulator."""
    for kind in real_calls:
        kind.__call__ = lambda op, *args, **kwargs: emulator.call(op, *args, **kwargs)
    ttnn.decorators.to_torch_for_comparison = emulator.to_torch_for_comparison
    transfers.install(emulator)


def uninstall() -> None:
    for kind, call in real_calls.items():
        kind.__call__ = call
    ttnn.decorators.to_torch_for_comparison = real_to_torch
    transfers.uninstall()


def check_usable(tensor: ttnn.Tensor, name: str) -> None:
    """Raises RuntimeError for a tensor on chips with which many ops, in ttnn, bring the whole process down."""
    if not tensor.is_allocated():
        raise RuntimeError(unknown_values(tensor))
    if name not in READING and len(tensor.device_coords()) < tensor.device().get_num_devices():
        raise RuntimeError(
            f"This tensor of shape {tuple(tensor.shape)} lies on some chips of its mesh only. Without chips ttnn "
            "itself crashes in ops on such a one. Use a submesh: mesh.create_submesh(...)."
        )


def leads(args, kwargs, shards: dict) -> bool:
    """Whether the first of the values is that of the op's first operand, as it is."""
    first = args[0] if args else kwargs.get("input_tensor")
    return id(first) == next(iter(shards), None) and not kwargs.get("transpose_a")


def no_golden(op) -> str:
    name = op.python_fully_qualified_name
    return (
        f"{name} has no golden function, so the emulated mesh cannot compute it. Give it one with "
        f"ttnn.attach_golden_function({name}, function), as ttnn_emulator/ops.py does, or open the mesh with "
        "numerics=False for a dry run without values."
    )
