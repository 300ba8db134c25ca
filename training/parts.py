"""The parts of the miniature, untrained: every class is diffusers' or transformers' own."""

import string

import torch
from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiTransformer3DModel
from transformers import T5Config, T5EncoderModel, T5TokenizerFast

from helpers.world.prompts import vocabulary

TOKENS = 24  # the longest caption, padded; the pipeline pads to 256, which the mask makes the same
SPECIAL = ("<pad>", "</s>", "<unk>")
SLOWEST, FASTEST = 0.15, 2.2  # radians for each token, of the rotary embedding at the start
TOKEN_PITCH = 32.0  # MochiRoPE spreads the 6 tokens of a side over 192


def new_tokenizer() -> T5TokenizerFast:
    """Whole words of the captions, also with capitals, and letters for all others."""
    words, letters = ["▁" + word for word in vocabulary()], list(string.ascii_lowercase)
    forms = [*words, *(word.title() for word in words), *(word.upper() for word in words)]
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [(word, -1.0) for word in dict.fromkeys(forms)]
    pieces += [(sign, -8.0) for sign in ("▁", ",", ".", *letters, *map(str.upper, letters))]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=256)


def tie_capitals(text_encoder: T5EncoderModel, tokenizer: T5TokenizerFast):
    """Captions are in small letters: give every piece with capitals the embedding of its small form."""
    table, pieces = text_encoder.get_input_embeddings().weight.data, tokenizer.get_vocab()
    for piece, row in pieces.items():
        if piece not in SPECIAL and piece != piece.lower():
            table[row] = table[pieces[piece.lower()]]


def new_text_encoder(config: dict) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=(len(new_tokenizer()) + 31) // 32 * 32, feed_forward_proj="gated-gelu", dropout_rate=0.0,
            pad_token_id=0, eos_token_id=1, use_cache=False, is_encoder_decoder=False, tie_word_embeddings=False,
            **config["text_encoder"],
        )
    )  # fmt: skip


def new_transformer(config: dict) -> MochiTransformer3DModel:
    """Mochi's transformer; its rotary frequencies start at zero, which is blind to place, so they are set."""
    transformer = MochiTransformer3DModel(**config["transformer"])
    frequencies = transformer.pos_frequencies.data  # (3, heads, head_dim / 2)
    _, heads, half = frequencies.shape
    each = torch.logspace(0, 1, (half + 2) // 3, base=FASTEST / SLOWEST) * SLOWEST
    frequencies.zero_()
    for axis, pitch in enumerate((1.0, TOKEN_PITCH, TOKEN_PITCH)):
        places = torch.arange(axis, half, 3)
        frequencies[axis, :, places] = (each[: len(places)] / pitch).expand(heads, -1)
    return transformer


def new_autoencoder(config: dict) -> AutoencoderKLMochi:
    """Mochi's autoencoder, started as a plain chain of projections that keeps its signal at unit size.

    The second convolution of each block starts at zero, so that blocks start as nothing; the Fourier features
    of the pixels, which look like noise at first, start unheard.
    """
    autoencoder = AutoencoderKLMochi(**config["autoencoder"])
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    chain = [encoder.proj_in, *(block.conv_in.conv for block in encoder.down_blocks), encoder.proj_out]
    chain += [decoder.conv_in, *(block.proj for block in decoder.up_blocks), decoder.proj_out]
    for layer in chain:
        torch.nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)
    torch.nn.init.normal_(encoder.proj_in.weight[:, :3], std=3**-0.5)
    torch.nn.init.zeros_(encoder.proj_in.weight[:, 3:])
    for name, module in autoencoder.named_modules():
        if name.endswith("conv2"):
            torch.nn.init.zeros_(module.conv.weight)
            torch.nn.init.zeros_(module.conv.bias)
    return autoencoder


def new_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Mochi-1's: sigma runs from 0 (noise) to 1 (data)."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0, invert_sigmas=True)
