"""Objects that a detection set marks in images: what its readers give, and how they find the images."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnncli.datasets.layouts.split_names import split_of
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources.image_names import is_picture
from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError
from cnncli.system.files import read_bounded

OUTSIDE = "an image must be a path within the dataset; received '{}'"


class Marked(NamedTuple):
    """An object: its class, its box (left, top, right, bottom), and "" or the rule by which it is none to train on."""

    label: str
    box: tuple[float, float, float, float]
    flaw: str = ""


@dataclass
class Marks:
    """What a set marks: objects by image, whose boxes may be `relative` to its size, and the split of each image whose
    split it names.
    """

    objects: dict[str, list[Marked]] = field(default_factory=dict)
    split_of: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    relative: bool = False


class Pictures:
    """The images of a folder, found as an annotation names them."""

    def __init__(self, files: Iterable[str]) -> None:
        self.by_name: defaultdict[str, list[str]] = defaultdict(list)
        for file in files:
            if is_picture(file):
                self.by_name[composed(PurePosixPath(file).name)].append(file)
                self.by_name[composed(PurePosixPath(file).stem)].append(file)

    def find(self, name: str, near: str) -> str:
        """The image of a name, which may be that of a file or a path; of several, the one of the folder or the split
        that `near`, the annotation's path, is of.

        Raises ValueError with the rule that a name breaks.
        """
        path = PurePosixPath(composed(name).replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise ValueError(OUTSIDE.format(name))
        found = list(dict.fromkeys(self.by_name[path.name]))
        found = [file for file in found if _ends(file, path)] or found
        for narrower in (_same_folder, _same_split):
            found = [file for file in found if len(found) > 1 and narrower(file, near)] or found
        if len(found) == 1:
            return found[0]
        raise ValueError(
            f"'{name}' may be any of {', '.join(found[:3])}" if found else f"there is no image '{name}' in the dataset"
        )


def split_in(path: str) -> str:
    """The split that a folder or the name of a file says; "" for none."""
    parts = (*PurePosixPath(path).parent.parts, PurePosixPath(path).stem)
    return next((split for part in parts if (split := split_of(part))), "")


def read_text(path: Path, most: int) -> str:
    """The text of an annotation. Raises CnncliError where it can't be read or is larger than `most` bytes."""
    try:
        return read_bounded(path, most).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise CnncliError(f"{path}: can't be read: {error.strerror or error}") from None


def number(value: object) -> float:
    """A number of an annotation. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        raise ValueError("a box must be of numbers")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"a box must be of numbers; received '{value}'") from None


def numbers_of(cells: Mapping[str, object], names: Iterable[str]) -> list[float]:
    """Some numbers of a mapping. Raises ValueError for one that is missing or is no number."""
    return [number(cells.get(name, "")) for name in names]


def _ends(file: str, path: PurePosixPath) -> bool:
    return f"/{composed(file)}".endswith(f"/{path}") or f"/{PurePosixPath(composed(file)).with_suffix('')}".endswith(
        f"/{path}"
    )


def _same_folder(file: str, near: str) -> bool:
    return PurePosixPath(file).parent == PurePosixPath(near).parent


def _same_split(file: str, near: str) -> bool:
    return split_in(file) == split_in(near)
