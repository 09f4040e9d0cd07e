"""Loads and checks the images and labels of each split."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnncli.datasets import masks
from cnncli.datasets.class_numbers import integer_labels
from cnncli.datasets.dataset import Array, Dataset, Split
from cnncli.datasets.describe import (
    asked,
    find,
    refuse_keys_of_others,
    refuse_targets,
    refuse_values,
    sizes,
)
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources import archive, array_files, shapes
from cnncli.datasets.sources.archive import Header, SplitHeaders, headers, splits
from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.datasets.sources.csv_layout import MOST_CLASSES
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.synthetic import Synthetic
from cnncli.datasets.splits import stratify
from cnncli.datasets.splits.folds import folded
from cnncli.errors import CnncliError

Progress = Callable[[int, int], None]
Shape = tuple[int, ...] | None


class ModelShape(NamedTuple):
    """The properties of a model that affect how data are read.

    Input shape, number of outputs, the class number that its loss ignores, and whether it is only evaluated.
    """

    input_shape: Shape
    outputs: int
    void: int | None = None
    evaluated: bool = False


BACKGROUND = "background"
"""The class of pixels outside the shapes of `synthetic`."""


def load(
    data: DataSection,
    base: Path,
    *,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
    input_shape: Shape = None,
    outputs: int = 1,
    void: int | None = None,
    evaluated: bool = False,
) -> Dataset:
    """Load the dataset of `data`; relative paths are relative to `base`. Folders and tables are split by `seed`; table
    rows that are not square images get the model's `input_shape`. For a model with several `outputs`, integers in
    floating point are class numbers. `void`: a number that stands for no class. `evaluated`: nothing is trained on the
    data, which may lack classes.

    Downloadable datasets must have been downloaded. `progress` is called with the number of decoded image files and the
    total. Raises DeclarationError as `describe` does, and CnncliError naming file, array and row for invalid data.
    """
    if isinstance(data.dataset, Synthetic):
        refuse_values("synthetic", data)
        made = _synthetic(data, data.dataset.settled(None), seed)
    else:
        source = find(data, base)
        made = LOADERS[source.kind](data, source, seed, progress, ModelShape(input_shape, outputs, void, evaluated))
    if data.folds is None:
        return made
    return folded(made, data.folds, data.fold, seed, by_class=data.targets != "values")


def _synthetic(data: DataSection, dataset: Synthetic, seed: int) -> Dataset:
    state = hashlib.sha256()
    made = {name: _drawn(dataset, name, state, data.targets) for name in dataset.samples}
    names = shapes.class_names(dataset.classes)
    classes = {"labels": names, "masks": (BACKGROUND, *names), "input": ()}[data.targets]
    return _divided(data, made, classes, state, seed)


def _arrays(data: DataSection, source: Found, seed: int, progress: Progress, model: ModelShape) -> Dataset:
    state = hashlib.sha256()
    arrays = headers(source)
    found = splits(source.file, arrays, **asked(data))
    made, classes = _stored(data, source, found, state, model)
    if data.group_by is not None:
        header = archive.groups(source, arrays, data.group_by, found["train"].x if "train" in found else None)
        groups = array_files.read(header, source.kind).tolist()
        made["train"] = replace(made["train"], groups=tuple(map(str, groups)))
    weights = archive.weights(source, arrays, data.sample_weight, found, masks=data.targets == "masks")
    for name, header in weights.items():
        given = array_files.read(header, source.kind)
        made[name] = replace(made[name], weights=array_files.weights(given, header, state))
    notes = [
        *archive.notes(source, arrays, found, data.group_by, weights.values()),
        *(note for name, split in found.items() for note in _image_notes(data, made[name].x, split.x)),
        *array_files.label_notes([split.y for split in made.values()], model.outputs if model.input_shape else None),
    ]
    return replace(_divided(data, made, classes, state, seed), notes=notes)


def _image_notes(data: DataSection, x: Array, header: Header) -> list[str]:
    return array_files.image_notes(x, header) or _range_notes(data, x, header.title)


def _range_notes(data: DataSection, x: Array, title: str) -> list[str]:
    scaled = data.normalize is not None or data.rescale != "auto"
    return [] if scaled else array_files.range_notes(x, title)


def _folder(data: DataSection, source: Found, seed: int, progress: Progress, model: ModelShape) -> Dataset:
    from cnncli.datasets.images import load_images  # here, because arrays need no Pillow

    made = load_images.read(source, data, seed, progress, model.void, evaluated=model.evaluated)
    splits = {
        name: Split(
            *(made.x, made.y, source.name, name, 0, rows),
            *(made.files, made.masks, made.fingerprints, made.groups, made.weights),
        )
        for name, rows in made.rows.items()
    }
    whole = _dataset(source.name, splits, made.classes, made.digest)
    return replace(whole, skipped=made.skipped, notes=[*made.notes, *_range_notes(data, made.x, "the folder")])


def _table(data: DataSection, source: Found, seed: int, progress: Progress, model: ModelShape) -> Dataset:
    from cnncli.datasets.sources import csv_arrays, csv_layout  # here, because other data need none of it
    from cnncli.datasets.splits import csv_rows

    refuse_targets(source, data)
    found = csv_layout.tables(source, data, evaluated=model.evaluated)
    size, rows = csv_layout.image_shape(found, model.input_shape), csv_rows.divided(found, data, seed)
    state, labelled = hashlib.sha256(repr(found.classes).encode()), data.targets == "labels"
    files = {
        name: _ready(x.reshape(-1, *size), np.array(found.numbers[name]), source.name, name, state, labelled=labelled)
        for name, x in csv_arrays.read(found).items()
    }
    for name, weights in found.weights.items():
        given = array_files.digest(f"sample_weight_{name}", np.array(weights, np.float32), state)
        files[name] = replace(files[name], weights=given)
    if not model.evaluated:
        stratify.refuse_untrained(files, found.classes)
    made = {name: _chosen(files.get(name) or files["train"], part) for name, part in rows.items()}
    return replace(_dataset(source.name, made, found.classes, f"sha256:{state.hexdigest()}"), notes=found.notes)


def _chosen(whole: Split, rows: Sequence[int]) -> Split:
    """Some rows of a split, in their order."""
    return whole if len(rows) == len(whole) else replace(whole, rows=np.array(rows))


def _downloaded(data: DataSection, source: Found, seed: int, progress: Progress, model: ModelShape) -> Dataset:
    from cnncli.datasets.sources import download, formats  # here, because pooch takes a while to import

    refuse_targets(source, data)
    known, state, labelled = KNOWN[source.name], hashlib.sha256(), data.targets == "labels"
    if not download.is_here(known):
        raise CnncliError(f"{known.name}: has not been downloaded yet; run `cnncli datasets download {known.name}`")
    download.check_folder(known)
    arrays = formats.read(known, download.paths(known))
    made = {name: _ready(x, y, known.name, name, state, labelled=labelled) for name, (x, y) in arrays.items()}
    return _divided(data, made, known.classes if labelled else (), state, seed)


LOADERS: dict[str, Callable[[DataSection, Found, int, Progress, ModelShape], Dataset]] = {
    "folder": _folder,
    "downloaded": _downloaded,
    **dict.fromkeys(("npz", "npy", "idx", "h5"), _arrays),
    "csv": _table,
}


def _divided(
    data: DataSection, made: dict[str, Split], classes: tuple[str, ...], state: "hashlib._Hash", seed: int
) -> Dataset:
    refuse_keys_of_others(data)
    counts = sizes({name: len(split) for name, split in made.items()}, data.shares)
    if data.shares and "train" in made and (data.stratified or made["train"].groups):
        made |= stratify.stratified(made["train"], data.shares, seed, classes)
    elif "validation" in counts and "validation" not in made:
        whole, kept = made["train"], counts["train"]
        made["train"], made["validation"] = _part(whole, 0, kept), _part(whole, kept, len(whole))
        if data.targets != "values":
            stratify.refuse_sorted(made["train"], made["validation"], classes)
    digest = f"sha256:{state.hexdigest()}"
    return _dataset(next(iter(made.values())).source, made, classes, digest)


def _dataset(source: str, made: Mapping[str, Split], classes: tuple[str, ...], digest: str) -> Dataset:
    return Dataset(source, made.get("train"), made.get("validation"), made.get("test"), classes, digest)


def _stored(
    data: DataSection, source: Found, found: Mapping[str, SplitHeaders], state: "hashlib._Hash", model: ModelShape
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits of files of arrays, and the names of their classes. Labels are checked before images are read."""
    array_files.check_memory(source, [part for split in found.values() for part in (split.x, split.y) if part])
    checked = CHECKS.get(data.targets, array_files.labels)
    given = {name: array_files.read(split.y, source.kind) for name, split in found.items() if split.y}
    made = {
        name: Split(
            _no_images(split.x.shape[0]),
            checked(given[name], split.y, model.void) if split.y else None,
            source.name,
            split.x.key,
        )
        for name, split in found.items()
    }
    if model.outputs > 1 and data.targets != "values":
        made = {name: replace(one, y=None if one.y is None else integer_labels(one.y)) for name, one in made.items()}
    classes = _classes([split.y for split in made.values() if split.y is not None], model.void)
    if data.targets != "values" and not model.evaluated:
        stratify.refuse_untrained(made, classes, model.void)
    for name, split in found.items():
        x, fingerprints = array_files.images(array_files.read(split.x, source.kind), split.x, state)
        if split.y:
            array_files.digest(split.y.key, given[name], state)
        made[name] = replace(made[name], x=x, fingerprints=fingerprints)
    return made, classes


