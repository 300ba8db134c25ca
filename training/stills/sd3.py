"""tiny-sd3: its text encoders learn to read; then, with them frozen, the transformer learns to paint stills."""

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import nn

from training.loop import Place, train
from training.mochi.autoencoder import draw_weights, drawn
from training.mochi.denoiser import HELD_BACK, shares
from training.mochi.reader import train_reader
from training.parts import new_text_encoder, tie_capitals
from training.stills.frames import load_frames, statistics, tokenize
from training.stills.parts import (
    END,
    new_clip,
    new_clip_tokenizer,
    new_scheduler,
    new_t5_tokenizer,
    new_transformer,
)


class TextEncoder(nn.Module):
    """Both CLIPs and T5. tokens: (B, 2, 24), CLIP's and T5's -> (B, 49, D): what StableDiffusion3Pipeline joins.

    24 outputs of the CLIPs side by side, 24 of T5, and last the pooled text, which is as wide.
    """

    def __init__(self, config: dict):
        super().__init__()
        self.clips = nn.ModuleList(new_clip(width) for width in config["clips"])
        self.t5 = new_text_encoder(config)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        words, pieces = tokens.unbind(1)
        outs = [clip(words, output_hidden_states=True) for clip in self.clips]
        hidden = torch.cat([out.hidden_states[-2] for out in outs], dim=-1)
        t5 = self.t5(input_ids=pieces).last_hidden_state  # padding is seen too, in SD 3
        hidden = F.pad(hidden, (0, t5.shape[-1] - hidden.shape[-1]))
        pooled = torch.cat([out.text_embeds for out in outs], dim=-1)
        return torch.cat([hidden, t5, pooled[:, None]], dim=1)


def knowing(tokens: torch.Tensor) -> torch.Tensor:
    """(B, 2, 24) -> (B, 49), False where an output cannot know the whole caption: in CLIP a word sees no later one."""
    words, pieces = tokens.unbind(1)
    return torch.cat([words == END, torch.ones_like(pieces[:, :1], dtype=torch.bool).expand(-1, 25)], dim=1)


def train_text_encoder(place: Place, config: dict) -> tuple[TextEncoder, bool]:
    """Stage three; returns (encoder with averaged weights, frozen, done)."""
    encoder, width = TextEncoder(config), config["text_encoder"]["d_model"]
    done = train_reader(place, encoder, width, tokenize, knowing, config["reader_training"], config["seed"] + 2)
    return encoder, done


