"""Checks every image of a data source; files in folders are decoded, and nothing is cached."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.datasets.dataset import duplicate_groups
from cnncli.datasets.images.content import Content, content
from cnncli.datasets.images.content import notes as content_notes
from cnncli.datasets.images.decode import MASK, Form, decode
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources import image_files
from cnncli.datasets.sources.array_files import limits
from cnncli.datasets.sources.found import Found
from cnncli.system.files import open_regular

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset


@dataclass(frozen=True)
class Inspection:
    """`counts`: images by split and class. `sizes`: images by (height, width).

    `duplicates`: groups of files (or rows, as "x_train[5]") whose bytes are the same. `problems`: all that keeps the
    source from being used. `ranges`: of arrays the least and the greatest value by split. `notes`: what was
    understood of the source, where it may be meant otherwise, and what looks lost in its images.
    """

    source: str
    classes: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    sizes: Mapping[tuple[int, int], int]
    duplicates: Sequence[Sequence[str]]
    problems: Sequence[Problem]
    split_of: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def images(self) -> int:
        """How many can be read."""
        return sum(self.sizes.values())

    def crosses(self, group: Sequence[str]) -> bool:
        """Whether duplicates lie in several splits: what is tested was trained on."""
        return len({self.split_of[file] for file in group}) > 1

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "source": self.source,
            "images": self.images,
            "classes": list(self.classes),
            "counts": self.counts,
            "sizes": [{"height": h, "width": w, "images": count} for (h, w), count in self.sizes.items()],
            "duplicates": [{"files": list(group), "across_splits": self.crosses(group)} for group in self.duplicates],
            "ranges": self.ranges,
            "notes": list(self.notes),
            "problems": [problem._asdict() for problem in self.problems],
        }


def inspect(source: Found, name: str) -> Inspection:
    """Look through a folder, called `name`. Raises CnncliError where it can't be read at all."""
    found, root = source.listing(), source.file
    split_of = {sample.file: split for split, part in found.splits.items() for sample in part}
    files = sorted(split_of)

    contents: dict[str, Content] = {}

    def look(file: str) -> tuple[str, tuple[int, int]] | Problem:
        try:
            with image_files.opened(root / file) as image:
                image.load()
                contents[file] = content(image)
            if file in found.masks:
                return _masked(root, file, found.masks[file])
            return _digest(root / file), image_files.size_of(root / file)
        except image_files.UnusableError as error:
            return Problem(file, str(error))
        except OSError as error:
            return Problem(file, f"can't be read: {error.strerror or error}")

    by_content: dict[str, list[str]] = defaultdict(list)
    sizes: Counter[tuple[int, int]] = Counter()
    problems = [*found.faults, *found.problems]
    with ThreadPoolExecutor(image_files.processors()) as threads:
        for file, seen in zip(files, threads.map(look, files), strict=True):
            if isinstance(seen, Problem):
                problems.append(seen)
            else:
                by_content[seen[0]].append(file)
                sizes[seen[1]] += 1
    counts = {
        split: {name: sum(number in sample.labels for sample in part) for number, name in enumerate(found.classes)}
        for split, part in found.splits.items()
    }
    duplicates = sorted(group for group in by_content.values() if len(group) > 1)
    return Inspection(
        name,
        found.classes,
        counts,
        dict(sizes.most_common()),
        duplicates,
        problems,
        split_of,
        notes=[*found.notes, *content_notes(dict(sorted(contents.items())))],
    )


def _masked(root: Path, file: str, mask: str) -> tuple[str, tuple[int, int]] | Problem:
    """An image's digest and size; or what is wrong with its mask."""
    size = image_files.size_of(root / file)
    try:
        image_files.check_size(root / mask, root / file)
        decode(root / mask, Form(*size, MASK))
        return _digest(root / file), size
    except image_files.UnusableError as error:
        return Problem(mask, str(error))


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inspect_arrays(dataset: "Dataset") -> Inspection:
    """Look through arrays, which are whole and of one size: they would not have been read otherwise."""
    splits, counts = dataset.splits, {}
    split_of: dict[str, str] = {}
    for name, split in splits.items():
        split_of |= {split.name(row): name for row in split.numbers.tolist()}
        numbers = split.y.tolist() if split.y is not None and split.y.dtype.kind == "i" else []
        counts[name] = {of: numbers.count(number) for number, of in enumerate(dataset.classes if numbers else ())}
    (shape,) = {split.x.shape[1:3] for split in splits.values()}
    duplicates = sorted([splits[name].name(row) for name, row in group] for group in duplicate_groups(splits))
    sizes = {(shape[0], shape[1]): len(split_of)}
    ranges = {name: limits(split.x) for name, split in splits.items()}
    return Inspection(dataset.source, dataset.classes, counts, sizes, duplicates, [], split_of, ranges, dataset.notes)
