"""Recognizes folders of images: with labels, with masks, with numbers, or without any."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cnncli.datasets.layouts import (
    array_files,
    class_folders,
    labels_csv,
    mask_folders,
    name_classes,
    unlabelled,
    value_tables,
)
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.layouts.split_names import split_names
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found, Listing
from cnncli.datasets.sources.image_names import is_picture

RANK = 1
READERS: dict[str, Callable[[Path, DataSection], Listing]] = {
    "labels": class_folders.read,
    "masks": mask_folders.read,
    "input": unlabelled.read,
    "values": value_tables.read,
}


def recognize(place: Place) -> Iterator[Yes | No]:
    """Any folder with folders, pictures or a table of pictures in it."""
    if not place.is_folder:
        return
    path = place.path
    if not any(is_folder or name == labels_csv.TABLE or is_picture(name) for name, is_folder in place.entries):
        yield No(f"{path} contains no dataset; expected one of {_expected(place)}", near=0)
        return
    names_splits = place.data.layout == "auto" and bool(
        split_names([name for name, is_folder in place.entries if is_folder]).splits
    )
    reader = name_classes.read if place.data.label_from else READERS[place.data.targets]
    listing = partial(reader, path, place.data)
    yield Yes(Found(str(path), "folder", path, listing=listing, names_splits=names_splits), RANK)


def _expected(place: Place) -> str:
    """What a folder could hold, and the file in it that is a dataset by itself."""
    examples = ", ".join(form.example for form in array_files.FORMATS)
    inside = [
        name for name, is_folder in place.entries if not is_folder and name.endswith((*array_files.ARCHIVES, ".csv"))
    ]
    instead = f"; specify the file {inside[0]!r} in it" if inside else ""
    return f"folders of images, {labels_csv.TABLE}, {examples}{instead}"
