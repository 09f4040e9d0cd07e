"""Data in memory: images and labels of each split, checked."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.datasets import shapes
from cnncli.datasets.archive import SplitHeaders, headers, splits
from cnncli.datasets.describe import Found, find, sizes
from cnncli.datasets.duplicates import across
from cnncli.datasets.known import KNOWN
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.synthetic import Synthetic
from cnncli.errors import CnncliError, DeclarationError

Array = np.ndarray[Any, Any]
MOST_CLASSES = 1 << 20
"""Names are made for no more: a label beyond is reported when it is held against the model's outputs."""


@dataclass(frozen=True)
class Split:
    """Rows `start` and on of the array `key` of `source`; or, of a folder, the images of its split `key`.

    x: uint8 or float32 (N, H, W, C). y: int64 (N,), class numbers; or float32 (N, …), dense targets; or None where the
    target is the input. `rows`: the split's rows of x and y, int64 (n,), where it has not all. `files`: the names of
    all N images, where they have some. `fingerprints`: of all N, uint8 (N, 16), where they are known (see duplicates).
    """

    x: Array
    y: Array | None
    source: str
    key: str
    start: int = 0
    rows: Array | None = None
    files: Sequence[str] = ()
    fingerprints: Array | None = None

    def __len__(self) -> int:
        return len(self.x if self.rows is None else self.rows)

    @property
    def numbers(self) -> Array:
        """The rows of x and y that are the split's: int64 (n,)."""
        return np.arange(len(self.x)) if self.rows is None else self.rows

    def name(self, row: int) -> str:
        """What an image is called: by its file, or as `x_train[5]`."""
        return self.files[row] if self.files else f"{self.key}[{self.start + row}]"

    def document(self) -> dict[str, Any]:
        """Which samples these are, for people and programs."""
        if self.files:
            return {"files": [self.files[row] for row in self.numbers]}
        if self.rows is not None:
            return {"array": self.key, "rows": self.rows.tolist()}
        return {"array": self.key, "start": self.start, "stop": self.start + len(self)}

    @property
    def place(self) -> str:
        """What an error about the labels names."""
        if self.files:
            return f"{self.source}: the labels of {self.key}"
        return f"{self.source}: {'y' + self.key[1:]}"


@dataclass(frozen=True)
class Dataset:
    """What there is to train on, to choose by and to judge by.

    `classes` names them, where labels are class numbers or rows of several outputs. `digest` is the SHA-256 of all
    arrays of the source, before any splitting. `skipped`: the files that were left out because they can't be used.
    """

    source: str
    train: Split | None
    validation: Split | None
    test: Split | None
    classes: tuple[str, ...]
    digest: str
    skipped: Sequence[Problem] = ()

    @property
    def named(self) -> bool:
        """Whether the classes have names of their own, and are not just numbers."""
        return any(name != str(number) for number, name in enumerate(self.classes))

    @property
    def splits(self) -> dict[str, Split]:
        """Those that there are, by "train", "validation", "test"."""
        pairs = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in pairs.items() if split is not None}

    @cached_property
    def in_several_splits(self) -> list[list[str]]:
        """Names of images that are the same to the byte, though not of the same split: "train x_train[5]"."""
        return across(self.splits)


def load(
    data: DataSection, base: Path, *, seed: int = 0, told: Callable[[int, int], None] = lambda done, total: None
) -> Dataset:
    """Read what `data` names; relative paths are relative to `base`. Folders are divided by `seed`.

    What can be downloaded must be here already.

    `told` hears how many of how many image files are decoded. Raises DeclarationError as `describe` does; CnncliError,
    naming file, array and row, for data that break a rule.
    """
    if isinstance(data.dataset, Synthetic):
        made = _synthetic(data, data.dataset.settled(None))
    else:
        source = find(data.name, base)
        made = LOADED[source.kind](data, source, seed, told)
    if data.folds is None:
        return made
    from cnncli.datasets.folds import folded  # here, because it is made of what is defined here

    return folded(made, data.folds, data.fold, seed)


def _synthetic(data: DataSection, dataset: Synthetic) -> Dataset:
    state, labelled = hashlib.sha256(), data.targets == "labels"
    made = {name: _drawn(dataset, name, state, labelled=labelled) for name in dataset.samples}
    return _divided(data, made, shapes.class_names(dataset.classes) if labelled else (), state)


def _arrays(data: DataSection, source: Found, seed: int, told: Callable[[int, int], None]) -> Dataset:
    state = hashlib.sha256()
    made = _archived(data, source, state)
    return _divided(data, made, _classes([split.y for split in made.values() if split.y is not None]), state)


def _folder(data: DataSection, source: Found, seed: int, told: Callable[[int, int], None]) -> Dataset:
    from cnncli.datasets import images  # here, because arrays need no Pillow

    made = images.read(source.file, data, seed, told)
    splits = {
        name: Split(made.x, made.y, source.name, name, rows=rows, files=made.files, fingerprints=made.fingerprints)
        for name, rows in made.rows.items()
    }
    return _dataset(source.name, splits, made.classes, made.digest, made.skipped)


