"""The model card of tiny-animatediff, from what training and evaluation measured: nothing is typed in by hand."""

from training.card import made_of

CARD = """---
license: apache-2.0
language: en
library_name: diffusers
pipeline_tag: text-to-video
tags: [animatediff, text-to-video, teaching]
---

# tiny-animatediff

A text-to-video model of {millions:.1f} million parameters, made as AnimateDiff is
([guoyww/animatediff-motion-adapter-v1-5-2](https://huggingface.co/guoyww/animatediff-motion-adapter-v1-5-2) on Stable
Diffusion 1.5): a UNet that paints single frames, and a motion adapter that learned afterwards to tie {frames} frames
together. The classes are AnimateDiff's, the sizes are small, and no weight of theirs is in it. It draws clips of
96 x 96 pixels of a painted world, and exists so that a course on video models can show every step in seconds.

```python
import torch
from diffusers import AnimateDiffPipeline
from diffusers.utils import export_to_gif

pipeline = AnimateDiffPipeline.from_pretrained("models/tiny-animatediff", dtype=torch.float32)
video = pipeline("a red ball bouncing left", num_frames={frames}, num_inference_steps={steps},
                 guidance_scale={guidance}, generator=torch.Generator().manual_seed(1)).frames[0]
export_to_gif(video, "ball.gif", fps=6)
```

`MotionAdapter.from_pretrained("models/tiny-animatediff/motion_adapter")` loads the motion modules alone.

![Samples: eight frames of each of 20 prompts](samples.jpg)

## Parts

{parts}

Two things are unlike Stable Diffusion 1.5. Latents have 16 channels, brought to mean 0 and standard deviation 1 by the
autoencoder's own 1 x 1 convolutions. The UNet predicts velocity, and its noise ends as pure noise (`scheduler/`).

## Data

Procedural clips, painted by `helpers/world/scenes.py` from a seed, with captions from a small grammar
(`helpers/world/prompts.py`), {clips} clips of {frames} frames. No pictures, videos or captions from anywhere else.
Ten scenes: {things}. Eight colours ({colours}) for the subject and for the second thing, two sizes.

Held out by rule, never trained on, one pair of colours in seven, other ones in each scene (`held_out` in scenes.py):

{unseen_colours}

## Training

On {device}, torch {torch}, beside other work. {order}

{stages}

{remark}

Again from nothing: `python -m training.stills.train animatediff` (resumable; CPU or CUDA; seed {seed}).

## Figures

Measured by `python -m training.animatediff.evaluate`: {seen} seen and {unseen} held-out prompts, stock
pipeline in bfloat16, {steps} steps, guidance {guidance}; detectors judge the pixels (`detectors.py`). Painted clips are
what the model learned from; shuffled captions are the same clips under each other's prompts, which is chance.

{figures}

A motion counts in the right scene only. Coherence is measured on the first {coherence} prompts (`metrics.py`); the
second row is this UNet with its motion modules left out, from the same noise.

It is weakest in this: {weakest}, right in {share:.0f} % of the clips.

## Use and limits

For teaching and for tests of code that runs AnimateDiff. It knows its painted world and nothing else: unknown words are
spelled letter by letter and mean nothing to it. It cannot make people, text, or anything real.

{by_eye}

Licence: Apache-2.0.
"""


STAGES = ("autoencoder", "reader", "unet", "motion", "together", "decoder, again")
FROZEN = "Each stage stays as it was while the next one learns."
TOGETHER = (
    "Each stage stays as it was while the next one learns; in `together` UNet and motion modules learn on as one."
)


def card(training: dict, result: dict, figures: str) -> str:
    """The whole card as Markdown. training, result: what training.json and evaluation.json hold.

    training["by eye"]: what the sheet of samples shows and no detector measures.
    """
    settings, follows = result["settings"], result["follows"]["all"]
    weakest = min(follows, key=follows.get)
    stages = {name: training["stages"][name] for name in STAGES if name in training["stages"]}
    return CARD.format(
        **made_of(training | {"stages": stages}), order=TOGETHER if "together" in stages else FROZEN,
        by_eye=training.get("by eye", ""), figures=figures, weakest=weakest, share=100 * follows[weakest],
        seen=settings["prompts"][0], unseen=settings["prompts"][1],
        **{name: settings[name] for name in ("steps", "guidance", "frames", "coherence")},
    )  # fmt: skip
