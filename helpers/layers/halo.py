"""The halo of a causal 3 x 3 x 3 convolution: two frames from the chips before, one row or column from each side."""

import ttnn

from helpers.layers.parallel import all_cores, degree
from helpers.tensors import axis_index

TIME = 1  # dimension of (1, T, H, W, C)
FRAMES_BEFORE = 2


class Halo:
    """`halo(x)` adds what a convolution needs from other chips. `space` is the dimension that tp cuts (2 or 3).

    beyond: what lies beyond the edges of a frame, "replicate" or "zeros".
    """

    def __init__(self, mesh, beyond: str = "replicate"):
        self.mesh, self.beyond, self.space = mesh, beyond, None
        cores = all_cores(mesh.compute_with_storage_grid_size())
        self.semaphores = [ttnn.create_global_semaphore(mesh, cores, 0) for _ in range(2)]

    @property
    def left_to_the_op(self) -> tuple[int, int, int]:
        """Padding in (time, height, width) that the convolution adds itself: where nothing is cut."""
        cut = self.space if degree(self.mesh, "tp") > 1 else None
        return (0, 0 if cut == 2 else 1, 0 if cut == 3 else 1)

    def __call__(self, x):
        """(1, T, H, W, C) -> (1, T + 2, H or H + 2, W or W + 2, C)"""
        return self.with_sides(self.with_frames_before(x))

    def with_sides(self, x):
        """A row, or a column, more on both sides where tp cuts frames."""
        return self.from_neighbours(x, self.space, "tp", 1, 1) if degree(self.mesh, "tp") > 1 else x

    def with_frames_before(self, x):
        """The two frames before the chip's first. The video's first frame is repeated where there is none."""
        if degree(self.mesh, "sp") == 1:
            first = x[:, :1]
            return ttnn.concat([first, first, x], TIME)
        if x.shape[TIME] >= FRAMES_BEFORE:
            return self.from_neighbours(x, TIME, "sp", FRAMES_BEFORE, 0)
        # One frame a chip: the frame before the one before lies two chips away, so it comes in two hops.
        one_before = self.from_neighbours(x, TIME, "sp", 1, 0)[:, :1]
        two_before = self.from_neighbours(one_before, TIME, "sp", 1, 0)
        return ttnn.concat([two_before, x], TIME)

    def from_neighbours(self, x, dim: int, axis: str, before: int, after: int):
        """x grown by its neighbours' edges along dim; at the mesh's own edges by its outermost slice, or zeros."""
        return ttnn.experimental.neighbor_pad_async(
            x,
            [dim],
            [before],
            [after],
            self.beyond,
            [axis_index(self.mesh, axis)],
            [self.semaphores[0]],
            [self.semaphores[1]],
        )
