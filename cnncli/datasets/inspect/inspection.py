"""What was found in a data source."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.images.decode import Form
from cnncli.datasets.inspect.grouping import Grouping
from cnncli.datasets.inspect.near_duplicates import SIDE
from cnncli.datasets.inspect.resemblance import Groups, Resemblance
from cnncli.datasets.inspect.value_stats import ValueStats
from cnncli.datasets.problems import Problem

Array = np.ndarray[Any, Any]
THUMBNAIL = Form(SIDE, SIDE, interpolation="area")


class Pictures(NamedTuple):
    """How to get an image by its name: uint8 or float32 (H, W[, C]); and its mask, uint8 (H, W), if it has one."""

    image: Callable[[str], Array]
    mask: Callable[[str], Array | None]


@dataclass(frozen=True)
class Inspection:
    """`members`: names of usable images (files, or rows as "x_train[5]") by split and class; of images without classes
    under no class. `sizes`: images by (height, width). `problems`: all that keeps the source from being used.

    `split_of`: of each usable image. `ranges`: of arrays the least and the greatest value by split. `notes`: what was
    understood of the source, where it may be meant otherwise, and what looks lost in its images. `mask_pixels`: pixels
    of each class number by split. `alike`: images that are the same or nearly so; pixels were compared at `image_size`,
    or else at the images' own size. `palette`: the colors of masks that are in colors. `groups`: by split, where
    `group_by` makes some; `grouping`: a pattern for it that keeps training images that resemble each other together.
    `divided`: the splits that are a share of the training images. `numbers`: the values that images have instead of
    classes, by name.
    """

    source: str
    classes: Sequence[str]
    members: Mapping[str, Mapping[str, Sequence[str]]]
    sizes: Mapping[tuple[int, int], int]
    problems: Sequence[Problem]
    split_of: Mapping[str, str]
    pictures: Pictures
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    mask_pixels: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    alike: Resemblance = field(default_factory=Resemblance)
    image_size: tuple[int, int] | None = None
    palette: Sequence[Sequence[int]] = ()
    groups: Mapping[str, int] = field(default_factory=dict)
    grouping: Grouping | None = None
    divided: Collection[str] = ()
    numbers: Mapping[str, ValueStats] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many can be read."""
        return sum(self.sizes.values())

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Usable images by split and class."""
        return {split: {name: len(members) for name, members in part.items()} for split, part in self.members.items()}

    def crosses(self, group: Sequence[str]) -> bool:
        """Whether images lie in several splits: what is tested was trained on."""
        return len({self.split_of[name] for name in group}) > 1

    def among(self, split: str, others: str) -> int:
        """How many images of a split resemble one of the split `others` (which may be the same split)."""
        found: set[str] = set()
        for group in self.alike:
            mine = [name for name in group if self.split_of[name] == split]
            if (others == split and len(mine) > 1) or (others != split and self._has(group, others)):
                found.update(mine)
        return len(found)

    def _has(self, group: Sequence[str], split: str) -> bool:
        return any(self.split_of[name] == split for name in group)

    def size(self, split: str) -> int:
        """The number of usable images of a split."""
        return sum(own == split for own in self.split_of.values())

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "source": self.source,
            "images": self.images,
            "classes": list(self.classes),
            "counts": self.counts,
            "sizes": [{"height": h, "width": w, "images": count} for (h, w), count in self.sizes.items()],
            "duplicates": self._groups(self.alike.same_bytes),
            "same_pixels": self._groups(self.alike.same_pixels),
            "image_size": self.image_size,
            "resized": self._groups(self.alike.resized),
            "near_duplicates": self._groups(self.alike.near),
            "resemble_training_images": {
                split: self.among(split, "train") for split in self.members if split != "train"
            },
            "ranges": self.ranges,
            "mask_pixels": {
                split: {str(number): count for number, count in part.items()}
                for split, part in self.mask_pixels.items()
            },
            "notes": list(self.notes),
            "palette": list(self.palette),
            "numbers": {name: stats._asdict() for name, stats in self.numbers.items()},
            "groups": self.groups,
            "group_by": self.grouping and self.grouping.pattern,
            "problems": [problem._asdict() for problem in self.problems],
        }

    def _groups(self, groups: Groups) -> list[dict[str, Any]]:
        return [{"files": list(group), "across_splits": self.crosses(group)} for group in groups]


def numbers(mask: Array) -> dict[int, int]:
    """How many pixels have each of the numbers that there are."""
    counts = np.bincount(mask.reshape(-1), minlength=1)
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


def total(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
