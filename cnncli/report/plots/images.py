"""Images of arrays, and the sheet of misclassified ones."""

from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.channels import drawn, drawn_note
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.training.metrics.evaluation_record import Evaluation

Array = np.ndarray[Any, Any]
MOST = 48
"""Misclassified images on a sheet."""
COLUMNS = 8


def as_image(pixels: Array) -> Image.Image:
    """An image of an array (H, W, C), uint8 or floating point, which is spread over black to white.

    Of images with neither one nor three channels the first ones are shown (see `drawn`).
    """
    pixels = drawn(pixels)
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255 / max(high - low, float(np.finfo(np.float32).tiny)))).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]))


def mistakes(evaluation: Evaluation, most: int = MOST) -> Sheet | None:
    """The misclassified images with true and predicted classes, the worst first; None if there are none."""
    if not evaluation.mistakes or evaluation.data is None:
        return None
    shown = evaluation.mistakes[:most]
    tiles = [
        Tile(
            as_image(evaluation.image(mistake.position)),
            (f"is {mistake.label}", f"taken for {mistake.predicted} ({mistake.probability:.0%})"),
            wrong=True,
            tip=mistake.file or f"number {mistake.index}",
        )
        for mistake in shown
    ]
    count, wrong = len(shown), len(evaluation.mistakes)
    of = f"{wrong:,}" if count == wrong else f"the worst {count} of {wrong:,}"
    note = drawn_note(evaluation.image(shown[0].position).shape[-1])
    return Sheet(f"Misclassified images ({evaluation.split}): {of}", tiles, min(COLUMNS, count), note=note)
