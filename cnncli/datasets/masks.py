"""Masks: images whose pixels are class numbers."""

from typing import Any

import numpy as np

from cnncli.datasets.describe import MOST_MASKED
from cnncli.errors import CnncliError

Array = np.ndarray[Any, Any]


def numbered(masks: Array, place: str) -> Array:
    """Whole numbers (N, H, W) as uint8. Raises CnncliError, naming the row, for one that is no class number."""
    if masks.dtype.kind == "i" and (least := masks.min()) < 0:
        row = int(np.argmax((masks < 0).any(axis=(1, 2))))
        raise CnncliError(f"{place} must hold class numbers of at least 0; row {row} has {least}")
    if masks.dtype.kind in "iu" and (most := masks.max()) > MOST_MASKED:
        row = int(np.argmax((masks == most).any(axis=(1, 2))))
        raise CnncliError(f"{place} must hold class numbers of at most {MOST_MASKED}; row {row} has {most}")
    return np.ascontiguousarray(masks, np.uint8)
