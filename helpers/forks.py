"""Fresh processes that need not import torch and ttnn first, which takes seconds: for helpers.mesh.run_on.

One process imports them, opens nothing, and waits (helpers/worker.py). For each call it forks: the copy is the fresh
process. What a copy had to import of diffusers and transformers, seconds more, the one that waits imports before the
next call. It ends with this one, whose end closes the socket between the two.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading

# variables that torch, ttnn, diffusers and transformers import with
AT_IMPORT = (
    "TTNN_", "TT_LOGGER", "OMP_", "GOMP_", "MKL_", "LOGURU_", "PYTHONPATH", "HF_", "TRANSFORMERS_", "DIFFUSERS_",
)  # fmt: skip

_lock = threading.Lock()
_ahead: dict[str, None] = {}  # modules that calls had to import, in their order
_waiting: tuple | None = None  # the process that waits, the socket to it, the environment and folder that it began with


def run(environment: dict[str, str], timeout: float, **arguments: str) -> int:
    """Runs helpers.worker.work(**arguments) in a fresh process with that environment. -> its exit status

    Raises TimeoutError after `timeout` seconds. Ended early, for whatever reason, the process is killed.
    """
    ours, theirs = socket.socketpair()
    with ours, ours.makefile() as said:
        with theirs, _lock, contextlib.suppress(ConnectionError):  # then nothing is said
            control, started = waiting(environment)
            names = {name for name in started.keys() | environment.keys() if started.get(name) != environment.get(name)}
            call = {"changed": {name: environment.get(name) for name in names}, "arguments": arguments}
            socket.send_fds(control, [json.dumps(call).encode()], [theirs.fileno()])
        first = said.readline()
        if not first:
            raise RuntimeError("The process that starts others has ended. What it said stands above.")
        try:
            ours.settimeout(timeout)
            status, imported = said.readline(), said.readline()
            import_ahead(json.loads(imported or "[]"))
            return int(status)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(first), signal.SIGKILL)
            raise


def import_ahead(names: list[str]) -> None:
    """Has the process that waits import what a call had to, for the next one, while nobody waits for it."""
    if not _ahead.keys() >= set(names):
        _ahead.update(dict.fromkeys(names))
        with _lock, contextlib.suppress(OSError):  # gone: the one that takes its place is told by `waiting`
            _waiting[1].send(json.dumps(names).encode())


def waiting(environment: dict[str, str]) -> tuple[socket.socket, dict[str, str]]:
    """The process that waits: its socket, and the environment that it was started with.

    Another is started where this one is gone, or would have imported something else.
    """
    global _waiting
    if _waiting is not None:
        process, control, started, folder = _waiting
        if process.poll() is None and folder == os.getcwd() and not differ(started, environment):
            return control, started
        control.close()
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "helpers.worker", str(theirs.fileno())], env=environment,
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    if _ahead:
        control.send(json.dumps(list(_ahead)).encode())
    _waiting = process, control, environment, os.getcwd()
    return control, environment


def differ(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether torch or ttnn might import otherwise."""
    return any(one.get(n) != other.get(n) for n in one.keys() | other.keys() if n.startswith(AT_IMPORT))
