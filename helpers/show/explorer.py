"""Pictures to turn over: the mesh explorer, and a slider over pictures of a video."""

from base64 import b64encode
from collections.abc import Callable

import ipywidgets
import torch
import ttnn
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure

from helpers import show
from helpers.tensors import placement, shard

PLACEMENTS = {
    "replicated": {},
    "tokens over tp": {"tp": 2},
    "features over tp": {"tp": 3},
    "tokens over sp": {"sp": 2},
    "tokens over sp, features over tp": {"sp": 2, "tp": 3},
}


class Explorer:
    """Displays the controls with a live picture. Where widgets do not run, one still picture stands in."""

    def __init__(self, mesh: ttnn.MeshDevice):
        rows, cols = mesh.shape
        side = 32 * rows * cols  # divides along both axes
        self.placed = {name: shard(torch.zeros(1, 1, side, side), mesh, **dims) for name, dims in PLACEMENTS.items()}
        self.how = ipywidgets.Dropdown(options=list(PLACEMENTS), index=len(PLACEMENTS) - 1, description="placement")
        self.row = ipywidgets.IntSlider(min(2, rows - 1), 0, rows - 1, description="chip row")
        self.col = ipywidgets.IntSlider(min(5, cols - 1), 0, cols - 1, description="chip column")
        self.picture = ipywidgets.Image(value=self.draw(), format="png")
        for control in (self.how, self.row, self.col):
            control.observe(lambda change: setattr(self.picture, "value", self.draw()), "value")

    def draw(self) -> bytes:
        """The picture of what is chosen now, as PNG."""
        chip = self.row.value, self.col.value
        down, right = placement(self.placed[self.how.value])[chip][-2:]
        part = f"tokens {down.start}-{down.stop - 1}, features {right.start}-{right.stop - 1}"
        title = f"{self.how.value}\nchip {chip} holds {part}"
        figure = show.holdings({title: self.placed[self.how.value]}, chip)
        return png(figure)

    def _repr_mimebundle_(self, **options):
        controls = ipywidgets.HBox([self.how, self.row, self.col])
        live = ipywidgets.VBox([controls, self.picture])._repr_mimebundle_(**options)
        return live | {"image/png": b64encode(self.picture.value).decode()}


class Slider:
    """A slider over pictures of a video. Where widgets do not run, `still` stands in: all of them in one figure.

    draw: makes the figure of one of the options, when it is chosen.
    """

    def __init__(self, name: str, options: list[str], draw: Callable[[str], Figure], still: Figure):
        self.still = still
        self.slider = ipywidgets.SelectionSlider(options=options, value=options[-1], description=name)
        self.picture = ipywidgets.Image(value=png(draw(options[-1])), format="png")
        self.slider.observe(lambda change: setattr(self.picture, "value", png(draw(change.new))), "value")

    def _repr_mimebundle_(self, **options):
        live = ipywidgets.VBox([self.slider, self.picture])._repr_mimebundle_(**options)
        # A notebook has a megabyte for all its pictures, and a photo takes much less of it as JPEG.
        still = print_figure(self.still, "jpeg", dpi=100, pil_kwargs={"quality": 85})
        return live | {"image/jpeg": b64encode(still).decode()}


def png(figure: Figure) -> bytes:
    return print_figure(figure, "png", bbox_inches=None, dpi=130)  # one size whatever the title
