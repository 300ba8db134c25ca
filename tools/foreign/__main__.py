"""Programs that nobody here wrote, on the emulated mesh: `make foreign CHECKOUT=path/to/tt-metal`.

Each runs in a process of its own, is judged, and becomes a row of a table. With --write the table takes its place in
ttnn_emulator/README.md; it is written only where all went as it should. Exits with status 1 where something did not.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.foreign.programs import LIMIT, PROGRAMS, Row

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "ttnn_emulator" / "README.md"
EXTRA = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
BEGIN, END = "<!-- make foreign: begin -->", "<!-- make foreign: end -->"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.foreign", description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="a checkout of tenstorrent/tt-metal")
    parser.add_argument("--only", default="", help="programs whose name contains this")
    parser.add_argument("--write", action="store_true", help="put the table into ttnn_emulator/README.md")
    options = parser.parse_args(arguments)
    try:
        commit = commit_of(options.checkout)
    except ValueError as error:
        print(f"foreign: {error}", file=sys.stderr)
        return 2
    chosen = [program for program in PROGRAMS if options.only in program.name]
    rows = []
    for program in chosen:
        row = run(program, options.checkout.resolve())
        print(f"{'ok ' if row.ok else 'NOT'} {program.name}, {program.system}: {row.found}", flush=True)
        rows.append(row)
    good = bool(rows) and all(row.ok for row in rows)
    if options.write and good and not options.only:
        write(README, table(rows, commit))
    return int(not good)


def commit_of(checkout: Path) -> str:
    """Raises ValueError where the folder is no checkout of tt-metal."""
    if not (checkout / "models" / "tt_dit").is_dir():
        raise ValueError(f"{checkout} has no models/tt_dit. Name a checkout of tenstorrent/tt-metal.")
    found = subprocess.run(["git", "-C", checkout, "rev-parse", "--short=8", "HEAD"], capture_output=True, text=True)
    if found.returncode:
        reason, _, _ = found.stderr.strip().partition("\n")
        raise ValueError(f"git knows no commit of {checkout}: {reason}")
    return found.stdout.strip()


def run(program, checkout: Path) -> Row:
    """Runs a program in an empty folder and judges what it said."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        program.prepare(folder)
        command = [sys.executable, "-m", "ttnn_emulator", "run", "--system", program.system]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(checkout), *EXTRA]),
            "TT_DIT_CACHE_DIR": str(folder / "cache"),
            "DIT_UNIT_TEST": "1",  # tt_dit's tests of whole models then make one layer at random
            "HF_HUB_OFFLINE": "1",
        }
        start = time.perf_counter()
        try:
            ended = subprocess.run(
                [*command, *program.command(checkout, folder)],
                cwd=ROOT if program.at_root else folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
        except subprocess.TimeoutExpired:
            return Row(program, False, f"not done in {LIMIT} s", LIMIT)
        ok, found = program.judge(ended, folder)
        return Row(program, ok, found, time.perf_counter() - start)


def table(rows: list[Row], commit: str) -> str:
    lines = [
        f"Of tenstorrent/tt-metal@{commit}, unmodified, with ttnn 0.81.1; seconds of this computer, start included:",
        "",
        "| program | system | how right | s |",
        "|---|---|---|---|",
    ]
    lines += [f"| {r.program.name} | {r.program.system} | {r.found} | {r.seconds:.0f} |" for r in rows]
    return "\n".join(lines)


def write(readme: Path, text: str) -> None:
    """Raises ValueError where the marks are not in the file."""
    old = readme.read_text()
    if BEGIN not in old or END not in old:
        raise ValueError(f"{readme} has no place for the table: {BEGIN} ... {END}")
    pattern = re.escape(BEGIN) + ".*" + re.escape(END)
    readme.write_text(re.sub(pattern, lambda _: f"{BEGIN}\n{text}\n{END}", old, flags=re.DOTALL))


if __name__ == "__main__":
    sys.exit(main())
