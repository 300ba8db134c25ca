"""A room of learners on one machine: folders, ports and tokens of their own, and the next group."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tools import room
from tools.series import ROOT


@pytest.mark.parametrize(
    ("learners", "said"),
    [([], "Give a number"), (["0"], "Give a number"), (["anna", "anna"], "different names"), (["../x"], "not: ../x"),
     (["before"], "not: before"), (["anna b"], "not: anna b")],
)  # fmt: skip
def test_names_that_are_no_folders_are_refused(tmp_path, learners, said):
    with pytest.raises(SystemExit, match=f"room: .*{said}"):
        room.main(learners, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_refused_before_anything_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"Port {port} is taken. Choose others: --first-port {port + 1}"):
            room.main(["2", "--first-port", str(port)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(SystemExit, match=r"room: 192\.0\.2\.77 is no address of this machine. `hostname -I`"):
        room.main(["2", "--address", "192.0.2.77"], tmp_path)  # is nobody's: for examples in texts
    assert list(tmp_path.iterdir()) == []


def test_a_number_or_names_each_with_its_own_port_and_token(tmp_path):
    port = free_ports(3)
    three = room.seats(["3"], tmp_path, port)
    assert [(seat.name, seat.port) for seat in three] == [("01", port), ("02", port + 1), ("03", port + 2)]
    assert len({seat.token for seat in three}) == 3 and min(len(seat.token) for seat in three) >= 16
    assert [seat.name for seat in room.seats(["anna", "ben"], tmp_path, port)] == ["anna", "ben"]


def free_ports(count: int) -> int:
    """So many free ports in a row, sought from another place in each process: one may be taken at another address."""
    first = 18900 + os.getpid() % 1000
    return next(port for port in range(first, 20000, count) if all(map(room.is_free, range(port, port + count))))


def test_a_folder_is_as_the_checkout_is_and_the_next_group_gets_new_ones(tmp_path):
    seat = room.Seat("anna", tmp_path / "anna", 1, "t")
    assert room.furnish(seat) == []
    notebook = seat.folder / "work" / "01_mesh.ipynb"
    assert (notebook.parent / "../models/tiny-mochi/model_index.json").resolve().exists() and notebook.exists()
    notebook.write_text(notebook.read_text().replace('SYSTEM = \\"galaxy\\"', 'SYSTEM = \\"n150\\"'))
    room.furnish(seat)
    assert "n150" in notebook.read_text()
    assert re.fullmatch(r"1 put aside, in \S+/before/[\d-]+\.", room.reset(tmp_path))
    (kept,) = (tmp_path / "before").glob("*/anna/work/01_mesh.ipynb")
    assert "n150" in kept.read_text() and not seat.folder.exists()
    assert room.reset(tmp_path) == "There is nothing to put aside."


def test_too_many_for_the_memory_are_warned_about():
    assert room.tight(10, 12.1) == ""
    assert room.tight(10, 8.2) == "10 learners need about 12 GB, and 8 GB are free: let two share a screen."


def test_a_learner_gets_in_and_nobody_else(tmp_path):
    port = free_ports(1)
    code = f"import sys, pathlib\nfrom tools import room\nroom.main(sys.argv[1:], pathlib.Path({str(tmp_path)!r}))"
    command = [sys.executable, "-c", code, "anna", "--first-port", str(port), "--address", "127.0.0.2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        first, line, end = (process.stdout.readline() for _ in range(3))
        assert first.startswith("Starting 1") and line.startswith("anna ") and end.startswith("Ctrl-C")
        address, token = re.search(r"(http://\S+)/lab\?token=(\w+)", line).groups()
        assert address == f"http://127.0.0.2:{port}"
        with pytest.raises(urllib.error.URLError, match="refused"):  # it listens at the address that was given alone
            contents(f"http://127.0.0.1:{port}", token)
        assert "01_mesh.ipynb" in contents(address, token)
        for wrong in ("", token[::-1]):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                contents(address, wrong)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert room.is_free(port) and os.path.exists(tmp_path / "anna" / "lab.log")


def contents(address: str, token: str) -> str:
    return urllib.request.urlopen(f"{address}/api/contents?token={token}", timeout=30).read().decode()
