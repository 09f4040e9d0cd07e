"""Describes a data source without NumPy and without reading its data."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

from cnncli.datasets.files import shipped
from cnncli.datasets.layouts.recognize import ENDINGS, located, readable
from cnncli.datasets.section import ARRAY_KEYS, MOST_MASKED, DataSection
from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.synthetic import Source, Synthetic
from cnncli.errors import DeclarationError
from cnncli.escaping import control_character
from cnncli.hints import path_suggestion


@dataclass(frozen=True)
class Description:
    """`source` is a name, an absolute path, or a dataset with all its arguments: what a resolved spec says of it.

    `input_shape` is (H, W, C); `classes` is None until labels are read; `samples` has the number of images by "train",
    "validation", "test", those that there are. `several`: an image may have any number of the classes. `names`:
    the classes', where they are known without NumPy. `values`: how many numbers an image has with `targets: values`.
    `fold`: images in the fold, of groups. `notes`: the layout that was understood. `weighted`: whether training images
    have weights of their own; `pixels_weighted`: whether their pixels have.
    """

    source: str | Source
    input_shape: tuple[int, ...]
    classes: int | None
    samples: dict[str, int]
    dtype: str
    several: bool = False
    names: tuple[str, ...] = ()
    values: int | None = None
    fold: int | None = None
    notes: tuple[str, ...] = ()
    weighted: bool = False
    pixels_weighted: bool = False


EMBEDDED = {
    "mnist5k": Description(
        "mnist5k", (28, 28, 1), 10, {"train": 4000, "test": 1000}, "uint8", names=tuple("0123456789")
    )
}
"""Datasets that are shipped as `data/<name>.npz`; written out, because to open an archive would cost `check` 10 ms."""


class Asked(NamedTuple):
    """What is asked of data: see `describe`."""

    input_shape: tuple[int, ...] | None
    seed: int
    evaluated: bool


def describe(
    data: DataSection, base: Path, input_shape: tuple[int, ...] | None = None, seed: int = 0, *, evaluated: bool = False
) -> Description:
    """What `data` names; relative paths are relative to `base`. Data that are made follow the model's `input_shape`,
    folders and tables are divided by `seed`. Data that are only to be `evaluated` may lack classes.

    Raises DeclarationError for a name or file that is not known, or an option that does not go with the data;
    CnncliError for a file that can't be read.
    """
    found = _description(data, base, Asked(input_shape, seed, evaluated))
    data.refuse_channels(found.input_shape[-1])
    return found


def _description(data: DataSection, base: Path, to: Asked) -> Description:
    if isinstance(data.dataset, Synthetic):
        data.refuse_keys("test_split")
        refuse_values("synthetic", data)
        return _folded(_divided(_made(data.dataset.settled(to.input_shape), data), data), data)
    source = find(data, base)
    if not can_be_named(source.name):
        raise DeclarationError(
            "the dataset's path must be UTF-8 without control characters, because it is saved in the run's spec; "
            f"received {source.name}: rename the folder or file"
        )
    return _folded(DESCRIBERS[source.kind](source, data, to), data)


def can_be_named(path: str) -> bool:
    """Whether a spec can hold a path: as text in UTF-8, without control characters."""
    return not control_character(path) and path.encode(errors="replace") == path.encode(errors="surrogatepass")


def _folded(known: Description, data: DataSection) -> Description:
    """With one of the folds for validation. Raises DeclarationError where there are too few images for them."""
    if data.folds is None or "train" not in known.samples:
        return known
    if "validation" in known.samples:
        raise DeclarationError("folds must be omitted because the data has its own validation images", "folds")
    total = known.samples["train"]
    kept = len(range(data.fold - 1, total, data.folds)) if known.fold is None else known.fold
    if data.folds > total:
        raise DeclarationError(f"folds must be at most the number of training images, {total:,}", "folds")
    return replace(known, samples={"train": 0, "validation": kept} | known.samples | {"train": total - kept})


def _divided(known: Description, data: DataSection) -> Description:
    """Arrays as the options of `data` leave them. Raises DeclarationError for one that they have not."""
    refuse_keys_of_others(data)
    classes = None if data.targets == "input" else known.classes
    return replace(known, classes=classes, samples=sizes(known.samples, data.shares))


def _arrays(source: Found, data: DataSection, to: Asked) -> Description:
    known = EMBEDDED.get(source.name)
    if known is not None:
        refuse_targets(source, data)
    if known is not None:
        data.refuse_keys("test_split")
    return _divided(known or _described(source, data), data)


def _folder(source: Found, data: DataSection, to: Asked) -> Description:
    from cnncli.datasets.splits import selection  # here, because the embedded digits need none of it

    listing = selection.listing(source, data, evaluated=to.evaluated)
    samples = {name: len(part) for name, part in selection.splits(listing, data, to.seed).items()}
    shape = selection.image_shape(listing, data, to.input_shape)
    return Description(
        source.name,
        shape,
        len(listing.classes) or None,
        samples,
        selection.kind(listing, data).dtype,
        listing.several,
        listing.classes,
        len(listing.outputs) or None,
        selection.fold(listing, data, to.seed),
        tuple(listing.notes),
        any(sample.file in listing.weights for sample in listing.splits.get("train", ())),
    )


def _table(source: Found, data: DataSection, to: Asked) -> Description:
    from cnncli.datasets.sources import csv_layout  # here, because other data need none of it
    from cnncli.datasets.splits import csv_rows

    refuse_targets(source, data)
    tables = csv_layout.tables(source, data, evaluated=to.evaluated)
    samples = {name: len(part) for name, part in csv_rows.divided(tables, data, to.seed).items()}
    shape = csv_layout.image_shape(tables, to.input_shape)
    classes, weighted = len(tables.classes) or None, "train" in tables.weights
    return Description(source.name, shape, classes, samples, "uint8", notes=tables.notes, weighted=weighted)


def _downloaded(source: Found, data: DataSection, to: Asked) -> Description:
    known = KNOWN[source.name]
    refuse_targets(source, data)
    data.refuse_keys("test_split")
    held = Description(
        known.name, known.input_shape, len(known.classes), dict(known.samples), "uint8", names=known.classes
    )
    return _divided(held, data)


DESCRIBERS: dict[str, Callable[[Found, DataSection, Asked], Description]] = {
    "folder": _folder,
    "downloaded": _downloaded,
    **dict.fromkeys(("npz", "npy", "idx", "h5"), _arrays),
    "csv": _table,
}


def refuse_targets(source: Found, data: DataSection) -> None:
    """Raise DeclarationError where masks or numbers are asked of a dataset that has labels."""
    if data.targets == "masks":
        raise DeclarationError(f"`targets: masks` requires images with masks; {source.name} has labels only", "targets")
    refuse_values(source.name, data)


def refuse_values(name: str, data: DataSection) -> None:
    """Raise DeclarationError where numbers are asked of a dataset that has labels."""
    if data.targets == "values":
        raise DeclarationError(
            f"`targets: values` requires a folder of images with a labels.csv, or arrays; {name} has labels only",
            "targets",
        )


def _made(dataset: Synthetic, data: DataSection) -> Description:
    assert dataset.image_shape is not None
    classes = dataset.classes + (data.targets == "masks")  # what is around the shapes is a class of its own
    if data.targets == "masks" and dataset.classes > MOST_MASKED:
        raise DeclarationError(
            f"with `targets: masks` classes must be at most {MOST_MASKED}; received {dataset.classes}"
        )
    return Description(dataset, dataset.image_shape, classes, dataset.samples, "uint8")


def _described(source: Found, data: DataSection) -> Description:
    from cnncli.datasets.sources import archive  # here, because it needs zipfile: see EMBEDDED

    arrays = archive.headers(source)
    found = archive.splits(source.file, arrays, **asked(data))
    first, y = next((split.x, split.y) for split in found.values())
    dtype = "uint8" if first.dtype in archive.BYTES else first.dtype
    samples = {name: split.count for name, split in found.items()}
    values = [*y.shape, 1][1] if y is not None and data.targets == "values" else None
    if data.group_by is not None:
        archive.groups(source, arrays, data.group_by, found["train"].x if "train" in found else None)
    weights = archive.weights(source, arrays, data.sample_weight, found, masks=data.targets == "masks")
    notes = tuple(archive.notes(source, arrays, found, data.group_by, weights.values()))
    shape, weighted = image_shape(first.shape), "train" in weights
    pixels = any(header.shape[1:] not in ((), (1,)) for header in weights.values())
    return Description(
        *(source.name, shape, None, samples, dtype),
        values=values,
        notes=notes,
        weighted=weighted,
        pixels_weighted=pixels,
    )


def asked(data: DataSection) -> dict[str, Any]:
    """What an archive must have beside images, as `archive.splits` takes it."""
    return {"labelled": data.targets != "input", "masks": data.targets == "masks", "data_format": data.data_format}


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(H, W, C) of images (N, H, W) or (N, H, W, C)."""
    return shape[1:] if len(shape) == 4 else (*shape[1:], 1)


