"""Relocation: arrays of which each thread stores only the current portion's rows, in a reused thread-local buffer.

Steps are planned with a placeholder address for such an array. A pass lists the words of its steps' parameter blocks
that contain it; before each portion the driver writes the thread-local base address, offset so that global row indices
remain valid.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

PLACEHOLDERS = 1 << 60
"""Larger than any size or valid address."""
SPACING = 1 << 40
"""Bytes between two placeholders: identifies the array for any address inside it, or in padding before it."""
MOST = 1 << 19


class Mention(NamedTuple):
    """`word` of a parameter block holds the address of array `number` plus `offset` bytes."""

    word: int
    number: int
    offset: int


class Moved(NamedTuple):
    """The value to write to `word` of the parameter block of step `step` of a pass.

    For thread t and a portion starting at row r: `start` + t · `stride` − r · `row`, in bytes.
    """

    step: int
    word: int
    start: int
    stride: int
    row: int


def placeholder_address(number: int) -> int:
    """Return the address that represents array `number` during planning. Raises ValueError unless 0 ≤ number < MOST."""
    if not 0 <= number < MOST:
        raise ValueError(f"there are stand-ins for {MOST} arrays; received {number}")
    return PLACEHOLDERS + number * SPACING


def mentions(parameters: np.ndarray[Any, Any]) -> Iterator[Mention]:
    """Find the integer words of a parameter block that hold addresses derived from placeholders."""
    names = parameters.dtype.names
    words = parameters.view(np.int64).tolist()
    for word, content in enumerate(words):
        number, offset = divmod(content - PLACEHOLDERS + SPACING // 2, SPACING)
        if 0 <= number < MOST and not (names and parameters.dtype[names[word]].kind == "f"):
            yield Mention(word, number, offset - SPACING // 2)
