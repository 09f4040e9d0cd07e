"""A dataset in memory: its splits and its duplicate images."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cnncli.datasets.fingerprints import fingerprint
from cnncli.datasets.problems import Problem

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Split:
    """Rows `start` and on of the array `key` of `source`; or, of a folder, the images of its split `key`.

    x: uint8 or float32 (N, H, W, C). y: int64 (N,), class numbers; or uint8 (N, H, W), those of pixels; or float32
    (N, …), dense targets; or None where the target is the input. `rows`: the split's rows of x and y, int64 (n,), where
    it has not all. `files`: the names of all N images, where they have some; `masks`: of their masks. `fingerprints`:
    of all N, uint8 (N, 16), where they are known (see fingerprints). `groups`: those of all N, where images of a group
    stay together, "" for none. `weights`: those of all N in the loss, float32 (N,) or those of
    pixels, (N, H, W), where they have some.
    """

    x: Array
    y: Array | None
    source: str
    key: str
    start: int = 0
    rows: Array | None = None
    files: Sequence[str] = ()
    masks: Sequence[str] = ()
    fingerprints: Array | None = None
    groups: Sequence[str] = ()
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.x if self.rows is None else self.rows)

    @property
    def numbers(self) -> Array:
        """The rows of x and y that are the split's: int64 (n,)."""
        return np.arange(len(self.x)) if self.rows is None else self.rows

    def name(self, row: int) -> str:
        """What an image is called: by its file, or as `x_train[5]`."""
        return self.files[row] if self.files else f"{self.key}[{self.start + row}]"

    def label_name(self, row: int) -> str:
        """What the target of an image is called: by the file of its mask or of itself, or as `row 5`."""
        return (self.masks or self.files)[row] if self.files else f"row {self.start + row}"

    def fingerprint(self, row: int) -> bytes:
        """What an image has in common with those of the same pixels alone."""
        if self.fingerprints is not None:
            return bytes(self.fingerprints[row])
        return fingerprint(np.ascontiguousarray(self.x[row]).data)

    @property
    def own_groups(self) -> set[str]:
        """The groups that its images are of."""
        return {self.groups[row] for row in self.numbers.tolist()} - {""} if self.groups else set()

    def document(self) -> dict[str, Any]:
        """Which samples these are, for people and programs."""
        groups = {"groups": len(self.own_groups)} if self.groups else {}
        if self.files:
            return {**groups, "files": [self.files[row] for row in self.numbers]}
        if self.rows is not None:
            return {**groups, "array": self.key, "rows": self.rows.tolist()}
        return {**groups, "array": self.key, "start": self.start, "stop": self.start + len(self)}

    @property
    def place(self) -> str:
        """What an error about the labels names."""
        if self.files:
            kind = "labels" if self.y is None or self.y.ndim < 3 else "masks"
            return f"{self.source}: the {kind} of {self.key}"
        return f"{self.source}: {'y' + self.key[1:]}"


@dataclass(frozen=True)
class Dataset:
    """The training, validation and test splits of a dataset.

    `classes` names them, where labels are class numbers or rows of several outputs. `digest` is the SHA-256 of all
    arrays of the source, before any splitting. `skipped`: the files that were left out because they can't be used.
    `notes`: what was understood of the source, where it may be meant otherwise.
    """

    source: str
    train: Split | None
    validation: Split | None
    test: Split | None
    classes: tuple[str, ...]
    digest: str
    skipped: Sequence[Problem] = ()
    notes: Sequence[str] = ()

    @property
    def splits(self) -> dict[str, Split]:
        """Those that there are, by "train", "validation", "test"."""
        pairs = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in pairs.items() if split is not None}

    @property
    def sizes(self) -> dict[str, int]:
        """The number of images of each split."""
        return {name: len(split) for name, split in self.splits.items()}

    @property
    def groups(self) -> dict[str, int]:
        """The number of groups of each split; empty without groups."""
        return {name: len(split.own_groups) for name, split in self.splits.items() if split.groups}

    @property
    def groups_in_several_splits(self) -> dict[str, list[str]]:
        """The splits of each group that is in more than one."""
        splits: dict[str, list[str]] = defaultdict(list)
        for name, split in self.splits.items():
            for group in split.own_groups:
                splits[group].append(name)
        return {group: splits[group] for group in sorted(splits) if len(splits[group]) > 1}

    @cached_property
    def in_several_splits(self) -> list[list[str]]:
        """Names of images whose pixels are the same, though they are not of the same split: "train x_train[5]"."""
        return duplicates_across_splits(self.splits)


def duplicate_groups(splits: Mapping[str, Split]) -> list[list[tuple[str, int]]]:
    """The images that there are more than once: for each its split and its row there, split after split."""
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for name, split in splits.items():
        for row in split.numbers.tolist():
            places[split.fingerprint(row)].append((name, row))
    return [group for group in places.values() if len(group) > 1]


def duplicates_across_splits(splits: Mapping[str, Split]) -> list[list[str]]:
    """The names of those of them that are in several splits: what is judged by was trained on."""
    if len(splits) < 2:
        return []
    crossing = [group for group in duplicate_groups(splits) if len({name for name, _ in group}) > 1]
    return [[f"{name} {splits[name].name(row)}" for name, row in group] for group in crossing]