def find(data: DataSection, base: Path) -> Found:
    """The dataset, file or folder that `data` names; relative paths are relative to `base`.

    Raises DeclarationError, with what is near, where there is none, and for what lies there and is not read.
    """
    dataset = data.name
    if dataset in EMBEDDED:
        return Found(dataset, "npz", shipped("data") / f"{dataset}.npz")
    if dataset in KNOWN:
        return Found(dataset, "downloaded")
    found = located(data, base)
    if found is not None:
        return found
    path = (base / dataset).resolve()
    if path.suffix or path.parent != base.resolve():
        raise DeclarationError(f"no file {dataset!r} in {path.parent}{_near(dataset, base)}")
    names = [*EMBEDDED, *KNOWN, "synthetic"]
    known = f"; available: {', '.join(names)}, folders of images, and files ending in {ENDINGS}"
    raise DeclarationError(f"unknown dataset {dataset!r}{_near(dataset, base, names) or known}")


def refuse_keys_of_others(data: DataSection) -> None:
    """Raise DeclarationError for an option that arrays have not."""
    data.refuse_keys(*ARRAY_KEYS, *(["test_split"] if data.stratified or data.group_by else []))


def sizes(counts: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, int]:
    """The number of images of each split once `shares`, by "test" and "validation", are taken off the training rows (as
    Keras does); of a stratified one each class may give one image more.
    """
    if not shares or "train" not in counts:
        return dict(counts)
    made, total = dict(counts), counts["train"]
    for name, share in shares.items():
        key, own = f"{name}_split", {"validation": "x_val", "test": "x_test"}[name]
        if name in counts:
            raise DeclarationError(f"{key} must be omitted because the data has its own {own}; received {share}", key)
        made[name] = total - floor(total * (1 - share))
        made["train"] -= made[name]
        if not made[name] or made["train"] < 1:
            raise DeclarationError(
                f"{key} must leave at least one of {total:,} images for training and for {name}; received {share}",
                key=key,
            )
    return {name: made[name] for name in ("train", "validation", "test") if name in made}


def _near(dataset: str, base: Path, names: Iterable[str] = ()) -> str:
    """What may have been meant: one of `names`, or what lies where `dataset` would."""
    place = Path(dataset).parent
    there = (place / name for name in sorted(readable(base / place)))
    return path_suggestion(Path(dataset), [*map(Path, names), *there])
