"""What the chips of a tensor hold: equal values once, and different ones side by side where that is quicker."""

import functools
from collections.abc import Callable, Iterator

import torch

AT_ONCE_UP_TO = 2**18  # numbers of a chip: up to so many, one call for all is quicker than one for each


class Shards:
    """Chips that hold the same share one value: it is kept and computed with once.

    All values have one shape and dtype. They are kept one by one, or, once `stack` has been asked for, as that.
    """

    def __init__(self, distinct: list[torch.Tensor] | None, which: tuple[int, ...], stack: torch.Tensor | None = None):
        """which: for each chip, row by row through the mesh, the place of its value in `distinct`, or in the stack."""
        self._distinct, self._stack, self.which = distinct, stack, which

    @classmethod
    def of(cls, values: list[torch.Tensor]) -> "Shards":
        """From one value per chip. Those that are the same object are shared."""
        distinct = {id(value): value for value in values}
        number = dict(zip(distinct, range(len(distinct))))
        return cls(list(distinct.values()), tuple(number[id(value)] for value in values))

    @property
    def distinct(self) -> list[torch.Tensor]:
        if self._distinct is None:
            self._distinct = list(self._stack.unbind())
        return self._distinct

    @property
    def stack(self) -> torch.Tensor:
        """All distinct values, one behind the other: (values, *shape). From then on each is a view of it."""
        if self._stack is None:
            self._stack, self._distinct = torch.stack(self._distinct), None
        return self._stack

    @property
    def kept(self) -> list[torch.Tensor]:
        """The tensors that the values lie in"""
        return self._distinct if self._stack is None else [self._stack]

    @property
    def shapes(self) -> set[torch.Size]:
        """Of all values: one shape, unless a golden function is wrong"""
        return {value.shape for value in self._distinct} if self._stack is None else {self._stack.shape[1:]}

    @property
    def shape(self) -> torch.Size:
        return self._distinct[0].shape if self._stack is None else self._stack.shape[1:]

    @property
    def dtype(self) -> torch.dtype:
        return self.kept[0].dtype

    @property
    def is_meta(self) -> bool:
        """Whether there is a shape and no values"""
        return self.kept[0].is_meta

    @property
    def num_bytes(self) -> int:
        return sum(value.nbytes for value in self.kept if not value.is_meta)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """One value per chip"""
        return map(self.distinct.__getitem__, self.which)

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, chip: int) -> torch.Tensor:
        return self.distinct[self.which[chip]]

    def some(self, numbers: tuple[int, ...]) -> torch.Tensor:
        """Distinct values, one behind the other; a view of all where they are evenly spaced."""
        some = self.stack[index(numbers)]
        return some if len(some) == len(numbers) else some.expand(len(numbers), *self.shape)

    def rows(self, places: tuple[int, ...]) -> tuple[torch.Tensor, int | None]:
        """For torch.vmap: values in this order and the dimension in which they lie; None where all rows have the same.

        places: of each row's value in `distinct`
        """
        return (self.distinct[places[0]], None) if len(set(places)) == 1 else (self.some(places), 0)

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Shards":
        return Shards([function(value) for value in self.distinct], self.which)

    def reshaped(self, shape: tuple[int, ...]) -> "Shards":
        if self._stack is None:
            return self.map(lambda value: value.reshape(shape))
        return Shards(None, self.which, self._stack.reshape(len(self._stack), *shape))

    def cut(self, shape: tuple[int, ...]) -> "Shards":
        """What lies at the beginning of every dimension"""
        part = (..., *map(slice, shape))
        if self._stack is None:
            return self.map(lambda value: value[part])
        return Shards(None, self.which, self._stack[part])

    def elementwise(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Shards":
        """For a function that does the same to each number, whatever the shape it stands in."""
        if self._stack is None and (len(self._distinct) == 1 or self._distinct[0].numel() > AT_ONCE_UP_TO):
            return self.map(function)
        return Shards(None, self.which, function(self.stack))


@functools.lru_cache(1024)
def index(numbers: tuple[int, ...]) -> slice | torch.Tensor:
    """What takes these out of a stack. Where all are the same it takes that one."""
    first = numbers[0]
    if len(set(numbers)) == 1:
        return slice(first, first + 1)
    step = numbers[1] - first
    if step > 0 and numbers == tuple(range(first, first + step * len(numbers), step)):
        return slice(first, numbers[-1] + 1, step)
    return torch.tensor(numbers)
