"""The exercises of notebook 06. Each reference is one right answer; the tests prove every named mistake."""

import math
from itertools import pairwise

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from helpers.exercises import Exercise
from helpers.exercises.guidance import both_at_once
from helpers.exercises.places import guided_step, home, placed
from helpers.mochi.pipeline import set_timesteps

__all__ = [
    "both_at_once", "clip_bytes", "denoise", "guided_step", "home", "placed", "times_longer",
]  # fmt: skip


def denoise(model, latents, sigmas, wanted, unwanted, guidance):
    for sigma, after in pairwise(sigmas):
        without = model(latents, unwanted, sigma)
        flow = without + guidance * (model(latents, wanted, sigma) - without)
        latents = latents + (after - sigma) * flow
    return latents


class Toy:
    """A model of one number, with a prompt that is a number too."""

    def __call__(self, latents, prompt, sigma):
        return math.sin(3 * prompt * sigma + latents) + 0.3 * prompt

    def __repr__(self):
        return "model"


def denoise_cases():
    """The way of diffusers' own scheduler, on Mochi's schedule"""
    cases, model = [], Toy()
    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    for steps, guidance, start, prompts in ((6, 3.0, 0.7, (0.4, -0.9)), (4, 4.5, -1.3, (1.1, 0.2))):
        latents = torch.tensor(start, dtype=torch.float64)
        for timestep in set_timesteps(scheduler, steps):
            flows = [model(latents.item(), prompt, timestep.item() / 1000) for prompt in prompts]
            flow = torch.tensor((1 - guidance) * flows[1] + guidance * flows[0], dtype=torch.float64)
            latents = scheduler.step(flow, timestep, latents, return_dict=False)[0]
        sigmas = scheduler.sigmas.tolist()
        cases.append(((model, start, sigmas, *prompts, guidance), latents.item()))
    return cases


def clip_bytes(encode, one_pass, decode, steps, guidance):
    prompts = 2 if guidance > 1 else 1
    return prompts * encode + steps * prompts * one_pass + decode


def clip_cases():
    """Written out as a list of everything that happens"""
    cases = []
    for encode, one_pass, decode, steps, guidance in (
        (90, 7, 4000, 20, 4.5), (1300, 110, 52_000, 9, 1.0), (51, 6, 777, 4, 1.5)
    ):  # fmt: skip
        sent = [encode, decode] + [one_pass for _ in range(steps)]
        if guidance > 1:
            sent += [encode] + [one_pass for _ in range(steps)]
        cases.append(((encode, one_pass, decode, steps, guidance), sum(sent)))
    return cases


def times_longer(tokens, more_tokens, attention_share):
    ratio = more_tokens / tokens
    return (1 - attention_share) * ratio + attention_share * ratio**2


def longer_cases():
    """From work that is counted: so much for each token, so much for each pair of tokens"""
    cases = []
    for tokens, more, for_each, for_pair in ((300, 900, 7, 3), (44_776, 90_000, 9_000_000, 500), (64, 80, 5000, 2)):
        work = lambda n, a=for_each, b=for_pair: a * n + b * n * n
        cases.append(((tokens, more, for_pair * tokens**2 / work(tokens)), work(more) / work(tokens)))
    return cases


def wrong(flow=lambda w, u, g: u + g * (w - u), steps=pairwise, sign=1, at_end=False):
    """The loop with one thing changed"""

    def loop(model, latents, sigmas, wanted, unwanted, guidance):
        for sigma, after in steps(sigmas):
            asked = after if at_end else sigma
            change = flow(model(latents, wanted, asked), model(latents, unwanted, asked), guidance)
            latents = latents + sign * (after - sigma) * change
        return latents

    return loop


