"""Resizes images without antialiasing, exactly like TensorFlow's `tf.image.resize(…, antialias=False)`.

Each new pixel is made of the old ones around its centre, however many lie between two centres. Coordinates, weights and
sums are float32 in TensorFlow's order (core/kernels/image/); what it gives as float is rounded here, and kept within
0 … 255.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
F = np.float32
KEYS = F(-0.5)
"""The parameter of Keys' cubic, bicubic's kernel."""
STEPS = 1024
"""Places between two pixels for which TensorFlow has the weights of bicubic."""
RADIUS = 3
"""Of the kernel of lanczos3."""


class Taps(NamedTuple):
    """For each new place the old ones it is made of, int64 (new, n), and their weights, float32 (new, n)."""

    places: Array
    weights: Array


def resize(pixels: Array, height: int, width: int, interpolation: str) -> Array:
    """Pixels, uint8 or float32 (H, W) or (H, W, C), as such of another size."""
    taps = TAPS[interpolation]
    high, rows = _used(taps(pixels.shape[0], height))
    wide, columns = _used(taps(pixels.shape[1], width))
    pixels = pixels.take(high, 0).take(wide, 1)
    if interpolation == "bilinear":
        made = _between(_between(pixels, columns, 1), rows, 0)
    else:
        made = _along(_along(pixels, rows, 0), columns, 1)
    return np.rint(made).clip(0, 255).astype(np.uint8) if pixels.dtype == np.uint8 else made.astype(F)


def padded(pixels: Array, height: int, width: int, interpolation: str, fill: int = 0) -> Array:
    """The same with black, or `fill`, around, so that nothing is distorted: `tf.image.resize_with_pad`."""
    high, wide = map(F, pixels.shape[:2])
    ratio = max(wide / F(width), high / F(height))
    inside = high / ratio, wide / ratio
    top, left = (max(0, int((F(whole) - part) / 2)) for whole, part in zip((height, width), inside, strict=True))
    made = resize(pixels, max(1, int(inside[0])), max(1, int(inside[1])), interpolation)
    out = np.full((height, width, *pixels.shape[2:]), fill, pixels.dtype)
    out[top : top + made.shape[0], left : left + made.shape[1]] = made
    return out


def _used(taps: Taps) -> tuple[Array, Taps]:
    """The old places that are used at all, and the taps among them."""
    used, places = np.unique(taps.places, return_inverse=True)
    return used, Taps(places.reshape(taps.places.shape), taps.weights)


def _between(pixels: Array, taps: Taps, axis: int) -> Array:
    """Values between two, along an axis: float32."""
    below, above = (pixels.take(taps.places[:, n], axis).astype(F) for n in (0, 1))
    share = taps.weights[:, 1].reshape(-1, *[1] * (pixels.ndim - 1 - axis))
    made: Array = below + (above - below) * share
    return made


def _along(pixels: Array, taps: Taps, axis: int) -> Array:
    """Sums along an axis, tap after tap: float32."""
    weights = taps.weights.reshape(-1, taps.weights.shape[1], *[1] * (pixels.ndim - 1 - axis))
    made = np.zeros((), F)
    for n in range(taps.places.shape[1]):
        made = made + pixels.take(taps.places[:, n], axis) * weights[:, n]
    return made


def _centres(old: int, new: int, scale: Any = None) -> Array:
    """Where the new pixels' centres lie, in old pixels from the first one's edge: float32 (new,)."""
    return (np.arange(new, dtype=F) + F(0.5)) * (F(old) / F(new) if scale is None else scale)


def _nearest(old: int, new: int) -> Taps:
    places = np.floor(_centres(old, new)).astype(np.int64).clip(0, old - 1)
    return Taps(places[:, None], np.ones((new, 1), F))


def _bilinear(old: int, new: int) -> Taps:
    centres = _centres(old, new) - F(0.5)
    below = np.floor(centres)
    places = np.stack([below, below + 1], axis=1).astype(np.int64).clip(0, old - 1)
    return Taps(places, np.stack([1 - (centres - below), centres - below], axis=1))


def _bicubic(old: int, new: int) -> Taps:
    centres = _centres(old, new) - F(0.5)
    below = np.floor(centres)
    near = np.rint((centres - below) * STEPS).astype(np.int64)
    x = np.arange(STEPS + 1, dtype=F) / STEPS
    inner = ((KEYS + 2) * x - (KEYS + 3)) * x * x + 1
    outer = ((KEYS * (x + 1) - 5 * KEYS) * (x + 1) + 8 * KEYS) * (x + 1) - 4 * KEYS
    weights = np.stack([outer[near], inner[near], inner[STEPS - near], outer[STEPS - near]], axis=1)
    return _inside(below[:, None].astype(np.int64) + np.arange(-1, 3), weights, old)


def _lanczos3(old: int, new: int) -> Taps:
    centres = _centres(old, new, F(1.0 / float(F(new) / F(old))))
    first = np.ceil(centres - F(RADIUS) - F(0.5)).astype(np.int64)
    places = first[:, None] + np.arange(2 * RADIUS + 1)
    x = np.abs(places.astype(F) + F(0.5) - centres[:, None])
    turns = F(np.pi) * x
    with np.errstate(invalid="ignore"):
        weights = RADIUS * np.sin(turns) * np.sin(turns / RADIUS) / (turns * turns)
    weights[x < F(1e-3)] = 1
    weights[x > RADIUS] = 0
    return _inside(places, weights, old)


def _area(old: int, new: int) -> Taps:
    """What each new pixel covers of the old ones."""
    scale = F(old) / F(new)
    begin, end = (np.arange(start, new + start, dtype=F) * scale for start in (0, 1))
    places = np.floor(begin).astype(np.int64)[:, None] + np.arange(int(np.ceil(scale)) + 1)
    covered = np.minimum(places + 1, end[:, None]) - np.maximum(places, begin[:, None])
    return Taps(places.clip(0, old - 1), (covered.clip(0) / scale).astype(F))


def _inside(places: Array, weights: Array, old: int) -> Taps:
    """Taps of which those beyond the edges count nothing, and the others together 1."""
    kept = np.where((places >= 0) & (places < old), weights, F(0))
    return Taps(places.clip(0, old - 1), (kept / kept.sum(axis=1, keepdims=True, dtype=F)).astype(F))


TAPS: dict[str, Callable[[int, int], Taps]] = {
    "nearest": _nearest,
    "bilinear": _bilinear,
    "bicubic": _bicubic,
    "area": _area,
    "lanczos3": _lanczos3,
}
