"""Masks over images: true, predicted, and where they differ."""

from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.images.as_image import as_image
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.report.pictures.theme import rgb, series
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.worst_masks import MaskMistake

Array = np.ndarray[Any, Any]
MOST = 8
"""Rows of a sheet."""
COVER = 0.6
"""Opacity of a mask over its image."""
MOST_NAMES = 30
"""In the legend."""
HEADS = ("image", "true", "predicted", "wrong pixels")


def overlays(evaluation: Evaluation, most: int = MOST) -> Sheet | None:
    """The images with the most wrong pixels, in each row one, its true and its predicted mask, and the difference.

    None if there are none. Class 0 is left uncovered; after eight, colors start again.
    """
    if not evaluation.masks or evaluation.data is None:
        return None
    shown = evaluation.masks[:most]
    colors = class_colors(len(evaluation.classes))
    tiles = [tile for mistake in shown for tile in _row(evaluation, mistake, colors)]
    title = f"Images with the most wrong pixels ({evaluation.split})"
    legend = [(name, number) for number, name in enumerate(evaluation.classes[1 : MOST_NAMES + 1])]
    return Sheet(title, tiles, len(HEADS), 150.0, HEADS, legend)


def class_colors(classes: int) -> Array:
    """A color for each class, of which the first has none: float32 (max(2, classes), 3)."""
    colors = [(0, 0, 0), *(rgb(series(number)) for number in range(max(1, classes - 1)))]
    return np.array(colors, np.float32)


def covered(image: Image.Image, mask: Array, colors: Array, opacity: float = COVER) -> Image.Image:
    """The image in gray, with each pixel's class as its color; class 0 leaves it gray.

    mask: uint8 (H, W); colors: real (classes, 3), 0 … 255, whose dtype is computed in; opacity: of the
    colors.
    """
    pixels = np.asarray(image.convert("L").convert("RGB"), colors.dtype)
    mixed = np.where(mask[..., None] > 0, (1 - opacity) * pixels + opacity * colors[mask], pixels)
    return Image.fromarray(mixed.round().astype(np.uint8))


def _row(evaluation: Evaluation, mistake: MaskMistake, colors: Array) -> list[Tile]:
    image = as_image(evaluation.image(mistake.position))
    differ = mistake.differs.astype(np.uint8)
    name = mistake.file or f"number {mistake.index}"
    return [
        Tile(image, (name,), tip=name),
        Tile(covered(image, mistake.true, colors), tip=f"true, {name}"),
        Tile(covered(image, mistake.predicted, colors), tip=f"predicted, {name}"),
        Tile(covered(image, differ, np.array([(0, 0, 0), rgb("bad")], np.float32)), (f"{mistake.wrong:.1%} wrong",)),
    ]
