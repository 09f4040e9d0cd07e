"""Images with their masks beside them: photos/park/1.jpg and photos/park/1_mask.png."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from cnncli.datasets.layouts import mask_folders, unlabelled
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.layouts.split_folders import split_folders
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found, Listing
from cnncli.datasets.sources.image_names import LOSSLESS
from cnncli.datasets.sources.unicode_names import composed

RANK = 2
MASK = re.compile(r"(?P<image>.+)[-_ ]masks?([-_ ]?\d+)?", re.IGNORECASE)


def recognize(place: Place) -> Iterator[Yes | No]:
    """A folder in which a mask lies beside an image, where masks are asked for."""
    if place.data.targets != "masks" or not place.is_folder:
        return
    path = place.path
    if masks_beside(sample.file for part in unlabelled.read(path, place.data).splits.values() for sample in part):
        named = bool(split_folders(path).named)
        yield Yes(Found(str(path), "folder", path, listing=partial(read, path, place.data), names_splits=named), RANK)
    else:
        yield No(f"{path} contains no image with a mask beside it, such as 1.jpg and 1_mask.png", near=0)


def masks_beside(files: Iterable[str]) -> dict[str, str]:
    """The image of each file that is named like the mask of an image in the same folder."""
    stems = {_key(file): file for file in sorted(files)}
    found = {}
    for (folder, stem), file in stems.items():
        match = MASK.fullmatch(stem)
        image = stems.get((folder, match["image"])) if match else None
        if image is not None:
            found[file] = image
    return found


def note(masks: Iterable[str]) -> str:
    """What to tell where masks are not asked for."""
    first, *more = masks
    count = 1 + len(more)
    return (
        f"{count:,} file{'s are masks of the images' if more else ' is the mask of the image'} beside "
        f"{'them' if more else 'it'} and left out, such as {first}: train on masks with `targets: masks`, or on all "
        "files with `layout: class_folders`"
    )


def read(root: Path, data: DataSection) -> Listing:
    """List the images of a folder and the masks beside them. Raises CnncliError where it can't be read."""
    found = unlabelled.read(root, data)
    problems, masks = list(found.problems), dict[str, str]()
    files = [sample.file for part in found.splits.values() for sample in part]
    beside = masks_beside(files)
    for mask, image in beside.items():
        if image in masks:
            problems.append(Problem(mask, f"an image must have one mask; {image} has {masks[image]}"))
        elif not mask.lower().endswith(LOSSLESS):
            problems.append(Problem(mask, mask_folders.LOSSY))
        else:
            masks[image] = mask
    for file in files:
        if file not in beside and file not in masks:
            own = PurePosixPath(file)
            problems.append(Problem(file, f"an image must have a mask, {own.with_name(own.stem + '_mask.png')}"))
    return mask_folders.paired(found, masks, problems)


def _key(file: str) -> tuple[str, str]:
    path = PurePosixPath(composed(file))
    return str(path.parent), path.stem.casefold()
