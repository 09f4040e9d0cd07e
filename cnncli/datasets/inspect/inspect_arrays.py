"""Checks every image of arrays, which are whole and of one size: they would not have been read otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.images.decode import pixels
from cnncli.datasets.inspect.inspection import THUMBNAIL, Inspection, Pictures, numbers, total
from cnncli.datasets.inspect.resemblance import Look, resemblance
from cnncli.datasets.inspect.value_stats import ValueStats, value_stats
from cnncli.datasets.sources.array_files import limits, portions

Array = np.ndarray[Any, Any]


def inspect_arrays(dataset: Dataset) -> Inspection:
    """Look through arrays."""
    splits = dataset.splits
    places = {split.name(row): (name, row) for name, split in splits.items() for row in split.numbers.tolist()}
    split_of = {image: name for image, (name, _) in places.items()}
    (shape,) = {split.x.shape[1:3] for split in splits.values()}
    ranges = {name: limits(split.x) for name, split in splits.items()}
    masked = {name: split.y for name, split in splits.items() if split.y is not None and split.y.ndim > 2}

    def mask(name: str) -> Array | None:
        split, row = places[name]
        return _class_numbers(masked[split][row]) if split in masked else None

    return Inspection(
        dataset.source,
        () if masked else dataset.classes,
        {name: {} if name in masked else _rows(split, dataset.classes) for name, split in splits.items()},
        {(shape[0], shape[1]): len(split_of)},
        [],
        split_of,
        Pictures(lambda name: np.asarray(splits[places[name][0]].x[places[name][1]]), mask),
        ranges,
        dataset.notes,
        {name: total(numbers(_class_numbers(y[rows])) for rows in portions(y)) for name, y in masked.items()},
        resemblance(dict(_looks(splits, ranges))),
        groups=dataset.groups,
        numbers=_numbers(dataset),
    )


def _numbers(dataset: Dataset) -> Mapping[str, ValueStats]:
    """What rows of numbers are like that are no classes."""
    rows = [split.y[split.numbers] for split in dataset.splits.values() if split.y is not None]
    if not rows or any(y.dtype.kind != "f" or y.ndim != 2 for y in rows):
        return {}
    y = np.concatenate(rows)
    if ((y == 0) | (y == 1)).all():
        return {}
    names = dataset.classes if len(dataset.classes) == y.shape[1] else [f"y[{i}]" for i in range(y.shape[1])]
    return value_stats(y, names)


def _class_numbers(masks: Array) -> Array:
    """The class of each pixel, from numbers or from a score for each class."""
    return masks if masks.dtype.kind in "iu" else masks.argmax(axis=-1)


def _rows(split: Split, classes: Sequence[str]) -> dict[str, list[str]]:
    """Names of the images of each class, where each has one."""
    if split.y is None or split.y.dtype.kind != "i":
        return {}
    rows = split.numbers
    labels = split.y[rows]
    return {name: [split.name(row) for row in rows[labels == number].tolist()] for number, name in enumerate(classes)}


def _looks(splits: Mapping[str, Split], ranges: Mapping[str, tuple[float, float]]) -> Iterator[tuple[str, Look]]:
    low, high = min(low for low, _ in ranges.values()), max(high for _, high in ranges.values())
    for split in splits.values():
        for row in split.numbers.tolist():
            image = split.x[row]
            if image.dtype != np.uint8:
                image = ((image - low) * (255 / max(high - low, float(np.finfo(np.float32).tiny)))).astype(np.uint8)
            shown = Image.fromarray(np.ascontiguousarray(image if image.shape[2] == 3 else image[..., 0]))
            digest = split.fingerprint(row)
            yield split.name(row), Look(image.shape[:2], digest, digest, pixels(shown, THUMBNAIL))
