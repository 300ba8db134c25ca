"""How checks and predictions speak: marks that differ in shape as well as in colour, and lines that fit a notebook."""

import textwrap

WIDTH = 85  # columns of a message; JupyterLab shows these beside its list of files without a scroll bar
# Told apart by their shape; the colours are those of Okabe and Ito.
RIGHT, WRONG, OPEN = "\x1b[38;2;0;114;178m✓\x1b[0m", "\x1b[38;2;213;94;0m✗\x1b[0m", "○"


def say(text: str, mark: str = "") -> None:
    """Prints a message in lines of at most WIDTH columns, behind its mark. Lines that begin with a blank stay whole."""
    words, *kept = text.split("\n")
    room = WIDTH - 2 * bool(mark)
    lines = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False)
    first, *more = lines or [""]
    print(f"{mark} {first}" if mark else first, *(f"{'  ' * bool(mark)}{line}" for line in more), *kept, sep="\n")


def written(value) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)
