"""Contact sheets of a data source: images by class, and those that are the same or nearly so."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.channels import drawn_note
from cnncli.datasets.images.as_image import as_image
from cnncli.datasets.inspect.inspection import Inspection
from cnncli.report.pictures.figures import Sheet, Tile
from cnncli.report.plots.images import COLUMNS
from cnncli.report.plots.overlays import class_colors, covered

Array = np.ndarray[Any, Any]
MOST_CLASSES = 40
MOST_UNCLASSED = 32
"""Images on the sheet of a split without classes."""
MOST_PAIRS = 24
PAIRS = 3
"""Side by side."""
LARGEST = 192
"""Of an image's longer side, in pixels: twice of what is shown."""
COLORS = class_colors(256)


def contact_sheets(found: Inspection) -> list[Sheet]:
    """A sheet for each class, or for each split without classes, and one of images that resemble each other."""
    alike = found.alike.names
    sheets = [_sheet(found, name, members, alike) for name, members in _members(found) if members]
    if sheets and len(found.classes) > MOST_CLASSES:
        sheets[-1] = replace(sheets[-1], note=f"The first {MOST_CLASSES} of {len(found.classes):,} classes.")
    if sheets and (note := _channels_note(found)):
        sheets[0] = replace(sheets[0], note=" ".join(filter(None, (sheets[0].note, note))))
    return [*sheets, *_pairs_sheet(found)]


def _channels_note(found: Inspection) -> str:
    pixels = found.pictures.image(next(iter(found.split_of)))
    return drawn_note(pixels.shape[-1] if pixels.ndim > 2 else 1)


def _members(found: Inspection) -> Iterator[tuple[str, Sequence[str]]]:
    """The first classes, or else the splits, with all their images."""
    for name in found.classes[:MOST_CLASSES] if any(found.members.values()) else ():
        yield name, [image for part in found.members.values() for image in part.get(name, ())]
    if not any(found.members.values()):
        for split in found.members:
            yield split, [image for image, own in found.split_of.items() if own == split]


def _sheet(found: Inspection, name: str, members: Sequence[str], alike: set[str]) -> Sheet:
    most = COLUMNS if name in found.classes else MOST_UNCLASSED
    count = min(most, len(members))
    shown = [members[number * len(members) // count] for number in range(count)]
    tiles = [
        Tile(_image(found, image), (image, *(["has a duplicate"] * (image in alike))), wrong=True, tip=image)
        for image in shown
    ]
    return Sheet(f"{name}: {len(members):,} image{'s' * (len(members) > 1)}", tiles, COLUMNS)


def _pairs_sheet(found: Inspection) -> Iterator[Sheet]:
    kinds = (
        ("same bytes", found.alike.same_bytes),
        ("same pixels", found.alike.same_pixels),
        ("other size", found.alike.resized),
        ("nearly the same", found.alike.near),
    )
    pairs = [(found.crosses(group), kind, *_pair(found, group)) for kind, groups in kinds for group in groups]
    pairs.sort(key=lambda pair: not pair[0])
    if not pairs:
        return
    tiles = [
        Tile(_image(found, image), (image, kind, found.split_of[image]), wrong=crosses, tip=image)
        for crosses, kind, one, other in pairs[:MOST_PAIRS]
        for image in (one, other)
    ]
    of = f"{len(pairs):,}" if len(pairs) <= MOST_PAIRS else f"{MOST_PAIRS} of {len(pairs):,}"
    note = "Two images of each group. Those in several splits come first."
    yield Sheet(f"Images that resemble each other: {of} group{'s' * (len(pairs) > 1)}", tiles, 2 * PAIRS, note=note)


def _pair(found: Inspection, group: Sequence[str]) -> tuple[str, str]:
    """Two images of a group, of different splits if it has such."""
    first = group[0]
    others = [name for name in group[1:] if found.split_of[name] != found.split_of[first]]
    return first, (others or group[1:])[0]


def _image(found: Inspection, name: str) -> Image.Image:
    """An image, with its mask over it if it has one, not larger than needed."""
    pixels, mask = found.pictures.image(name), found.pictures.mask(name)
    image = as_image(pixels[..., None] if pixels.ndim == 2 else pixels)
    if mask is not None:
        image = covered(image, mask, COLORS)
    image.thumbnail((LARGEST, LARGEST))
    return image
