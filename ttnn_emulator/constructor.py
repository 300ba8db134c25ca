"""ttnn.Tensor(values, ..., device): a tensor made on a device without going through an op.

The class is ttnn's own, made in C++, and what it writes to a mock's memory is lost. So while a system is emulated the
name `ttnn.Tensor` belongs to a class that stands for it: calling it makes the tensor and keeps its values; everything
else (isinstance, attributes, methods that are replaced) is ttnn's.
"""

import ttnn

from ttnn_emulator.transfers import host_values, spread

real = ttnn.Tensor
PLACES = ("device", "mem_config", "memory_config")


def install(emulator) -> None:
    class StandsFor(type):
        def __call__(cls, *args, **kwargs):
            tensor = real(*args, **kwargs)
            if emulator.numerics and ttnn.is_tensor_storage_on_device(tensor):
                emulator.memory.write(tensor, spread(host_values(on_host(args, kwargs)), tensor))
            return tensor

        def __instancecheck__(cls, value):
            return isinstance(value, real)

        def __subclasscheck__(cls, kind):
            return issubclass(kind, real)

        def __getattribute__(cls, name):
            return getattr(real, name)

        def __setattr__(cls, name, value):
            setattr(real, name, value)

    ttnn.Tensor = StandsFor("Tensor", (), {})


def uninstall() -> None:
    ttnn.Tensor = real


def on_host(args: tuple, kwargs: dict) -> ttnn.Tensor:
    """The same tensor without a device; a memory config comes behind it, in the arguments' order."""
    devices = [place for place, arg in enumerate(args) if isinstance(arg, ttnn.MeshDevice)]
    return real(*args[: devices[0] if devices else None], **{k: v for k, v in kwargs.items() if k not in PLACES})
