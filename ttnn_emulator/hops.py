"""A line of chips that hand tensors on to their neighbours. What crosses each wire is added up from what is handed on.

A hop hands on a reference, not a copy, so moving costs next to nothing. What a chip ends with is what has reached it:
lose a hop, and the chip has memory that nobody wrote, which is not a number.

How tensors travel is what the kernels of ttnn 0.81.1 do; they lie in its wheel, below ttnn/cpp/ttnn/operations:
    line       both directions at once; a chip passes on what reaches it, until the ends
               (ccl/all_gather/device/all_gather_unicast_factory.cpp, relay_iters)
    ring       both directions, each half way around; on an even ring the block of the chip opposite comes in two
               halves, one from each side (same file, ring_even_split)
    sums       the same ways, each chip adding its part to the sum that passes (experimental/ccl/
               reduce_scatter_minimal_async/device/kernels/{line,ring}_reduce_scatter_minimal_async_writer.cpp)
A kernel deals its tiles out to several cores and halves what each of them has; here the whole is halved, between tiles.
"""

import itertools
from collections import Counter
from collections.abc import Callable

import torch

FORWARD, BACKWARD = 1, -1
WAYS = (BACKWARD, FORWARD)  # at each chip the next chip's block comes before the previous one's

Blocks = dict[int, torch.Tensor]  # place of the chip whose block it is -> the block
Route = tuple[dict[int, int], Blocks]  # way -> over how many hops; the blocks that go so


