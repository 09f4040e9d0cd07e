"""Cross-validation: splits training images into folds, one of which is used for validation."""

from dataclasses import replace

import numpy as np

from cnncli.datasets.class_numbers import class_numbers
from cnncli.datasets.dataset import Dataset
from cnncli.errors import DeclarationError
from cnncli.kernels.batch.random import permutation
from cnncli.ops.streams import FOLDS


def folded(dataset: Dataset, folds: int, fold: int, seed: int, *, by_class: bool = True) -> Dataset:
    """`dataset` with number `fold`, from 1, of so many folds of its training images for validation.

    Images are shuffled by the seed, put in order of their classes and dealt like cards: a fold has as much of each
    class as the others, but for one image. The only image of a class is always trained on. Raises DeclarationError
    where the data do not allow it.
    """
    train = dataset.train
    if train is None:
        return dataset
    if dataset.validation is not None:
        raise DeclarationError("folds must be omitted because the data has its own validation images", "folds")
    rows = train.numbers
    order = permutation(len(rows), seed, FOLDS, 0)
    numbers = None if train.y is None or not by_class else class_numbers(train.y)
    labels = None if numbers is None else numbers[rows]
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    kept = np.zeros(len(rows), bool)
    kept[order[fold - 1 :: folds]] = True
    if labels is not None:
        _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
        kept &= counts[numbers] > 1
        if not kept.any():
            raise DeclarationError("folds must leave images for validation; each class has a single one", "folds")
    return replace(dataset, train=replace(train, rows=rows[~kept]), validation=replace(train, rows=rows[kept]))
