"""Lists of the images of each split: ImageSets/Segmentation/train.txt (Pascal VOC), train.txt (CamVid)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnncli.datasets.layouts.split_folders import joined
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources.image_names import is_picture
from cnncli.errors import CnncliError
from cnncli.system.files import read_bounded

MAIN = ("ImageSets/Main", "")
"""Those of Pascal VOC's detection sets."""
PLACES = ("ImageSets/Segmentation", "splits", "annotations", "")
"""Folders in which lists are looked for; those of the first that has some are taken."""
LISTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
BOTH = "trainval"
"""The list of all images that are not for the test."""
MOST_BYTES = 32 << 20


class Lists(NamedTuple):
    """`split_of`: the split of each image that a list names. `files`: the list of each split."""

    split_of: Mapping[str, str]
    files: Mapping[str, str]
    problems: list[Problem]

    @property
    def note(self) -> str:
        """What is told of them."""
        return f"splits are those of {', '.join(self.files.values())}"


def lists(root: Path, images: Iterable[str], places: Sequence[str] = PLACES) -> Lists | None:
    """The lists of a folder whose first line names one of the images. Raises CnncliError for one that can't be read."""
    by_stem: defaultdict[str, list[str]] = defaultdict(list)
    for image in images:
        by_stem[PurePosixPath(image).stem].append(image)
    for place in places:
        found = {name: _lines(root / place / f"{name}.txt") for name in (BOTH, *LISTS)}
        used = {name: lines for name, lines in found.items() if lines and _named(lines[0][1], by_stem)}
        if len(used) > 1 and LISTS.keys() - {"test"} & used.keys():
            used.pop(BOTH, None)
        if used:
            return _read(place, used, by_stem)
    return None


def _read(place: str, used: Mapping[str, list[tuple[int, str]]], by_stem: Mapping[str, list[str]]) -> Lists:
    split_of: dict[str, str] = {}
    files, problems = {}, []
    for name, lines in used.items():
        split = LISTS.get(name, "train")
        files[split] = joined(place, f"{name}.txt")
        for number, entry in lines:
            image = _named(entry, by_stem)
            if not image:
                problems.append(Problem(f"{files[split]}:{number}", f"must name an image; received '{entry}'"))
            elif split_of.setdefault(image, split) != split:
                problems.append(
                    Problem(f"{files[split]}:{number}", f"an image must be in one split; {image} is in two")
                )
    return Lists(split_of, files, problems)


def _lines(path: Path) -> list[tuple[int, str]]:
    """The number and the first word of each line that has one; none where there is no such file."""
    if not path.is_file():
        return []
    try:
        text = read_bounded(path, MOST_BYTES).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None
    return [(number, line.split()[0]) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _named(entry: str, by_stem: Mapping[str, list[str]]) -> str:
    """The image that an entry names, by a path that may begin elsewhere and have no ending; "" for none."""
    path = PurePosixPath(entry.replace("\\", "/"))
    path = path.with_suffix("") if is_picture(path.name) else path
    found = by_stem.get(path.name, [])
    if len(found) > 1:
        ends = [image for image in found if f"/{PurePosixPath(image).with_suffix('')}".endswith(f"/{path}")]
        return ends[0] if len(ends) == 1 else ""
    return found[0] if found else ""
