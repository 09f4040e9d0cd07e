"""Images of arrays, to be looked at."""

from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.channels import drawn

Array = np.ndarray[Any, Any]


def as_image(pixels: Array) -> Image.Image:
    """An image of an array (H, W, C), uint8 or floating point, which is spread over black to white.

    Of images with neither one nor three channels the first ones are shown (see `drawn`).
    """
    pixels = drawn(pixels)
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255 / max(high - low, float(np.finfo(np.float32).tiny)))).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]))
