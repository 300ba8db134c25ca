"""How a program opens and closes devices on the emulated system, and how its queues wait for each other."""

import functools
import sys

import ttnn

# The modules through which programs and ttnn itself reach these functions.
MODULES = [sys.modules[name] for name in ("ttnn", "ttnn.device", "ttnn.distributed", "ttnn.distributed.distributed")]
OPENERS = ("open_device", "open_mesh_device", "CreateDevice", "CreateDevices")
CLOSERS = ("close_device", "close_mesh_device", "CloseDevice", "CloseDevices")
DISPATCH_PLACE = 4  # of dispatch_core_config among the arguments, where it is given without its name

real = {(module, name): getattr(module, name) for module in MODULES for name in (*OPENERS, *CLOSERS)
        if hasattr(module, name)}  # fmt: skip
before_closing = []  # functions called before a device closes
real_load_manager, real_wait = ttnn.MeshDevice.load_sub_device_manager, ttnn.wait_for_event
FEW_CORES = ("N300", "T3K")  # cluster types whose worker cores for dispatch do not suffice for two command queues


def install(memory, failed) -> None:
    """Wraps what opens and closes devices. `failed()` is called where ttnn could not open one."""
    for (module, name), function in real.items():
        setattr(module, name, opener(function, failed) if name in OPENERS else closer(function, memory))
    ttnn.MeshDevice.load_sub_device_manager = refuse_sub_devices
    ttnn.wait_for_event = wait_for_event


def uninstall() -> None:
    for (module, name), function in real.items():
        setattr(module, name, function)
    ttnn.MeshDevice.load_sub_device_manager = real_load_manager
    ttnn.wait_for_event = real_wait


def opener(function, failed):
    """Work is handed out by worker cores unless the program says otherwise.

    On a mock cluster ttnn 0.81.1 checks programs against the grid of worker dispatch even where it dispatches from
    Ethernet cores (tenstorrent/tt-mlir issue 9235). Two command queues take more cores, and some systems have too few.
    """

    @functools.wraps(function)
    def opened(*args, **kwargs):
        if len(args) <= DISPATCH_PLACE and kwargs.get("dispatch_core_config") is None:
            two_queues = kwargs.get("num_command_queues", 1) > 1
            few = two_queues and ttnn.cluster.get_cluster_type().name in FEW_CORES
            kind = ttnn.DispatchCoreType.ETH if few else ttnn.DispatchCoreType.WORKER
            kwargs["dispatch_core_config"] = ttnn.DispatchCoreConfig(kind)
        try:
            return function(*args, **kwargs)
        except RuntimeError:
            failed()
            raise

    return opened


def closer(function, memory):
    @functools.wraps(function)
    def closed(devices):
        for device in devices.values() if isinstance(devices, dict) else [devices]:
            if not getattr(device, "is_closed", False):
                memory.forget_device(device)
                device.is_closed = True
        for last in list(before_closing):
            last()
        return function(devices)

    return closed


def refuse_sub_devices(device, *args, **kwargs):
    raise NotImplementedError("load_sub_device_manager cannot run without chips: ttnn itself crashes.")


def wait_for_event(cq_id, mesh_event) -> None:
    """Nothing to wait for: a call's values are there when it returns. ttnn itself crashes here without chips."""
