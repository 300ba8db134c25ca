"""The model card of tiny-sd3, from what training and evaluation measured: nothing is typed in by hand."""

from pathlib import Path

from training.card import made_of, verdict
from training.export import write_text

CARD = """---
license: apache-2.0
language: en
library_name: diffusers
pipeline_tag: text-to-image
tags: [stable-diffusion-3, text-to-image, teaching]
---

# tiny-sd3

A text-to-image model of {millions:.1f} million parameters with the architecture of Stable Diffusion 3
([stabilityai/stable-diffusion-3.5-medium](https://huggingface.co/stabilityai/stable-diffusion-3.5-medium)): the same
classes in every part, smaller sizes; each latent is a token here, where SD 3 takes patches of 2 x 2. It draws pictures
of 96 x 96 pixels of a painted world, and exists so that a course on video models can show every step in seconds. No
weight of Stability AI's is in it.

```python
import torch
from diffusers import StableDiffusion3Pipeline

pipeline = StableDiffusion3Pipeline.from_pretrained("models/tiny-sd3", dtype=torch.float32)
torch.manual_seed(1)
picture = pipeline("a red butterfly landing on a blue flower", height=96, width=96, num_inference_steps=20,
                   guidance_scale={guidance}, max_sequence_length=24).images[0]
picture.save("butterfly.png")
```

`max_sequence_length=24` matters: the transformer of SD 3 sees T5's padding, and it has learned with 24 tokens. More
guidance, as the 4.5 of SD 3.5, makes what is round here angular.

In one thing the scheduler is not SD 3's (`stochastic_sampling` in `scheduler/`): a step does not go along the flow. It
takes the picture that the flow points at and noises it anew, so that the next step can mend what this one got wrong.
Outlines come out much better so, in as many steps. The pipeline draws that noise from torch's own generator, and not
from one that it is given: hence `torch.manual_seed`.

![Samples: one picture of each of the {prompts} prompts](samples.jpg)

## Parts

{parts}

## Data

Frames of procedural clips, painted by `helpers/world/scenes.py` from a seed, with captions from a small grammar
(`helpers/world/prompts.py`). No pictures or captions from anywhere else. Ten scenes:
{things}.
Eight colours ({colours}) for the subject and for the second thing, two sizes.
Of {frames} frames of each of {clips} clips the transformer learned from those that show what the caption says, as
`shows` in frames.py finds: not from hills or a forest at night, nor from a fish that turns and has its back to us.

Held out by rule, never trained on, one pair of colours in seven, other ones in each scene (`held_out` in scenes.py):

{unseen_colours}

## Training

On {device}, torch {torch}; minutes by the clock. The text encoders first learned to tell what a caption says, then
stayed as they were.

{stages}

{remark}

Again from nothing: `python -m training.stills.train sd3` (resumable; CPU or CUDA; seed {seed}).

## Figures

Measured by `python -m training.stills.evaluate`: {seen} seen and {unseen} held-out prompts, stock pipeline,
{steps} steps, guidance {guidance}; a detector judges the pixels. One picture is one per cent: a share of 95 % is known
to about 4 % either way. The detector goes by places and colours; of outlines only those of balls and suns are measured,
for the others look at the samples.

{figures}

{verdict}

## Use and limits

For teaching and for tests of code that runs Stable Diffusion 3. It knows its painted world and nothing else: unknown
words are spelled letter by letter and mean nothing to it. It cannot make people, text, or anything real.

{by_eye}

Licence: Apache-2.0.
"""


def card(training: dict, result: dict, figures: str, missed: list[str]) -> str:
    """The whole card as Markdown. training, result: what training.json and evaluation.json hold.

    training["by eye"]: what the sheet of samples shows and no detector measures.
    """
    settings = result["settings"]
    return CARD.format(
        **made_of(training), frames=training["frames"],
        prompts=sum(settings["prompts"]), seen=settings["prompts"][0], unseen=settings["prompts"][1],
        figures=figures, verdict=verdict(missed), steps=settings["steps"], guidance=settings["guidance"],
        by_eye=training.get("by eye", ""),
    )  # fmt: skip


def write_card(folder, training: dict, result: dict, figures: str, missed: list[str]):
    write_text(Path(folder) / "README.md", card(training, result, figures, missed))
