"""The kernels of a convolution as small images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from cnncli.report.pictures.figures import Sheet, Tile

Array = np.ndarray[Any, Any]
MOST = 256
"""Filters on a sheet."""
COLUMNS = 16


def filters(weights: Mapping[str, Array], layer: str) -> Sheet:
    """The filters of `layer`, whose kernel has shape (height, width, channels, filters)."""
    height, width, channels, count = weights[f"{layer}/kernel"].shape
    tiles = [Tile(image) for image in filter_images(weights[f"{layer}/kernel"][..., :MOST])]
    what = f"{width} × {height}, {channels} channel{'s' * (channels > 1)}{'' if channels in (1, 3) else ', their mean'}"
    shown = f"{count}" if count <= MOST else f"the first {MOST} of {count:,}"
    return Sheet(f"Filters of {layer}", tiles, min(COLUMNS, max(4, count)), 48.0, note=f"{shown} filters of {what}")


def filter_images(kernel: Array) -> list[Image.Image]:
    """Each filter of a kernel of shape (height, width, channels, filters).

    It is scaled so that gray is 0 and its largest magnitude is black or white; three channels are shown as red, green
    and blue, any other number as their mean.
    """
    shown = kernel if kernel.shape[2] == 3 else kernel.mean(2, keepdims=True)
    return [filter_image(shown[..., number]) for number in range(shown.shape[-1])]


def filter_image(kernel: Array) -> Image.Image:
    """One kernel, real (height, width, 1 or 3), as an image: gray is 0."""
    largest = float(np.abs(kernel).max()) or 1.0
    levels = np.round(127.5 + 127.5 * kernel / largest).astype(np.uint8)
    return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
