"""An image file → pixels of the size and colours that a spec asks for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from cnncli.datasets.pictures import UnusableError, opened

Array = np.ndarray[Any, Any]
MODES = {"rgb": "RGB", "grayscale": "L"}
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos3": Image.Resampling.LANCZOS,
}
"""Keras' names, and what Pillow calls them. What is made smaller is smoothed, as in Keras' load_img."""


@dataclass(frozen=True)
class Form:
    """What images are made into. `resized`: images of other sizes are, and not refused."""

    height: int
    width: int
    color_mode: str = "rgb"
    crop: bool = False
    pad: bool = False
    interpolation: str = "bilinear"
    resized: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, len(MODES[self.color_mode])


def decode(path: Path, form: Form) -> Array:
    """An image as uint8 (H, W, C): turned as EXIF says, converted, then resized. Alpha is dropped, as Keras does.

    Raises UnusableError.
    """
    with opened(path) as image:
        upright = _bytes(ImageOps.exif_transpose(image)).convert(MODES[form.color_mode])
        return np.asarray(_resized(upright, form), np.uint8).reshape(form.shape)


def _bytes(image: Image.Image) -> Image.Image:
    """The image with 8 bits a sample: v of 16 bits becomes v · 255 / 65535, rounded.

    Pillow reads 16-bit samples of grey images as they are, and the high byte of those of colours.
    """
    if not image.mode.startswith("I"):
        return image
    levels = np.asarray(image).astype(np.int64).clip(0, 65535)
    return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))


def _resized(image: Image.Image, form: Form) -> Image.Image:
    width, height = image.size
    if (height, width) == (form.height, form.width):
        return image
    if not form.resized:
        raise UnusableError(
            f"without image_size every image must be as large as the first, {form.height} × {form.width} "
            f"(height × width); it is {height} × {width}"
        )
    # Keras' whole numbers: the side that the other one asks for at the wanted ratio.
    wide, high = height * form.width // form.height, width * form.height // form.width
    box = (0, 0, width, height)
    if form.crop:
        wide, high = max(1, min(width, wide)), max(1, min(height, high))
        left, top = (width - wide) // 2, (height - high) // 2
        box = (left, top, left + wide, top + high)
    elif form.pad:
        wide, high = max(width, wide), max(height, high)
        padded = Image.new(image.mode, (wide, high))
        padded.paste(image, ((wide - width) // 2, (high - height) // 2))
        image, box = padded, (0, 0, wide, high)
    return image.resize((form.width, form.height), FILTERS[form.interpolation], box=box)