denoise = Exercise(
    "denoise",
    denoise,
    denoise_cases,
    mistakes={
        "guidance is turned round: it leads away from the prompt. Start from the unwanted, go towards the wanted.": (
            wrong(flow=lambda w, u, g: w + g * (u - w))
        ),
        "the unwanted flow is missing. The difference is added to it.": wrong(flow=lambda w, u, g: g * (w - u)),
        "there is no guidance. The model is asked twice, with both prompts.": wrong(flow=lambda w, u, g: w),
        "the latents move backwards. The step is the next sigma minus this one.": wrong(sign=-1),
        "the sigmas run backwards. They come in the order in which they are used.": wrong(
            steps=lambda s: pairwise(s[::-1])
        ),
        "the last step is missing. There is one sigma more than there are steps.": wrong(
            steps=lambda s: pairwise(s[:-1])
        ),
        "the model is asked for the end of the step. It is asked where the latents are now.": wrong(at_end=True),
        "all steps are equally long. Each one goes from its sigma to the next.": wrong(
            steps=lambda s: [(a, a + 1 / (len(s) - 1)) for a in s[:-1]]
        ),
    },
    hints=(
        "for sigma, after in pairwise(sigmas) gives the beginning and the end of every step.",
        "Ask the model with both prompts for the same latents. Go from the unwanted flow past the wanted one.",
        "flow = without + guidance * (with_it - without); latents = latents + (after - sigma) * flow",
    ),
    discussion=(
        "pairwise(sigmas) gives each step with its next sigma, so n steps need n + 1 of them, the last one at 1. "
        "Making both passes as one batch of two would be the same; on two halves of the mesh each pass has half of the "
        "chips: exercise 5."
    ),
)

clip_bytes = Exercise(
    "clip_bytes",
    clip_bytes,
    clip_cases,
    mistakes={
        "guidance is forgotten. Above 1 there are two passes a step and two texts to encode.": lambda e, p, d, n, g: (
            e + n * p + d
        ),
        "the empty prompt has to be encoded too.": lambda e, p, d, n, g: e + (2 if g > 1 else 1) * n * p + d,
        "there are two passes a step: one with the prompt, one without.": lambda e, p, d, n, g: (
            (2 if g > 1 else 1) * e + n * p + d
        ),
        "guidance of 1 or less needs no second pass and no second text.": lambda e, p, d, n, g: 2 * e + 2 * n * p + d,
        "the texts are encoded once, before the first step.": lambda e, p, d, n, g: (
            (2 if g > 1 else 1) * n * (e + p) + d
        ),
        "the video is decoded once, after the last step.": lambda e, p, d, n, g: (
            (2 if g > 1 else 1) * (e + n * p) + n * d
        ),
    },
    hints=(
        "What happens once, what happens once for each text, what happens in every step?",
        "With guidance there are two texts, and both are asked in every step.",
        "texts * encode + steps * texts * one_pass + decode, with 2 texts if guidance > 1.",
    ),
    discussion=(
        "Encoding and decoding happen once a prompt and once a clip, denoising steps times. So a cheap thing in the "
        "loop beats a dear one outside. With guidance at 1 the second prompt is never read, and nothing has to be "
        "encoded for it."
    ),
)

times_longer = Exercise(
    "times_longer",
    times_longer,
    longer_cases,
    mistakes={
        "all work is taken as work for each token. Attention compares all pairs.": lambda t, m, a: m / t,
        "all work is taken as attention. The linear layers grow with the tokens only.": lambda t, m, a: (m / t) ** 2,
        "the shares are swapped: it is attention that grows with the square.": lambda t, m, a: (
            a * m / t + (1 - a) * (m / t) ** 2
        ),
        "the linear layers do not stay as they are: twice the tokens, twice their work.": lambda t, m, a: (
            1 - a + a * (m / t) ** 2
        ),
        "the linear layers are missing.": lambda t, m, a: a * (m / t) ** 2,
    },
    hints=(
        "Two kinds of work: so much for each token, so much for each pair of tokens.",
        "With r times the tokens, how many times the tokens, how many times the pairs?",
        "(1 - share) * r + share * r ** 2",
    ),
    discussion=(
        "Work for each token grows with their number, work for each pair with its square. So the share of attention "
        "decides, and it grows too: for the next doubling the square counts for more."
    ),
)
