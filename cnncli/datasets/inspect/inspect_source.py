"""Inspects a data source in a few seconds, to create a spec for it.

Of a small folder every file is decoded, though coarsely; of a large one some headers are read.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from math import floor
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from cnncli.datasets.class_numbers import class_numbers, integer_labels
from cnncli.datasets.describe import EMBEDDED, describe, find, image_shape
from cnncli.datasets.images import load_images
from cnncli.datasets.images.content import SIXTEEN, Content, content
from cnncli.datasets.images.content import notes as content_notes
from cnncli.datasets.images.crops import Cropper
from cnncli.datasets.inspect import mask_summary, recognize_masks, recognize_values
from cnncli.datasets.inspect.mask_summary import MaskSummary
from cnncli.datasets.layouts import name_classes
from cnncli.datasets.problems import Problem, raise_any
from cnncli.datasets.section import AUTO, DataSection
from cnncli.datasets.sources import archive, array_files, bands, csv_layout, image_files
from cnncli.datasets.sources.found import Found, Listing
from cnncli.datasets.sources.synthetic import Synthetic
from cnncli.errors import CnncliError, UsageError

MOST_FILES, MOST_BYTES = 10_000, 256 << 20
"""Of a folder that is decoded whole: some five seconds of two processors."""
HEADERS = 2_000
"""Files of a larger folder whose headers are read."""
COARSE = (64, 64)
"""Pixels that a picture is reduced to where it is asked whether it is grey."""
UNIT = 2.0
"""Floats beyond are taken for levels of 0 to 255 that nobody has divided."""
WHITE = 255
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")


@dataclass(frozen=True)
class SourceSummary:
    """`kind`: "folder", "arrays", "table", "shipped", "downloaded" or "made". `samples`: images by split. `counts`:
    training images by class, where they are known. `sizes`: of the images looked at, by (height, width). `several`: an
    image may have any number of classes. `problems`: files that can't be used. `looked`: how many files were looked at,
    all of them `whole` where they were decoded. `ordered`: the last tenth of the training rows does not show all
    classes, or one that the others do not. `levels`: the images are floats, though of 0 to 255. `listing`: what can be
    used of a folder or a table. `notes`: what was understood; `keys`: of a spec's data
    section, to be read like this. `values`: the names of the numbers that images have instead of classes. `masks`: what
    their masks show, where they have some.
    """

    kind: str
    classes: tuple[str, ...]
    samples: Mapping[str, int]
    sizes: Mapping[tuple[int, int], int]
    channels: int
    counts: Mapping[str, int] = field(default_factory=dict)
    several: bool = False
    problems: Sequence[Problem] = ()
    looked: int = 0
    whole: bool = True
    ordered: bool = False
    levels: bool = False
    listing: Listing | None = None
    notes: Sequence[str] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    masks: MaskSummary | None = None

    @property
    def imbalance(self) -> float:
        """How many times as many training images the largest class has as the smallest; 1 where that is not known."""
        counts = [count for count in self.counts.values() if count]
        return max(counts) / min(counts) if counts else 1.0


def inspect_source(data: DataSection, progress: Callable[[int, int], None] = lambda done, total: None) -> SourceSummary:
    """Inspect a dataset name, a folder or a file, relative to the working directory.

    `progress` is called with the number of processed files and the total. Raises DeclarationError if there is no such
    source, CnncliError if it can't be read, has no labels or no training images.
    """
    if isinstance(data.dataset, Synthetic):
        return _described(data, "made")
    found = find(data, Path())
    if found.boxes:
        data = data.replace(crop_boxes=True, image_size=COARSE)
        found = find(data, Path())
    made = INSPECTORS[found.kind](found, data, progress) if found.kind in INSPECTORS else _described(data, found.kind)
    if "train" not in made.samples:
        raise CnncliError(f"{data.name}: no training images")
    given: dict[str, Any] = {"layout": data.layout} if data.layout != "auto" else {}
    given |= {"columns": data.columns} if data.columns is not None else {}
    return replace(made, keys={**made.keys, **given})


def _described(data: DataSection, kind: str) -> SourceSummary:
    about = describe(data, Path())
    height, width, channels = about.input_shape
    names = about.names or tuple(str(number) for number in range(about.classes or 0))
    return SourceSummary(kind, names, about.samples, {(height, width): sum(about.samples.values())}, channels)


def _arrays(found: Found, data: DataSection, progress: Callable[[int, int], None]) -> SourceSummary:
    arrays = archive.headers(found)
    transposed = any(key.startswith("x_") and archive.looks_channels_first(header) for key, header in arrays.items())
    splits = archive.splits(found.file, arrays, labelled=True, data_format="channels_first" if transposed else "auto")
    first = next(iter(splits.values())).x
    height, width, channels = image_shape(first.shape)
    samples = {name: split.count for name, split in splits.items()}
    array_files.check_memory(found, [part for split in splits.values() for part in (split.x, split.y) if part])
    low, high = array_files.limits(array_files.read(first, found.kind)) if first.kind == "f" else (0.0, 0.0)
    far = {"normalize": "train"} if high > WHITE or low < -array_files.FAR else {}
    made = SourceSummary(
        "shipped" if found.name in EMBEDDED else "arrays",
        (),
        samples,
        {(height, width): sum(samples.values())},
        channels,
        levels=high > UNIT and not far,
        notes=archive.notes(found, arrays, splits, weights=archive.weights(found, arrays, AUTO, splits).values()),
        keys=({"data_format": "channels_first"} if transposed else {}) | far,
    )
    labels = splits["train"].y if "train" in splits else None
    if labels is None:
        return made
    y = array_files.labels(array_files.read(labels, found.kind), labels)
    y = integer_labels(y) if len(labels.shape) == 1 else y
    if y.dtype.kind == "f" and y.ndim != 2:
        raise UsageError(f"{labels.place} must be class labels or numbers, (N,) or (N, k); received shape {y.shape}")
    if y.dtype.kind == "f" and not ((y == 0) | (y == 1)).all():
        return replace(made, values=tuple(map(str, range(y.shape[1]))), keys={**made.keys, "targets": "values"})
    numbers = class_numbers(y)
    if numbers is None or y.shape[1:] == (1,):  # of one output, too, which is 0 or 1
        return replace(made, classes=tuple(map(str, range(y.shape[1]))), several=True)
    counts = np.bincount(numbers)
    rest, last = np.split(numbers, [floor(len(numbers) * 0.9)])
    ordered = len(np.unique(last)) < (counts > 0).sum() or len(np.setdiff1d(last, rest)) > 0
    shown = {str(number): int(count) for number, count in enumerate(counts)}
    notes = [*made.notes, *array_files.label_notes([y], None)]
    return replace(made, notes=notes, classes=tuple(shown), counts=shown, ordered=bool(ordered))


def _table(found: Found, data: DataSection, progress: Callable[[int, int], None]) -> SourceSummary:
    tables = csv_layout.tables(found, data)
    height, width, channels = csv_layout.image_shape(tables, None)
    listing = csv_layout.listing(tables)
    samples = {name: len(part) for name, part in listing.splits.items()}
    counts = Counter(listing.classes[label] for row in listing.splits.get("train", ()) for label in row.labels)
    return SourceSummary(
        "table",
        tables.classes,
        samples,
        {(height, width): sum(samples.values())},
        channels,
        {name: counts[name] for name in tables.classes},
        listing=listing,
        notes=tables.notes,
    )


def _folder(found: Found, data: DataSection, progress: Callable[[int, int], None]) -> SourceSummary:
    root = found.file
    listing = (None if data.crop_boxes or data.label_from else recognize_values.numbers(data)) or found.listing()
    if listing.unfit:
        listing = recognize_masks.masked(data) or listing
    if listing.unfit and (named := _in_names(found, data, listing)):
        return _folder(*named, progress)
    raise_any(str(root), listing.unfit, f"`cnncli datasets check {quote(str(root))}` checks every file")
    files = sorted(sample.file for part in listing.splits.values() for sample in part)
    whole = len(files) <= MOST_FILES and sum(map(_bytes, (root / file for file in files))) <= MOST_BYTES
    chosen = files if whole else [files[i * len(files) // HEADERS] for i in range(min(HEADERS, len(files)))]
    sizes: Counter[tuple[int, int]] = Counter()
    problems, grey, contents = list(listing.problems), True, {}
    with ThreadPoolExecutor(image_files.processors()) as threads:
        looked = zip(chosen, threads.map(lambda file: _look(listing, file, whole=whole), chosen), strict=True)
        for done, (file, seen) in enumerate(looked, start=1):
            if isinstance(seen, Problem):
                problems.append(seen)
            else:
                sizes[seen[0]] += 1
                grey = grey and seen[1]
                if seen[2] is not None:
                    contents[file] = seen[2]
            if done % 50 == 0 or done == len(chosen):
                progress(done, len(chosen))
    masks = None
    if listing.masks:
        usable = sorted(set(chosen) - {problem.file for problem in problems})
        masks = mask_summary.summarize(listing, usable, problems)
    unusable = {problem.file for problem in problems}
    unusable |= {file for file, mask in listing.masks.items() if mask in unusable}
    kept = load_images.without(listing, unusable)
    counts = Counter(label for sample in kept.splits.get("train", ()) for label in sample.labels)
    first = next(sample.file for part in kept.splits.values() for sample in part)
    held = None if kept.crops else bands.beyond_pillow(root / first)
    return SourceSummary(
        "folder",
        masks.classes if masks else kept.classes,
        {name: len(part) for name, part in kept.splits.items()},
        dict(sizes.most_common()),
        held.channels if held is not None else 1 if grey else 3,
        {name: counts[number] for number, name in enumerate(kept.classes)},
        kept.several,
        sorted(problems),
        len(chosen),
        whole,
        listing=kept,
        notes=[*_pairs(kept), *_read_from_names(data, kept), *kept.notes, *content_notes(contents, data)],
        keys=_targets(kept)
        | ({"label_from": data.label_from} if data.label_from else {})
        | _content_keys(contents)
        | _channel_keys(held),
        values=kept.outputs,
        masks=masks,
    )


def _pairs(listing: Listing) -> list[str]:
    """What tells how images and masks were paired."""
    return ["{} has the mask {}".format(*min(listing.masks.items()))] if listing.masks else []


def _targets(listing: Listing) -> dict[str, str | int]:
    """The keys of a spec that say what images are, and what is predicted of them."""
    if listing.crops:
        return {"crop_boxes": True}
    return {"targets": "masks"} if listing.masks else {"targets": "values"} if listing.values else {}


def _read_from_names(data: DataSection, listing: Listing) -> Iterator[str]:
    """What was read from the names of files."""
    if data.label_from and listing.classes:
        counts = Counter(label for part in listing.splits.values() for sample in part for label in sample.labels)
        shown = name_classes.shown({name: counts[number] for number, name in enumerate(listing.classes)})
        yield f"classes are read from the names of files: {shown}"


def _in_names(found: Found, data: DataSection, listing: Listing) -> tuple[Found, DataSection] | None:
    """A folder whose files' names tell the classes, with the pattern that finds them."""
    if data.label_from or len(listing.classes) > 1 or (named := name_classes.of_folder(found.file)) is None:
        return None
    asked = data.replace(label_from=named.pattern, layout="auto")
    return find(asked, Path()), asked


