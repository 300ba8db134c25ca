"""How softly does a text encoder attend, does it read every word, and have the transformer's heads found positions of
their own? `python -m training.mochi.attention`.

Puts what it finds into evaluation.json beside the other figures; the card shows it (`python -m training.card`).
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import MochiTransformer3DModel
from transformers import AutoTokenizer, T5EncoderModel

from helpers.world.prompts import caption
from training.export import write_json
from training.mochi.autoencoder import tokenize
from training.mochi.denoiser import real
from training.mochi.evaluate import fixed_clips
from training.parts import new_transformer

SIZES = ("num_attention_heads", "attention_head_dim", "num_layers", "pooled_projection_dim")
SHARP = 0.9  # of a row of attention on one key: the softmax has become a choice


def scored(encoder: T5EncoderModel, tokens: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """tokens: (B, L) -> the hidden states, (B, L, D), and for each block the scores before its softmax,
    (B, heads, L, L), queries before keys; padding is not masked in them."""
    seen = {}
    blocks = [block.layer[0].SelfAttention for block in encoder.encoder.block]
    hooks = [
        linear.register_forward_hook(lambda _, inputs, out, linear=linear: seen.__setitem__(linear, out))
        for attention in blocks
        for linear in (attention.q, attention.k)
    ]
    try:
        hidden = encoder(input_ids=tokens, attention_mask=real(tokens)).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    length, scores = tokens.shape[1], []
    bias = blocks[0].compute_bias(length, length)  # the first block's, which all blocks use
    for attention in blocks:
        query, key = (seen[linear].unflatten(2, (attention.n_heads, -1)) for linear in (attention.q, attention.k))
        scores.append(torch.einsum("bqhd,bkhd->bhqk", query, key) + bias)  # T5 does not scale them
    return hidden, scores


def from_mean(scores: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """scores: (B, heads, L, L), less the mean of each row over the real keys; there: (B, L), False at padding."""
    keys = there[:, None, None, :].float()
    return scores - (scores * keys).sum(-1, keepdim=True) / keys.sum(-1, keepdim=True)


@torch.no_grad()
def attend(encoder: T5EncoderModel, tokens: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """tokens: (B, L) -> for each block the scores before the softmax, of pairs of real tokens, (N,), measured from the
    mean of their row, which a softmax does not see; and the largest share that a row, one of each real token and head,
    gives to one key, (M,)."""
    found, there = [], real(tokens)
    for scores in scored(encoder, tokens)[1]:
        scores = from_mean(scores, there)
        pairs = (there[:, None, :, None] & there[:, None, None, :]).expand_as(scores)
        shares = scores.masked_fill(~there[:, None, None, :], -torch.inf).softmax(-1).amax(-1)
        found.append((scores[pairs], shares[there[:, None].expand_as(shares)]))
    return found


@torch.no_grad()
def moved_by(encoder: T5EncoderModel, tokenizer, prompts: list[str]) -> dict[str, list[float]]:
    """What happens to the other words' hidden states when a word goes: for each word, all its moves.

    In units of the mean distance between the hidden states of two different prompts, word by word from the first.
    """
    hidden = [_hidden(encoder, tokenizer, prompt) for prompt in prompts]
    apart = torch.cat([_distances(a, b) for k, a in enumerate(hidden) for b in hidden[:k]]).mean()
    moves: dict[str, list[float]] = {}
    for prompt, whole in zip(prompts, hidden, strict=True):
        words = prompt.split()
        if len(whole) != len(words) + 1:
            raise ValueError(f"not every word of '{prompt}' is one token")
        for at, word in enumerate(words):
            left = _hidden(encoder, tokenizer, " ".join(words[:at] + words[at + 1 :]))
            others = torch.cat([whole[:at], whole[at + 1 :]])
            moves.setdefault(word, []).append(float(_distances(others, left).mean() / apart))
    return moves


def _hidden(encoder, tokenizer, prompt: str) -> torch.Tensor:
    """(words + 1, D)"""
    tokens = tokenize(tokenizer, [prompt]).long()
    return encoder(input_ids=tokens, attention_mask=real(tokens)).last_hidden_state[real(tokens)]


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Word by word, as far as both go."""
    length = min(len(a), len(b))
    return (a[:length] - b[:length]).norm(dim=-1)


def positions(learned: torch.Tensor, by_hand: torch.Tensor) -> dict[str, float]:
    """How far a transformer's frequencies, (3, heads, head_dim / 2), have come from those that were set by hand, and
    the heads from each other: mean over the three axes of the sum of all that moved as a share of the sum of what was
    set, those set to zero among them, so that a head that has begun to look along a diagonal counts."""
    share = lambda change: float((change.abs().sum((1, 2)) / by_hand.abs().sum((1, 2))).mean())
    return {"moved": share(learned - by_hand), "heads apart": share(learned - learned.mean(1, keepdim=True))}


def measure(encoder: T5EncoderModel, tokenizer, captions: int = 200, prompts: int = 20) -> dict:
    """-> what evaluation.json holds under "text encoder"."""
    texts = [caption(clip, plain=True) for clip in fixed_clips(captions, False)]
    blocks = [
        {
            "std": float(scores.std()),
            "largest": float(scores.abs().max()),
            "sharp": float((shares > SHARP).float().mean()),
        }
        for scores, shares in attend(encoder, tokenize(tokenizer, texts).long())
    ]
    moves = moved_by(encoder, tokenizer, texts[:prompts])
    means = {word: sum(values) / len(values) for word, values in sorted(moves.items())}
    return {"blocks": blocks, "moved": means}


def table(found: dict) -> str:
    """The figures as a Markdown table and two sentences."""
    sharp = f"rows with over {100 * SHARP:.0f} % on one key"
    lines = [f"| text encoder | std of scores from their row's mean | largest | {sharp} |", "|---" * 4 + "|"]
    for number, row in enumerate(found["blocks"]):
        lines.append(f"| block {number} | {row['std']:.1f} | {row['largest']:.0f} | {100 * row['sharp']:.0f} % |")
    moved = sorted(found["moved"], key=found["moved"].get)
    named = lambda words: ", ".join(f"{word} {found['moved'][word]:.2f}" for word in words)
    return "\n".join(
        [*lines, "", "How far the other words' hidden states move when a word goes, where 1 is how far two prompts are "
         f"apart: least {named(moved[:6])}; most {named(moved[:-7:-1])}.", "",
         "The frequencies of the transformer's positions were set by hand, alike in all heads (`new_transformer`), and "
         f"learned from there: they are {100 * found['positions']['moved']:.1f} % from what was set, the heads "
         f"{100 * found['positions']['heads apart']:.1f} % from their mean."]
    )  # fmt: skip


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.mochi.attention")
    parser.add_argument("folder", nargs="?", default="models/tiny-mochi", type=Path)
    folder = parser.parse_args(arguments).folder
    path = folder / "evaluation.json"
    if not path.is_file():
        parser.error(f"{folder} lacks evaluation.json: run training.mochi.evaluate first")
    encoder = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    found = measure(encoder, AutoTokenizer.from_pretrained(folder / "tokenizer"))
    transformer = MochiTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32)
    by_hand = new_transformer({"transformer": {name: transformer.config[name] for name in SIZES}}).pos_frequencies
    found["positions"] = positions(transformer.pos_frequencies.detach(), by_hand.detach())
    write_json(path, json.loads(path.read_text()) | {"text encoder": found})
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
