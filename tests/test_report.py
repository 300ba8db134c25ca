"""A report of a run, and what ttnn-visualizer's own server reads in it."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.test_emulator_tool import PROGRAM, tool

REPORTED = PROGRAM.replace("ttnn.close_device(device)", "z = ttnn.gelu(y)\nttnn.close_device(device)\n1 / 0")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a program and its report, and how the run ended: whole, although the program fails in the end."""
    folder = tmp_path_factory.mktemp("reported")
    (folder / "program.py").write_text(REPORTED)
    return folder, tool(folder, "run", "--system", "n150", "--report", "new/report", "program.py")


def test_a_report_has_what_ran_until_the_device_closed(run):
    folder, ended = run
    assert ended.returncode == 1 and "ZeroDivisionError" in ended.stderr
    assert "new/report: open it with ttnn-visualizer --profiler-path new/report" in ended.stderr
    with contextlib.closing(sqlite3.connect(folder / "new/report/db.sqlite")) as database:
        rows = lambda what: database.execute(what).fetchall()
        names = [name for (name,) in rows("SELECT name FROM operations ORDER BY operation_id") if name[:5] == "ttnn."]
        assert names[-3:] == ["ttnn.add", "ttnn.to_torch", "ttnn.gelu"]
        (added,) = rows("SELECT operation_id FROM operations WHERE name = 'ttnn.add'")[0]
        sizes = rows(f"SELECT max_size_per_bank FROM buffers WHERE operation_id = {added}")
        assert len(sizes) == 2 and {size for (size,) in sizes} == {4096}  # 6 tiles of float32, on 12 banks
        assert rows("SELECT count(*) FROM report_metadata WHERE key LIKE 'git%'") == [(0,)]
    wired = yaml.safe_load((folder / "new/report/cluster_descriptor.yaml").read_text())
    assert wired["arch"] == {0: "wormhole_b0"} and wired["boards"][0][1] == {"board_type": "n150"}
    again = tool(folder, "run", "--system", "n150", "--report", "new/report", "program.py")
    assert again.returncode == 2 and "there is something in new/report already" in again.stderr


def visualized(folder: Path) -> dict:
    """What tests/read_report.py prints. Its packages come from its own lock file, into an environment of their own."""
    uv = [str(Path(sys.executable).with_name("uv")), "run", "--quiet", "--python", sys.executable, "--locked"]
    reader = Path(__file__).with_name("read_report.py")
    ended = subprocess.run([*uv, "--script", reader, folder], capture_output=True, text=True, timeout=300)
    if "error sending request" in ended.stderr:
        pytest.skip("ttnn-visualizer is not here and cannot be downloaded")
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def test_ttnn_visualizer_reads_it(run):
    folder, _ = run
    answers = visualized(folder / "new/report")
    operations = {operation["name"]: operation for operation in answers["operations"]}
    add, gelu = operations["ttnn.add"], operations["ttnn.gelu"]
    assert [tensor["shape"] for tensor in add["inputs"]] == ["Shape([1, 1, 38, 70])"]
    assert add["outputs"][0]["id"] == gelu["inputs"][0]["id"], "what the one makes the other takes"
    assert [argument["value"] for argument in add["arguments"]][-1] == "1.0"
    assert {operation["duration"] for operation in answers["operations"]} == {None}, "no time of this CPU's"
    line = 1 + REPORTED.splitlines().index(next(line for line in REPORTED.splitlines() if "ttnn.add" in line))
    assert f'program.py", line {line}, in <module>' in add["stack_trace"] and "golden.py" not in add["stack_trace"]
    held = {row["name"]: len(row["buffers"]) for row in answers["operation-buffers"]}
    assert (held["ttnn.add"], held["ttnn.gelu"]) == (2, 2)  # what add read is gone by then
    assert answers["errors"] == [] and answers["cluster-descriptor"]["arch"] == {"0": "wormhole_b0"}
