"""The other side of helpers/forks.py: imports torch and ttnn once, then becomes a fresh process for each call."""

import contextlib
import importlib
import io
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import cloudpickle

from helpers.mesh import open_mesh

LONGEST = 1 << 20  # bytes of one message
SLOW = ("diffusers", "transformers")  # to import, and once imported no thread is left that a fork would lose


def wait(control: socket.socket) -> None:
    """A message is a call, with a socket for what becomes of it, or without one a list of what to import meanwhile.

    Ends where the process that sends them has ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the function that runs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what became of a watcher
    while True:
        message, sockets, _, _ = socket.recv_fds(control, LONGEST, 1)
        if not message:
            return
        if not sockets:
            import_ahead(json.loads(message))
            continue
        if os.fork() == 0:
            control.close()
            watch(socket.socket(fileno=sockets[0]), json.loads(message))
        os.close(sockets[0])


def import_ahead(names: list[str]) -> None:
    """Imports modules that calls had to import. One that cannot be is left to the call, which says why."""
    with contextlib.redirect_stderr(io.StringIO()):  # warnings that the call would have had in its own words
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def imported() -> list[str]:
    """What this process has imported of what is slow, in that order."""
    return [name for name in sys.modules if name.partition(".")[0] in SLOW]


def watch(answers: socket.socket, call: dict) -> None:
    """Starts the fresh process; says its number, then its exit status and what it imported."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    number = os.fork()
    if number == 0:
        answers.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name, value in call["changed"].items():  # since this was started
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        work(**call["arguments"])
    try:
        answers.sendall(f"{number}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        said = Path(call["arguments"]["folder"], "imported")
        answers.sendall(f"{status}\n{said.read_text() if said.exists() else '[]'}\n".encode())
    finally:
        os._exit(0)  # also where nobody listens any more


def work(system: str, folder: str) -> None:
    """Opens the system, runs the function of folder/task, leaves folder/answer, and in folder/said what was printed.

    In folder/imported stands what it imported that is slow.
    """
    for name, number in (("said", 1), ("errors", 2)):
        os.dup2(os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT, 0o600), number)
    try:
        function, args, how = cloudpickle.loads(Path(folder, "task").read_bytes())
        written = cloudpickle.dumps((function(open_mesh(system, **how), *args), None))
    except BaseException:
        written = cloudpickle.dumps((None, traceback.format_exc()))
    part = Path(folder, "answer.part")
    part.write_bytes(written)
    Path(folder, "imported").write_text(json.dumps(imported()))
    part.rename(Path(folder, "answer"))
    sys.stdout.flush()
    os._exit(0)  # ttnn's threads may not want to end


if __name__ == "__main__":
    wait(socket.socket(fileno=int(sys.argv[1])))
