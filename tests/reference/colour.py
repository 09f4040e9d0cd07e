"""Colours and tones changed image by image in float64: the twins of `augment/colour.py`, `blur.py` and `levels.py`."""

import colorsys

import numpy as np


def recoloured(image, *, turn=0.0, factor=1.0):
    """An image between 0 and 1 whose hues are turned and whose saturations are multiplied."""
    out = np.empty(image.shape)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(float(number) for number in image[place]))
        out[place] = colorsys.hsv_to_rgb((hue + turn) % 1, min(saturation * factor, 1), value)
    return out


def greyed(image, factor):
    """An image and its grey one, mixed."""
    grey = image.astype(np.float64) @ [0.2989, 0.5870, 0.1140]
    return (1 - factor) * image + factor * grey[..., None]


def filtered(image, weights):
    """The sum over the pixels around each one, times `weights` (height, width); there are zeros outside."""
    (up, left), (height, width, _) = (length // 2 for length in weights.shape), image.shape
    framed = np.pad(image.astype(np.float64), ((up, up), (left, left), (0, 0)))
    out = np.zeros(image.shape)
    for row, column in np.ndindex(height, width):
        window = framed[row : row + weights.shape[0], column : column + weights.shape[1]]
        out[row, column] = (window * weights[..., None]).sum(axis=(0, 1))
    return out


def gaussian(size, down, across):
    """A Gaussian over `size` × `size` pixels, whose sum is 1."""
    places = np.arange(size) - size // 2
    bell = np.exp(-(places[:, None] ** 2) / (2 * down**2) - places**2 / (2 * across**2))
    return bell / bell.sum()


def equalized(image, bins):
    """An image of whole levels, 0 to 255, each channel spread evenly over them; one of a single bin stays."""
    out = image.astype(np.float64)
    for channel in range(image.shape[2]):
        cells = image[..., channel].astype(int) * (bins - 1) // 255
        up_to = np.array([(cells <= cell).sum() for cell in range(bins)])
        first = up_to[up_to > 0][0]
        if first < cells.size:
            out[..., channel] = np.clip(np.round((up_to - first) * 255 / (cells.size - first)), 0, 255)[cells]
    return out