CHECKS: dict[str, Callable[[Array, Header, int | None], Array]] = {
    "masks": array_files.masks,
    "values": array_files.values,
}
"""Checks of targets that are not labels."""


def _no_images(count: int) -> Array:
    """Stands for so many images that are not read yet."""
    return np.empty((count, 0), np.uint8)


def _drawn(dataset: Synthetic, name: str, state: "hashlib._Hash", targets: str) -> Split:
    x, y = shapes.draw(dataset, name)
    if targets == "masks":
        y = masks.numbered(shapes.masks(dataset, name), f"synthetic: y_{name}")
    return _ready(x, y, "synthetic", name, state, labelled=targets != "input")


def _ready(x: Array, y: Array, source: str, name: str, state: "hashlib._Hash", *, labelled: bool) -> Split:
    """The split `name` of arrays that need no check, added to the digest."""
    array_files.digest(f"x_{name}", x, state)
    if labelled:
        array_files.digest(f"y_{name}", y, state)
    return Split(x, y if labelled else None, source, f"x_{name}")


def _part(split: Split, start: int, stop: int) -> Split:
    y = None if split.y is None else split.y[start:stop]
    known, weights = (None if of is None else of[start:stop] for of in (split.fingerprints, split.weights))
    return Split(split.x[start:stop], y, split.source, split.key, start, fingerprints=known, weights=weights)


def _classes(labels: list[Array], void: int | None) -> tuple[str, ...]:
    """The classes' names, which are their numbers: up to the greatest, or one a column of rows, those of pixels too."""
    numbers = [
        masks.greatest(y, masks.byte_of(void) if y.dtype == np.uint8 else void) for y in labels if y.dtype.kind in "iu"
    ]
    columns = [y.shape[-1] for y in labels if y.dtype.kind == "f" and y.ndim in (2, 4)]
    count = min(max(numbers) + 1, MOST_CLASSES) if numbers else max(columns, default=0)
    return tuple(str(number) for number in range(count)) if count > 1 else ()
