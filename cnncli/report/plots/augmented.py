"""Training images before and after augmentation."""

from typing import Any

import numpy as np

from cnncli.datasets.channels import drawn_note
from cnncli.datasets.images.as_image import as_image
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.report.plots.images import COLUMNS

Array = np.ndarray[Any, Any]


def augmented(rows: Array) -> Sheet:
    """A sheet of uint8 (1 + draws, n, H, W, C): in the first row the images as they are, if others follow."""
    tiles = [Tile(as_image(image)) for row in rows for image in row]
    title = "Training images as they are (first row) and as augmented" if len(rows) > 1 else "Training images"
    count = rows.shape[1]
    return Sheet(title, tiles, count if len(rows) > 1 else min(COLUMNS, count), 96.0, note=drawn_note(rows.shape[-1]))
