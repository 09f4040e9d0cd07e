"""Checks every image of a folder; files are decoded, and nothing is cached."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.fingerprints import fingerprint
from cnncli.datasets.images import load_images
from cnncli.datasets.images.content import Content
from cnncli.datasets.images.content import content as content_of
from cnncli.datasets.images.content import notes as content_notes
from cnncli.datasets.images.crops import Cropper
from cnncli.datasets.images.decode import ALL, MASK, Form, Palette, decode, palette_of, pixels, whole
from cnncli.datasets.inspect.grouping import proposed
from cnncli.datasets.inspect.inspection import THUMBNAIL, Inspection, Pictures, numbers, total
from cnncli.datasets.inspect.resemblance import Look, resemblance
from cnncli.datasets.inspect.value_stats import value_stats
from cnncli.datasets.masks import looks_void
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import MOST_MASKED, DataSection
from cnncli.datasets.sources import bands, image_files
from cnncli.datasets.sources.found import Found, Listing, Sample
from cnncli.datasets.splits.groups import grouped
from cnncli.datasets.splits.planned import planned
from cnncli.errors import DeclarationError
from cnncli.system.files import open_regular

Array = np.ndarray[Any, Any]


VOID = (
    f"{MOST_MASKED} looks like void: leave it out with "
    f"`loss: {{sparse_categorical_crossentropy: {{ignore_class: {MOST_MASKED}}}}}`"
)


class _Seen(NamedTuple):
    """A usable file: what it is compared by, what it holds, and its mask's pixels of each number."""

    look: Look
    content: Content
    mask: Mapping[int, int]


def inspect_folder(source: Found, name: str, data: DataSection, seed: int = 0) -> Inspection:
    """Look through a folder, called `name`, as `data` say; pixels are compared at its image_size, if there is one.

    Raises CnncliError where it can't be read at all.
    """
    found, root = source.listing(), source.file
    files = sorted(sample.file for part in found.splits.values() for sample in part)
    seen: dict[str, _Seen] = {}
    palette = data.colors or load_images.colors(found)
    problems = [*found.unfit, *found.problems]
    with ThreadPoolExecutor(image_files.processors()) as threads:
        look = partial(_seen, found, Cropper(root, found.crops), data=data, palette=palette)
        for file, each in zip(files, threads.map(look, files), strict=True):
            if isinstance(each, Problem):
                problems.append(each)
            else:
                seen[file] = each
    found, parts = _divided(found, seen, data, seed, problems)
    usable = {sample.file: split for split, part in parts.items() for sample in part}
    alike = resemblance({file: each.look for file, each in seen.items()})
    pixels_of = _settled(
        {
            split: total(seen[file].mask for file in seen if usable[file] == split)
            for split in (parts if found.masks else ())
        }
    )
    sizes = Counter(each.look.size for each in seen.values())
    return Inspection(
        name,
        found.classes,
        _members(found.classes, parts),
        dict(sizes.most_common()),
        problems,
        usable,
        _files(found, palette),
        notes=[
            *found.notes,
            *content_notes({file: each.content for file, each in seen.items()}, data),
            *([VOID] if looks_void({number for counts in pixels_of.values() for number in counts}) else []),
        ],
        mask_pixels=pixels_of,
        alike=alike,
        image_size=data.image_size,
        palette=palette_of(root / problem.file for problem in problems if problem.file in {*found.masks.values()}),
        groups={
            split: len({found.groups.get(sample.file) for sample in part} - {None}) for split, part in parts.items()
        }
        if found.groups
        else {},
        grouping=None if found.groups else proposed(found.splits.get("train", ()), alike),
        numbers=value_stats(np.array([found.values[file] for file in sorted(usable)]), found.outputs)
        if usable and found.values
        else {},
        divided=parts.keys() - found.splits.keys(),
    )


def _divided(
    found: Listing, seen: Collection[str], data: DataSection, seed: int, problems: list[Problem]
) -> tuple[Listing, Mapping[str, Sequence[Sample]]]:
    """The usable images of a folder, and how they are divided. What does not allow that is added to the problems."""
    left = {split: [sample for sample in part if sample.file in seen] for split, part in found.splits.items()}
    found = replace(found, splits=left)
    try:
        found = grouped(found, data)
        return found, planned(found, data, seed)
    except DeclarationError as error:
        problems.append(Problem("data" + f".{error.key}" * bool(error.key), str(error)))
        return found, left


def _members(classes: Sequence[str], parts: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, list[str]]]:
    return {
        split: {
            name: [sample.file for sample in part if number in sample.labels] for number, name in enumerate(classes)
        }
        for split, part in parts.items()
    }


def _seen(found: Listing, cropper: Cropper, file: str, *, data: DataSection, palette: Palette) -> _Seen | Problem:
    """An image of a listing; or what is wrong with it or its mask."""
    crop = found.crops.get(file)
    path = found.root / (crop.file if crop else file)
    mode = "rgb" if data.color_mode == ALL else data.color_mode
    try:
        size = image_files.size_of(path)
        with bands.opened_or_drawn(path) as opened:
            opened.load()
            image = cropper.cut(file) if crop else opened
            size = (image.height, image.width) if crop else size
            drawn = pixels(image, Form.of(data, *data.image_size, mode)) if data.image_size else whole(image)
            content, thumbnail = content_of(image), pixels(image, THUMBNAIL)
        key = (drawn.shape, fingerprint(np.ascontiguousarray(drawn).data))
        look = Look(size, f"{_digest(path)} {crop}", key, thumbnail)
    except image_files.UnusableError as error:
        return Problem(file, str(error))
    except OSError as error:
        return Problem(file, f"can't be read: {error.strerror or error}")
    if file not in found.masks:
        return _Seen(look, content, {})
    try:
        image_files.check_size(found.root / found.masks[file], path)
        mask = decode(found.root / found.masks[file], Form(*size, MASK, palette=palette))
    except image_files.UnusableError as error:
        return Problem(found.masks[file], str(error))
    return _Seen(look, content, numbers(mask))


def _settled(counts: Mapping[str, Mapping[int, int]]) -> Mapping[str, Mapping[int, int]]:
    """Pixels by split and class: where there are only black and white ones, white is class 1 (see masks.settled)."""
    if {number for part in counts.values() for number in part} != {0, MOST_MASKED}:
        return counts
    return {split: {min(number, 1): count for number, count in part.items()} for split, part in counts.items()}


def _files(found: Listing, palette: Palette) -> Pictures:
    root, masks = found.root, found.masks

    def image(name: str) -> Array:
        if name in found.crops:
            return whole(Cropper(root, found.crops).cut(name))
        with bands.opened_or_drawn(root / name) as opened:
            return whole(opened)

    def mask(name: str) -> Array | None:
        if name not in masks:
            return None
        size = image_files.size_of(root / masks[name])
        return decode(root / masks[name], Form(*size, MASK, palette=palette))[..., 0]

    return Pictures(image, mask)


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