INSPECTORS: dict[str, Callable[[Found, DataSection, Callable[[int, int], None]], SourceSummary]] = {
    "folder": _folder,
    **dict.fromkeys(("npz", "npy", "idx", "h5"), _arrays),
    "csv": _table,
}


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # opening says why
        return 0


def _look(listing: Listing, file: str, *, whole: bool) -> tuple[tuple[int, int], bool, Content | None] | Problem:
    """The size of an image, whether it is grey, and what it holds where it is read `whole`; or its problem."""
    root = listing.root
    try:
        if listing.crops:
            part = Cropper(root, listing.crops).cut(file)
            return (part.height, part.width), part.mode in GREY_MODES or _is_grey(part), content(part)
        size = image_files.size_of(root / file)
        with bands.opened_or_drawn(root / file) as image:
            grey = image.mode in GREY_MODES
            held = None
            if whole:
                image.draft("RGB", COARSE)  # JPEG alone has it: all is read, a part is computed
                image.load()
                held = content(image)
                grey = grey or _is_grey(image)
    except image_files.UnusableError as error:
        return Problem(file, str(error))
    return size, grey, held


def _content_keys(found: Mapping[str, Content]) -> dict[str, str | int]:
    """The keys of a spec by which nothing is lost, where all images are alike."""
    if found and all(each.drawn_in_alpha for each in found.values()):
        return {"alpha": "white"}
    if found and all(each.sliver and each.possible == SIXTEEN for each in found.values()):
        return {"bit_depth": max(each.greatest for each in found.values()).bit_length()}
    return {}


def _channel_keys(held: bands.Bands | None) -> dict[str, str | int]:
    """The keys for images with more channels, or more bits in several, than other color modes read."""
    if held is None:
        return {}
    return {"color_mode": "all", **({"normalize": "train"} if held.dtype == "float32" else {})}


def _is_grey(image: Image.Image) -> bool:
    """Whether an image has colours that are not grey; told by some of its pixels."""
    red, green, blue = image.resize(COARSE, Image.Resampling.NEAREST).convert("RGB").split()
    return all(ImageChops.difference(red, other).getbbox() is None for other in (green, blue))
