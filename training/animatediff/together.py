"""Stage four of tiny-animatediff: UNet and motion modules learn on together, from a few frames of many clips.

AnimateDiff leaves the UNet as it is. But a UNet that has learned from single frames is deaf to the words that only
time can show: a rocket that takes off and one that lands pass through the same places, so nothing in its features
tells the motion modules which of the two was asked for. Here it learns to hand these words on.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from diffusers import MotionAdapter, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.embeddings import SinusoidalPositionalEmbedding

from training.animatediff.parts import TextEncoder, new_scheduler
from training.animatediff.stages import Clips, joined, loss_of
from training.loop import Place, train


def train_together(
    place: Place, config: dict, encoder: TextEncoder, unet: UNet2DConditionModel, adapter: MotionAdapter, clips: Clips
) -> bool:
    """Both learn, in place; True when done, and then they are left with averaged weights, frozen."""
    torch.manual_seed(config["seed"] + 5)
    settings = config["together_training"]
    joint = joined(unet, adapter).requires_grad_(True).train()
    joint.set_attn_processor(AttnProcessor())
    times = [module for module in joint.modules() if isinstance(module, SinusoidalPositionalEmbedding)]

    def loss_of_clips(latents, tokens, generator, weights=1.0) -> torch.Tensor:
        """latents: (B, F, C, H, W), at the places in time that are set; tokens: (B, 24); weights: (B, 1, 1, H, W)"""
        with place.autocast():
            text = encoder(tokens).repeat_interleave(latents.shape[1], 0)  # each frame hears the caption
            denoise = lambda noisy, t: joint(noisy, t, text, return_dict=False)[0]
            return loss_of(denoise, new_scheduler(), latents.transpose(1, 2), generator, weights)

    def loss_at(step, progress, generator):
        _, count, length = next(phase for phase in settings["phases"] if progress < phase[0])
        frames = spread(length, clips.moments.shape[1], generator)
        place_in_time(times, frames)
        losses = side_by_side(
            [lambda part=part: loss_of_clips(*part) for part in parts_of(clips, count, frames, generator, settings)]
        )
        return losses.mean(), {"loss": losses.mean()}

    def check(_):
        generator, frames = torch.Generator(place.device).manual_seed(0), torch.arange(clips.moments.shape[1])
        place_in_time(times, frames)
        latents, tokens = clips.held_back(16, generator, whole=True)
        return {"loss_held_back": float(loss_of_clips(latents, tokens, generator))}

    done = train(place, "together", joint, settings, loss_at, check)
    for module in times:
        vars(module).pop("forward", None)
    weights = joint.state_dict()
    unet.load_state_dict({name: weights[name] for name in unet.state_dict()})
    for model in (unet, adapter):
        model.eval().requires_grad_(False)
    return done


def spread(count: int, length: int, generator) -> torch.Tensor:
    """`count` frames of `length`, one from each of as many equal parts: (count,). All frames, if count is length."""
    places = torch.arange(count, device=generator.device)
    within = torch.rand(count, generator=generator, device=generator.device)
    return ((places + within) * length / count).long()


def place_in_time(embeddings: list[SinusoidalPositionalEmbedding], frames: torch.Tensor):
    """Tell motion modules which frames (F,) of a clip they are given; by themselves they count from nought."""
    for module in embeddings:
        module.forward = lambda x, module=module: x + module.pe[:, frames]


def side_by_side(losses: list[Callable[[], torch.Tensor]]) -> torch.Tensor:
    """Each loss and its way back in a thread of its own, gradients of their mean in the weights: (threads,), no graph.

    On a CPU this is faster than threads within each operation, which wait for each other thousands of times a step.
    """

    def there_and_back(loss):
        value = loss()
        (value / len(losses)).backward()
        return value.detach()

    with ThreadPoolExecutor(len(losses)) as pool:
        return torch.stack(list(pool.map(there_and_back, losses)))


def parts_of(clips: Clips, count: int, frames: torch.Tensor, generator, settings: dict):
    """A batch of clips in equal parts, each with a generator of its own for its noise, and its errors' weights."""
    places = clips.places(count, generator)
    for some in places.chunk(settings["threads"]):
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        own = torch.Generator(generator.device).manual_seed(seed)
        weights = 1 + settings["moving"] * clips.motion(some)[:, None, None]
        yield *clips.take(some, frames.expand(len(some), -1), own, clips.drop), own, weights
