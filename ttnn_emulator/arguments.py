"""The arguments of a call: which tensors are among them, what two calls have in common, one put for another."""

import ttnn


def on_device(tensor: ttnn.Tensor) -> bool:
    return ttnn.is_tensor_storage_on_device(tensor)


def tensors_in(value) -> list[ttnn.Tensor]:
    if isinstance(value, ttnn.Tensor):
        return [value]
    if isinstance(value, dict):
        return tensors_in(list(value.values()))
    found = []
    for part in value if isinstance(value, (list, tuple)) else ():
        if isinstance(part, (ttnn.Tensor, list, tuple, dict)):  # most parts are not: they cost no call
            found += tensors_in(part)
    return found


def looks(arguments) -> tuple:
    """Arguments, so that two calls which send the same are equal: of a tensor what and where it is, not which."""

    def look(part):
        if isinstance(part, ttnn.Tensor):
            chips = tuple(map(tuple, part.device_coords())) if on_device(part) else ()
            return tuple(part.shape), part.dtype, part.layout, chips
        return looks(part) if isinstance(part, (list, tuple)) else str(part)

    return tuple(map(look, arguments))


def replaced(args, kwargs, function) -> tuple[tuple, dict]:
    """A call's arguments, each replaced by function(argument), within lists and tuples too."""

    def new(part):
        return type(part)([new(element) for element in part]) if isinstance(part, (list, tuple)) else function(part)

    return tuple(map(new, args)), {name: new(part) for name, part in kwargs.items()}
