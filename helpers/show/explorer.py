"""The mesh explorer: which chip holds what, for every placement."""

import ipywidgets
import ttnn
from matplotlib.figure import Figure

from helpers import show
from helpers.show.live import Live
from helpers.tensors import mesh_of, placement


class Explorer(Live):
    """A placement and a chip to choose, and the part of the last two dimensions, tokens and features, that it holds.

    placed: name -> one tensor placed in that way. chip: (row, column), the first that is shown.
    """

    def __init__(self, placed: dict[str, ttnn.Tensor], chip: tuple[int, int]):
        self.placed = placed
        rows, cols = mesh_of(next(iter(placed.values()))).shape
        self.how = ipywidgets.Dropdown(options=list(placed), index=len(placed) - 1, description="placement")
        self.row = ipywidgets.IntSlider(chip[0], 0, rows - 1, description="chip row")
        self.col = ipywidgets.IntSlider(chip[1], 0, cols - 1, description="chip column")
        super().__init__((self.how, self.row, self.col), self.draw)

    def draw(self) -> Figure:
        """The picture of what is chosen now. The part is said as a slice: its end is the first that is not held."""
        chip = self.row.value, self.col.value
        down, right = placement(self.placed[self.how.value])[chip][-2:]
        part = f"tokens {down.start}:{down.stop}, features {right.start}:{right.stop}"
        title = f"chip {chip} holds {part}"  # the menu says how it is placed
        return show.holdings({title: self.placed[self.how.value]}, chip)
