"""Cross-validation: splits training images into folds, one of which is used for validation."""

from dataclasses import replace
from typing import Any

import numpy as np

from cnncli.datasets.class_numbers import class_name, class_numbers
from cnncli.datasets.dataset import Dataset
from cnncli.datasets.sources.found import Sample
from cnncli.datasets.splits.groups import folds_of
from cnncli.datasets.splits.stratify import labels_of
from cnncli.errors import DeclarationError
from cnncli.kernels.batch.random import permutation
from cnncli.ops.streams import FOLDS

Array = np.ndarray[Any, Any]


def folded(dataset: Dataset, folds: int, fold: int, seed: int, *, by_class: bool = True) -> Dataset:
    """`dataset` with number `fold`, from 1, of so many folds of its training images for validation.

    Images are shuffled by the seed, put in order of their classes and dealt like cards: a fold has as much of each
    class as the others, but for one image. The only image of a class is always trained on. Groups stay together (see
    groups). Raises DeclarationError where the data do not allow it.
    """
    train = dataset.train
    if train is None:
        return dataset
    if dataset.validation is not None:
        raise DeclarationError("folds must be omitted because the data has its own validation images", "folds")
    rows = train.numbers
    numbers = None if train.y is None or not by_class else class_numbers(train.y)
    labels = None if numbers is None else numbers[rows]
    if train.groups:
        kept = _of_groups(dataset, folds, fold, seed, by_class=by_class)
        if labels is not None and len(missing := np.setdiff1d(labels, labels[~kept])):
            raise DeclarationError(
                f"folds must leave training images of every class; fold {fold} has all images of "
                f"{class_name(int(missing[0]), dataset.classes)!r}",
                "folds",
            )
    else:
        kept = in_fold(labels, len(rows), folds, fold, seed)
    if not kept.any():
        raise DeclarationError("folds must leave images for validation; each class has a single one", "folds")
    return replace(dataset, train=replace(train, rows=rows[~kept]), validation=replace(train, rows=rows[kept]))


def in_fold(labels: Array | None, count: int, folds: int, fold: int, seed: int) -> Array:
    """Which of so many images, of these classes if they have one each, are in a fold: bool (count,).

    The only image of a class is in none.
    """
    order = permutation(count, seed, FOLDS, 0)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    kept = np.zeros(count, bool)
    kept[order[fold - 1 :: folds]] = True
    if labels is not None:
        _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        kept &= counts[places] > 1
    return kept


def _of_groups(dataset: Dataset, folds: int, fold: int, seed: int, *, by_class: bool) -> Array:
    """Which training images are in a fold of whole groups: bool (n,)."""
    train = dataset.train
    assert train is not None
    labels = labels_of(train) if by_class else None
    rows = train.numbers.tolist()
    samples = [Sample(str(row), labels[place] if labels else ()) for place, row in enumerate(rows)]
    groups = {str(row): train.groups[row] for row in rows}
    chosen = folds_of(samples, groups, folds, seed, dataset.classes)
    return np.array([chosen[groups[sample.file]] == fold for sample in samples])
