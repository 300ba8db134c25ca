"""What a right answer earns: the traffic of the learner's own code over the links, or one more frame of a clip."""

import functools

import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from helpers import show as pictures
from helpers import video
from helpers.exercises.verdict import Verdict
from helpers.world.scenes import Clip, render

FRAMES = 6  # in a strip: as many as a notebook has exercises without a mesh, at most
_earned: set[str] = set()  # exercises of this kernel whose frame has been shown


def show(key: str, verdict: Verdict) -> None:
    """In a notebook only: a terminal shows no pictures."""
    if get_ipython() is not None:
        display(made_for(key, verdict))


def made_for(key: str, verdict: Verdict) -> Figure | Image.Image:
    """A right answer's picture. The same answer, checked again, earns no second frame."""
    if verdict.links:
        return pictures.traffic({f"your {key.partition('.')[2]}": verdict.links}, verdict.by)
    _earned.add(key)
    return strip(len(_earned))


def strip(earned: int) -> Image.Image:
    """The first `earned` frames of a clip side by side, the others still grey."""
    frames = clip().copy()
    frames[earned:] = 0xE9
    return video.contact_sheet([frames], columns=FRAMES)


@functools.cache
def clip() -> np.ndarray:
    """(FRAMES, H, W, 3) uint8: a drawn one, of the world that the course's models were trained on"""
    landing = Clip("butterfly", "landing", subject="orange", second="blue", seed=4)
    return video.to_uint8(render([landing], frames=FRAMES)[0].permute(1, 2, 3, 0))
