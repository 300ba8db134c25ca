"""The stages of tiny-animatediff, on the latents that frames.py has made of many clips.

Three stages, each resumable: the text encoder learns to read; a UNet learns to paint single frames; then, with all of
that frozen, as AnimateDiff does it (arXiv 2307.04725), motion modules between its blocks learn from whole clips. The
fourth is in together.py.
"""

import torch
from diffusers import DDIMScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D

from training.animatediff.parts import (
    TextEncoder,
    new_motion_adapter,
    new_scheduler,
    new_unet,
)
from training.loop import Place, train
from training.mochi.autoencoder import draw_weights, drawn, statistics, tokenize
from training.mochi.denoiser import HELD_BACK
from training.mochi.reader import train_reader
from training.stills.frames import load_frames
from training.stills.parts import END, new_clip_tokenizer


def at_end(tokens: torch.Tensor) -> torch.Tensor:
    """(B, 24), True at the end and after it: CLIP looks back only, so from there on a token knows the whole caption."""
    return tokens == END


def train_text_encoder(place: Place, config: dict) -> tuple[TextEncoder, bool]:
    """Stage one; returns (encoder with averaged weights, frozen, done)."""
    encoder, tokenizer = TextEncoder(config), new_clip_tokenizer()
    width, settings = config["text_encoder"]["hidden_size"], config["reader_training"]
    done = train_reader(
        place, encoder, width, lambda texts: tokenize(tokenizer, texts), at_end, settings, config["seed"] + 2
    )
    return encoder, done


