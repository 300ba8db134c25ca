"""The mesh explorer: choose how a tensor is placed, and look at what one chip holds."""

import ipywidgets
import torch
import ttnn
from IPython.core.pylabtools import print_figure
from IPython.display import display
from matplotlib.figure import Figure

from helpers import show
from helpers.tensors import placement, shard


PLACEMENTS = {
    "replicated": {},
    "rows of the tensor over tp": {"tp": 2},
    "columns of the tensor over tp": {"tp": 3},
    "rows of the tensor over sp": {"sp": 2},
    "rows over sp, columns over tp": {"sp": 2, "tp": 3},
}


class Explorer:
    """Choose how a tensor is placed and look at one chip. Where widgets do not run, a picture stands in."""

    def __init__(self, mesh: ttnn.MeshDevice):
        self.mesh = mesh
        rows, cols = mesh.shape
        side = 32 * rows * cols  # divides along both axes
        self.placed = {name: shard(torch.zeros(1, 1, side, side), mesh, **dims) for name, dims in PLACEMENTS.items()}
        self.how = ipywidgets.Dropdown(options=list(self.placed), index=len(PLACEMENTS) - 1, description="placement")
        self.row = ipywidgets.IntSlider(min(2, rows - 1), 0, rows - 1, description="chip row")
        self.col = ipywidgets.IntSlider(min(5, cols - 1), 0, cols - 1, description="chip column")

    def figure(self, how: str, row: int, col: int) -> Figure:
        down, right = placement(self.placed[how])[row, col][-2:]
        part = f"rows {down.start}-{down.stop - 1}, columns {right.start}-{right.stop - 1}"
        return show.holdings({f"{how}: chip ({row}, {col}) holds {part}": self.placed[how]}, (row, col))

    def _repr_mimebundle_(self, **options):
        shown = ipywidgets.Output()

        def draw(how, row, col):
            with shown:
                shown.clear_output(wait=True)
                display(self.figure(how, row, col))

        ipywidgets.interactive_output(draw, {"how": self.how, "row": self.row, "col": self.col})
        panel = ipywidgets.VBox([self.how, ipywidgets.HBox([self.row, self.col]), shown])
        still = self.figure(self.how.value, self.row.value, self.col.value)
        live = panel._repr_mimebundle_(**options)
        return live | {"image/png": print_figure(still, "png", base64=True)}
