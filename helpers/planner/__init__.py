"""What a model needs on a system that nobody has on the desk, and how long it will take there.

whole.py        plan(): a whole video, from the prompt to the frames; memory, predicted time, what it waits for

Memory, asked of ttnn's own allocator in a dry run:
memory.py       Mochi-1's parts on each chip, and the whole program: bytes, and whether they fit
plans.py        the same for Stable Diffusion
mirror.py       the same for torch models that are not written in ttnn here
allocator.py    what the allocator says while a program runs
real.py         the real models' config.json

Time, predicted from the calls that are made:
calls.py        calls as data, of this project's models and of recorded programs (recorded/)
rates.py        what ops reach on chips, measured by others, each with its source
cost.py         the price of one call
predict.py      a pass of many calls, and the host that sends them
scale.py        a recorded program on more chips
splits.py       the denoiser on the same chips, split otherwise over tp and sp
cases.py        published runs, predicted; h3.py: one of them, from its description
published.py    seconds that others have measured
"""

from helpers.planner.allocator import allocated, follow
from helpers.planner.memory import REAL, Shapes, dry_run, latents, reference_shapes, table, whole_program
from helpers.planner.whole import plan, report, sweep

__all__ = [
    "REAL", "Shapes", "allocated", "dry_run", "follow", "latents", "plan", "reference_shapes", "report", "sweep",
    "table", "whole_program",
]  # fmt: skip