class Denoiser(nn.Module):
    """What predicts the way from data to noise: noisy latents and both kinds of tokens in, velocity out."""

    def __init__(self, config: dict, text_encoder: TextEncoder, transformer: SD3Transformer2DModel | None = None):
        """transformer: one that has learned already; a new one where it is None."""
        super().__init__()
        self.text_encoder = text_encoder
        self.transformer = transformer or new_transformer(config)

    def forward(self, latents: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """latents: (B, 16, H, W); sigma: (B,), 1 for noise and 0 for data; tokens: (B, 2, 24)."""
        text = self.text_encoder(tokens)
        return self.transformer(latents, text[:, :-1], text[:, -1], sigma * 1000, return_dict=False)[0]


def flow_loss(denoiser: nn.Module, latents, tokens, sigma, generator) -> torch.Tensor:
    """Flow matching as in SD 3: x = (1 - sigma) data + sigma noise, the target is noise - data. One number."""
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    s = sigma.view(-1, 1, 1, 1)
    velocity = denoiser((1 - s) * latents + s * noise, sigma, tokens)
    return (velocity.float() - (noise - latents)).square().mean()


class Batches:
    """Frames that show what their caption says: latents from their posteriors, normalised; some captions dropped.

    often: scenes that are drawn more often than the others, and how many times as often.
    """

    def __init__(self, place: Place, drop: float, often: dict[str, float]):
        clips = load_frames(place)
        self.moments, self.tokens = clips["moments"], clips["tokens"]
        self.mean, self.std = statistics(self.moments[:1000])
        self.empty, self.drop = tokenize([""])[0].to(place.device).long(), drop  # (2, 24)
        last = len(self.moments) - min(HELD_BACK, len(self.moments) // 10)
        frames = clips["shows"].nonzero()  # (frames, 2): clip and time
        self.train, self.rest = frames[frames[:, 0] < last], frames[frames[:, 0] >= last]
        self.weights = draw_weights(last, often, place.device)[self.train[:, 0]]  # of each frame

    def take(self, frames: torch.Tensor, generator, drop: float) -> tuple[torch.Tensor, torch.Tensor]:
        """frames: (B, 2) -> latents (B, 16, 12, 12), tokens (B, 2, 24)"""
        clip, time = frames.unbind(1)
        latents = (drawn(self.moments[clip, time], generator) - self.mean) / self.std
        variant = torch.randint(self.tokens.shape[1], clip.shape, generator=generator, device=clip.device)
        dropped = torch.rand(clip.shape, generator=generator, device=clip.device) < drop
        return latents, torch.where(dropped[:, None, None], self.empty, self.tokens[clip, variant].long())

    def draw(self, count: int, generator):
        some = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return self.take(self.train[some], generator, self.drop)

    def held_back(self, generator, count: int = 128):
        return self.take(self.rest[:: max(1, len(self.rest) // count)], generator, 0.0)


def train_denoiser(
    place: Place, config: dict, batches: Batches, text_encoder: TextEncoder, learned=None
) -> tuple[Denoiser, bool]:
    """Stage four; returns (denoiser with averaged weights, done). learned: the transformer to go on with, if any."""
    torch.manual_seed(config["seed"] + 1)
    settings = config["transformer_training"]
    denoiser = Denoiser(config, text_encoder, learned).to(place.device).train()

    def loss_at(step, progress, generator):
        latents, tokens = batches.draw(settings["batch"], generator)
        with place.autocast():
            loss = flow_loss(denoiser, latents, tokens, 1 - shares(len(latents), generator), generator)
        return loss, {"loss": loss.detach()}

    def check(model):
        generator = torch.Generator(place.device).manual_seed(0)
        latents, tokens = batches.held_back(generator)
        sigma = torch.linspace(0.01, 0.99, len(latents), device=place.device)
        with place.autocast():
            return {"loss_held_back": float(flow_loss(model, latents, tokens, sigma, generator))}

    done = train(place, "transformer", denoiser, settings, loss_at, check)
    return denoiser.eval(), done


def make_sd3(place: Place, config: dict, autoencoder, out) -> bool:
    """Stages three and four in a folder of their own, from the shared latents, and the diffusers folder."""
    own = dataclasses.replace(place, folder=place.folder / "sd3")
    text_encoder, done = train_text_encoder(own, config)
    if not done:
        return False
    settings = config["transformer_training"]
    batches = Batches(place, settings["drop"], settings["often"])
    denoiser, done = train_denoiser(own, config, batches, text_encoder)
    if done:
        save_pipeline(out, autoencoder, denoiser, batches.mean, batches.std)
    return done


def save_pipeline(folder, autoencoder, denoiser: Denoiser, mean: float, std: float) -> Path:
    """Write what stock `StableDiffusion3Pipeline.from_pretrained` loads: bfloat16, latent statistics inside."""
    words, pieces, text = new_clip_tokenizer(), new_t5_tokenizer(), denoiser.text_encoder
    tie_capitals(text.t5, pieces)
    autoencoder.register_to_config(scaling_factor=1 / std, shift_factor=mean)
    pipeline = StableDiffusion3Pipeline(
        denoiser.transformer, new_scheduler(), autoencoder, text.clips[0], words, text.clips[1], words, text.t5, pieces
    )
    pipeline.to("cpu", torch.bfloat16)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return Path(folder)
