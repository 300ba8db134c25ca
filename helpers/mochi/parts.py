"""Mochi's three models on one mesh, and which of them makes room for the next.

parts = Parts(mesh, weights)                # loads them all
parts.free(*freed_on(find_system("t3000")))    # before decoding; what is used again is loaded again
"""

from functools import cached_property

from transformers import T5Config

from helpers.mochi.t5 import T5Encoder
from helpers.mochi.transformer import Transformer
from helpers.mochi.vae import Decoder
from ttnn_emulator.systems import System

FSDP_SHARE = 1 / 4  # of a chip's memory: denoiser weights larger than that are cut over sp too
# System -> models that leave the chips before the decoder is loaded: where real weights and 163 frames of 480 x 848 do
# not fit otherwise (helpers.planner.memory.whole_program). On a 2 x 2 of Blackhole there is room, but in pieces.
FREES = {
    "t3000": ("transformer",),
    "quietbox2": ("transformer",),
    "p150x4": ("transformer",),
}


def freed_on(system: System) -> tuple[str, ...]:
    """The models that leave the chips of a system before the decoder is loaded"""
    return FREES.get(system.machine, ())


class Parts:
    """`text_encoder`, `transformer` and `decoder`, each loaded when it is first used, and again after it was freed.

    weights: for "text_encoder", "transformer" and "vae" what gives tensors by name, with `config` and `num_bytes`.
    fsdp: whether the denoiser's blocks are cut over sp too; as cut_over_sp says unless given.
    """

    def __init__(self, mesh, weights: dict, fsdp: bool | None = None):
        self.mesh, self.weights = mesh, weights
        self.fsdp = cut_over_sp(mesh.system, weights["transformer"].num_bytes) if fsdp is None else fsdp
        _ = self.text_encoder, self.transformer

    @cached_property
    def text_encoder(self) -> T5Encoder:
        weights = self.weights["text_encoder"]
        return T5Encoder(self.mesh, weights, T5Config.from_dict(weights.config))

    @cached_property
    def transformer(self) -> Transformer:
        weights = self.weights["transformer"]
        return Transformer(self.mesh, weights, weights.config, fsdp=self.fsdp)

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(self.mesh, self.weights["vae"], self.weights["vae"].config)

    def free(self, *names: str) -> None:
        """Takes models off the chips. Nothing else may hold them."""
        for name in names:
            self.__dict__.pop(name, None)


def cut_over_sp(system: System, num_bytes: int) -> bool:
    """Whether denoiser weights of this size, cut over tp, still take so much of a chip that sp should cut them too."""
    tp, sp = (system.mesh[system.axes[axis]] for axis in ("tp", "sp"))
    return sp > 1 and num_bytes / tp > FSDP_SHARE * system.dram_bytes
