"""Recognizes files of arrays, and tables of pixels, by their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnncli.datasets.layouts import labels_csv
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.sources.found import Found
from cnncli.datasets.sources.image_names import entries
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
NAMED, ALONE = 3, 2
"""Ranks of files whose names say which array they hold, and of a single file."""


def recognize(place: Place) -> Iterator[Yes | No]:
    """A file of an array, or a folder of such files."""
    if place.is_folder:
        yield from _folder(place)
        return
    path = place.path
    for form in FORMATS:
        if match := form.pattern.fullmatch(path.name):
            files = _siblings(path.parent, form, match["prefix"])
            yield Yes(Found(str(path), form.kind, path.parent, files), NAMED)
            return
    ending = path.suffix.lower()
    if ending == ".npz":
        yield Yes(Found(str(path), "npz", path), ALONE)
    elif ending == ".csv":
        yield Yes(Found(str(path), "csv", path.parent, {"x_train": path}, names_splits=False), ALONE)


def is_named(name: str) -> bool:
    """Whether a file's name says which array it holds."""
    return any(form.pattern.fullmatch(name) for form in FORMATS)


def _folder(place: Place) -> Iterator[Yes | No]:
    # A table may lie beside folders of images; the names of the other files can mean nothing else.
    images = any(is_folder or name == labels_csv.TABLE for name, is_folder in place.entries)
    first: dict[tuple[str, str], tuple[Format, str]] = {}
    for form in FORMATS[:2] if images else FORMATS:
        for name, _ in place.entries:
            if match := form.pattern.fullmatch(name):
                first.setdefault((form.kind, match["prefix"]), (form, name))
    for (kind, prefix), (form, name) in first.items():
        files = _siblings(place.path, form, prefix) if len(first) == 1 else {}
        yield Yes(Found(str(place.path), kind, place.path, files), NAMED, name)


def _siblings(place: Path, form: Format, prefix: str) -> dict[str, Path]:
    """The files of a folder that belong together, by the keys of their arrays."""
    files: dict[str, Path] = {}
    for name, _ in entries(place):
        match = form.pattern.fullmatch(name)
        if match and match["prefix"] == prefix:
            key = f"{AXES[match['axis']]}_{SPLITS.get(match['split'], match['split'])}"
            if key in files:
                raise DeclarationError(f"{place}: {files[key].name} and {name} are both {key}; keep only one")
            files[key] = place / name
    return files
