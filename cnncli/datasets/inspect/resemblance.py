"""Which images of a source are the same, or nearly so."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.inspect.near_duplicates import SIDE, near_duplicates

Array = np.ndarray[Any, Any]
Groups = Sequence[Sequence[str]]
SAME_LEVELS = 4.0
"""Mean difference of the gray levels of thumbnails of images that differ in nothing but their size."""
SAME_RATIO = 0.02
"""By which the ratios of height to width of such images may differ, as a share."""


LEAST_SIDE = 8
"""Pixels that both sides of images have that are compared otherwise than for equality."""


class Look(NamedTuple):
    """An image: its size (height, width), digests of its file's bytes and of its pixels, and its thumbnail.

    The thumbnail is uint8 (SIDE, SIDE, 3).
    """

    size: tuple[int, int]
    content: Hashable
    pixels: Hashable
    thumbnail: Array


@dataclass(frozen=True)
class Resemblance:
    """Groups of images. An image may be in a group of each kind.

    `same_bytes`: the same file twice. `same_pixels`: other files of the same pixels. `resized`: the same but for their
    size. `near`: linked by near-duplicates (see near_duplicates).
    """

    same_bytes: Groups = ()
    same_pixels: Groups = ()
    resized: Groups = ()
    near: Groups = ()

    def __iter__(self) -> Iterator[Sequence[str]]:
        for groups in (self.same_bytes, self.same_pixels, self.resized, self.near):
            yield from groups

    @property
    def names(self) -> set[str]:
        """All images that resemble another one."""
        return {name for group in self for name in group}


def resemblance(looks: Mapping[str, Look]) -> Resemblance:
    """Compare images, given by name; groups keep their order."""
    by_bytes, by_pixels = defaultdict(list), defaultdict(list)
    for name, look in looks.items():
        by_bytes[look.content].append(name)
        by_pixels[look.pixels].append(name)
    same = [group for group in by_bytes.values() if len(group) > 1]
    several = [group for group in by_pixels.values() if len({looks[name].content for name in group}) > 1]
    distinct = [group for group in by_pixels.values() if min(looks[group[0]].size) >= LEAST_SIDE]
    place = {name: number for number, name in enumerate(looks)}
    first = [looks[group[0]] for group in distinct]
    thumbnails = np.array([look.thumbnail for look in first], np.uint8).reshape(-1, SIDE, SIDE, 3)
    resized: list[list[str]] = []
    near: list[list[str]] = []
    for rows in near_duplicates(thumbnails, np.array([min(look.size) for look in first])):
        alike = [first[row] for row in rows]
        group = sorted((name for row in rows for name in distinct[row]), key=place.__getitem__)
        (resized if _differ_in_size_alone(alike) else near).append(group)
    return Resemblance(*(sorted(groups) for groups in (same, several, resized, near)))


def _differ_in_size_alone(looks: Sequence[Look]) -> bool:
    if len({look.size for look in looks}) == 1:
        return False
    first = looks[0]
    ratio = first.size[0] / first.size[1]
    return all(
        abs(look.size[0] / look.size[1] - ratio) <= SAME_RATIO * ratio
        and np.abs(look.thumbnail.astype(np.float32) - first.thumbnail).mean() <= SAME_LEVELS
        for look in looks[1:]
    )
