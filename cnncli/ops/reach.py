"""Which cells of an axis an operation reads, cell by cell of its output: what receptive fields are made of."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, gcd
from typing import NamedTuple

from cnncli.ops.window import Pair, Window


class Reach(NamedTuple):
    """Output cell i + n · (number of entries) reads the cells low[i] + n · advance … high[i] + n · advance.

    Cells beyond the edges are counted, too: they are padding, and only a larger image would have them. An ordinary
    window has one entry, and its stride as `advance`; where images are enlarged, neighboring cells read differently.
    """

    advance: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def size(self) -> int:
        """The most cells that one output cell reads, those between them included."""
        return max(high - low for low, high in zip(self.low, self.high, strict=True)) + 1

    def first(self, cell: int) -> int:
        """The first cell that an output cell reads."""
        turns, place = divmod(cell, len(self.low))
        return self.low[place] + turns * self.advance

    def last(self, cell: int) -> int:
        """The last cell that an output cell reads."""
        turns, place = divmod(cell, len(self.high))
        return self.high[place] + turns * self.advance

    def after(self, earlier: Reach) -> Reach:
        """What is read through this operation from the input of an `earlier` one."""
        turns = len(earlier.low) // gcd(len(earlier.low), self.advance)
        advance = turns * self.advance // len(earlier.low) * earlier.advance
        cells = range(turns * len(self.low))
        low = tuple(earlier.first(self.first(cell)) for cell in cells)
        return Reach(advance, low, tuple(earlier.last(self.last(cell)) for cell in cells))

    def joined(self, other: Reach) -> Reach | None:
        """What is read through one or the other; None if they advance differently: it then depends on the place."""
        if self.advance * len(other.low) != other.advance * len(self.low):
            return None
        entries = len(self.low) * len(other.low) // gcd(len(self.low), len(other.low))
        low = tuple(min(self.first(cell), other.first(cell)) for cell in range(entries))
        high = tuple(max(self.last(cell), other.last(cell)) for cell in range(entries))
        return Reach(self.advance * entries // len(self.low), low, high)


Reaches = tuple[Reach, Reach]
"""Of rows and of columns."""
SAME = Reach(1, (0,), (0,))


def of_window(window: Window, image: Pair) -> Reaches:
    """Of a window on an image of this height and width."""
    parts = zip(window.strides, window.padding_before(*image), window.extent, strict=True)
    rows, columns = (Reach(stride, (-before,), (extent - 1 - before,)) for stride, before, extent in parts)
    return rows, columns


def of_adjoint(window: Window, image: Pair) -> Reaches:
    """Of the adjoint of a window (a transposed convolution), whose output has this height and width.

    A cell between windows, which reads nothing, is taken to read the cell before.
    """
    parts = zip(window.strides, window.padding_before(*image), window.extent, strict=True)
    rows, columns = (_adjoint(*part) for part in parts)
    return rows, columns


def _adjoint(stride: int, before: int, extent: int) -> Reach:
    return enlarging(stride, lambda cell: (ceil((cell + before - extent + 1) / stride), (cell + before) // stride))


def enlarging(times: int, reads: Callable[[int], Pair]) -> Reach:
    """Of an operation with `times` output cells for each input cell, of which these read (first, last)."""
    pairs = [reads(cell) for cell in range(times)]
    return Reach(1, tuple(min(low, high) for low, high in pairs), tuple(high for _, high in pairs))


def bilinear(times: int) -> Reach:
    """Of a bilinear enlargement, which reads the cells around the centre of each new one."""
    centres = [(cell + 0.5) / times - 0.5 for cell in range(times)]
    return Reach(1, tuple(map(floor, centres)), tuple(map(ceil, centres)))
