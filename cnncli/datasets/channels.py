"""What is drawn of images with any number of channels."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def drawn(pixels: Array) -> Array:
    """The channels that are drawn, of pixels (…, C): the first three, as red, green and blue, or the first of two."""
    return pixels[..., : 3 if pixels.shape[-1] > 2 else 1]


def drawn_note(channels: int) -> str:
    """A sentence on what is drawn of so many channels; empty where that is all."""
    if channels in (1, 3):
        return ""
    return f"The first 3 of {channels} channels are shown." if channels > 2 else "The first of 2 channels is shown."
