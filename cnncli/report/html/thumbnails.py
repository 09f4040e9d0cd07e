"""Images as data URIs, as many as the page has room for."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.channels import drawn

Array = np.ndarray[Any, Any]
LONGEST = 112
"""Pixels of the longer side; larger images are reduced."""
SMALLEST = 96
"""CSS pixels of the longer side; smaller images are enlarged by a whole number."""
SHARP, LARGE = 40, 1500
"""Up to this side images are stored as PNG, unless that has more bytes; others as JPEG."""


class Room:
    """What there is room for in the part of a run: bytes of images, of which some are `left`, and `rows` of a table."""

    def __init__(self, size: int, rows: int) -> None:
        self.left, self.rows = size, rows

    def uri(self, image: Image.Image) -> str:
        """The image as a data URI; empty if there is no room left for it."""
        content, kind = _encoded(image)
        text = f"data:image/{kind};base64,{b64encode(content).decode()}"
        if len(text) > self.left:
            self.left = 0
            return ""
        self.left -= len(text)
        return text


def _encoded(image: Image.Image) -> tuple[bytes, str]:
    """The image as a file, and its format: PNG, or JPEG if that is large."""
    content = BytesIO()
    if max(image.size) <= SHARP:
        image.save(content, "png", optimize=True)
        if content.tell() <= LARGE:
            return content.getvalue(), "png"
    content = BytesIO()
    image.save(content, "jpeg", quality=85)
    return content.getvalue(), "jpeg"


def as_image(pixels: Array, low: float, high: float) -> Image.Image:
    """Pixels, real (H, W, C) from `low` to `high`, as an image of at most LONGEST pixels.

    Of any other number of channels the first ones are shown (see `drawn`). Values that are not finite are black.
    """
    shown = drawn(pixels)
    shown = shown if shown.shape[2] == 3 else shown[..., 0]
    if shown.dtype != np.uint8:
        scaled = (np.nan_to_num(shown.astype(np.float64), nan=low) - low) * (255 / ((high - low) or 1.0))
        shown = scaled.clip(0, 255).round().astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(shown))
    image.thumbnail((LONGEST, LONGEST))
    return image


def bounds(images: Sequence[Array]) -> tuple[float, float]:
    """What is black and what is white in images: 0 and 255 of integers, 0 and 1 or else the extremes of floats."""
    if images[0].dtype == np.uint8:
        return 0.0, 255.0
    finite = [found for found in (image[np.isfinite(image)] for image in images) if found.size]
    low = min((float(found.min()) for found in finite), default=0.0)
    high = max((float(found.max()) for found in finite), default=1.0)
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Width and height on the page, in CSS pixels."""
    times = max(1, SMALLEST // max(image.size))
    return image.width * times, image.height * times