class Line:
    """Some chips in a row, by their places 0, 1, ...; `closed` where a wire joins the last to the first.

    size: bytes of a tensor of that shape in a chip's memory.
    middle: where to halve a tensor of that shape, (dimension, length of the first half); None where it is one tile.
    """

    def __init__(self, length: int, closed: bool, size: Callable, middle: Callable):
        self.length, self.closed, self.size, self.middle = length, closed, size, middle
        self.crossed = Counter()  # (place, neighbour's place) -> bytes handed on
        self._wholes = {}  # ids of two halves -> (the halves, kept alive; what they were cut from)

    def beyond(self, place: int, way: int) -> int | None:
        """The neighbour's place in that direction, None at an end."""
        to = place + way
        if self.closed:
            return to % self.length
        return to if 0 <= to < self.length else None

    def hand(self, tensor: torch.Tensor, place: int, way: int) -> tuple[int, torch.Tensor] | None:
        """One hop: where the tensor arrives, and what arrives there. None at an end, where there is no wire."""
        to = self.beyond(place, way)
        if to is None:
            return None
        self.crossed[place, to] += self.size(tensor.shape)
        return to, tensor

    def routes(self, blocks: Blocks) -> list[Route]:
        """How blocks get everywhere: on a line to both ends, around a ring half way each, on an even one in halves."""
        if not self.closed:
            return [({FORWARD: self.length - 1, BACKWARD: self.length - 1}, blocks)]
        more, less = self.length // 2, (self.length - 1) // 2
        where = self.middle(next(iter(blocks.values())).shape) if more > less else None
        if where is None:
            return [({FORWARD: more, BACKWARD: less}, blocks)]
        halves = {place: self.halved(block, *where) for place, block in blocks.items()}
        first, second = ({place: pair[number] for place, pair in halves.items()} for number in (0, 1))
        return [({FORWARD: more, BACKWARD: less}, first), ({FORWARD: less, BACKWARD: more}, second)]

    def halved(self, block: torch.Tensor, dim: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        halves = block.tensor_split([length], dim)
        self._wholes[tuple(map(id, halves))] = halves, block
        return halves

    def joined(self, parts: list[torch.Tensor], shape: torch.Size) -> torch.Tensor:
        """The one part, or two halves of that shape. If they are the halves of one block they are that block."""
        if len(parts) == 1:
            return parts[0]
        _, whole = self._wholes.get(tuple(map(id, parts)), (None, None))
        return torch.cat(parts, self.middle(shape)[0]) if whole is None else whole

    # Every block to every chip

    def everywhere(self, blocks: list[torch.Tensor]) -> list[Blocks]:
        """Each chip's block to all chips. For each chip: whose block -> the block, in the order of arrival."""
        return self.relay(self.routes(dict(enumerate(blocks))), blocks[0].shape)

    def relay(self, routes: list[Route], shape: torch.Size) -> list[Blocks]:
        """Hands everything on, a hop at a time. For each chip: whose block -> the block, in the order of arrival."""
        arrived = [{} for _ in range(self.length)]  # at each place: (whose, number of the route) -> tensor
        moving = {}  # (way, number of the route) -> what lies at each place: (whose, tensor)
        for number, (_, blocks) in enumerate(routes):
            for way in WAYS:
                moving[way, number] = {place: (place, block) for place, block in blocks.items()}
            for place, block in blocks.items():
                arrived[place][place, number] = block
        for hop, way, (number, (reach, _)) in itertools.product(range(self.length - 1), WAYS, enumerate(routes)):
            if hop >= reach[way]:
                continue
            hops = [(whose, self.hand(x, place, way)) for place, (whose, x) in moving[way, number].items()]
            moving[way, number] = {hop[0]: (whose, hop[1]) for whose, hop in hops if hop is not None}
            for place, (whose, tensor) in moving[way, number].items():
                arrived[place][whose, number] = tensor
        return [self.complete(here, routes, shape) for here in arrived]

    def complete(self, here: dict, routes: list[Route], shape: torch.Size) -> Blocks:
        """A chip's blocks, put together from their parts. A part that never came is memory that nobody wrote."""
        parts = {whose: [] for whose, _ in here}
        for number, (_, blocks) in enumerate(routes):
            for whose, block in blocks.items():
                got = here.get((whose, number))
                parts.setdefault(whose, []).append(unwritten(block) if got is None else got)
        return {whose: self.joined(of_it, shape) for whose, of_it in parts.items()}

    # Sums

    def sums(self, parts: list[list[torch.Tensor]]) -> list[torch.Tensor]:
        """parts[place][k] is a chip's part of sum k. Chip k ends with sum k, added up on the way to it."""
        mine = [{place: [] for place in range(self.length)} for _ in range(2)]  # by route: what ends at each place
        for k in range(self.length):
            for number, (reach, tensors) in enumerate(self.routes({p: of_chip[k] for p, of_chip in enumerate(parts)})):
                mine[number][k].insert(0, tensors[k])
                for way in WAYS:
                    arriving = self.added_up(tensors, k, way, reach[way])
                    if arriving is not None:
                        mine[number][arriving[0]].append(arriving[1])
        totals = [[total(terms) for terms in by_place.values() if terms] for by_place in mine]
        return [self.joined(list(of_chip), parts[0][0].shape) for of_chip in zip(*filter(None, totals))]

    def added_up(self, tensors: Blocks, k: int, way: int, hops: int) -> tuple[int, torch.Tensor] | None:
        """A sum's journey to chip k: it begins at most `hops` chips before it, and grows by each chip's part."""
        hops = hops if self.closed else min(hops, k if way == FORWARD else self.length - 1 - k)
        place, partial = (k - way * hops) % self.length, None
        for hop in range(hops):
            mine = tensors[place]
            if hop > 1:
                partial.add_(mine)  # it is nobody else's any more
            else:
                partial = mine if partial is None else partial + mine
            handed = self.hand(partial, place, way)
            if handed is None:
                return None
            place, partial = handed
        return None if partial is None else (place, partial)


def total(terms: list[torch.Tensor]) -> torch.Tensor:
    first, *others = terms
    for number, term in enumerate(others):
        first = first.add_(term) if number else first + term
    return first


def unwritten(like: torch.Tensor) -> torch.Tensor:
    """Memory that nobody wrote: NaN, or the dtype's largest integer."""
    content = float("nan") if like.dtype.is_floating_point else torch.iinfo(like.dtype).max
    return torch.full_like(like, content)
