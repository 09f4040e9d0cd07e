"""Splits arrays by class, and finds validation and test classes without training data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cnncli.datasets.class_numbers import class_name, class_numbers
from cnncli.datasets.dataset import Split
from cnncli.datasets.masks import present
from cnncli.datasets.sources.found import Sample
from cnncli.datasets.splits.splitting import divide
from cnncli.errors import CnncliError, DeclarationError

Array = np.ndarray[Any, Any]
NUMBERS = "if the labels are not classes, save them as floating point"


def stratified(train: Split, shares: Mapping[str, float], seed: int, names: Sequence[str]) -> dict[str, Split]:
    """The rows of `train` divided as a folder's images are: by the seed, a share of each class, or whole groups.

    Raises DeclarationError where rows have neither classes nor groups, or a split would have none of one.
    """
    labels = labels_of(train)
    if labels is None and not train.groups:
        raise DeclarationError(
            f"stratified needs classes: {train.place} must hold class numbers or rows of 0 and 1", "stratified"
        )
    labels = labels or [()] * len(train)
    shown = sorted({label for row in labels for label in row})
    rank = {label: number for number, label in enumerate(shown)}
    known = [class_name(label, names) for label in shown]
    samples = [Sample(f"{row:09}", tuple(rank[label] for label in of)) for row, of in enumerate(labels)]
    groups = {sample.file: group for sample, group in zip(samples, train.groups, strict=True)} if train.groups else {}
    parts = divide(samples, shares, seed, known, groups)
    return {name: replace(train, rows=np.array([int(row.file) for row in part])) for name, part in parts.items()}


def refuse_untrained(splits: Mapping[str, Split], classes: Sequence[str], void: int | None = None) -> None:
    """Raise CnncliError for a single class, and for one that is in a split but not in the one that is trained on.

    `void` is no class.
    """
    train = splits.get("train")
    numbers = {name: found for name, split in splits.items() if (found := _numbers(split)) is not None}
    if train is None or "train" not in numbers:
        return
    first = numbers["train"][0]
    exact = _is_exact(train)
    if exact and (numbers["train"] == first).all():
        raise CnncliError(f"{train.place} must hold at least two classes; every row has {first}")
    known = numbers["train"] if void is None else np.append(numbers["train"], void)
    for name, held in numbers.items():
        if lacking := _first_lacking(held, known, classes):
            row, of = lacking
            way = f"; {NUMBERS}" if exact else ""
            raise CnncliError(
                f"{splits[name].place} must hold only classes that are in the training data; row {row} has {of}{way}"
            )


def refuse_sorted(train: Split, validation: Split, classes: Sequence[str]) -> None:
    """Raise DeclarationError where the last rows, which are kept for validation, are of a class that no other is of."""
    kept, others = _numbers(validation), _numbers(train)
    if kept is None or others is None:
        return
    if lacking := _first_lacking(kept, others, classes):
        row, of = lacking
        way = f"; {NUMBERS}" if _is_exact(validation) else ""
        raise DeclarationError(
            f"{validation.place}: validation_split takes the last rows, which include all of class {of}, from row "
            f"{validation.start + row}: set `stratified: true` under `data` to split each class, or shuffle the "
            f"rows{way}",
            "validation_split",
        )


def lacking(splits: Mapping[str, Split], classes: Sequence[str], known: Sequence[str] = ()) -> dict[str, list[str]]:
    """The classes that no image of a split shows: those that are trained on, or without training data the `known` ones;
    by the split. Masks are not asked.
    """
    shown = {name: set(found.tolist()) for name, split in splits.items() if (found := _held(split)) is not None}
    expected = sorted(shown["train"]) if "train" in shown else range(len(known))
    missing = {
        name: [class_name(number, classes) for number in expected if number not in held] for name, held in shown.items()
    }
    return {name: of for name, of in missing.items() if of}


def _held(split: Split) -> Array | None:
    """The numbers of the classes that a split's images show, int64 (n,); None where images have no classes."""
    numbers = _numbers(split)
    if numbers is not None:
        return np.unique(numbers)
    shown = None if split.y is None or split.y.ndim > 2 else _shown(split)
    return None if shown is None else np.flatnonzero(shown)


def untrained(splits: Mapping[str, Split], classes: Sequence[str]) -> dict[str, list[str]]:
    """The classes that masks, or rows of several classes, of a split show and none that is trained on: by the split."""
    shown = {name: found for name, split in splits.items() if (found := _shown(split)) is not None}
    if "train" not in shown:
        return {}
    lacking = {
        name: [
            class_name(number, classes)
            for number in np.flatnonzero(held & ~shown["train"]).tolist()
            if number < len(classes)  # others are void
        ]
        for name, held in shown.items()
        if held.shape == shown["train"].shape
    }
    return {name: of for name, of in lacking.items() if of}


def labels_of(split: Split) -> list[tuple[int, ...]] | None:
    """The classes of each of the split's rows; None of rows without classes."""
    numbers = _numbers(split)
    if numbers is not None:
        return [(number,) for number in numbers.tolist()]
    if not _is_several(split.y):
        return None
    assert split.y is not None
    return [tuple(np.flatnonzero(row).tolist()) for row in split.y[split.numbers]]


def _numbers(split: Split) -> Array | None:
    """The class of each of the split's rows, where each has one."""
    found = None if split.y is None else class_numbers(split.y)
    return None if found is None else found[split.numbers]


def _is_exact(split: Split) -> bool:
    """Whether its labels are class numbers and could be other numbers."""
    return split.y is not None and split.y.dtype.kind == "i"


def _is_several(y: Array | None) -> bool:
    return y is not None and y.ndim == 2 and bool(((y == 0) | (y == 1)).all())


def _shown(split: Split) -> Array | None:
    """Which classes masks or rows of several classes show: bool (classes,)."""
    y = split.y
    if y is None or _numbers(split) is not None:
        return None
    if y.ndim == 3 and y.dtype == np.uint8:
        return present(y, split.rows)
    return np.any(y[split.numbers] > 0, axis=0) if _is_several(y) else None


def _first_lacking(held: Array, trained: Array, classes: Sequence[str]) -> tuple[int, str] | None:
    """The first row of the least class that is not among the trained ones, and that class."""
    lacking = np.setdiff1d(held, trained)
    if not lacking.size:
        return None
    number = int(lacking[0])
    return int(np.argmax(held == number)), class_name(number, classes)
