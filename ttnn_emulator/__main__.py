"""The command line: run a ttnn program on an emulated system, record what it calls, list systems, check this machine.

python -m ttnn_emulator run --system galaxy program.py its arguments
python -m ttnn_emulator run --system t3000 -m pytest tests
python -m ttnn_emulator run --system galaxy --report folder program.py
python -m ttnn_emulator record --system t3000 --out ops.jsonl --dry program.py
python -m ttnn_emulator systems
python -m ttnn_emulator doctor
"""

import argparse
import importlib.util
import os
import runpy
import sys
from pathlib import Path

import ttnn_emulator
from ttnn_emulator import doctor
from ttnn_emulator.systems import SYSTEMS, find_system


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "systems":
        print(table())
        return 0
    if options.command == "doctor":
        return doctor.main()
    try:
        program = program_of(options)
        find_system(options.system)  # what is wrong is said before ttnn is imported, which takes seconds
        emulator = ttnn_emulator.install(options.system, numerics=not options.dry)
        watching = watcher(options, emulator)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"ttnn_emulator: {error}", file=sys.stderr)
        return 2
    try:
        run(program)
    finally:
        if watching is not None:
            print(watching.close(), file=sys.stderr)
    return 0


def watcher(options, emulator):
    """What writes down what the program does: with close(), which says what it has written. None for a plain run."""
    if options.command == "record":
        from ttnn_emulator.record import Recorder

        recorder = Recorder(options.out)
        emulator.listeners.append(recorder)
        return recorder
    if options.report is None:
        return None
    from ttnn_emulator.report import Report  # ttnn's part for reports takes a second to import

    return Report(options.report)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m ttnn_emulator", description="Any ttnn program, without chips.")
    commands = found.add_subparsers(dest="command", required=True)
    for name, text in (("run", "run a program"), ("record", "run a program and write down what it calls")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--system", default="galaxy", help="a name that `systems` lists; galaxy unless given")
        command.add_argument("--dry", action="store_true", help="shapes and memory only, no values")
        if name == "record":
            command.add_argument("--out", required=True, help="the file to write, one line of JSON for each call")
        else:
            command.add_argument("--report", help="a new folder for a report that ttnn-visualizer opens")
        command.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="a module, then its arguments")
        command.add_argument("program", nargs=argparse.REMAINDER, help="program.py, then its arguments")
    commands.add_parser("systems", help="what can be emulated")
    commands.add_parser("doctor", help="what works on this machine")
    return found


def program_of(options) -> list[str]:
    """program.py or -m module, with its arguments. Raises ValueError where there is nothing to run."""
    if options.module:
        if importlib.util.find_spec(options.module[0].partition(".")[0]) is None:
            raise ValueError(f"there is no module {options.module[0]} here.")
        return ["-m", *options.module]
    if not options.program:
        raise ValueError("no program. Name a file, or -m and a module.")
    if not Path(options.program[0]).is_file():
        raise ValueError(f"there is no file {options.program[0]}.")
    return options.program


def run(program: list[str]) -> None:
    """Runs program.py or -m module as Python itself would: as __main__, with its own arguments."""
    if program[0] == "-m":
        sys.argv, sys.path[0] = program[1:], os.getcwd()
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = program, str(Path(program[0]).resolve().parent)
        runpy.run_path(program[0], run_name="__main__")


def table() -> str:
    """All systems, a line each: name, mesh, cores of a chip, its DRAM, what it is."""
    rows = [("system", "mesh", "cores", "DRAM a chip", "what")]
    for s in SYSTEMS.values():
        mesh, grid = ("x".join(map(str, pair)) for pair in (s.mesh, s.grid))
        rows.append((s.name, mesh, grid, f"{s.dram_bytes / 1e9:.1f} GB", f"{s.title}, {s.chip.arch}"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


if __name__ == "__main__":
    sys.exit(main())
