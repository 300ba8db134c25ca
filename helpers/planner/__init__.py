"""What a model needs on a system that nobody has on the desk.

memory.py       Mochi-1's parts on each chip, and the whole program: bytes, and whether they fit
plans.py        the same for Stable Diffusion
mirror.py       the same for torch models that are not written in ttnn here
allocator.py    what ttnn's own allocator says while a program runs
real.py         the real models' config.json
published.py    seconds that others have measured
"""

from helpers.planner.allocator import allocated, follow
from helpers.planner.memory import REAL, Shapes, dry_run, latents, reference_shapes, table, whole_program

__all__ = ["REAL", "Shapes", "allocated", "dry_run", "follow", "latents", "reference_shapes", "table", "whole_program"]
