"""The exercises of notebook 06 on what lies where. Each reference is one right answer; tests prove every mistake."""

import torch
import torch.nn.functional as F
import ttnn

from helpers.exercises import Exercise
from helpers.exercises.inputs import on_chips, rounded, tp_and_sp
from helpers.mesh import current_mesh
from helpers.tensors import gather, replicate, shard

CHANNELS = 64  # of a token in the small cases
STEPS = ((4.5, 0.25), (1.5, 0.125))  # strength of guidance, length of the step


def placed(tokens, mesh, sp):
    missing = -tokens.shape[2] % (32 * sp)
    return shard(F.pad(tokens, (0, 0, 0, missing)), mesh, sp=2)


def placed_cases():
    """Dealt out by hand: each chip along sp gets the next whole tiles, zeros where there are no tokens any more"""
    mesh, (_, sp), draw = current_mesh(), tp_and_sp(), rounded(62)
    cases = []
    for length in (33 * sp + 5, 64 * sp):
        x = draw(1, 1, length, CHANNELS)
        own = torch.zeros(sp, 64, CHANNELS)  # two tiles for each
        for n, token in enumerate(x[0, 0]):
            own[n // 64, n % 64] = token
        cases.append(((x, mesh, sp), on_chips(own.flatten(0, 1)[None, None], mesh, sp=2)))
    return cases


def after_padding(before=0, behind=0, axis="sp"):
    """Placed, with so much padding: as functions of the length and sp"""

    def made(tokens, mesh, sp):
        length = tokens.shape[2]
        return shard(F.pad(tokens, (0, 0, before and before(length, sp), behind and behind(length, sp))), mesh, sp=2)

    return made


def guided_step(x, flows, strength, step):
    with_prompt, without = flows[0:1], flows[1:2]
    difference = ttnn.multiply(ttnn.subtract(with_prompt, without), strength)
    return ttnn.add(x, ttnn.multiply(ttnn.add(without, difference), step))


def step_cases():
    """In plain torch"""
    mesh, (_, sp), draw = current_mesh(), tp_and_sp(), rounded(63)
    x, (one, other) = draw(1, 1, 32 * sp, CHANNELS), draw(2, 1, 1, 32 * sp, CHANNELS)
    cases = []
    for strength, step in STEPS:
        right = x + step * torch.lerp(other, one, strength)
        flows = shard(torch.cat([one, other]), mesh, sp=2)
        cases.append(((shard(x, mesh, sp=2), flows, strength, step), on_chips(right, mesh, sp=2)))
    return cases


def stepped(flow):
    return lambda x, flows, strength, step: ttnn.add(x, ttnn.multiply(flow(flows[0:1], flows[1:2], strength), step))


def towards(a, b, strength):
    return ttnn.add(b, ttnn.multiply(ttnn.subtract(a, b), strength))


def home(x, frames):
    return gather(x, sp=1, tp=2)[:, 5 : 5 + frames]


def home_cases():
    """Frames picked one by one; what is spare is no copy of what is wanted"""
    mesh, (tp, sp), draw = current_mesh(), tp_and_sp(), rounded(64)
    cases = []
    for frames in (6 * sp - 5, max(1, 6 * sp - 11)):  # nothing is padding, and one latent frame is
        x = draw(1, 6 * sp, 3 * tp, 5, 3)
        wanted = torch.stack([x[0, n] for n in range(5, 5 + frames)])[None]
        cases.append(((shard(x, mesh, layout=ttnn.ROW_MAJOR_LAYOUT, sp=1, tp=2), frames), wanted))
    return cases


placed = Exercise(
    "placed",
    placed,
    placed_cases,
    needs_mesh=True,
    mistakes={
        "one tile too many for each chip where nothing is missing: then nothing is added.": after_padding(
            behind=lambda n, sp: 32 * sp - n % (32 * sp)
        ),
        "the padding is in front. The first token stays the first.": after_padding(before=lambda n, sp: -n % (32 * sp)),
        "each chip has all tokens. Cut them over sp.": lambda tokens, mesh, sp: replicate(
            F.pad(tokens, (0, 0, 0, -tokens.shape[2] % (32 * sp))), mesh
        ),
        "the features are padded, too. Tokens are dimension 2.": lambda tokens, mesh, sp: shard(
            F.pad(tokens, (0, 32, 0, -tokens.shape[2] % (32 * sp))), mesh, sp=2
        ),
    },
    hints=(
        "sp chips with the same number of whole tiles each: of what is the length a multiple then?",
        "Of 32 * sp. How many tokens are missing to the next multiple? In Python -n % m says so.",
        "torch.nn.functional.pad(tokens, (0, 0, 0, missing)) adds at the end; then shard(..., mesh, sp=2).",
    ),
    discussion=(
        "Every chip gets equally many, in whole tiles, or the ring could not hand blocks on. The padding is at the "
        "end, on the last chips; it costs time, and attention masks it. Text tokens are not cut over sp: every chip "
        "along it holds them all."
    ),
)

guided_step = Exercise(
    "guided_step",
    guided_step,
    step_cases,
    mistakes={
        "it starts from the flow with the prompt. Start from the one without.": stepped(
            lambda a, b, strength: ttnn.add(a, ttnn.multiply(ttnn.subtract(a, b), strength))
        ),
        "only the difference is left. It is a direction to go from the flow without a prompt.": stepped(
            lambda a, b, strength: ttnn.multiply(ttnn.subtract(a, b), strength)
        ),
        "the flows have changed places. The first is the one with the prompt.": stepped(
            lambda a, b, strength: towards(b, a, strength)
        ),
        "the latents have jumped the whole flow. Multiply it by the length of the step.": lambda x, flows, g, step: (
            ttnn.add(x, towards(flows[0:1], flows[1:2], g))
        ),
        "that is the flow's step alone. Add it to where the latents are.": lambda x, flows, g, step: ttnn.multiply(
            towards(flows[0:1], flows[1:2], g), step
        ),
        "the latents go backwards. Sigma grows here, from noise to video.": lambda x, flows, g, step: ttnn.subtract(
            x, ttnn.multiply(towards(flows[0:1], flows[1:2], g), step)
        ),
    },
    hints=(
        "flows[0:1] and flows[1:2] are the two, each of the shape of x.",
        "Exercise 1 has the formula; here each sign is an op: ttnn.subtract, ttnn.multiply, ttnn.add.",
        "flow = without + strength * (with_prompt - without), and x + step * flow.",
    ),
    discussion=(
        "Nothing is sent: each chip moves its own tokens. The host is spared two journeys a step, of the flows to it "
        "and of the latents back. Mochi's own program in tt-metal makes them still: its scheduler is diffusers', on "
        "the host (models/tt_dit/pipelines/mochi/pipeline_mochi.py at 79925a3f)."
    ),
)

home = Exercise(
    "home",
    home,
    home_cases,
    needs_mesh=True,
    mistakes={
        "the first five frames are there still. Latent frame 0 makes six, and only the last of them counts.": (
            lambda x, frames: gather(x, sp=1, tp=2)[:, :frames]
        ),
        "six frames are gone from the front. One of latent frame 0's six counts.": lambda x, frames: gather(
            x, sp=1, tp=2
        )[:, 6 : 6 + frames],
        "the frames at the end belong to padding: there are only as many as `frames` says.": lambda x, frames: gather(
            x, sp=1, tp=2
        )[:, 5:],
        "they are taken from the end, where the padding is.": lambda x, frames: gather(x, sp=1, tp=2)[:, -frames:],
        "frames and rows have changed places: sp cuts frames, which are dimension 1, and tp cuts rows.": (
            lambda x, frames: gather(x, sp=2, tp=1)[:, 5 : 5 + frames]
        ),
    },
    hints=(
        "gather is shard backwards: it wants to know which dimension each axis cuts.",
        "gather(x, sp=1, tp=2) is (1, all frames, all rows, columns, 3). Which frames are wanted?",
        "Drop five in front, keep `frames` of the rest: [:, 5 : 5 + frames].",
    ),
    discussion=(
        "Padding in time comes back as frames at the end, the lonely first frame as five too many at the beginning. "
        "Forget either and the video looks right, has the wrong length, and begins before its time."
    ),
)
