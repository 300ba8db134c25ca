"""One machine for a room of learners: a JupyterLab each, with a folder, a port and a token of its own.

    .venv/bin/python -m tools.room 10                    # learners 01 to 10, until Ctrl-C
    .venv/bin/python -m tools.room anna ben              # by name
    .venv/bin/python -m tools.room --address 192.168.1.5 10
    .venv/bin/python -m tools.room --reset               # the next group: all folders go to room/before/

Each learner's folder room/NAME looks, from a notebook, as the checkout does: work/ with copies, runs/, models/.
The learners are one user of this machine, so they could read each other's folders: for people who trust each other.
"""

import argparse
import re
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools import copies, lab
from tools.check import available, is_free
from tools.series import ROOT, choose

FIRST_PORT = 8900
EACH_GB = 1.2  # measured: ten kernels of notebook 01 at once took 11.4 GB
HERE = "127.0.0.1"
STARTS = 120  # seconds that a JupyterLab may take to answer


@dataclass
class Seat:
    name: str
    folder: Path
    port: int
    token: str
    process: subprocess.Popen | None = None

    def address(self, host: str) -> str:
        return f"http://{host}:{self.port}/lab?token={self.token}"


def listening(address: str | None) -> str:
    """Where the JupyterLabs listen. Raises ValueError for an address that is not this machine's."""
    with socket.socket() as listener:
        try:
            listener.bind((address or HERE, 0))
        except OSError:
            raise ValueError(f"{address} is no address of this machine. `hostname -I` prints its own.") from None
    return address or HERE


def seats(learners: list[str], room: Path, first_port: int) -> list[Seat]:
    """A seat for each name, or for 01 to N. Raises ValueError for names that are no folder's, or come twice."""
    names = (
        [f"{n:02d}" for n in range(1, int(learners[0]) + 1)]
        if len(learners) == 1 and learners[0].isdigit()
        else learners
    )
    bad = [name for name in names if not re.fullmatch(r"\w[\w-]*", name) or name == "before"]
    if bad or len(set(names)) < len(names) or not names:
        given = " ".join(learners) or "nothing"
        raise ValueError(f"Give a number, or different names of letters and digits, not: {given}.")
    taken = [port for port in range(first_port, first_port + len(names)) if not is_free(port, host="")]
    if taken:
        raise ValueError(f"Port {taken[0]} is taken. Choose others: --first-port {taken[-1] + 1}.")
    return [Seat(name, room / name, first_port + n, secrets.token_hex(8)) for n, name in enumerate(names)]


def furnish(seat: Seat) -> list[str]:
    """Makes the folder, or goes on with the one that is there. -> what of it is older than its original"""
    seat.folder.mkdir(parents=True, exist_ok=True)
    (seat.folder / "runs").mkdir(exist_ok=True)
    if not (seat.folder / "models").exists():
        (seat.folder / "models").symlink_to(ROOT / "models")
    return copies.make(choose("", ROOT / "notebooks"), seat.folder / "work")


def start(seat: Seat, host: str) -> None:
    """The token goes through the environment: command lines can be read by everyone on the machine."""
    more = ["--no-browser", f"--ip={host}", f"--port={seat.port}", "--ServerApp.port_retries=0"]
    with open(seat.folder / "lab.log", "w") as log:
        seat.process = subprocess.Popen(
            lab.command(seat.folder / "work", *more), env=lab.environment() | {"JUPYTER_TOKEN": seat.token},
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def wait(seat: Seat, host: str) -> None:
    """Raises RuntimeError, naming the log, where it does not answer."""
    end = time.monotonic() + STARTS
    while time.monotonic() < end and seat.process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex((host, seat.port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{seat.name}'s JupyterLab does not answer; why is in {seat.folder / 'lab.log'}.")


def stop(all_seats: list[Seat]) -> None:
    started = [seat.process for seat in all_seats if seat.process]
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def reset(room: Path) -> str:
    """The folders of one group make place for the next."""
    folders = [path for path in room.glob("*") if path.name != "before"]
    if not folders:
        return "There is nothing to put aside."
    aside = room / "before" / time.strftime("%Y%m%d-%H%M%S")
    aside.mkdir(parents=True)
    for path in folders:
        path.rename(aside / path.name)
    return f"{len(folders)} put aside, in {aside.relative_to(room.parent)}."


def tight(count: int, free_gb: float) -> str:
    """What to say of the memory for so many; empty where there is enough."""
    if count * EACH_GB <= free_gb:
        return ""
    return (
        f"{count} learners need about {count * EACH_GB:.0f} GB, and {free_gb:.0f} GB are free: let two share a screen."
    )


def main(arguments=None, room: Path = ROOT / "room") -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("learners", nargs="*", help="a number, or names")
    parser.add_argument(
        "--address", help="this machine's own, for learners elsewhere; without it only this machine itself"
    )
    parser.add_argument("--first-port", type=int, default=FIRST_PORT)
    parser.add_argument("--reset", action="store_true", help="put the folders of the last group aside")
    options = parser.parse_args(arguments)
    if options.reset:
        print(reset(room))
        return
    try:
        host, taken = listening(options.address), seats(options.learners, room, options.first_port)
    except (ValueError, IndexError) as error:
        raise SystemExit(f"room: {error}") from None
    if warning := tight(len(taken), available(Path("/proc/meminfo").read_text())):
        print(warning)
    print(f"Starting {len(taken)}, in {room}: some seconds for each.", flush=True)
    try:
        for seat in taken:
            print(*(f"{seat.name}: {line}\n" for line in furnish(seat)), sep="", end="", flush=True)
            start(seat, host)
        for seat in taken:
            wait(seat, host)
            print(f"{seat.name:<12}{seat.address(host)}", flush=True)
        print("Ctrl-C ends all of them; the folders stay.", flush=True)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nroom: ended.")
    except RuntimeError as error:
        raise SystemExit(f"room: {error}") from None
    finally:
        stop(taken)


if __name__ == "__main__":
    sys.exit(main())
