"""Masks: images whose pixels are class numbers."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from cnncli.datasets.section import MOST_MASKED
from cnncli.errors import CnncliError

Array = np.ndarray[Any, Any]
FEW = 150
"""Most classes beside which 255 looks like void."""
PORTION = 1 << 22
"""Pixels that are counted at a time."""


def byte_of(void: int | None) -> int | None:
    """The number of void in masks of uint8: 255 for one that is no uint8, like -1."""
    return void if void is None or 0 <= void <= MOST_MASKED else MOST_MASKED


def numbered(masks: Array, place: str, void: int | None = None) -> Array:
    """Whole numbers (N, H, W) as uint8, `void` as `byte_of` has it.

    Raises CnncliError, naming the row, for one that is no class number.
    """
    if byte_of(void) != void:
        if (both := (masks == MOST_MASKED).any(axis=(1, 2))).any():
            raise CnncliError(
                f"{place} must hold class numbers < {MOST_MASKED} with `ignore_class: {void}`; "
                f"row {int(both.argmax())} has {MOST_MASKED}"
            )
        masks = np.where(masks == void, MOST_MASKED, masks)
    if masks.dtype.kind == "i" and (least := masks.min()) < 0:
        row = int(np.argmax((masks < 0).any(axis=(1, 2))))
        raise CnncliError(f"{place} must hold class numbers ≥ 0; row {row} has {least}")
    if masks.dtype.kind in "iu" and (most := masks.max()) > MOST_MASKED:
        row = int(np.argmax((masks == most).any(axis=(1, 2))))
        raise CnncliError(f"{place} must hold class numbers ≤ {MOST_MASKED}; row {row} has {most}")
    return np.ascontiguousarray(masks, np.uint8)


def present(masks: Array, rows: Array | None = None) -> Array:
    """Which numbers masks, uint8 (N, H, W), hold, or those of some rows: bool (256,)."""
    found = np.zeros(MOST_MASKED + 1, bool)
    step = max(1, PORTION // max(1, masks[0].size))
    for start in range(0, len(masks if rows is None else rows), step):
        part = slice(start, start + step)
        found |= np.bincount(masks[part if rows is None else rows[part]].ravel(), minlength=len(found)) > 0
    return found


def greatest(numbers: Array, void: int | None) -> int:
    """The greatest class number of labels or masks, without `void`; 0 where there is no other."""
    most = int(numbers.max())
    return most if most != void else int(numbers.max(initial=0, where=numbers != void))


def names(given: Sequence[str], count: int, void: int | None) -> tuple[str, ...]:
    """The names of `count` classes or more: those given, without a last one that is `void`, or else their numbers."""
    kept = given[:-1] if void == len(given) - 1 else given
    return tuple(kept) if len(kept) >= count else tuple(map(str, range(count)))


def looks_void(numbers: Collection[int]) -> bool:
    """Whether 255 stands for void among the numbers of masks: beside few classes, and not as white beside black."""
    beside = {*numbers} - {MOST_MASKED}
    return MOST_MASKED in numbers and beside not in (set(), {0}) and max(beside) <= FEW


def settled(masks: Array, void: int | None) -> Array:
    """Masks of files, uint8 (N, H, W): where all hold only 0 and 255, these are the classes 0 and 1.

    255 stays where it is `void`.
    """
    if void == MOST_MASKED:
        return masks
    found = present(masks)
    black_and_white = found[MOST_MASKED] and not found[1:MOST_MASKED].any()
    return (masks != 0).view(np.uint8) if black_and_white else masks
