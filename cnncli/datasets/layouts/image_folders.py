"""Recognizes folders of images: with labels, with masks, with numbers, or without any."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cnncli.datasets.layouts import (
    array_files,
    class_folders,
    image_tables,
    mask_folders,
    masks_beside,
    name_classes,
    table_columns,
    value_tables,
)
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.layouts.split_folders import of_unread_formats
from cnncli.datasets.layouts.split_names import split_names
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found, Listing
from cnncli.datasets.sources.image_names import is_picture

RANK = 1
MOST_NAMED = 4
"""Files that an error lists."""
SURE = 4
"""Rank of a table that says in its first line what it is."""
OF_TABLES = {"labels": class_folders.read, "values": value_tables.read}
READERS: dict[str, Callable[[Path, DataSection], Listing]] = {
    "labels": class_folders.read,
    "masks": mask_folders.read,
    "input": masks_beside.read_images,
    "values": value_tables.read,
}


def recognize(place: Place) -> Iterator[Yes | No]:
    """Any folder with folders, pictures or a table of pictures in it; or such a table."""
    if not place.is_folder:
        yield from _table(place)
        return
    path = place.path
    if not any(is_folder or name == table_columns.TABLE or is_picture(name) for name, is_folder in place.entries):
        yield No(_absent(place), near=0)
        return
    names_splits = place.data.layout == "auto" and bool(
        split_names([name for name, is_folder in place.entries if is_folder]).splits
    )
    reader = name_classes.read if place.data.label_from else READERS[place.data.targets]
    listing = partial(_listing, reader, path, place.data)
    yield Yes(Found(str(path), "folder", path, listing=listing, names_splits=names_splits), RANK)


def _listing(reader: Callable[[Path, DataSection], Listing], path: Path, data: DataSection) -> Listing:
    """What the reader lists. Where all images are of formats that are not read, that alone is at fault: classes and
    splits are empty because of it.
    """
    listing = reader(path, data)
    unread, others = of_unread_formats(listing.problems)
    return listing if listing.splits or not unread else replace(listing, problems=others, faults=unread, untrained=())


def _table(place: Place) -> Iterator[Yes]:
    """A table of images: files are beside it, or in folders there."""
    path, reader = place.path, OF_TABLES.get(place.data.targets)
    if reader and image_tables.is_table(path, place.data):
        listing = partial(reader, path.parent, place.data, path.name)
        yield Yes(Found(str(path), "folder", path.parent, listing=listing, names_splits=False), SURE)


def _absent(place: Place) -> str:
    """What a folder without images could hold; or the files in it that are datasets by themselves."""
    inside = [
        name for name, is_folder in place.entries if not is_folder and name.endswith((*array_files.ARCHIVES, ".csv"))
    ]
    if len(inside) > 1:
        return f"{place.path} contains several files of arrays or tables: choose one as `dataset`: {_named(inside)}"
    examples = ", ".join(form.example for form in array_files.FORMATS)
    instead = f"; specify the file {_named(inside)} in it" if inside else ""
    known = f"folders of images, {table_columns.TABLE}, {examples}"
    return f"{place.path} contains no dataset; expected one of {known}{instead}"


def _named(files: Sequence[str]) -> str:
    return " or ".join(map(repr, files[:MOST_NAMED])) + (" or another" if len(files) > MOST_NAMED else "")
