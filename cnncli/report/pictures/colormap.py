"""Color maps: numbers as colors whose lightness follows them, which those who see colors differently tell apart too.

`INFERNO` and `VIRIDIS` are perceptually uniform (van der Walt and Smith, matplotlib), `BLUE_RED` is ColorBrewer's RdBu:
here at equal distances, linear in between, at most a twenty-fifth of the range of a color from the whole table.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def _table(text: str) -> Array:
    return np.array([list(bytes.fromhex(color)) for color in text.split()], np.float64)


INFERNO = _table("000004 110a30 320a5e 57106e 781c6d 9a2865 bc3754 d84c3e ed6925 f98e09 fbb61a f4df53 fcffa4")
VIRIDIS = _table("440154 481f70 443983 3b528b 31688e 287c8e 21918c 20a486 35b779 5ec962 90d743 c8e020 fde725")
BLUE_RED = _table("053061 2065ab 4393c3 90c4dd d1e5f0 f7f6f6 fddbc7 f3a481 d6604d b1182b 67001f")
"""Blue below the middle, white there, red above."""


def colored(shares: Array, table: Array) -> Array:
    """Colors of numbers from 0 to 1 (others: the nearest end): (…) → uint8 (…, 3)."""
    places = np.nan_to_num(shares).clip(0, 1) * (len(table) - 1)
    known = np.arange(len(table))
    channels = [np.interp(places, known, table[:, channel]) for channel in range(3)]
    found: Array = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return found


def over(picture: Array, colors: Array, opacity: Array) -> Array:
    """Colors over a picture, both uint8 (H, W, 3), with an opacity from 0 to 1 by pixel, (H, W)."""
    share = opacity[..., np.newaxis]
    blended: Array = np.rint(picture * (1 - share) + colors * share).astype(np.uint8)
    return blended
