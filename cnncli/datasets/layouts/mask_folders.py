"""Folders of images with masks, paired by name.

photos/images/park/1.jpg     photos/masks/park/1.png
photos/train/images/1.jpg    photos/train/masks/1.png: `train`, `val` (`valid`, `validation`) and `test` are splits
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from cnncli.datasets.layouts import unlabelled
from cnncli.datasets.layouts.split_folders import split_folders
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Listing, Sample
from cnncli.datasets.sources.image_names import LOSSLESS, READ_AS_MASKS
from cnncli.datasets.sources.unicode_names import composed

IMAGES, MASKS = "images", "masks"
LOSSY = f"a mask must be {READ_AS_MASKS}: lossy formats change class numbers"


def read(root: Path, data: DataSection) -> Listing:
    """List the images of a folder and their masks. Raises CnncliError where it can't be read."""
    found, folders = unlabelled.read(root, data), split_folders(root).named
    problems = list(found.problems)
    masks: dict[str, str] = {}
    for part in found.splits.values():
        masks |= _paired([sample.file for sample in part], problems, folders)
    return paired(found, masks, problems)


def paired(found: Listing, masks: Mapping[str, str], problems: Sequence[Problem]) -> Listing:
    """The listing of those images that have masks."""
    kept = {name: [sample for sample in part if sample.file in masks] for name, part in found.splits.items()}
    splits = {name: part for name, part in kept.items() if part}
    return Listing(found.root, (), splits, False, tuple(problems), tuple(_faults(found, splits)), masks)


def _faults(found: Listing, splits: Mapping[str, Sequence[Sample]]) -> Iterator[Problem]:
    yield from found.faults
    if not splits:
        yield Problem(".", f"there must be the folders {IMAGES} and {MASKS}, also in each of train, val, test")
    elif len(splits) < len(found.splits):
        for name in found.splits.keys() - splits.keys():
            yield Problem(name, "a split must have at least one image with a mask")


def _paired(files: Sequence[str], problems: list[Problem], folders: Container[str]) -> dict[str, str]:
    """Masks by their images. What has no partner, or more than one, is added to `problems`."""
    by_name: dict[str, dict[tuple[str, str], str]] = {IMAGES: {}, MASKS: {}}
    for file in files:
        kind, name = _place(file, folders)
        if kind not in by_name:
            problems.append(Problem(file, f"must be in {IMAGES} or {MASKS}"))
        elif kind == MASKS and not file.lower().endswith(LOSSLESS):
            problems.append(Problem(file, LOSSY))
        elif name in by_name[kind]:
            problems.append(Problem(file, f"there must be one file of this name; there is {by_name[kind][name]}"))
        else:
            by_name[kind][name] = file
    images, masks = by_name[IMAGES], by_name[MASKS]
    problems += [
        Problem(file, f"an image must have a mask, {'/'.join(filter(None, (name[0], MASKS, name[1])))}.png")
        for name, file in images.items()
        if name not in masks
    ]
    problems += [
        Problem(file, f"a mask must have an image in {IMAGES}") for name, file in masks.items() if name not in images
    ]
    return {images[name]: masks[name] for name in images if name in masks}


def _place(file: str, folders: Container[str]) -> tuple[str, tuple[str, str]]:
    """IMAGES, MASKS or something else; and the split's folder, one of `folders`, with the name below."""
    parts = PurePosixPath(composed(file)).with_suffix("").parts
    split = parts[0] if len(parts) > 1 and parts[0] in folders else ""
    kind, *below = parts[1:] if split else parts
    return (kind if below else ""), (split, "/".join(below))
