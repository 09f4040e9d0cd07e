"""A dataset that was found, and what a folder of images or a table lists."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.problems import Problem

GREATEST = 3.4e38
"""Of a float32."""
MOST_NUMBERED = 100
"""Whole numbers that may well be classes."""


class Sample(NamedTuple):
    """An image: its file, relative to the source's folder and with /, and the numbers of its classes."""

    file: str
    labels: tuple[int, ...] = ()


class Crop(NamedTuple):
    """A part of an image file: `box` is (left, top, right, bottom), in pixels or `relative` to the image's size."""

    file: str
    box: tuple[float, float, float, float]
    relative: bool = False


@dataclass(frozen=True)
class Listing:
    """What a folder has. `splits`: the images by "train", "validation", "test"; all in "train" where it names none.

    `several`: an image may have any number of classes, not one. `problems`: files that can't be used; `faults`: what
    is wrong with the whole and can't be helped by leaving a file out; `untrained`: what keeps it from being trained on
    only, such as a class without training images. `masks`: by the image, where they are its target;
    `pixel_classes` and `colors`: what the folder says of their classes, by the number.
    `notes`: what was understood, where it may be meant otherwise. `values`: numbers by the image, one for each of the
    `outputs`, where they are its target. `groups`: that of each image, where images of a group stay together.
    `weights`: those of images in the loss, where a table has them; others weigh 1.
    `crops`: where images are parts of files, by their names, as `1.jpg#3`.
    """

    root: Path
    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[Sample]]
    several: bool
    problems: Sequence[Problem]
    faults: Sequence[Problem]
    masks: Mapping[str, str] = field(default_factory=dict)
    pixel_classes: tuple[str, ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()
    notes: Sequence[str] = ()
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    crops: Mapping[str, Crop] = field(default_factory=dict)
    untrained: Sequence[Problem] = ()

    @property
    def unfit(self) -> list[Problem]:
        """All that keeps it from being trained on, whatever files are left out."""
        return [*self.faults, *self.untrained]


def absent(samples: Sequence[Sample], classes: Sequence[str]) -> list[str]:
    """The classes that none of the samples shows."""
    shown = {label for sample in samples for label in sample.labels}
    return [name for number, name in enumerate(classes) if number not in shown]


def numbers_hint(classes: Sequence[str]) -> tuple[str, ...]:
    """What to tell about classes of a table that look like numbers to be predicted; nothing of others."""
    if not all(map(is_number, classes)) or (len(classes) <= MOST_NUMBERED and all(map(str.isdecimal, classes))):
        return ()
    return (f"the {len(classes):,} classes are numbers: `targets: values` under `data` predicts them as such",)


def is_number(name: str) -> bool:
    """Whether a text is a number."""
    try:
        return isfinite(float(name))
    except ValueError:
        return False


def number_in(cell: str) -> float | None:
    """The number in a table's cell; None for anything else and for one that no float32 holds."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if isfinite(number) and abs(number) < GREATEST and "_" not in cell else None


def weight_in(cell: str) -> float | str:
    """The weight in a table's cell, or the rule that it breaks."""
    number = number_in(cell)
    if number is None or number < 0:
        return "must be a number ≥ 0; " + (f"received {cell!r}" if cell else "it is empty")
    return number


def _unlisted() -> Listing:
    raise AssertionError("only a folder of images is listed")


@dataclass(frozen=True)
class Found:
    """A dataset that was found: its name or absolute path; `kind`, how it is read: "downloaded", "folder", "npz",
    "npy", "idx", "h5" or "csv"; and where: `file`, its file or its folder, and `files`, those of several by their keys.

    `listing`: lists a folder's images; it raises CnncliError where the folder or a table in it can't be read.
    `names_splits`: whether the data say which images are for training, validation or the test. `boxes`: what kind of a
    detection set it is, if it is one.
    """

    name: str
    kind: str
    file: Path = Path()
    files: Mapping[str, Path] = field(default_factory=dict)
    listing: Callable[[], Listing] = _unlisted
    names_splits: bool = True
    boxes: str = ""
