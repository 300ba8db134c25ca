"""A text encoder that mixes words where a finished one chooses (`python -m training.mochi.again text_encoder`).

Training from nothing drives the scores of attention into the hundreds, and a softmax of such scores picks one word. So
a new encoder learns to say the same, hidden state by hidden state, while large scores cost it something. The
transformer hears what it heard before and need not learn anew. The old encoder is the teacher, the new one takes its
place in the folder; how softly either attends is measured by training.mochi.attention.
"""

import torch
from transformers import T5EncoderModel

from training.loop import Place, train
from training.mochi.attention import from_mean, scored
from training.mochi.autoencoder import tokenize
from training.mochi.denoiser import real
from training.mochi.reader import CHECKS, SEEDS, captions
from training.parts import SPECIAL, new_text_encoder, new_tokenizer

SETTINGS = {"batch": 64, "captions": 20000, "rate": 1e-3, "muon": 0.02, "check_every": 250}
LIMIT = 2.0  # a score this far above the mean of its row, so of a weight e^2 times as large, still costs nothing
PRICE = 0.05  # of the mean square of what is above it, beside errors as a share of the teacher's variance


class Captions:
    """Captions of training clips as tokens, (N, 24); and the same ones beyond the grammar."""

    def __init__(self, count: int, seed: int = SEEDS, unseen: bool = False):
        self.tokenizer = new_tokenizer()
        self.tokens = tokenize(self.tokenizer, captions(count, seed, unseen)).long()
        pieces = self.tokenizer.get_vocab().items()  # small ones: capitals are given the same embedding in the end
        self.pieces = torch.tensor(
            sorted(row for piece, row in pieces if piece == piece.lower() and piece not in SPECIAL)
        )

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """(count, 24): three in four as the grammar has them, one in four with pieces of anything in some places."""
        tokens = self.tokens[torch.randint(len(self.tokens), (count,), generator=generator)]
        return torch.cat([tokens[: count // 4 * 3], self.beyond(tokens[count // 4 * 3 :], generator)])

    def beyond(self, tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A word in four, on average, becomes any piece of the vocabulary, letters too; </s> stays."""
        other = self.pieces[torch.randint(len(self.pieces), tokens.shape, generator=generator)]
        hit = torch.rand(tokens.shape, generator=generator) < 0.25
        return torch.where(hit & (tokens > 1), other, tokens)


def too_large(scores: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """What scores cost: the mean square of what is above LIMIT, measured from the mean of a row.

    scores: (B, heads, L, L) before the softmax, which does not see a row's mean; there: (B, L), False at padding.
    """
    keys, rows = there[:, None, None, :].float(), there[:, None, :, None]
    above = torch.relu(from_mean(scores, there) - LIMIT).square() * keys
    return above[rows.expand_as(above)].sum() / (rows * keys).expand_as(above).sum()


def difference(said: torch.Tensor, wanted: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Mean square of the errors in hidden states (B, L, D), as a share of the variance of those wanted."""
    said, wanted = said[there], wanted[there]
    return (said - wanted).square().mean() / (wanted - wanted.mean(0)).square().mean()


@torch.no_grad()
def apart(one: T5EncoderModel, other: T5EncoderModel, tokens: torch.Tensor) -> float:
    """The error of one encoder that stands for another, as a share of the distance of two captions: 0 is none.

    Both as root mean squares, word by word. tokens: (B, L), B captions that differ.
    """
    there = real(tokens)
    said, wanted = (model(input_ids=tokens, attention_mask=there).last_hidden_state for model in (one, other))
    both = there & there.roll(1, 0)  # of each caption and the one before it
    error, distance = (said - wanted)[there], (wanted - wanted.roll(1, 0))[both]
    return float((error.square().sum(-1).mean() / distance.square().sum(-1).mean()).sqrt())


def soften(place: Place, config: dict, teacher: T5EncoderModel, settings: dict) -> tuple[T5EncoderModel, bool]:
    """A new encoder that says what the teacher says; returns (it, averaged and frozen; whether all is done)."""
    torch.manual_seed(config["seed"] + 4)
    student = new_text_encoder(config).to(place.device).train()
    lessons, exam = Captions(settings["captions"]), Captions(500, CHECKS, unseen=True)
    exams = {"held_out": exam.tokens, "beyond": exam.beyond(exam.tokens, torch.Generator().manual_seed(0))}

    def loss_at(step, progress, generator):
        tokens = lessons.draw(settings["batch"], generator)
        there = real(tokens)
        with torch.no_grad():
            wanted = teacher(input_ids=tokens, attention_mask=there).last_hidden_state
        said, scores = scored(student, tokens)
        error, price = difference(said, wanted, there), sum(too_large(one, there) for one in scores)
        return error + PRICE * price, {"error": error.detach(), "price": price.detach()}

    def check(model):
        return {name: apart(model, teacher, tokens) for name, tokens in exams.items()}

    done = train(place, "text_encoder", student, settings, loss_at, check)
    return student.eval().requires_grad_(False), done
