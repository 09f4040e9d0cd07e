"""Warnings about data that are probably unintended, issued before training."""

from collections.abc import Iterator

import numpy as np

from cnncli.datasets.augment.photometric import Photometric
from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import array_files
from cnncli.training.class_weight import KEY, Weights, weighs_nothing
from cnncli.training.metrics.metrics import Accuracy
from cnncli.training.sections import CompileSection


def of_data(
    data: DataSection, compiled: CompileSection, dataset: Dataset, weights: str | Weights | None = None
) -> list[str]:
    """One warning message per problem. `weights`: of classes."""
    found = [] if dataset.train is None else [*_weightless(dataset.train), *of_ranges(data, dataset.train)]
    if weighs_nothing(weights, dataset, compiled.loss.void):
        found.append(f"{dataset.source}: {KEY} is 0 for all classes of training images: no layer learns from them")
    counts = Accuracy() in compiled.metrics and not compiled.loss.classes  # a loss over classes rejects such rows
    return [*found, *(_several(dataset) if counts else ())]


def _weightless(split: Split) -> Iterator[str]:
    """Weights of images, or of their pixels, that are all 0."""
    weights = split.weights
    if weights is not None and not any(weights[row].any() for row in split.numbers):  # stops at the first that counts
        yield f"{split.source}: the weights of all training images are 0: no layer learns from them"


def of_ranges(data: DataSection, split: Split) -> Iterator[str]:
    """Augmentations whose `value_range` does not match the images."""
    tones = [augmentation for augmentation in data.augment if isinstance(augmentation, Photometric)]
    if not tones:
        return
    least, greatest = (0.0, 255.0) if split.x.dtype == np.uint8 else array_files.limits(split.x)
    for tone in tones:
        if not tone.fits(least, greatest):
            (darkest, lightest), fitting = sorted(tone.value_range), _range(tone, least, greatest)
            yield (
                f"{type(tone).__name__} takes images for numbers from {darkest:g} to {lightest:g}; those of "
                f"{split.source} are from {least:.4g} to {greatest:.4g}: say `value_range: {fitting}`"
            )


def _range(tone: Photometric, least: float, greatest: float) -> str:
    """[0, 1] or [0, 255] if the values fit, else their actual range."""
    usual = (most for most in (1, 255) if tone.replace(value_range=(0, most)).fits(least, greatest))
    return next((f"[0, {most}]" for most in usual), f"[{least:.4g}, {greatest:.4g}]")


def _several(dataset: Dataset) -> Iterator[str]:
    """Multi-hot rows with zero or several classes, for which accuracy compares only one."""
    for split in dataset.splits.values():
        y = split.y
        if y is None or y.dtype.kind != "f" or y.shape[-1] == 1 or not ((y == 0) | (y == 1)).all():
            continue
        counts = np.count_nonzero(y, axis=-1)
        other = np.argwhere(counts != 1)
        if other.size:
            place = tuple(int(number) for number in other[0])
            yield (
                f"accuracy counts the class with the greatest output, and rows of {split.place} have any number of "
                f"classes (row {split.start + place[0]} has {counts[place]}): use `binary_accuracy`"
            )
            return
