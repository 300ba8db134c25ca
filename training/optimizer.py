"""Muon: momentum whose matrices are made orthogonal before the step, so that every direction learns alike.

It needs fewer steps than Adam here, and steps are what a short training lacks. Vectors, embeddings and whatever is
named `slow` go to AdamW.
"""

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that pushes all singular values towards 1


def multiplies_bfloat16(kind: str) -> bool:
    """Whether a kind of device ("cpu", "cuda") has instructions for it; without them it is several times as slow."""
    return kind != "cpu" or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


@torch.no_grad()
def orthogonal(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """(K, m, n) with m <= n -> each with singular values near 1, by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    # bfloat16 is enough for a direction, and two to three times as fast where it is multiplied
    x = matrices.bfloat16() if multiplies_bfloat16(matrices.device.type) else matrices.float()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions; all but the first are taken as one. Equal shapes go together."""

    def __init__(self, params, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            alike: dict[tuple, list] = {}
            for p in group["params"]:
                if p.grad is not None:
                    alike.setdefault(tuple(p.shape), []).append(p)
            for shape, params in alike.items():
                self._step(group, shape, params)

    def _step(self, group: dict, shape: tuple, params: list):
        updates = []
        for p in params:
            buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
            buffer.lerp_(p.grad, 1 - group["momentum"])
            updates.append(p.grad.lerp(buffer, group["momentum"]).reshape(shape[0], -1))
        stack = torch.stack(updates).float()
        tall = stack.shape[1] > stack.shape[2]
        whole = orthogonal(stack.mT if tall else stack)
        whole = whole.mT if tall else whole
        size = max(1.0, stack.shape[1] / stack.shape[2]) ** 0.5
        for p, update in zip(params, whole, strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update.reshape(shape), alpha=-group["lr"] * size)
