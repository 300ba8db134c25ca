"""The mesh explorer: which chip holds what, for every placement."""

import ipywidgets
import torch
import ttnn
from matplotlib.figure import Figure

from helpers import show
from helpers.show.live import Live
from helpers.tensors import placement, shard

PLACEMENTS = {
    "replicated": {},
    "tokens over tp": {"tp": 2},
    "features over tp": {"tp": 3},
    "tokens over sp": {"sp": 2},
    "tokens over sp, features over tp": {"sp": 2, "tp": 3},
}


class Explorer(Live):
    """A placement and a chip to choose, and the part that the chip holds."""

    def __init__(self, mesh: ttnn.MeshDevice):
        rows, cols = mesh.shape
        side = 32 * rows * cols  # divides along both axes
        self.placed = {name: shard(torch.zeros(1, 1, side, side), mesh, **dims) for name, dims in PLACEMENTS.items()}
        self.how = ipywidgets.Dropdown(options=list(PLACEMENTS), index=len(PLACEMENTS) - 1, description="placement")
        self.row = ipywidgets.IntSlider(min(2, rows - 1), 0, rows - 1, description="chip row")
        self.col = ipywidgets.IntSlider(min(5, cols - 1), 0, cols - 1, description="chip column")
        super().__init__((self.how, self.row, self.col), self.draw)

    def draw(self) -> Figure:
        """The picture of what is chosen now."""
        chip = self.row.value, self.col.value
        down, right = placement(self.placed[self.how.value])[chip][-2:]
        part = f"tokens {down.start}-{down.stop - 1}, features {right.start}-{right.stop - 1}"
        title = f"{self.how.value}\nchip {chip} holds {part}"
        return show.holdings({title: self.placed[self.how.value]}, chip)
