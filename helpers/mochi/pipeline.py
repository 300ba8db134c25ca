"""From a sentence to frames: text encoder, denoising loop, decoder, all on the mesh.

    video = generate("a red ball bounces", weights="models/tiny-mochi", mesh=mesh)      # (T, H, W, 3) in 0..1

Without a mesh the same call runs diffusers' own MochiPipeline, on CUDA where there is a card. Tokenizer, schedule and
scheduler are diffusers' and transformers' in both cases, and the same seed gives the same first noise.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, MochiPipeline
from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule, retrieve_timesteps
from diffusers.utils import is_accelerate_available
from diffusers.utils.torch_utils import randn_tensor
from tqdm.auto import tqdm
from transformers import AutoTokenizer

from helpers.layers.config import check_config, one_of, product_of
from helpers.layers.weights import Weights, find_folder
from helpers.mesh import label
from helpers.mochi.parts import Parts, freed_on
from helpers.mochi.t5 import T5Encoder
from helpers.mochi.traced import Traced
from helpers.mochi.transformer import Prompt, Transformer
from helpers.mochi.vae import Decoder

MAX_TOKENS = 256  # of a prompt, in Mochi-1
THRESHOLD_NOISE = 0.025  # of the linear-quadratic schedule, in Mochi-1
PER_LATENT, PER_LATENT_SIDE = 6, 8  # frames and pixels for each latent one
PATCH = 2  # latents on a side of a patch


@dataclass(frozen=True)
class Request:
    """What to make. Raises ValueError, naming the nearest that works, for what Mochi cannot make.

    callback(step, latents) is called after each step.
    """

    prompt: str
    negative_prompt: str = ""
    steps: int = 20
    guidance: float = 4.5  # 1 and below: none
    frames: int = 31
    height: int = 96
    width: int = 96
    seed: int = 0
    traced: bool = False  # on a mesh: the denoiser's calls are sent to the chips once, not at every step
    callback: Callable | None = None

    def __post_init__(self):
        check_request(self.frames, self.height, self.width, self.steps)


class Mochi(Parts):
    """The models of one folder on one mesh. `mochi(prompt, ...)`, with Request's settings, makes a video."""

    def __init__(self, mesh, weights: str | Path):
        """Raises FileNotFoundError and ValueError as helpers.layers.weights says. Loading is layer by layer."""
        folder = find_folder(weights)
        text = Weights(folder, "text_encoder", made_for=T5Encoder.made_for)  # all are checked before one is loaded
        denoiser = Weights(folder, "transformer", made_for=Transformer.made_for)
        vae = Weights(folder, "vae", made_for=Decoder.made_for)
        check_together(folder, text.config, denoiser.config, vae.config)
        check_scheduler(folder / "scheduler")
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        self.scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
        super().__init__(mesh, {"text_encoder": text, "transformer": denoiser, "vae": vae})

    def __call__(self, prompt: str, **settings) -> torch.Tensor:
        """-> (frames, height, width, 3) in 0..1"""
        request = Request(prompt, **settings)
        channels = self.weights["transformer"].config["in_channels"]  # the model itself may be freed, and would load
        latents = self.denoise(first_noise(channels, request), request)
        self.free(*freed_on(self.mesh.system))
        video = self.decoder(latents)
        return (video[0].permute(1, 2, 3, 0) / 2 + 0.5).clamp(0, 1)

    def encode(self, prompt: str) -> Prompt:
        """Raises RuntimeError where the mesh has been closed in the meantime."""
        if self.mesh.users == 0:
            raise RuntimeError("The mesh of this model has been closed. Load it again: Mochi(open_mesh(...), weights).")
        tokens = self.tokenizer(
            [prompt], padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
        )
        hidden = self.text_encoder(tokens.input_ids, tokens.attention_mask)
        return self.transformer.prompt(hidden.float(), tokens.attention_mask)

    def denoise(self, latents: torch.Tensor, request: Request) -> torch.Tensor:
        """Flow matching by Euler steps, (1, channels, T, h, w) noise -> latents of the same shape."""
        texts = [request.prompt, request.negative_prompt] if request.guidance > 1 else [request.prompt]
        prompts = [self.encode(text) for text in texts]
        timesteps = set_timesteps(self.scheduler, request.steps)
        with tqdm(total=request.steps, unit="step") as bar, self.flows(prompts, request.traced) as flows:
            for step, timestep in enumerate(timesteps):
                bar.set_description(f"denoise {step + 1}/{request.steps} on {label(self.mesh)}")
                flow, *unwanted = flows(latents, timestep)
                for without in unwanted:
                    flow = without + request.guidance * (flow - without)
                latents = self.scheduler.step(flow, timestep, latents, return_dict=False)[0]
                bar.update()
                if request.callback is not None:
                    tell(request.callback, bar, step, latents)
        return latents

    def flows(self, prompts: list[Prompt], traced: bool):
        """For `with`: a function of latents and timestep, which gives the denoiser's output for each prompt."""
        if traced:
            return Traced(self.transformer, prompts)
        plain = lambda latents, timestep: [self.transformer(latents, prompt, timestep) for prompt in prompts]
        return nullcontext(plain)


