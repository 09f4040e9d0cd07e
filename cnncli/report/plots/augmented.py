"""Training images before and after augmentation."""

from typing import Any

import numpy as np
from PIL import Image

from cnncli.report.pictures.figures import Sheet, Tile

Array = np.ndarray[Any, Any]


def augmented(rows: Array, *, augments: bool) -> Sheet:
    """A sheet of uint8 (1 + draws, n, H, W, C): in the first row the images as they are.

    Of images with neither one nor three channels the first is shown.
    """
    shown = rows if rows.shape[-1] == 3 else rows[..., 0]
    tiles = [
        Tile(Image.fromarray(image), ("as it is",) if not number else ())
        for number, row in enumerate(shown)
        for image in row
    ]
    title = "Training images before and after augmentation" if augments else "Training images"
    return Sheet(title, [tile if augments else Tile(tile.image) for tile in tiles], rows.shape[1], 96.0)
