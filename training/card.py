"""The model card of a trained miniature: `python -m training.card models/tiny-mochi`.

Figures come from training.json (written by train) and evaluation.json (written by evaluate), both in the folder;
what the world holds comes from scenes.py. Nothing is typed in by hand, so the card cannot claim what was not measured.
"""

import argparse
import json
from pathlib import Path

from helpers.world.scenes import COLOUR_NAMES, SCENES, UNSEEN
from training.export import write_text
from training.mochi.attention import table as attention_table
from training.mochi.evaluate import ASPECTS, GOALS, table

PSNR_GOAL, SECONDS_GOAL, GIGABYTES_GOAL, COHERENCE_GOAL = 30.0, 5.0, 2.0, 0.10

CARD = """---
license: apache-2.0
language: en
library_name: diffusers
pipeline_tag: text-to-video
tags: [mochi, text-to-video, teaching]
---

# tiny-mochi

A text-to-video model of {millions:.1f} million parameters with the architecture of Mochi-1
([genmo/mochi-1-preview](https://huggingface.co/genmo/mochi-1-preview)): the same classes in every part, smaller sizes.
It draws little moving pictures of a painted world, {frames} frames of 96 x 96 pixels, and exists so that a course on
video models can show every step in seconds.

```python
import torch
from diffusers import MochiPipeline
from diffusers.utils import export_to_gif

pipeline = MochiPipeline.from_pretrained("models/tiny-mochi", dtype=torch.float32)
video = pipeline("a red butterfly landing on a blue flower", height=96, width=96, num_frames=31,
                 num_inference_steps=20, guidance_scale=4.5, generator=torch.Generator().manual_seed(1)).frames[0]
export_to_gif(video, "butterfly.gif", fps=12)
```

![Samples: eight frames of 24 prompts](samples.jpg)

## Parts

{parts}

## Data

Procedural clips, painted by `helpers/world/scenes.py` from a seed, with captions from a small grammar
(`helpers/world/prompts.py`). No pictures, videos or captions from anywhere else. Ten scenes, {motions} motions,
eight colours ({colours}) for the subject and for the second thing, two sizes.

{scenes}

Held out by rule, never trained on, one pair of colours in seven, other ones in each scene (`held_out` in scenes.py):

{unseen_colours}

## Training

On {device}, torch {torch}; {clips} clips for the transformer.

{stages}

{remark}

The text encoder learns first, alone, to tell from every word of a caption the scene, the motion, both colours and the
size; from then on it is frozen, as in Mochi-1. In the end of its training the decoder learns without the encoder.
{again}
Again from nothing: `python -m training.mochi.train` (resumable; CPU or CUDA; seed {seed}).

## Figures

Measured by `python -m training.mochi.evaluate`: {seen} seen and {unseen} held-out prompts, stock pipeline
in {dtype}, {steps} steps, guidance {guidance}; detectors judge the pixels (`detectors.py`; no error on 2,000 painted
clips).

{figures}

{verdict}

{attention}## Use and limits

For teaching and for tests of code that runs Mochi. It knows its painted world and nothing else: unknown words are
spelled letter by letter and mean nothing to it. It cannot make people, text, or anything real. {frames} frames of
96 x 96 pixels; other sizes run and look worse.

{by_eye}

Licence: Apache-2.0.
"""


def made_of(training: dict) -> dict:
    """What the cards of all miniatures say alike of a training.json and of the world, by the names in their texts.

    training["remark"]: how this model's making differed from what the training does from nothing, where it did.
    """
    parts = [
        f"| {name} | {row['class']} | {row['parameters'] / 1e6:.2f} M |" for name, row in training["parts"].items()
    ]
    spent = [f"| {name} | {row['steps']} | {row['minutes']:.0f} |" for name, row in training["stages"].items()]
    unseen = [
        f"| {subject} and {second} | {', '.join(f'{a} and {b}' for a, b in UNSEEN[scene])} |"
        for scene, (subject, second, _) in SCENES.items()
    ]
    return {
        "millions": sum(row["parameters"] for row in training["parts"].values()) / 1e6,
        "parts": "\n".join(["| part | class | parameters |", "|---|---|---|", *parts]),
        "stages": "\n".join(["| stage | steps | minutes |", "|---|---|---|", *spent]),
        "things": ", ".join(f"{subject} and {second}" for subject, second, _ in SCENES.values()),
        "colours": ", ".join(COLOUR_NAMES),
        "unseen_colours": "\n".join(["| scene | subject and second thing |", "|---|---|", *unseen]),
        "remark": training.get("remark", ""),
        **{name: training[name] for name in ("device", "torch", "clips", "seed")},
    }


