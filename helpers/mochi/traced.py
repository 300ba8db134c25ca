"""The denoiser as a trace: what it calls is sent to the chips once, and executed at every step.

A plain pass sends each call to each chip, hundreds of them, and small chips' work is done before the host has sent it.
"""

import torch
import ttnn

from helpers.mochi.transformer import Prompt, Transformer


class Traced:
    """A denoiser for some prompts and one shape of latents: `denoise(latents, timestep)` -> one output per prompt.

    The first call is plain, so that all programs are compiled and nothing is written to the chips later. The second
    captures the trace. To be used with `with`: its end releases the trace, and with it what it holds on the chips.
    """

    def __init__(self, model: Transformer, prompts: list[Prompt]):
        self.model, self.prompts = model, prompts
        self.tokens = self.waves = self.outputs = self.trace = None

    def __call__(self, latents: torch.Tensor, timestep: float) -> list[torch.Tensor]:
        """latents (1, channels, T, H, W) -> as many of the same shape as there are prompts"""
        first = self.tokens is None
        self.tokens = self.model.tokens(latents, into=self.tokens)
        self.waves = self.model.text_and_time.waves(timestep, into=self.waves)
        if first:
            self.outputs = self.forward()
        elif self.trace is None:
            self.capture()
        if self.trace is not None:
            ttnn.execute_trace(self.model.mesh, self.trace, cq_id=0, blocking=False)
        return [self.model.latents(tokens) for tokens in self.outputs]

    def forward(self) -> list[ttnn.Tensor]:
        return [self.model.forward(self.tokens, self.waves, prompt) for prompt in self.prompts]

    def capture(self) -> None:
        self.outputs = None  # those of the plain pass: their memory is free for the trace's
        self.trace = ttnn.begin_trace_capture(self.model.mesh, cq_id=0)
        try:
            self.outputs = self.forward()
        finally:
            ttnn.end_trace_capture(self.model.mesh, self.trace, cq_id=0)
            if self.outputs is None:
                self.release()

    def __enter__(self) -> "Traced":
        return self

    def __exit__(self, *error) -> None:
        self.release()

    def release(self) -> None:
        if self.trace is not None:
            ttnn.release_trace(self.model.mesh, self.trace)
            self.trace = None
