"""The images of a folder as a spec asks for them: listed, divided, of one shape; nothing is decoded."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import NamedTuple, TypeVar

from cnncli.datasets.problems import Problem, raise_any
from cnncli.datasets.section import AUTO, FOLDER_KEYS, TABLE_KEYS, DataSection
from cnncli.datasets.sources.found import Found, Listing, Sample
from cnncli.datasets.splits.groups import folds_of, grouped
from cnncli.datasets.splits.splitting import divide
from cnncli.errors import DeclarationError

Seen = TypeVar("Seen")
CHANNELS = {"rgb": 3, "grayscale": 1}


class Kind(NamedTuple):
    """The channels of images, and their dtype."""

    channels: int
    dtype: str


def listing(source: Found, data: DataSection, *, evaluated: bool = False) -> Listing:
    """What the folder has, to train on or to be `evaluated` only.

    Raises CnncliError, with all that is wrong, unless `data` says to skip such files.
    """
    data.refuse_keys(*FOLDER_KEYS, *(TABLE_KEYS if data.targets == "values" else ()))
    found = source.listing()
    refuse(found, found.problems, data, found.faults if evaluated else found.unfit)
    if data.sample_weight not in (None, AUTO) and not found.weights:
        raise DeclarationError(
            f"sample_weight must be a column of a table of the images in {found.root}; received {data.sample_weight}",
            "sample_weight",
        )
    return grouped(found, data)


def refuse(found: Listing, problems: Sequence[Problem], data: DataSection, faults: Sequence[Problem] = ()) -> None:
    """Raise CnncliError for what no option helps, and for files that can't be used unless they are to be skipped."""
    advice = f"`cnncli datasets check {quote(str(found.root))}` checks every file"
    if problems and not faults:
        advice += "; set `on_error: skip` under `data` to skip such files"
    raise_any(str(found.root), [*faults, *([] if data.on_error == "skip" else problems)], advice)


def splits(found: Listing, data: DataSection, seed: int) -> Mapping[str, Sequence[Sample]]:
    """The images by "train", "validation", "test": those that the folder names, and the shares of `data` taken off.

    Raises DeclarationError for a share of what the folder names itself, or that leaves a class without an image.
    """
    data.refuse_unstratified()
    shares = data.shares
    for name in shares:
        key = f"{name}_split"
        if name in found.splits:
            raise DeclarationError(f"{key} must be omitted because the folder has its own {name} images", key)
        if "train" not in found.splits:
            raise DeclarationError(f"{key} must be omitted because there are no training images", key)
    if not shares:
        return found.splits
    parts = {**found.splits, **divide(found.splits["train"], shares, seed, found.classes, found.groups)}
    return {name: parts[name] for name in ("train", "validation", "test") if name in parts}


def fold(found: Listing, data: DataSection, seed: int) -> int | None:
    """The number of images in the fold that is validated on, where folds keep groups together."""
    if data.folds is None or not found.groups or "validation" in found.splits:
        return None
    train = found.splits["train"]
    chosen = folds_of(train, found.groups, data.folds, seed, found.classes)
    return sum(chosen[found.groups[sample.file]] == data.fold for sample in train)


def image_shape(found: Listing, data: DataSection, input_shape: tuple[int, ...] | None = None) -> tuple[int, int, int]:
    """(H, W, C) of every image. Without image_size the first one's header is read, which must agree with the model's.

    Raises DeclarationError where it does not, CnncliError where it can't be read.
    """
    channels = kind(found, data).channels
    if data.image_size is not None:
        return (*data.image_size, channels)
    file, size = _first(found, data, lambda path: _size(path, data))
    if input_shape is not None and len(input_shape) == 3 and input_shape[:2] != size:
        raise DeclarationError(
            f"images are {size[0]} × {size[1]} ({file}), but the model's input_shape is {list(input_shape)}; "
            f"set `image_size: {list(input_shape[:2])}` under `data` to resize them"
        )
    return (*size, channels)


def _size(path: Path, data: DataSection) -> tuple[int, int]:
    from cnncli.datasets.sources import bands, image_files  # here, because most specs need no Pillow

    return bands.bands_of(path).size if data.color_mode == "all" else image_files.size_of(path)


def kind(found: Listing, data: DataSection) -> Kind:
    """What images have: with `color_mode: all` what the first one has. Raises CnncliError where it can't be read."""
    if data.color_mode != "all":
        return Kind(CHANNELS[data.color_mode] + (data.alpha == "channel"), "uint8")
    from cnncli.datasets.sources import bands  # here, because most specs need no Pillow

    file, held = _first(found, data, bands.bands_of)
    bands.require_reader(held, found.root / file)
    return Kind(held.channels, held.dtype)


def _first(found: Listing, data: DataSection, look: Callable[[Path], Seen]) -> tuple[str, Seen]:
    """The first image that can be read, and what `look` sees in it."""
    from cnncli.datasets.sources import image_files  # here, because most specs need no Pillow

    problems = []
    for file in (sample.file for part in found.splits.values() for sample in part):
        try:
            return file, look(found.root / file)
        except image_files.UnusableError as error:
            problems.append(Problem(file, str(error)))
            refuse(found, problems, data)
    raise_any(str(found.root), problems)
    raise AssertionError("a listing without an image has a fault")
