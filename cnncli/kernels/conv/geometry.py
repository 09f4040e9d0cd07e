"""The geometry of a convolution, and which way computes it; loads no compiler."""

from typing import NamedTuple

LEAST = 16
"""Minimum channels and filters for which fewer products outweigh the transforms."""
LEAST_PIXELS = 4
"""Minimum output rows and columns: smaller outputs waste too much of their tiles."""
LEAST_STRIDED = 64
"""Minimum channels and filters for which the same is true with strides of 2, where fewer products are saved."""


class Geometry(NamedTuple):
    """Geometry of a convolution; pairs are (vertical, horizontal).

    `padding` is the number of zero rows above and zero columns left of the image; those below and on the right follow
    from the shape of the output.
    """

    strides: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


FILTERED = (3, 5)
"""Taps in a row, and in a column, of the depthwise kernels that read an image in place."""


def filters_in_place(taps: tuple[int, ...], geometry: Geometry) -> bool:
    """Whether `depthwise` reads images in place for a kernel with these (kh, kw)."""
    square = taps[0] == taps[1] and taps[0] in FILTERED
    return square and geometry.dilation == (1, 1) and geometry.strides[1] in (1, 2)


def suits_winograd(kernel: tuple[int, ...], geometry: Geometry, out: tuple[int, ...]) -> bool:
    """Whether `winograd` is faster for a convolution: a function of its shape only.

    kernel: (kh, kw, in, filters); out: the shape of a convolved image, (OH, OW, …).
    """
    return _suits(kernel, geometry, out, 1, LEAST)


def suits_strided_winograd(kernel: tuple[int, ...], geometry: Geometry, out: tuple[int, ...], dtype: str) -> bool:
    """Whether `winograd` is faster with strides of 2, for images of `dtype`; shapes as for `suits_winograd`."""
    return dtype != "bfloat16" and _suits(kernel, geometry, out, 2, LEAST_STRIDED)


def _suits(kernel: tuple[int, ...], geometry: Geometry, out: tuple[int, ...], stride: int, least: int) -> bool:
    taps, depth = kernel[:2], kernel[2:]
    plain = geometry.strides == (stride, stride) and geometry.dilation == (1, 1) and geometry.groups == 1
    return taps == (3, 3) and plain and min(depth) >= least and min(out[:2]) >= LEAST_PIXELS
