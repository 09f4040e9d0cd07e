"""Relocation: arrays of which each thread keeps only the rows of its portion, in one place for all portions.

Steps are planned with an address that stands for such an array. A pass knows where its steps' parameter blocks mention
it, and before each portion the driver puts there what leads to the thread's place, as if the whole array lay around it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

STAND_INS = 1 << 60
"""More than any size and any address there is."""
APART = 1 << 40
"""Bytes between two stand-ins: addresses within an array, or a frame before it, are told from those of others."""
MOST = 1 << 19


class Mention(NamedTuple):
    """`word` of a parameter block is the address `offset` bytes behind the beginning of array `number`."""

    word: int
    number: int
    offset: int


class Moved(NamedTuple):
    """What `word` of the block of the pass's step number `step` is to be, for a portion from row r on.

    That is `start`, for each thread but the first `stride` bytes more, less r times `row` bytes.
    """

    step: int
    word: int
    start: int
    stride: int
    row: int


def stand_in(number: int) -> int:
    """An address for array `number` while steps are planned. Raises ValueError for more than there are."""
    if not 0 <= number < MOST:
        raise ValueError(f"there are stand-ins for {MOST} arrays; received {number}")
    return STAND_INS + number * APART


def mentions(parameters: np.ndarray[Any, Any]) -> Iterator[Mention]:
    """Where a parameter block holds addresses made of stand-ins: among its integers."""
    names = parameters.dtype.names
    words = parameters.view(np.int64).tolist()
    for word, content in enumerate(words):
        number, offset = divmod(content - STAND_INS + APART // 2, APART)
        if 0 <= number < MOST and not (names and parameters.dtype[names[word]].kind == "f"):
            yield Mention(word, number, offset - APART // 2)