def _downloaded(data: DataSection, source: Found, seed: int, told: Callable[[int, int], None]) -> Dataset:
    from cnncli.datasets import download, readers  # here, because pooch takes a while to import

    known, state, labelled = KNOWN[source.name], hashlib.sha256(), data.targets == "labels"
    if not download.is_here(known):
        raise CnncliError(f"{known.name}: has not been downloaded yet; run `cnncli datasets download {known.name}`")
    arrays = readers.read(known, download.paths(known))
    made = {name: _ready(x, y, known.name, name, state, labelled=labelled) for name, (x, y) in arrays.items()}
    return _divided(data, made, known.classes if labelled else (), state)


LOADED: dict[str, Callable[[DataSection, Found, int, Callable[[int, int], None]], Dataset]] = {
    "folder": _folder,
    "arrays": _arrays,
    "downloaded": _downloaded,
}


def _divided(data: DataSection, made: dict[str, Split], classes: tuple[str, ...], state: "hashlib._Hash") -> Dataset:
    for key in data.of_folders:
        raise DeclarationError(f"{key} is for folders of images, which {data.name} is not", key)
    counts = sizes({name: len(split) for name, split in made.items()}, data.validation_split)
    if "validation" in counts and "validation" not in made:
        whole, kept = made["train"], counts["train"]
        made["train"], made["validation"] = _part(whole, 0, kept), _part(whole, kept, len(whole))
    digest = f"sha256:{state.hexdigest()}"
    return _dataset(next(iter(made.values())).source, made, classes, digest)


def _dataset(
    source: str, made: Mapping[str, Split], classes: tuple[str, ...], digest: str, skipped: Sequence[Problem] = ()
) -> Dataset:
    return Dataset(source, made.get("train"), made.get("validation"), made.get("test"), classes, digest, skipped)


def _archived(data: DataSection, source: Found, state: "hashlib._Hash") -> dict[str, Split]:
    found = splits(source.file, headers(source.file), labelled=data.targets == "labels")
    made = {}
    for name, split in found.items():
        x = _images(source.file, _read(source.file, split.x.key, state), split)
        y = None if split.y is None else _labels(source.file, _read(source.file, split.y.key, state), split.y.key)
        made[name] = Split(x, y, source.name, split.x.key)
    return made


def _drawn(dataset: Synthetic, name: str, state: "hashlib._Hash", *, labelled: bool) -> Split:
    x, y = shapes.draw(dataset, name)
    return _ready(x, y, "synthetic", name, state, labelled=labelled)


def _ready(x: Array, y: Array, source: str, name: str, state: "hashlib._Hash", *, labelled: bool) -> Split:
    """The split `name` of arrays that need no check, added to the digest."""
    _digest(f"x_{name}", x, state)
    if labelled:
        _digest(f"y_{name}", y, state)
    return Split(x, y if labelled else None, source, f"x_{name}")


def _read(path: Path, key: str, state: "hashlib._Hash") -> Array:
    """The array `key`, C-contiguous in the machine's byte order, added to the digest."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            array = archive[key]
    except MemoryError:
        raise CnncliError(f"{path}: {key} does not fit into memory") from None
    except Exception as error:  # zlib.error, BadZipFile, EOFError, ValueError, OSError: a damaged file, in its words
        raise CnncliError(f"{path}: {key} can't be read: {error}") from None
    array = _digest(key, array, state)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _digest(key: str, array: Array, state: "hashlib._Hash") -> Array:
    """Add an array, its name, dtype and shape to the digest; the array as it was added: C-contiguous, little-endian."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    state.update(repr((key, array.dtype.name, array.shape)).encode())
    state.update(array.data)
    return array


def _images(path: Path, x: Array, split: SplitHeaders) -> Array:
    if x.ndim == 3:
        x = x[..., None]
    return x if x.dtype == np.uint8 else _finite(path, split.x.key, x)


def _finite(path: Path, key: str, array: Array) -> Array:
    """`array` as float32. Raises CnncliError naming the first row with a value that is not finite there."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if bad.size:
        row = array[bad[0]].reshape(-1)
        value = row[~np.isfinite(row)][0]
        raise CnncliError(f"{path}: {key} must hold finite float32 numbers; row {bad[0]} has {value}")
    return array


def _labels(path: Path, y: Array, key: str) -> Array:
    if y.dtype.kind == "f":
        return _finite(path, key, y.reshape(-1, 1) if y.ndim == 1 else y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind == "i" and y.min() < 0:
        row = int(np.argmax((y < 0).reshape(len(y), -1).any(axis=1)))
        raise CnncliError(f"{path}: {key} must hold class numbers of at least 0; row {row} has {y[row].min()}")
    if y.ndim == 1:
        if y.dtype.kind == "u" and y.max() > np.iinfo(np.int64).max:
            raise CnncliError(f"{path}: {key} must hold class numbers; row {int(y.argmax())} has {y.max()}")
        return y.astype(np.int64)
    return np.ascontiguousarray(y, np.float32)


def _part(split: Split, start: int, stop: int) -> Split:
    y = None if split.y is None else split.y[start:stop]
    return Split(split.x[start:stop], y, split.source, split.key, start)


def _classes(labels: list[Array]) -> tuple[str, ...]:
    """The classes' names, which are their numbers: up to the greatest, or one a column of two-dimensional rows."""
    numbers = [int(y.max()) for y in labels if y.dtype.kind == "i"]
    columns = [y.shape[1] for y in labels if y.dtype.kind == "f" and y.ndim == 2]
    count = min(max(numbers) + 1, MOST_CLASSES) if numbers else max(columns, default=0)
    return tuple(str(number) for number in range(count)) if count > 1 else ()