def tell(callback, bar, step: int, latents: torch.Tensor) -> None:
    """Calls back. Where that ends the work, the bar says so, and is not red: somebody wanted it."""
    try:
        callback(step, latents)
    except BaseException:
        bar.set_description(f"stopped after step {step + 1} of {bar.total}")
        bar.total = bar.n
        raise


def check_together(folder: Path, text: dict, denoiser: dict, vae: dict) -> None:
    """Raises ValueError for configs of parts that do not fit each other, or the sizes that are fixed in Mochi-1."""
    of_denoiser = {"patch_size": one_of(PATCH), "text_embed_dim": one_of(text["d_model"])}
    of_vae = {
        "latent_channels": one_of(denoiser["in_channels"]),
        "out_channels": one_of(3),
        "temporal_expansions": product_of(PER_LATENT),
        "spatial_expansions": product_of(PER_LATENT_SIDE),
    }
    check_config(denoiser, of_denoiser, f"{folder}/transformer/config.json")
    check_config(vae, of_vae, f"{folder}/vae/config.json")


def check_scheduler(folder: Path) -> None:
    """Raises ValueError for another scheduler: diffusers would read its numbers into this one without a word."""
    config = FlowMatchEulerDiscreteScheduler.load_config(folder, local_files_only=True)
    made_for = {"_class_name": one_of(FlowMatchEulerDiscreteScheduler.__name__)}
    check_config(config, made_for, f"{folder}/scheduler_config.json")


def generate(prompt: str, *, weights: str | Path, mesh=None, **settings) -> torch.Tensor:
    """A video (frames, height, width, 3) in 0..1, made on the mesh, or by diffusers where mesh is None.

    settings: of Request, beside the prompt. Raises ValueError for what cannot be made.
    """
    request = Request(prompt, **settings)  # what cannot be made is said before anything is loaded
    if mesh is None and request.traced:
        raise ValueError("Only a mesh executes traces, and there is none. Give one, or leave traced.")
    return by_diffusers(weights, request) if mesh is None else Mochi(mesh, weights)(prompt, **settings)


def by_diffusers(weights: str | Path, request: Request) -> torch.Tensor:
    """The reference: diffusers' own pipeline, in bfloat16 on CUDA, in float32 on the CPU."""
    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    lean = is_accelerate_available()
    pipeline = MochiPipeline.from_pretrained(
        find_folder(weights), dtype=dtype, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=lean
    )
    pipeline.set_progress_bar_config(unit="step", desc=f"denoise by diffusers on {'CUDA' if cuda else 'the CPU'}")
    if cuda and lean:
        pipeline.enable_model_cpu_offload()  # the real model is larger than most cards
    elif cuda:
        pipeline.to("cuda")
    video = pipeline(
        request.prompt,
        request.negative_prompt,
        height=request.height,
        width=request.width,
        num_frames=request.frames,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="pt",
        callback_on_step_end=diffusers_callback(request),
        max_sequence_length=MAX_TOKENS,
    ).frames
    return video[0].permute(0, 2, 3, 1).float().cpu()


def diffusers_callback(request: Request) -> Callable | None:
    """The request's callback in the form that diffusers' pipelines want."""

    def after_step(pipeline, step, timestep, state):
        request.callback(step, state["latents"])
        return state

    return after_step if request.callback else None


def set_timesteps(scheduler, steps: int) -> torch.Tensor:
    """Mochi's schedule: half of the steps in the first 2.5 % of the way, from noise (0) to data (1000)."""
    sigmas = linear_quadratic_schedule(steps, THRESHOLD_NOISE)
    timesteps, _ = retrieve_timesteps(scheduler, steps, "cpu", None, sigmas)
    scheduler.set_begin_index(0)
    return timesteps


def first_noise(channels: int, request: Request) -> torch.Tensor:
    """(1, channels, T, h, w), the same as diffusers' MochiPipeline draws for a generator with this seed."""
    frames, side = (request.frames - 1) // PER_LATENT + 1, PER_LATENT_SIDE
    shape = (1, channels, frames, request.height // side, request.width // side)
    return randn_tensor(shape, generator=torch.Generator().manual_seed(request.seed), dtype=torch.float32)


def check_request(frames: int, height: int, width: int, steps: int) -> None:
    """Raises ValueError, naming the nearest that works, for what Mochi cannot make."""
    if frames < 1 or (frames - 1) % PER_LATENT:
        below = max(0, frames - 1) // PER_LATENT * PER_LATENT + 1
        raise ValueError(f"{frames} frames cannot be made: Mochi makes 6 k + 1. Try {below} or {below + PER_LATENT}.")
    side = PATCH * PER_LATENT_SIDE
    for name, length in (("height", height), ("width", width)):
        if length < side or length % side:
            raise ValueError(
                f"A {name} of {length} does not divide by {side}. Try {max(side, round(length / side) * side)}."
            )
    if steps < 2:
        raise ValueError(f"{steps} steps are too few: the schedule has two halves. Try 20.")
