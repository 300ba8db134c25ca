"""Records what SD 1.4 has to compute, op by op, for the planner: `python -m tools.unet`.

tt-metal's own program does not run with ttnn 0.81.1 (its group_norm asks for an output in bfloat8_b, which this ttnn
refuses). So the calls are those of diffusers' UNet and decoder: each op of torch's stands for one ttnn call of the same
kind, with activations in DRAM. A convolution is what ttnn's conv2d is, a product of matrices over patches that are put
together in L1. As in tt-metal's demo both passes of guidance go through the UNet at once, and 77 words have 96 places
(tenstorrent/tt-metal, models/demos/vision/generative/stable_diffusion/wormhole/sd_helper_funcs.py at 79925a3f).
"""

import json
import math
from collections import Counter
from unittest import mock

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helpers.planner import mirror
from helpers.planner.calls import FOLDER, Call, Calls, Operand, written
from helpers.planner.real import STILLS
from helpers.tensors import TILE

SOURCE = "diffusers 0.42.1, each op as one ttnn call"
SYSTEMS = ("n150", "p150")
PICTURE, WORDS, WIDTH = 64, 96, 768  # latents a side; places for words, and how wide they are
MATMULS = ("addmm", "mm", "bmm")
MAKES_NOTHING = ("empty", "new_empty", "full", "zeros", "arange", "clone")  # what ttnn needs no call for
FEW = 4096  # numbers: weights and biases of norms, and what the host sends


def unet() -> Calls:
    with torch.device("meta"):
        model = UNet2DConditionModel(**{k: v for k, v in STILLS["sd14"].items() if not k.startswith("_")})
        given = torch.empty(2, 4, PICTURE, PICTURE), torch.empty(2), torch.empty(2, WORDS, WIDTH)
    return calls_of(model, *given)


def decoder() -> Calls:
    """Of SD 1.4's autoencoder: the widths are those of CompVis/stable-diffusion-v1-4, vae/config.json."""
    with torch.device("meta"):
        model = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        ).decoder  # fmt: skip
        given = torch.empty(1, 4, PICTURE, PICTURE)
    return calls_of(model, given)


def calls_of(model: torch.nn.Module, *given: torch.Tensor) -> Calls:
    """What a model on the meta device would call in ttnn."""
    heard = Heard()

    def attended(query, key, value, *args, **kwargs):
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        heard.add("scaled_dot_product_attention", (query, key, value), out)
        return out

    with torch.no_grad(), mock.patch.object(mirror, "attended", attended), mirror.AttentionAsOneOp(), heard:
        model(*given)
    return heard.calls


class Heard(TorchDispatchMode):
    """In its `with` block every op that makes a new tensor is written down as a ttnn call."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        result = op(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, tuple | list) else result
        name = op._schema.name.partition("::")[2]
        new = isinstance(first, torch.Tensor) and not mirror.shares_storage(first, (args, kwargs))
        if new and name not in MAKES_NOTHING:
            self.add(name, [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)], first)
        return result

    def add(self, name: str, inputs, out: torch.Tensor) -> None:
        if name == "convolution":
            weight = inputs[1]
            patches = out[:, 0].numel(), math.prod(weight.shape[1:])  # rows of pixels, and what each looks at
            operands = operand(patches, "L1"), operand((patches[1], len(weight)))
            call = Call("conv2d", operands, (operand((patches[0], len(weight))),), ())
        elif name in MATMULS:
            left, right = inputs[-2:]
            call = Call("matmul", (operand(left.shape), operand(right.shape)), (operand(out.shape),), ())
        else:
            large = [x for x in inputs if x.numel() > FEW] or inputs
            shapes = tuple(operand(mirror.on_chip(x.shape)) for x in large)
            call = Call(name.removeprefix("native_"), shapes, (operand(mirror.on_chip(out.shape)),), ())
        self.calls[call] += 1


def operand(shape, place: str = "DRAM") -> Operand:
    """Filled up to whole tiles, as on a chip"""
    *outer, rows, columns = (1, *shape) if len(shape) == 1 else shape
    tiled = (*outer, -(-rows // TILE) * TILE, -(-columns // TILE) * TILE)
    return Operand("", tiled, "BFLOAT16", place)


def main() -> int:
    for system in SYSTEMS:
        for program, calls in (("sd14", unet()), ("vae14", decoder())):
            kept = {"source": SOURCE, "shape": (1, 1), "layers": 1, "first": written(calls), "block": []}
            text = json.dumps(kept, separators=(",", ":")).replace("],[", "],\n[")
            (FOLDER / f"{program}.{system}.json").write_text(text + "\n")
            print(f"{program}.{system}: {sum(calls.values())} calls")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
