"""The text encoder learns to read, from captions alone, before anything is painted.

Each word of a caption has to know the whole of it: from the output at every token, one linear layer for each aspect
tells the scene, the motion, both colours and the size, or that the caption leaves them open. So a colour is bound to
its thing before the transformer sees it. As in Mochi-1 the text encoder is frozen from then on.
"""

import torch
import torch.nn.functional as F
from torch import nn

from helpers.world.prompts import caption, read
from helpers.world.scenes import COLOURS, SCENES, SIZES, sample
from training.loop import Place, train

ANSWERS = {  # aspect: what can be said of it; 0 is for what is left open
    "scene": list(SCENES),
    "motion": sorted({motion for scene in SCENES.values() for motion in scene[2]}),
    "subject": list(COLOURS),
    "second": list(COLOURS),
    "size": list(SIZES),
}
SEEDS, CHECKS = 2_000_000, 700  # of the captions to learn from, and of those of held-out combinations


def answers(text: str) -> list[int]:
    """What a caption says of each aspect, as numbers."""
    found = read(text)
    said = ((getattr(found, aspect), options) for aspect, options in ANSWERS.items())
    return [0 if value is None else 1 + options.index(value) for value, options in said]


class Reader(nn.Module):
    """encoder(tokens) -> (B, L, width), and the questions that are asked of each of its outputs."""

    def __init__(self, encoder: nn.Module, width: int):
        super().__init__()
        self.encoder = encoder
        self.questions = nn.ModuleList(nn.Linear(width, 1 + len(options)) for options in ANSWERS.values())

    def forward(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """tokens: (B, ...) as the encoder takes them -> for each aspect (B, answers, L)."""
        hidden = self.encoder(tokens)
        return [question(hidden).transpose(1, 2) for question in self.questions]


def captions(count: int, seed: int, unseen: bool) -> list[str]:
    """Of so many clips, of held-out ones where `unseen`, each in other words."""
    return [caption(sample(seed + k, unseen), k) for k in range(count)]


class Captions:
    """Captions of training clips, or of held-out ones, as tokens and answers."""

    def __init__(self, count: int, tokenize, seed: int, unseen: bool, device):
        texts = captions(count, seed, unseen)
        self.tokens = tokenize(texts).to(device).long()  # (N, ...)
        self.answers = torch.tensor([answers(text) for text in texts], device=device)  # (N, aspects)


def train_reader(place: Place, encoder: nn.Module, width: int, tokenize, real, settings: dict, seed: int) -> bool:
    """Teach an encoder to read; True when done, and then it is left with averaged weights, frozen.

    tokenize(captions) -> (N, ...); encoder(tokens) -> (B, L, width); real(tokens) -> (B, L), False where the output
    is never looked at. Returns False if the deadline came first.
    """
    torch.manual_seed(seed)
    reader = Reader(encoder, width).to(place.device).train()
    lessons = Captions(settings["captions"], tokenize, SEEDS, False, place.device)
    exam = Captions(500, tokenize, CHECKS, True, place.device)

    def loss_at(step, progress, generator):
        some = torch.randint(len(lessons.tokens), (settings["batch"],), generator=generator, device=generator.device)
        tokens = lessons.tokens[some]
        with place.autocast():
            outs = reader(tokens)
        there = real(tokens)
        right = (lessons.answers[some][:, :, None]).masked_fill(~there[:, None], -100).expand(-1, -1, there.shape[1])
        loss = sum(F.cross_entropy(out.float(), right[:, k], ignore_index=-100) for k, out in enumerate(outs))
        return loss, {"loss": loss.detach()}

    def check(model):
        """Share of tokens that know each aspect, of captions of held-out combinations."""
        there, found = real(exam.tokens), model(exam.tokens)
        right = {name: found[k].argmax(1) == exam.answers[:, k, None] for k, name in enumerate(ANSWERS)}
        return {name: float(values[there].float().mean()) for name, values in right.items()}

    done = train(place, "reader", reader, settings, loss_at, check)
    encoder.eval().requires_grad_(False)
    return done
