"""The measure of a text encoder's attention, beside transformers' own, and on encoders that are made soft or sharp."""

import pytest
import torch

from training.config import configuration
from training.mochi import attention
from training.mochi.autoencoder import tokenize
from training.mochi.denoiser import real
from training.parts import new_text_encoder, new_tokenizer

PROMPTS = ["a red ball bouncing to the left", "a big blue fish swimming past a pink coral", "the sun"]


@pytest.fixture
def encoder():
    """A fresh one, its scores about as large as 1."""
    torch.manual_seed(3)
    encoder = new_text_encoder(configuration("smoke")).eval()
    encoder.config._attn_implementation = "eager"
    for block in encoder.encoder.block:
        block.layer[0].SelfAttention.q.weight.data.normal_(std=0.1)
        block.layer[0].SelfAttention.k.weight.data.normal_(std=0.2)
    torch.nn.init.normal_(encoder.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight, std=0.3)
    return encoder


def test_shares_are_those_of_transformers_own_attention(encoder):
    tokens = tokenize(new_tokenizer(), PROMPTS).long()
    with torch.no_grad():
        own = encoder(input_ids=tokens, attention_mask=real(tokens), output_attentions=True).attentions
    found = attention.attend(encoder, tokens)
    assert len(found) == len(own) == 2
    for (scores, shares), weights in zip(found, own, strict=True):
        rows = real(tokens)[:, None].expand(-1, 4, -1)
        assert torch.allclose(shares, weights.amax(-1)[rows], atol=1e-5)
        assert len(scores) == 4 * int(real(tokens).sum(1).square().sum()) and scores.std() > 0.2
        assert scores.mean().abs() < 1e-5, "from the mean of their row"


def test_larger_scores_are_told_from_small_ones(encoder):
    attentions = [block.layer[0].SelfAttention for block in encoder.encoder.block]
    attentions[0].relative_attention_bias.weight.data.zero_()
    for layer in attentions:
        layer.q.weight.data *= 0.1
    soft = attention.measure(encoder, new_tokenizer(), captions=12, prompts=4)["blocks"]
    for layer in attentions:
        layer.q.weight.data *= 1000
    sharp = attention.measure(encoder, new_tokenizer(), captions=12, prompts=4)["blocks"]
    for before, after in zip(soft, sharp, strict=True):
        assert before["sharp"] < 0.2 and after["sharp"] > 0.7
        assert after["std"] > 100 * before["std"] and after["largest"] > 100 * before["largest"]


def test_a_deaf_encoder_is_moved_by_no_word(encoder):
    moved = attention.moved_by(encoder, new_tokenizer(), PROMPTS)
    assert set(moved) == {word for prompt in PROMPTS for word in prompt.split()}
    assert len(moved["the"]) == 2 and len(moved["a"]) == 3 and max(map(max, moved.values())) > 0.01
    for block in encoder.encoder.block:
        block.layer[0].SelfAttention.o.weight.data.zero_()
    deaf = attention.moved_by(encoder, new_tokenizer(), PROMPTS)
    assert max(map(max, deaf.values())) < 1e-5
    with pytest.raises(ValueError, match="one token"):
        attention.moved_by(encoder, new_tokenizer(), ["a zebra running", "the sun"])


def test_positions_are_measured_from_where_they_were_set():
    by_hand = torch.tensor([[[2.0, 0.0], [2.0, 0.0]], [[0.0, 0.5], [0.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]])
    learned = by_hand.clone()
    by_hand[2, :, 1] = learned[2, :, 1] = 0.4
    learned[0, :, 0] = torch.tensor([2.2, 2.6])  # a tenth and three tenths up; a tenth from their mean, each
    found = attention.positions(learned, by_hand)
    assert found == pytest.approx({"moved": 0.2 / 3, "heads apart": 0.1 / 3}), "mean of three axes"
    learned[1, 0, 0] = -0.3  # one head has begun to look along a diagonal
    found = attention.positions(learned, by_hand)
    assert found == pytest.approx({"moved": (0.2 + 0.3) / 3, "heads apart": (0.1 + 0.3) / 3})
    learned[2, 1, 1] = 0.5  # and another pair of the other head went an eighth of what its axis has
    found = attention.positions(learned, by_hand)
    assert found == pytest.approx({"moved": (0.2 + 0.3 + 1 / 8) / 3, "heads apart": (0.1 + 0.3 + 1 / 8) / 3})
