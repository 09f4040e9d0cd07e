"""The sheet of misclassified images."""

from cnncli.datasets.channels import drawn_note
from cnncli.datasets.images.as_image import as_image
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.training.metrics.evaluation_record import Evaluation

MOST = 48
"""Misclassified images on a sheet."""
COLUMNS = 8


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
