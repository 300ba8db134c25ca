"""From a sentence to a still picture: Stable Diffusion 3, denoiser and decoder on the mesh; Stable Diffusion 1 without.

    picture = still("a red ball on green grass", weights="models/tiny-sd3", mesh=mesh)      # (H, W, 3) in 0..1

Of many pictures a mesh makes as many at once as it has chips along sp, each on its own line of tp.

Without a mesh the same call runs diffusers' own StableDiffusion3Pipeline, on CUDA where there is a card. The text
encoders, two CLIPs and a T5, run on the host in both cases, by that pipeline's own code: the largest, T5-XXL, would
alone fill three quarters of a Wormhole chip. The scheduler is the same too, and so is all noise.

Folders of Stable Diffusion 1 (CompVis/stable-diffusion-v1-4) work in the call without a mesh; its UNet is not in ttnn.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import retrieve_timesteps
from diffusers.utils import is_accelerate_available
from diffusers.utils.torch_utils import randn_tensor
from tqdm.auto import tqdm
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from helpers.frames.transformer import Prompt, Transformer
from helpers.frames.vae import Decoder
from helpers.layers.config import check_config, one_of
from helpers.layers.parallel import degree
from helpers.layers.weights import Model, Weights, find_folder
from helpers.mesh import label

SD3 = Model(
    title="Stable Diffusion 3",
    name="stabilityai/stable-diffusion-3.5-medium",
    parts={
        "text_encoder": CLIPTextModelWithProjection,
        "text_encoder_2": CLIPTextModelWithProjection,
        "text_encoder_3": T5EncoderModel,
        "transformer": SD3Transformer2DModel,
        "vae": AutoencoderKL,
    },
    gigabytes={"text_encoder": 0.2, "text_encoder_2": 1.4, "text_encoder_3": 9.5, "transformer": 4.9, "vae": 0.2},
    beside=("tokenizer", "tokenizer_2", "tokenizer_3", "scheduler"),
)
SD1 = Model(
    title="Stable Diffusion 1",
    name="CompVis/stable-diffusion-v1-4",
    parts={"text_encoder": CLIPTextModel, "unet": UNet2DConditionModel, "vae": AutoencoderKL},
    gigabytes={"text_encoder": 0.2, "unet": 1.7, "vae": 0.2},
)
TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")  # of SD3, on the host
# what model_index.json says -> the class, and what the folder may leave out
PIPELINES = {
    "StableDiffusion3Pipeline": (StableDiffusion3Pipeline, {}),
    "StableDiffusionPipeline": (
        StableDiffusionPipeline,
        dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False),
    ),
}
MAX_TOKENS = 256  # of a prompt for T5: diffusers' own choice. A folder whose tokenizer says fewer gets fewer.


@dataclass(frozen=True)
class Request:
    """What to make. Raises ValueError for what no model can make."""

    prompt: str
    negative_prompt: str = ""
    steps: int = 20
    guidance: float = 4.5  # 1 and below: none
    height: int = 96
    width: int = 96
    seed: int = 0

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"{self.steps} steps are too few. Try 20.")


class StableDiffusion3:
    """The models of one folder, on one mesh. `model(prompt, ...)`, with Request's settings, makes a picture.

    `lines` is how many it makes at once: the chips along sp.
    """

    def __init__(self, mesh, weights: str | Path):
        """Raises FileNotFoundError and ValueError as helpers.layers.weights says. Loading is layer by layer."""
        folder = find_folder(weights, SD3)
        for part in TEXT_ENCODERS:  # all parts are checked before one is loaded
            Weights(folder, part, SD3)
        denoiser = Weights(folder, "transformer", SD3, Transformer.made_for)
        vae = Weights(folder, "vae", SD3, Decoder.made_for)
        fits = {"latent_channels": one_of(denoiser.config["in_channels"]), "out_channels": one_of(3)}
        check_config(vae.config, fits, f"{folder}/vae/config.json")
        self.mesh, self.lines = mesh, degree(mesh, "sp")
        self.texts = load(folder, transformer=None, vae=None)
        self.transformer = Transformer(mesh, denoiser, denoiser.config)
        self.decoder = Decoder(mesh, vae, vae.config)

    def __call__(self, prompt: str, seed: int = 0, **settings) -> torch.Tensor:
        """-> (height, width, 3) in 0..1"""
        return self.pictures([prompt], [seed], **settings)[0]

    def pictures(self, prompts: Sequence[str], seeds: Sequence[int], **settings) -> torch.Tensor:
        """One for each prompt and seed, all with the same other settings: (N, height, width, 3) in 0..1.

        Raises ValueError for no prompts, and where there are more or fewer seeds.
        """
        if not prompts or len(prompts) != len(seeds):
            raise ValueError(f"{len(prompts)} prompts and {len(seeds)} seeds: give a seed for each of some prompts.")
        requests = [Request(prompt, seed=seed, **settings) for prompt, seed in zip(prompts, seeds, strict=True)]
        made = [self._at_once(requests[at : at + self.lines]) for at in range(0, len(requests), self.lines)]
        return torch.cat(made)

    def _at_once(self, requests: list[Request]) -> torch.Tensor:
        """A picture for each line of chips. Where there are fewer, lines without one make the last once more."""
        filled = requests + requests[-1:] * (self.lines - len(requests)) if len(requests) > 1 else requests
        latents = self.denoise(*filled)
        return (self.decoder(latents)[: len(requests)].permute(0, 2, 3, 1) / 2 + 0.5).clamp(0, 1)

    def noise(self, request: Request, generator: torch.Generator) -> torch.Tensor:
        """(1, channels, h, w), drawn as diffusers draws it"""
        side = pixels_per_latent(self.decoder.config)
        check_size(request, side * self.transformer.config["patch_size"])
        shape = (1, self.transformer.config["in_channels"], request.height // side, request.width // side)
        return randn_tensor(shape, generator=generator, dtype=torch.float32)

    def encode(self, *requests: Request) -> tuple[Prompt, Prompt | None]:
        """What is wanted, and what is not, where there is guidance: of one request, or of one for each line of chips.

        Raises RuntimeError where the mesh is closed, and ValueError where requests go different ways.
        """
        if self.mesh.users == 0:
            raise RuntimeError("This model's mesh has been closed. Load it again: StableDiffusion3(mesh, weights).")
        if len({(request.steps, request.guidance) for request in requests}) > 1:
            raise ValueError("Pictures that are made at once have the same steps and guidance.")
        guided = requests[0].guidance > 1
        with torch.no_grad():
            hidden, unwanted_hidden, pooled, unwanted_pooled = self.texts.encode_prompt(
                [request.prompt for request in requests],
                None,
                None,
                negative_prompt=[request.negative_prompt for request in requests],
                do_classifier_free_guidance=guided,
                max_sequence_length=tokens_for_t5(self.texts),
            )
        wanted = self.transformer.prompt(hidden, pooled)
        return wanted, self.transformer.prompt(unwanted_hidden, unwanted_pooled) if guided else None

    def denoise(self, *requests: Request) -> torch.Tensor:
        """Flow matching by the folder's scheduler: latents (P, channels, h, w) for P requests, each from its seed."""
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        latents = torch.cat([self.noise(*each) for each in zip(requests, generators, strict=True)])
        wanted, unwanted = self.encode(*requests)
        steps, guidance = requests[0].steps, requests[0].guidance
        scheduler = draws_from(self.texts.scheduler, generators)
        timesteps, _ = retrieve_timesteps(scheduler, steps, "cpu")
        for timestep in tqdm(timesteps, unit="step", desc=f"denoise on {label(self.mesh)}", leave=False):
            flow = self.transformer(latents, wanted, timestep)
            if unwanted is not None:
                without = self.transformer(latents, unwanted, timestep)
                flow = without + guidance * (flow - without)
            latents = scheduler.step(flow, timestep, latents, return_dict=False)[0]
        return latents


