"""Recognizes files of arrays, and tables of pixels, by their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnncli.datasets.layouts import image_tables, table_columns
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.sources import array_names
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.image_names import entries, is_picture
from cnncli.errors import DeclarationError


@dataclass(frozen=True)
class Format:
    """Files whose names say which array they hold. `example`: what they are called."""

    kind: str
    pattern: re.Pattern[str]
    example: str


AXES = {"x": "x", "y": "y", "images": "x", "labels": "y", "": "x"}
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "t10k": "test"}
"""What a file's name may say, and what the key of its array says."""
FORMATS = (
    Format("npy", re.compile(r"(?P<prefix>)(?P<axis>[xy])_(?P<split>\w+)\.npy"), "x_train.npy"),
    Format(
        "idx",
        re.compile(r"(?P<prefix>.*?)(?P<split>train|t10k|test|val)-(?P<axis>images|labels)[-.]idx[13]-ubyte(\.gz)?"),
        "train-images-idx3-ubyte",
    ),
    Format(
        "csv",
        re.compile(r"(?P<prefix>(.*[-_. ])?)(?P<split>train|val|valid|validation|test)(?P<axis>)\.csv"),
        "train.csv",
    ),
)
NPY = ".npy"
NAMED, ALONE = 3, 2
"""Ranks of files whose names say which array they hold, and of a single file."""
ARCHIVES = {".npz": "npz", ".h5": "h5", ".hdf5": "h5"}
CIFAR10, CIFAR100 = re.compile(r"data_batch_[1-5]|test_batch"), {"train", "test", "meta"}
"""Names of their files of Python pickles."""


def recognize(place: Place) -> Iterator[Yes | No]:
    """A file of an array, or a folder of such files."""
    yield from _pickled(place)
    if place.is_folder:
        yield from _folder(place)
        return
    path = place.path
    if path.suffix == NPY and array_names.key_of(path.stem):
        yield Yes(Found(str(path), "npy", path.parent, _arrays(path.parent)), NAMED)
        return
    for form in FORMATS:
        if match := form.pattern.fullmatch(path.name):
            files = _siblings(path.parent, form, match["prefix"])
            yield Yes(Found(str(path), form.kind, path.parent, files), NAMED)
            return
    ending = path.suffix.lower()
    if ending in ARCHIVES:
        yield Yes(Found(str(path), ARCHIVES[ending], path), ALONE)
    elif ending == ".csv":
        yield Yes(Found(str(path), "csv", path.parent, {"x_train": path}, names_splits=False), ALONE)


def is_named(name: str) -> bool:
    """Whether a file's name says which array it holds."""
    of_array = name.endswith(NPY) and array_names.key_of(name.removesuffix(NPY))
    return bool(of_array) or any(form.pattern.fullmatch(name) for form in FORMATS)


def _pickled(place: Place) -> Iterator[No]:
    """CIFAR's pickles: a folder of them, or one."""
    folder = place.path if place.is_folder else place.path.parent
    names = {name for name, is_folder in place.entries if not is_folder} if place.is_folder else {place.path.name}
    if any(CIFAR10.fullmatch(name) for name in names):
        same = "cifar10"
    elif names & CIFAR100 and all((folder / name).is_file() for name in CIFAR100):
        same = "cifar100"
    else:
        return
    yield No(
        f"{place.path} holds Python pickles, which are never opened, because that may run code; "
        f"`dataset: {same}` has the same images",
        near=9,
    )


def _arrays(place: Path) -> dict[str, Path]:
    """The .npy files of a folder by the keys of their arrays, where their names say which."""
    stems = [name.removesuffix(NPY) for name, _ in entries(place) if is_named(name) and name.endswith(NPY)]
    named = array_names.by_key(place, stems).items()
    return {
        key: place / f"{name}{NPY}"
        for key, name in named
        if FORMATS[0].pattern.fullmatch(f"{key}{NPY}") or key.startswith(array_names.WEIGHT)
    }


def _folder(place: Place) -> Iterator[Yes | No]:
    # A table may lie beside folders of images; the names of the other files can mean nothing else.
    images = any(is_folder or name == table_columns.TABLE for name, is_folder in place.entries)
    first: dict[tuple[str, str], tuple[Format, str]] = {}
    for form in FORMATS[:2] if images else FORMATS:
        for name, _ in place.entries:
            match = form.pattern.fullmatch(name)
            if match and not (form.kind == "csv" and image_tables.is_table(place.path / name, place.data)):
                first.setdefault((form.kind, match["prefix"]), (form, name))
    if not first and not images:
        first = _synonyms(place)
    for (kind, prefix), (form, name) in first.items():
        files = {} if len(first) > 1 else _siblings(place.path, form, prefix)
        yield Yes(Found(str(place.path), kind, place.path, files), NAMED, name)


def _synonyms(place: Place) -> dict[tuple[str, str], tuple[Format, str]]:
    """As `_folder` lists them, files called images.npy and labels.npy or the like, without pictures beside them."""
    keys = {array_names.key_of(name.removesuffix(NPY)): name for name, _ in place.entries if name.endswith(NPY)}
    wanted = {"x_train"} if place.data.targets == "input" else {"x_train", "y_train"}
    found = wanted <= set(keys) and not any(is_picture(name) for name, _ in place.entries)
    return {("npy", ""): (FORMATS[0], keys["x_train"])} if found else {}


def _siblings(place: Path, form: Format, prefix: str) -> dict[str, Path]:
    """The files of a folder that belong together, by the keys of their arrays."""
    if form.kind == "npy":
        return _arrays(place)
    files: dict[str, Path] = {}
    for name, _ in entries(place):
        match = form.pattern.fullmatch(name)
        if match and match["prefix"] == prefix:
            key = f"{AXES[match['axis']]}_{SPLITS.get(match['split'], match['split'])}"
            if key in files:
                raise DeclarationError(f"{place}: {files[key].name} and {name} are both {key}; keep only one")
            files[key] = place / name
    return files