class Clips:
    """Latents of clips, normalised channel by channel, with a caption each, some of them dropped.

    often: scenes that are drawn more often than the others, and how many times as often.
    """

    def __init__(self, place: Place, drop: float, often: dict[str, float]):
        frames = load_frames(place)
        self.moments, self.tokens = frames["moments"], frames["tokens"][:, :, 0]  # (N, T, 2 C, H, W), CLIP's (N, K, 24)
        self.mean, self.std = statistics(self.moments[:500].transpose(1, 2))
        self.drop, self.train = drop, len(self.moments) - min(HELD_BACK, len(self.moments) // 10)
        self.empty = tokenize(new_clip_tokenizer(), [""])[0].to(place.device).long()
        self.weights = draw_weights(self.train, often, place.device)

    def take(self, places: torch.Tensor, frames: torch.Tensor, generator, drop: float):
        """Clips by their places (B,), of each the frames (B, F) -> latents (B, F, C, H, W) and tokens (B, 24)"""
        latents = drawn(self.moments[places[:, None], frames], generator, dim=2)
        latents = (latents - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)
        which = torch.randint(self.tokens.shape[1], places.shape, generator=generator, device=places.device)
        dropped = torch.rand(places.shape, generator=generator, device=places.device) < drop
        return latents, torch.where(dropped[:, None], self.empty, self.tokens[places, which].long())

    def draw(self, count: int, generator, whole: bool):
        """Training clips: all their frames, or one of each."""
        return self.take(self.places(count, generator), self._frames(count, generator, whole), generator, self.drop)

    def places(self, count: int, generator) -> torch.Tensor:
        """Training clips by their places: (count,)"""
        return torch.multinomial(self.weights, count, replacement=True, generator=generator)

    def motion(self, places: torch.Tensor) -> torch.Tensor:
        """How much moves at each place of clips (B,) -> (B, H, W): 0 where nothing does, about 1 where a thing passes.

        The standard deviation of latents over a clip's time, as a share of that over all clips; channels' mean.
        """
        latents = self.moments[places].chunk(2, 2)[0].float()  # the posteriors' means
        return (latents.std(1, correction=0) / self.std.view(-1, 1, 1)).mean(1)

    def held_back(self, count: int, generator, whole: bool):
        """The first of those that are never trained on."""
        places = torch.arange(self.train, len(self.moments), device=generator.device)[:count]
        return self.take(places, self._frames(len(places), generator, whole), generator, 0.0)

    def _frames(self, count: int, generator, whole: bool) -> torch.Tensor:
        length, device = self.moments.shape[1], generator.device
        if whole:
            return torch.arange(length, device=device).expand(count, -1)
        return torch.randint(length, (count, 1), generator=generator, device=device)


def loss_of(denoise, scheduler: DDIMScheduler, latents: torch.Tensor, generator, weights=1.0) -> torch.Tensor:
    """Mean squared error of the velocity; each of the batch has another share of the way, spread evenly over it.

    latents: (B, ...). denoise(noisy latents, timesteps (B,)) -> velocity. weights: of the squared errors, like latents.
    """
    count, steps = len(latents), scheduler.config.num_train_timesteps
    spread = torch.arange(count, device=latents.device) + torch.rand(count, generator=generator, device=latents.device)
    timesteps = (spread / count * steps).long().clamp(max=steps - 1)
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    velocity = denoise(scheduler.add_noise(latents, noise, timesteps), timesteps)
    return ((velocity.float() - scheduler.get_velocity(latents, noise, timesteps)).square() * weights).mean()


def train_unet(place: Place, config: dict, encoder: TextEncoder, clips: Clips) -> tuple[UNet2DConditionModel, bool]:
    """Stage two; returns (UNet with averaged weights, done)."""
    torch.manual_seed(config["seed"] + 3)
    unet = new_unet(config).to(place.device).train()

    def velocity(model, latents, text, generator):
        denoise = lambda noisy, t: model(noisy, t, text, return_dict=False)[0]
        return loss_of(denoise, new_scheduler(), latents[:, 0], generator)

    done = _train(place, "unet", unet, config["unet_training"], encoder, clips, velocity, whole=False)
    return unet.eval().requires_grad_(False), done


def train_motion(place: Place, config: dict, encoder: TextEncoder, unet, clips: Clips) -> tuple[MotionAdapter, bool]:
    """Stage three, with a finished UNet; returns (motion adapter with averaged weights, done)."""
    torch.manual_seed(config["seed"] + 4)
    adapter = new_motion_adapter(config).to(place.device).train()
    joint = joined(unet, adapter)

    def velocity(_, latents, text, generator):
        text = text.repeat_interleave(latents.shape[1], 0)  # each frame hears the caption
        denoise = lambda noisy, t: joint(noisy, t, text, return_dict=False)[0]
        return loss_of(denoise, new_scheduler(), latents.transpose(1, 2), generator)

    done = _train(place, "motion", adapter, config["motion_training"], encoder, clips, velocity, whole=True)
    return adapter.eval().requires_grad_(False), done


def joined(unet: UNet2DConditionModel, adapter: MotionAdapter) -> UNetMotionModel:
    """The UNet, frozen, with the adapter's own motion modules in it, where diffusers would put copies.

    torch's fused attention is slow in training on hundreds of sequences of 16 frames; written out it is the same.
    """
    joint = UNetMotionModel.from_unet2d(unet, adapter).requires_grad_(False)
    for blocks, motions in ((joint.down_blocks, adapter.down_blocks), (joint.up_blocks, adapter.up_blocks)):
        for block, motion in zip(blocks, motions, strict=True):
            block.motion_modules = motion.motion_modules
    joint.mid_block.motion_modules = adapter.mid_block.motion_modules
    for module in adapter.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            for block in module.transformer_blocks:
                block.attn1.processor, block.attn2.processor = AttnProcessor(), AttnProcessor()
    return joint


def _train(place: Place, stage: str, model, settings: dict, encoder, clips: Clips, velocity, whole: bool) -> bool:
    """velocity(model, latents (B, F, C, H, W), text (B, 24, D), generator) -> loss"""

    def loss_at(step, progress, generator):
        latents, tokens = clips.draw(settings["batch"], generator, whole)
        with place.autocast():
            loss = velocity(model, latents, encoder(tokens), generator)
        return loss, {"loss": loss.detach()}

    def check(trained):
        generator = torch.Generator(place.device).manual_seed(0)
        latents, tokens = clips.held_back(16 if whole else 64, generator, whole)
        with place.autocast():
            return {"loss_held_back": float(velocity(trained, latents, encoder(tokens), generator))}

    return train(place, stage, model, settings, loss_at, check)
