"""Images with their masks beside them: photos/park/1.jpg and photos/park/1_mask.png."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from cnncli.datasets.layouts import mask_folders, unlabelled
from cnncli.datasets.layouts.mask_names import IMAGE, bare_names
from cnncli.datasets.layouts.mask_names import MASK as MASKED
from cnncli.datasets.layouts.place import No, Place, Yes
from cnncli.datasets.layouts.split_folders import split_folders
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found, Listing
from cnncli.datasets.sources.image_names import LOSSLESS, is_picture
from cnncli.datasets.sources.unicode_names import composed

RANK = 2
MASK = re.compile(r"(?P<image>.+)[-_ ]masks?([-_ ]?\d+)?", re.IGNORECASE)


def recognize(place: Place) -> Iterator[Yes | No]:
    """A folder in which a mask lies beside an image, where masks are asked for."""
    if place.data.targets != "masks" or not place.is_folder or any(mask_folders.recognize(place)):
        return
    path = place.path
    files = (sample.file for part in unlabelled.read(path, place.data).splits.values() for sample in part)
    if masks_beside(files, asked=True):
        named = bool(split_folders(path).named)
        yield Yes(Found(str(path), "folder", path, listing=partial(read, path, place.data), names_splits=named), RANK)
    else:
        yield No(f"{path} contains no image with a mask beside it, such as 1.jpg and 1_mask.png", near=0)


def masks_beside(files: Iterable[str], *, asked: bool = False) -> dict[str, str]:
    """The image of each file that is named like the mask of an image in the same folder.

    Where masks are `asked` for, so are 1_seg and 1_L, which could be pictures, too.
    """
    stems = {_key(file): file for file in sorted(files)}
    bare = {(folder, name): file for (folder, stem), file in stems.items() for name in bare_names(stem, IMAGE)}
    found: dict[str, str] = {}
    for (folder, stem), file in stems.items():
        match = MASK.fullmatch(stem)
        for name in bare_names(stem, MASKED) if asked else [match["image"]] if match else []:
            image = stems.get((folder, name)) or (asked and bare.get((folder, name)))
            if image and image != file:
                found.setdefault(file, image)
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
    masks = dict[str, str]()
    problems = [problem for problem in found.problems if is_picture(problem.file)]  # tables may lie beside
    files = [sample.file for part in found.splits.values() for sample in part]
    beside = masks_beside(files, asked=True)
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


def read_images(root: Path, data: DataSection) -> Listing:
    """List the images of a folder without labels and without masks. Raises CnncliError where it can't be read."""
    if mask_folders.names_masks(Place(root, data)) and (listing := mask_folders.read_images(root)):
        return listing
    found = unlabelled.read(root, data)
    masks = masks_beside(sample.file for part in found.splits.values() for sample in part)
    if not masks:
        return found
    splits = {name: [sample for sample in part if sample.file not in masks] for name, part in found.splits.items()}
    return replace(found, splits=splits, notes=[mask_folders.left_out(list(masks))])


def _key(file: str) -> tuple[str, str]:
    path = PurePosixPath(composed(file))
    return str(path.parent), path.stem.casefold()
