"""The splits of a folder as a spec divides them, before its images are read."""

from collections.abc import Mapping, Sequence

import numpy as np

from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample
from cnncli.datasets.splits import folds, groups, selection
from cnncli.errors import DeclarationError


def planned(found: Listing, data: DataSection, seed: int) -> Mapping[str, Sequence[Sample]]:
    """The images by "train", "validation", "test", with one of the folds for validation.

    Raises DeclarationError for what the folder does not allow.
    """
    parts = selection.splits(found, data, seed)
    if data.folds is None or "train" not in parts:
        return parts
    if "validation" in parts:
        raise DeclarationError("folds must be omitted because the data has its own validation images", "folds")
    train = parts["train"]
    if found.groups:
        chosen = groups.folds_of(train, found.groups, data.folds, seed, found.classes)
        kept = [chosen[found.groups[sample.file]] == data.fold for sample in train]
    else:
        single = all(len(sample.labels) == 1 for sample in train)
        labels = np.array([sample.labels[0] for sample in train]) if single else None
        kept = folds.in_fold(labels, len(train), data.folds, data.fold, seed).tolist()
    return {
        "train": [sample for sample, own in zip(train, kept, strict=True) if not own],
        "validation": [sample for sample, own in zip(train, kept, strict=True) if own],
        **{name: part for name, part in parts.items() if name == "test"},
    }
