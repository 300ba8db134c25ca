"""Where an exception in a learner's function came from: their own line, and the last frames of the traceback.

The source of a notebook's cell is known in the notebook's process only. So places travel as file and line, also from
another process, and become text where they are shown.
"""

import linecache
import sysconfig
import textwrap
import traceback
from pathlib import Path

WIDTH = 95  # columns of code
SHOWN = 3  # frames
ROOT = Path(__file__).resolve().parents[2]
Place = tuple[str, int, str]  # file, line, function


def places_of(error: Exception, attempt) -> list[Place]:
    """Where it went from the learner's function on, outermost first. Empty if it never came there."""
    code = getattr(attempt, "__code__", None)
    places = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    inside = next((n for n, (where, _) in enumerate(places) if where is code), len(places))
    return [(where.co_filename, line, where.co_name) for where, line in places[inside:]]


def message_of(error: Exception) -> str:
    """Its kind and its words. ttnn's go on with a backtrace of C++, which is left out."""
    words = [line.strip() for line in str(error).partition("backtrace:")[0].splitlines() if line.strip()]
    return f"{type(error).__name__}: {textwrap.shorten(' '.join(words), 240, placeholder=' ...')}".rstrip(": ")


def shown(places: list[Place]) -> list[str]:
    """Lines to print: the learner's deepest own line, and below it what it called."""
    own = [n for n, place in enumerate(places) if is_own(place, places)]
    if not own:
        return []
    deepest = own[-1]
    _, line, function = places[deepest]
    called = places[deepest + 1 :]
    lines = [f"  Your line {line}, in {function}:", f"      {text_of(places[deepest])}"]
    if called:
        left_out = "" if len(called) <= SHOWN else f", {len(called) - SHOWN} calls further in"
        lines.append(f"  From there it came to{left_out}:")
    for place in called[-SHOWN:]:
        lines += [f"      {short(place[0])}:{place[1]}, in {place[2]}", f"          {text_of(place)}"]
    return [line if len(line) <= WIDTH else line[: WIDTH - 2] + " …" for line in lines]


def is_own(place: Place, places: list[Place]) -> bool:
    """In the file of the learner's function, or in another cell. A cell's file is nowhere on disk."""
    return place[0] == places[0][0] or ("ipykernel" in place[0] and not Path(place[0]).exists())


def text_of(place: Place) -> str:
    return linecache.getline(place[0], place[1]).strip()


def short(file: str) -> str:
    """A file as the project or the package knows it, without the machine's folders."""
    for root in (Path(sysconfig.get_paths()["purelib"]), ROOT, Path(sysconfig.get_paths()["stdlib"])):
        if Path(file).is_relative_to(root):
            return str(Path(file).relative_to(root))
    return Path(file).name
