"""A recorded program on more chips, or with more frames: the same calls with other shapes.

    four_galaxies = resharded(recorded("mochi", "galaxy"), sp=32)     # 4 x 32 chips
    longer = resharded(recorded("mochi", "galaxy"), sp=8, tokens=2 * 44_544)

Nobody can run 128 chips in one process, not even emulated: they are four machines. But a program that cuts its tokens
over sp calls the same ops on more chips, with fewer rows each. So the rows in the recorded shapes are replaced. How
true that is shows where both ends were recorded: resharded from a Galaxy's 8 to 2 it gives a T3000's calls, all of them
(tests/test_planner_time.py).
"""

import dataclasses
from collections import Counter

from helpers.planner.calls import Call, Calls, Operand, Recording, recorded
from helpers.planner.predict import Pass
from ttnn_emulator.memory import TILE
from ttnn_emulator.systems import find_system

TOKENS = 44_520  # of Mochi's 28 latent frames of 60 x 106, in patches of 2 x 2


def padded(tokens: int, sp: int) -> int:
    """Tokens that divide into whole tiles over sp chips."""
    return -(-tokens // (sp * TILE)) * sp * TILE


def spread(calls: Calls, axis: int, sp: tuple[int, int], tokens: tuple[int, int] = (TOKENS, TOKENS)) -> Calls:
    """Calls of Mochi's denoiser for another number of chips along sp, that `axis` of the mesh, and of tokens.

    sp, tokens: before and after. Raises ValueError where the calls' rows cannot be told from their other dimensions.
    """
    before, after = map(padded, tokens, sp)
    rows = {before // sp[0]: after // sp[1], before: after}
    if rows.keys() & {3072, 1536, 768, 4096, 2048, 1024, 256, 128}:
        raise ValueError(f"{before // sp[0]} rows a chip could be a width. Record the program with another size.")
    found = Counter()
    for call, times in calls.items():
        found[moved(call, rows, axis, sp[1])] += times
    return found


def resharded(found: Recording, sp: int, tokens: int = TOKENS) -> Recording:
    """A recording of Mochi's denoiser for another number of chips along sp, and of tokens. Raises as spread does."""
    change = lambda calls: spread(calls, found.sp_axis, (found.sp, sp), (TOKENS, tokens))
    shape = tuple(sp if axis == found.sp_axis else length for axis, length in enumerate(found.shape))
    return dataclasses.replace(found, shape=shape, first=change(found.first), block=change(found.block))


def moved(call: Call, rows: dict[int, int], axis: int, sp: int) -> Call:
    change = lambda o: dataclasses.replace(o, shape=tuple(rows.get(length, length) for length in o.shape))
    inputs, outputs = tuple(map(change, call.inputs)), tuple(map(change, call.outputs))
    is_weight = "all_gather" in call.op and call.option("cluster_axis") == axis and inputs == call.inputs
    if is_weight:  # cut over sp to save memory, and gathered before it is used
        inputs = (part_of(inputs[0], outputs[0], sp), *inputs[1:])
    return dataclasses.replace(call, inputs=inputs, outputs=outputs)


def part_of(part: Operand, whole: Operand, sp: int) -> Operand:
    shape = tuple(b if a == b else -(-b // sp) for a, b in zip(part.shape, whole.shape))
    return dataclasses.replace(part, shape=shape)


def denoising(sp: int, *, traced: bool, tokens: int = TOKENS, system: str = "galaxy") -> Pass:
    """A pass of tt-metal's Mochi with tp 4 and so many chips along sp, wired as inside one Galaxy of that system.

    Each 32 chips have a host of their own.
    """
    found = find_system(system)
    recording = resharded(recorded("mochi", "galaxy"), sp, tokens)
    chips = min(sp * 4, 32)
    part = dataclasses.replace(found, mesh=(1, chips) if chips < 32 else found.mesh)
    return Pass.of(recording.whole(), part, shape=recording.shape, traced=traced)
