"""Checks every image of a data source; files in folders are decoded, and nothing is cached."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from cnncli.datasets.fingerprints import fingerprint
from cnncli.datasets.images.content import Content
from cnncli.datasets.images.content import content as content_of
from cnncli.datasets.images.content import notes as content_notes
from cnncli.datasets.images.decode import MASK, Form, decode, pixels, whole
from cnncli.datasets.inspect.near_duplicates import SIDE
from cnncli.datasets.inspect.resemblance import Groups, Look, Resemblance, resemblance
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import MOST_MASKED
from cnncli.datasets.sources import image_files
from cnncli.datasets.sources.array_files import limits, portions
from cnncli.datasets.sources.found import Found, Listing
from cnncli.system.files import open_regular

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset, Split

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
    or else at the images' own size.
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
            "problems": [problem._asdict() for problem in self.problems],
        }

    def _groups(self, groups: Groups) -> list[dict[str, Any]]:
        return [{"files": list(group), "across_splits": self.crosses(group)} for group in groups]


class _Seen(NamedTuple):
    """A usable file: what it is compared by, what it holds, and its mask's pixels of each number."""

    look: Look
    content: Content
    mask: Mapping[int, int]


def inspect(source: Found, name: str, image_size: tuple[int, int] | None = None) -> Inspection:
    """Look through a folder, called `name`. `image_size`: height and width at which pixels are compared.

    Raises CnncliError where it can't be read at all.
    """
    found, root = source.listing(), source.file
    split_of = {sample.file: split for split, part in found.splits.items() for sample in part}
    files = sorted(split_of)
    seen: dict[str, _Seen] = {}
    problems = [*found.faults, *found.problems]
    with ThreadPoolExecutor(image_files.processors()) as threads:
        look = partial(_seen, found, image_size=image_size)
        for file, each in zip(files, threads.map(look, files), strict=True):
            if isinstance(each, Problem):
                problems.append(each)
            else:
                seen[file] = each
    usable = {file: split_of[file] for file in seen}
    sizes = Counter(each.look.size for each in seen.values())
    return Inspection(
        name,
        found.classes,
        _members(found, usable),
        dict(sizes.most_common()),
        problems,
        usable,
        _files(root, found.masks),
        notes=[*found.notes, *content_notes({file: each.content for file, each in seen.items()})],
        mask_pixels=_settled(
            {
                split: _total(seen[file].mask for file in seen if usable[file] == split)
                for split in (found.splits if found.masks else ())
            }
        ),
        alike=resemblance({file: each.look for file, each in seen.items()}),
        image_size=image_size,
    )


def _members(found: Listing, usable: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    return {
        split: {
            name: [sample.file for sample in part if sample.file in usable and number in sample.labels]
            for number, name in enumerate(found.classes)
        }
        for split, part in found.splits.items()
    }


def _seen(found: Listing, file: str, *, image_size: tuple[int, int] | None) -> _Seen | Problem:
    """A file of a listing; or what is wrong with it or its mask."""
    path = found.root / file
    try:
        size = image_files.size_of(path)
        with image_files.opened(path) as image:
            image.load()
            drawn = whole(image) if image_size is None else pixels(image, Form(*image_size))
            content, thumbnail = content_of(image), pixels(image, THUMBNAIL)
        key = (drawn.shape, fingerprint(np.ascontiguousarray(drawn).data))
        look = Look(size, _digest(path), key, thumbnail)
    except image_files.UnusableError as error:
        return Problem(file, str(error))
    except OSError as error:
        return Problem(file, f"can't be read: {error.strerror or error}")
    if file not in found.masks:
        return _Seen(look, content, {})
    try:
        image_files.check_size(found.root / found.masks[file], path)
        mask = decode(found.root / found.masks[file], Form(*size, MASK))
    except image_files.UnusableError as error:
        return Problem(found.masks[file], str(error))
    return _Seen(look, content, _numbers(mask))


def _numbers(mask: Array) -> dict[int, int]:
    """How many pixels have each of the numbers that there are."""
    counts = np.bincount(mask.reshape(-1), minlength=1)
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


def _total(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def _settled(counts: Mapping[str, Mapping[int, int]]) -> Mapping[str, Mapping[int, int]]:
    """Pixels by split and class: where there are only black and white ones, white is class 1 (see masks.settled)."""
    if {number for part in counts.values() for number in part} != {0, MOST_MASKED}:
        return counts
    return {split: {min(number, 1): count for number, count in part.items()} for split, part in counts.items()}


def _files(root: Path, masks: Mapping[str, str]) -> Pictures:
    def image(name: str) -> Array:
        with image_files.opened(root / name) as opened:
            return whole(opened)

    def mask(name: str) -> Array | None:
        if name not in masks:
            return None
        size = image_files.size_of(root / masks[name])
        return decode(root / masks[name], Form(*size, MASK))[..., 0]

    return Pictures(image, mask)


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inspect_arrays(dataset: "Dataset") -> Inspection:
    """Look through arrays, which are whole and of one size: they would not have been read otherwise."""
    splits = dataset.splits
    split_of = {split.name(row): name for name, split in splits.items() for row in split.numbers.tolist()}
    places = {split.name(row): (name, row) for name, split in splits.items() for row in split.numbers.tolist()}
    (shape,) = {split.x.shape[1:3] for split in splits.values()}
    ranges = {name: limits(split.x) for name, split in splits.items()}
    masked = {name: split.y for name, split in splits.items() if split.y is not None and split.y.ndim > 2}

    def mask(name: str) -> Array | None:
        split, row = places[name]
        return _class_numbers(masked[split][row]) if split in masked else None

    return Inspection(
        dataset.source,
        () if masked else dataset.classes,
        {name: {} if name in masked else _rows(split, dataset.classes) for name, split in splits.items()},
        {(shape[0], shape[1]): len(split_of)},
        [],
        split_of,
        Pictures(lambda name: np.asarray(splits[places[name][0]].x[places[name][1]]), mask),
        ranges,
        dataset.notes,
        {name: _total(_numbers(_class_numbers(y[rows])) for rows in portions(y)) for name, y in masked.items()},
        resemblance(dict(_looks(splits, ranges))),
    )


def _class_numbers(masks: Array) -> Array:
    """The class of each pixel, from numbers or from a score for each class."""
    return masks if masks.dtype.kind in "iu" else masks.argmax(axis=-1)


def _rows(split: "Split", classes: Sequence[str]) -> dict[str, list[str]]:
    """Names of the images of each class, where each has one."""
    if split.y is None or split.y.dtype.kind != "i":
        return {}
    rows = split.numbers
    numbers = split.y[rows]
    return {name: [split.name(row) for row in rows[numbers == number].tolist()] for number, name in enumerate(classes)}


def _looks(splits: Mapping[str, "Split"], ranges: Mapping[str, tuple[float, float]]) -> Iterator[tuple[str, Look]]:
    low, high = min(low for low, _ in ranges.values()), max(high for _, high in ranges.values())
    for split in splits.values():
        for row in split.numbers.tolist():
            image = split.x[row]
            if image.dtype != np.uint8:
                image = ((image - low) * (255 / max(high - low, float(np.finfo(np.float32).tiny)))).astype(np.uint8)
            shown = Image.fromarray(np.ascontiguousarray(image if image.shape[2] == 3 else image[..., 0]))
            print_ = split.fingerprint(row)
            yield split.name(row), Look(image.shape[:2], print_, print_, pixels(shown, THUMBNAIL))