def still(prompt: str, *, weights: str | Path, mesh=None, **settings) -> torch.Tensor:
    """A picture (height, width, 3) in 0..1, made on the mesh, or by diffusers where mesh is None."""
    request = Request(prompt, **settings)  # what cannot be made is said before anything is loaded
    return by_diffusers(weights, request) if mesh is None else StableDiffusion3(mesh, weights)(prompt, **settings)


def by_diffusers(weights: str | Path, request: Request) -> torch.Tensor:
    """The reference: diffusers' own pipeline, in bfloat16 on CUDA, in float32 on the CPU."""
    cuda = torch.cuda.is_available()
    folder = find_folder(weights, SD1 if str(weights) == SD1.name else SD3)
    pipeline = load(folder, torch.bfloat16 if cuda else torch.float32)
    pipeline.to("cuda" if cuda else "cpu")
    is_sd3 = isinstance(pipeline, StableDiffusion3Pipeline)
    patch = pipeline.transformer.config["patch_size"] if is_sd3 else 1
    check_size(request, pixels_per_latent(pipeline.vae.config) * patch)
    generator = torch.Generator().manual_seed(request.seed)
    draws_from(pipeline.scheduler, generator)
    pipeline.set_progress_bar_config(unit="step", desc=f"denoise by diffusers on {'CUDA' if cuda else 'the CPU'}")
    picture = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        height=request.height,
        width=request.width,
        generator=generator,
        output_type="pt",
        **({"max_sequence_length": tokens_for_t5(pipeline)} if is_sd3 else {}),
    ).images
    return picture[0].permute(1, 2, 0).float().cpu()


def load(folder: Path, dtype: torch.dtype = torch.float32, **without):
    """diffusers' pipeline of a folder; parts given as None stay out.

    Raises FileNotFoundError where there is no model_index.json, and ValueError for a folder of another pipeline.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise FileNotFoundError(f"{index} is missing: {folder} is no folder in diffusers' format.")
    name = json.loads(index.read_text()).get("_class_name")
    if name not in PIPELINES:
        raise ValueError(f"{folder} holds a {name}. Stills are made by {' or '.join(PIPELINES)}.")
    pipeline, spared = PIPELINES[name]
    return pipeline.from_pretrained(
        folder,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        low_cpu_mem_usage=is_accelerate_available(),
        **spared | without,
    )


def draws_from(scheduler, generators: torch.Generator | list[torch.Generator]):
    """The scheduler, which from now on draws the noise of its steps, where it adds any, from a generator a picture.

    diffusers' StableDiffusion3Pipeline gives its generators to the first noise only, and leaves the steps to torch's.
    """
    if scheduler.config.get("stochastic_sampling"):
        scheduler.step = partial(type(scheduler).step, scheduler, generator=generators)
    return scheduler


def tokens_for_t5(pipeline: StableDiffusion3Pipeline) -> int:
    return min(MAX_TOKENS, pipeline.tokenizer_3.model_max_length)


def pixels_per_latent(vae_config) -> int:
    """Rows of the picture for each of the latents: the decoder doubles them between its levels."""
    return 2 ** (len(vae_config["block_out_channels"]) - 1)


def check_size(request: Request, side: int) -> None:
    """Raises ValueError, naming the nearest that works, for a picture that is not made of whole patches."""
    for name, length in (("height", request.height), ("width", request.width)):
        if length < side or length % side:
            raise ValueError(
                f"A {name} of {length} does not divide by {side}. Try {max(side, round(length / side) * side)}."
            )