def shortfalls(result: dict) -> list[str]:
    """What was aimed at and not reached, in words."""
    missed = []
    for name, goals in GOALS.items():
        for aspect, goal in zip(ASPECTS, goals, strict=True):
            share = result["follows"][name][aspect]
            if share < goal:
                missed.append(f"{aspect}, {name}: {100 * share:.1f} % of the {100 * goal:.0f} % aimed at")
    limits = (
        ("autoencoder", -result["autoencoder psnr"], -PSNR_GOAL, "dB"),
        ("a clip", result["seconds for each clip"], SECONDS_GOAL, "s"),
        ("memory", result["peak memory GB"], GIGABYTES_GOAL, "GB"),
    )
    missed += [
        f"{name}: {abs(got):.2f} {unit}, aimed at {abs(goal):g}" for name, got, goal, unit in limits if got > goal
    ]
    for name, row in result["coherence"].items():
        if abs(row["ratio"] - 1) > COHERENCE_GOAL:
            missed.append(f"{name}: {row['ratio']:.2f} of the real clips' own, aimed at 0.9 to 1.1")
    return missed


LEVER = (
    "The lever is training time: the latents and the transformer have seen little of what the painter can make, "
    "and all stages go on from their checkpoints or start anew with more minutes (`config.py`)."
)


ATTENTION = (
    "How the text encoder attends, by `python -m training.mochi.attention`; a row with nearly all of it on one key is "
    "a choice, not a mixture."
)


AGAIN = {  # a stage of training.mochi.again: what it did
    "text_encoder, again": "a new text encoder learned to say with soft attention what the first one said",
    "decoder, again": "the decoder went on from its weights, made wider where it was narrower",
    "transformer, again": "the transformer went on, its positions at the full rate; half of the way is kept",
}


def verdict(missed: list[str], *advice: str) -> str:
    if not missed:
        return "All figures that were aimed at are reached."
    return "\n".join(["Not reached:", "", *(f"- {line}" for line in missed), *(f"\n{line}" for line in advice)])


def card(training: dict, result: dict) -> str:
    """The whole card as Markdown. training, result: what training.json and evaluation.json hold.

    training["by eye"]: what the sheet of samples shows and no detector measures.
    """
    settings = result["settings"]
    return CARD.format(
        **made_of(training),
        frames=settings["frames"],
        motions=sum(len(motions) for _, _, motions in SCENES.values()),
        scenes="\n".join(f"- {a} and {b}: {', '.join(motions)}" for a, b, motions in SCENES.values()),
        by_eye=training.get("by eye", ""),
        seen=settings["prompts"][0], unseen=settings["prompts"][1], steps=settings["steps"],
        guidance=settings["guidance"], dtype=settings["dtype"], figures=table(result),
        again=again(training["stages"]),
        verdict=verdict(shortfalls(result), LEVER), attention=attention(result),
    )  # fmt: skip


def again(stages: dict) -> str:
    """What was done after the model was first finished: a paragraph, or nothing."""
    done = [f"- {AGAIN[stage]}" for stage in stages if stage in AGAIN]
    if not done:
        return ""
    return "\n".join(["", "From the finished folder (`python -m training.mochi.again`):", "", *done, ""])


def attention(result: dict) -> str:
    """How the text encoder attends, where training.mochi.attention has measured it, and an empty line after it."""
    if "text encoder" not in result:
        return ""
    return f"{ATTENTION}\n\n{attention_table(result['text encoder'])}\n\n"


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.card", description=__doc__)
    parser.add_argument("folder", nargs="?", default="models/tiny-mochi", type=Path)
    folder = parser.parse_args(arguments).folder
    missing = [name for name in ("training.json", "evaluation.json") if not (folder / name).is_file()]
    if missing:
        parser.error(f"{folder} lacks {' and '.join(missing)}: run training.mochi.train, then training.mochi.evaluate")
    training, result = (json.loads((folder / name).read_text()) for name in ("training.json", "evaluation.json"))
    if "moving psnr" not in result:
        parser.error(f"{folder}/evaluation.json is of an older evaluation: run training.mochi.evaluate again")
    if "positions" not in result.get("text encoder", {}):
        parser.error(f"{folder}/evaluation.json lacks the text encoder: run training.mochi.attention")
    write_text(folder / "README.md", card(training, result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
