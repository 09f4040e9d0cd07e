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
from cnncli.datasets.images.content import Content
from cnncli.datasets.images.content import content as content_of
from cnncli.datasets.images.content import notes as content_notes
from cnncli.datasets.images.decode import MASK, Form, decode, palette_of, pixels, whole
from cnncli.datasets.inspect.grouping import proposed
from cnncli.datasets.inspect.inspection import THUMBNAIL, Inspection, Pictures, numbers, total
from cnncli.datasets.inspect.resemblance import Look, resemblance
from cnncli.datasets.inspect.value_stats import value_stats
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import MOST_MASKED, DataSection
from cnncli.datasets.sources import image_files
from cnncli.datasets.sources.found import Found, Listing, Sample
from cnncli.datasets.splits.groups import grouped
from cnncli.datasets.splits.planned import planned
from cnncli.errors import DeclarationError
from cnncli.system.files import open_regular

Array = np.ndarray[Any, Any]


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
    problems = [*found.faults, *found.problems]
    with ThreadPoolExecutor(image_files.processors()) as threads:
        look = partial(_seen, found, data=data)
        for file, each in zip(files, threads.map(look, files), strict=True):
            if isinstance(each, Problem):
                problems.append(each)
            else:
                seen[file] = each
    found, parts = _divided(found, seen, data, seed, problems)
    usable = {sample.file: split for split, part in parts.items() for sample in part}
    alike = resemblance({file: each.look for file, each in seen.items()})
    sizes = Counter(each.look.size for each in seen.values())
    return Inspection(
        name,
        found.classes,
        _members(found.classes, parts),
        dict(sizes.most_common()),
        problems,
        usable,
        _files(root, found.masks),
        notes=[*found.notes, *content_notes({file: each.content for file, each in seen.items()})],
        mask_pixels=_settled(
            {
                split: total(seen[file].mask for file in seen if usable[file] == split)
                for split in (parts if found.masks else ())
            }
        ),
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


def _seen(found: Listing, file: str, *, data: DataSection) -> _Seen | Problem:
    """A file of a listing; or what is wrong with it or its mask."""
    path = found.root / file
    try:
        size = image_files.size_of(path)
        with image_files.opened(path) as image:
            image.load()
            drawn = pixels(image, Form.of(data, *data.image_size, data.color_mode)) if data.image_size else whole(image)
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
        mask = decode(found.root / found.masks[file], Form(*size, MASK, palette=data.palette or ()))
    except image_files.UnusableError as error:
        return Problem(found.masks[file], str(error))
    return _Seen(look, content, numbers(mask))


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
