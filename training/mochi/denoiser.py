"""Stages three and four: the text encoder learns to read; then, with it frozen, the transformer learns to paint."""

import torch
from diffusers import MochiTransformer3DModel
from torch import nn

from training.fast import quicken_transformer
from training.loop import Place, train
from training.mochi.autoencoder import draw_weights, drawn, load_clips, statistics, tokenize
from training.mochi.reader import train_reader
from training.parts import new_text_encoder, new_tokenizer, new_transformer

HELD_BACK = 64  # clips at the end that are only looked at


class TextEncoder(nn.Module):
    """tokens: (B, L) -> (B, L, D), padding masked out."""

    def __init__(self, config: dict):
        super().__init__()
        self.t5 = new_text_encoder(config)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.t5(input_ids=tokens, attention_mask=real(tokens)).last_hidden_state


def real(tokens: torch.Tensor) -> torch.Tensor:
    """(B, L), False at padding."""
    return tokens != 0


def train_text_encoder(place: Place, config: dict) -> tuple[TextEncoder, bool]:
    """Stage three; returns (encoder with averaged weights, frozen, done)."""
    encoder, tokenizer = TextEncoder(config), new_tokenizer()
    width, settings = config["text_encoder"]["d_model"], config["reader_training"]
    done = train_reader(
        place, encoder, width, lambda texts: tokenize(tokenizer, texts), real, settings, config["seed"] + 2
    )
    return encoder, done


class Denoiser(nn.Module):
    """What predicts the way from noise to data: noisy latents and tokens in, velocity out."""

    def __init__(self, transformer: MochiTransformer3DModel, text_encoder: TextEncoder):
        super().__init__()
        self.text_encoder = text_encoder
        self.transformer = quicken_transformer(transformer)

    def forward(self, latents: torch.Tensor, share: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """latents: (B, 12, T, H, W); share: (B,), 0 for noise and 1 for data; tokens: (B, L)."""
        text = self.text_encoder(tokens)
        return self.transformer(latents, text, share * 1000, real(tokens), return_dict=False)[0]


def shares(count: int, generator) -> torch.Tensor:
    """Where on the way to train: half anywhere, half nearer to the noise, where the picture is decided."""
    device = generator.device
    anywhere = torch.rand(count, generator=generator, device=device)
    early = torch.sigmoid(torch.randn(count, generator=generator, device=device) * 1.2 - 1.2)
    return torch.where(torch.rand(count, generator=generator, device=device) < 0.5, anywhere, early)


def loss_of(denoiser, latents, tokens, share, generator) -> torch.Tensor:
    """Flow matching: x = (1 - s) noise + s data, the target is data - noise. One number per clip: (B,)."""
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    s = share.view(-1, 1, 1, 1, 1)
    velocity = denoiser((1 - s) * noise + s * latents, share, tokens)
    return (velocity.float() - (latents - noise)).square().mean((1, 2, 3, 4))


class Batches:
    """Latents sampled from their posteriors and normalised, with a caption each, some of them dropped.

    often: scenes that are drawn more often than the others, and how many times as often.
    """

    def __init__(self, place: Place, drop: float, often: dict[str, float]):
        self.moments, self.tokens = load_clips(place)
        self.mean, self.std = (v.view(1, -1, 1, 1, 1) for v in statistics(self.moments[:2000]))
        self.drop, self.train = drop, len(self.moments) - min(HELD_BACK, len(self.moments) // 10)
        self.weights = draw_weights(self.train, often, place.device)
        self.empty = torch.zeros_like(self.tokens[0, 0]).long()
        self.empty[0] = 1  # a lone </s>

    def take(self, places: torch.Tensor, generator, drop: float) -> tuple[torch.Tensor, torch.Tensor]:
        latents = (drawn(self.moments[places], generator) - self.mean) / self.std
        variants = self.tokens.shape[1]
        which = torch.randint(variants, places.shape, generator=generator, device=places.device)
        tokens = self.tokens[places, which].long()
        dropped = torch.rand(places.shape, generator=generator, device=places.device) < drop
        return latents, torch.where(dropped[:, None], self.empty, tokens)

    def draw(self, count: int, generator):
        places = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return self.take(places, generator, self.drop)

    def held_back(self, generator):
        places = torch.arange(self.train, len(self.moments), device=generator.device)
        return self.take(places, generator, 0.0)


def train_denoiser(place: Place, config: dict, text_encoder: TextEncoder, compiled: bool = False):
    """Stage four; returns (denoiser with averaged weights, (mean, std) of the latents, done)."""
    torch.manual_seed(config["seed"] + 1)
    settings = config["transformer_training"]
    denoiser = Denoiser(new_transformer(config), text_encoder).to(place.device)
    batches = Batches(place, settings["drop"], settings["often"])
    if compiled:  # block by block: they are alike, so one of them is compiled and serves for all
        for block in denoiser.transformer.transformer_blocks:
            block.compile()
    done = learn(place, settings, denoiser, batches, slow=("pos_frequencies",))
    return denoiser, new_tokenizer(), (batches.mean.flatten(), batches.std.flatten()), done


def learn(place: Place, settings: dict, denoiser: Denoiser, batches: Batches, slow: tuple[str, ...] = ()) -> bool:
    """The transformer learns, at a hundredth of the rate where its weights' names end as in slow; True when done."""
    denoiser.train()

    def loss_at(step, progress, generator):
        latents, tokens = batches.draw(settings["batch"], generator)
        with place.autocast():
            loss = loss_of(denoiser, latents, tokens, shares(len(latents), generator), generator).mean()
        return loss, {"loss": loss.detach()}

    def check(model):
        generator = torch.Generator(place.device).manual_seed(0)
        latents, tokens = batches.held_back(generator)
        share = torch.linspace(0.01, 0.99, len(latents), device=place.device)
        with place.autocast():
            return {"loss_held_back": float(loss_of(model, latents, tokens, share, generator).mean())}

    done = train(place, "transformer", denoiser, settings, loss_at, check, slow=slow)
    denoiser.eval()
    return done
