"""Runs of the weight gradients of convolutions: the rows of the sum that a chunk adds up, and those of the image.

The sum has rows (kh, kw, in). Those that are contiguous in the image, of a kernel row or of a tap, are added up in one
product. Images are processed in bands of rows that stay in the cache, because every row of the sum reads them.
"""

from numba import njit

LONG = 512
"""Pixels from which on a weight gradient gains nothing from stacking images, because the caches are full."""
NEAR = 192 << 10
"""Bytes of a band of the image and of its gradient, which stay in the L2 cache."""


@njit
def chunk_of(p, start, stop):
    """Return the images of a chunk, first and end, the same of its rows of the sum, and the first row of its lane."""
    tile, rows = start // p.batch, p.kh * p.kw * (p.channels // p.groups)
    start, stop = start - tile * p.batch, stop - tile * p.batch
    return start, stop, tile * rows // p.tiles, (tile + 1) * rows // p.tiles, start // p.lane * rows


@njit
def run_from(p, row, last, band, height, begun):
    """Return the place (kh, kw, in) of a row of the sum, how many belong to its run, and the output rows to add up.

    band: the first output row and the end of a band, of images of `height`. The rows are those for which the tap is
    inside the image, possibly none; but the first one if the sum has not `begun`, so that zeros are written.
    """
    inner = p.channels // p.groups
    tap, whole = row // inner, p.kw * inner if p.dx == 1 or p.kw == 1 else inner
    i, j, c = tap // p.kw, tap % p.kw, row % inner
    y = i * p.dy - p.top
    above, below = max(band[0], -(y // p.sy)), min(band[1], (height - 1 - y) // p.sy + 1)
    if above >= below and not begun:
        above, below = band[0], band[0] + 1
    return (i, j, c), min(last, (row // whole + 1) * whole) - row, above, below
