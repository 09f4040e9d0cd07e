"""Which batches each epoch trains."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Epochs:
    """Epochs of `count` rows in batches of `size`. With `steps`, an epoch has so many batches: the next ones, until the
    data end, with which it ends too (as Keras' epochs do). `first`: completed epochs before the first one. With `only`,
    the batches are the first so many of the first pass, again and again.
    """

    count: int
    size: int
    steps: int | None = None
    first: int = 0
    only: int | None = None

    @property
    def batches(self) -> int:
        """Batches of all rows."""
        return -(-self.count // self.size)

    @property
    def longest(self) -> int:
        """Batches of an epoch that does not end early."""
        return min(self.steps or self.batches, self.batches)

    def passes(self, epoch: int) -> int:
        """How often all rows were gone through before an epoch, counted from 0, or would have been before the first."""
        return self.first + (0 if self.only else (epoch - self.first) // self._parts)

    def portions(self, epoch: int) -> Sequence[slice]:
        """The batches of an epoch, counted from 0, in the order of their pass through the rows."""
        start = (epoch - self.first) % self._parts * self.longest
        numbers = range(start, min(start + self.longest, self.batches))
        chosen = [number % (self.only or self.batches) for number in numbers]
        return [slice(number * self.size, min((number + 1) * self.size, self.count)) for number in chosen]

    def before(self, epoch: int) -> int:
        """The batches that are trained before an epoch, counted from 0."""
        whole, parts = divmod(epoch - self.first, self._parts)
        return whole * self.batches + parts * self.longest

    @property
    def _parts(self) -> int:
        """Epochs of one pass through the rows."""
        return -(-self.batches // self.longest)
