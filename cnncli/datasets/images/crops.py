"""Decodes parts of images: the boxes of a detection set."""

from collections.abc import Mapping
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from cnncli.datasets.images.decode import Form, pixels
from cnncli.datasets.sources.found import Crop
from cnncli.datasets.sources.image_files import UnusableError, opened

Array = np.ndarray[Any, Any]
TOLERATED = 1.0
"""Pixels by which a box may exceed its image: some programs count from 1, others round up."""


class Cropper:
    """Decodes boxes. A thread that is asked for several of one image in turn opens it once."""

    def __init__(self, root: Path, crops: Mapping[str, Crop]) -> None:
        self.root, self.crops, self.last = root, crops, local()

    def decode(self, name: str, form: Form) -> Array:
        """A box as `decode` gives an image: uint8 (H, W, C). Raises UnusableError as `cut`."""
        part = self.cut(name)
        try:
            return pixels(part, form)
        except (OSError, ValueError, MemoryError) as error:  # an UnusableError, too, which is a ValueError
            raise UnusableError(str(error)) from None

    def cut(self, name: str) -> Image.Image:
        """The part of an image, turned as EXIF says. Raises UnusableError for a box outside, or an unusable file."""
        crop = self.crops[name]
        whole = self._whole(crop.file)
        width, height = whole.size
        across, down = (width, height) if crop.relative else (1, 1)
        left, top, right, bottom = crop.box
        box = (left * across, top * down, right * across, bottom * down)
        if min(box) < -TOLERATED or box[2] > width + TOLERATED or box[3] > height + TOLERATED:
            raise UnusableError(
                f"a box must lie in its image, {height} × {width} (height × width); "
                f"it is at {', '.join(f'{side:g}' for side in box)} (left, top, right, bottom)"
            )
        x, y = (min(max(0, round(side)), most - 1) for side, most in ((box[0], width), (box[1], height)))
        return whole.crop((x, y, max(x + 1, min(width, round(box[2]))), max(y + 1, min(height, round(box[3])))))

    def _whole(self, file: str) -> Image.Image:
        if getattr(self.last, "file", None) != file:
            self.last.file = None
            with opened(self.root / file) as image:
                self.last.image = ImageOps.exif_transpose(image)
            self.last.file = file
        whole: Image.Image = self.last.image
        return whole
