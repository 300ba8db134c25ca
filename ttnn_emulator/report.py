"""What ttnn-visualizer opens: the ops of a run, their tensors and buffers, and the cluster.

ttnn's own graph capture writes it (ttnn.graph and ttnn.graph_report in its wheel): on a mock cluster its host code runs
as ever. A capture must end before a device closes. ttnn looks for buffers at every step of it, and ends the whole
process where their device is gone. So a report ends where the program closes its first device.
"""

import contextlib
import re
import shutil
import sqlite3
import tempfile
from pathlib import Path

import ttnn
from ttnn.graph_report import import_report

from ttnn_emulator import devices

NOT_ITS_OWN = (f"{Path(__file__).parent}/", "<frozen ")  # how the files of frames begin that are not the program's
FILE = re.compile(r'File "([^"]+)"')


def check_new(folder: Path) -> None:
    """Raises FileExistsError where there is something in the folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"there is something in {folder} already. Name a new folder for the report.")


class Report:
    """Captures what is run until a device closes, or until `close()`.

    `close()` writes the folder: db.sqlite, cluster_descriptor.yaml, and how long each tensor lived.
    """

    def __init__(self, folder: str | Path):
        """Raises FileExistsError where there is something in the folder: reports are not mixed."""
        self.folder = Path(folder)
        check_new(self.folder)
        self._capture = Path(tempfile.mkdtemp()) / "graph_capture.json"
        ttnn.graph.enable_python_stack_traces()
        ttnn.graph.enable_detailed_buffer_tracing()
        devices.before_closing.append(self.end)
        ttnn.graph.begin_graph_capture(ttnn.graph.RunMode.NORMAL)

    def end(self) -> None:
        if self.end in devices.before_closing:
            devices.before_closing.remove(self.end)
            ttnn.graph.end_graph_capture_to_file(str(self._capture))
            ttnn.graph.disable_python_stack_traces()
            ttnn.graph.disable_detailed_buffer_tracing()

    def close(self) -> str:
        """Ends the capture and writes the report. The folder appears whole or not at all."""
        self.end()
        try:
            written = self._capture.with_name("report")
            database = import_report(self._capture, written)
            with contextlib.closing(sqlite3.connect(database)) as connection, connection:
                # It takes the repository around the wheel for tt-metal's.
                connection.execute("DELETE FROM report_metadata WHERE key LIKE 'git_%' OR key = 'dirty'")
                connection.execute("UPDATE operations SET duration = NULL")  # what this CPU took: it means nothing
                name_the_program(connection)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            if self.folder.exists():
                self.folder.rmdir()
            shutil.move(written, self.folder)
        finally:
            shutil.rmtree(self._capture.parent, ignore_errors=True)
        return f"{self.folder}: open it with ttnn-visualizer --profiler-path {self.folder}"


def name_the_program(connection: sqlite3.Connection) -> None:
    """Leaves a program's own lines in the traces. ttnn takes the innermost for where an op was called: the emulator."""
    known = {}  # file -> its number
    traces = connection.execute("SELECT rowid, stack_trace FROM stack_traces").fetchall()
    for row, trace in traces:
        frames = [frame for frame in trace.split("\n\n") if not any(f'File "{place}' in frame for place in NOT_ITS_OWN)]
        file = FILE.search(frames[0]) if frames else None
        number = known.setdefault(file[1], len(known) + 1) if file else None
        values = ("\n\n".join(frames), number, row)
        connection.execute("UPDATE stack_traces SET stack_trace = ?, source_file_id = ? WHERE rowid = ?", values)
    connection.execute("DELETE FROM source_files")
    texts = [(number, file, Path(file).read_text() if Path(file).is_file() else None) for file, number in known.items()]
    connection.executemany("INSERT INTO source_files (id, path, contents) VALUES (?, ?, ?)", texts)
