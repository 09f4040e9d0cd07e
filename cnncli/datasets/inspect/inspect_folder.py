"""Checks every image of a folder; files are decoded, and nothing is cached."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.fingerprints import fingerprint
from cnncli.datasets.images.content import Content
from cnncli.datasets.images.content import content as content_of
from cnncli.datasets.images.content import notes as content_notes
from cnncli.datasets.images.decode import MASK, Form, decode, palette_of, pixels, whole
from cnncli.datasets.inspect.inspection import THUMBNAIL, Inspection, Pictures, numbers, total
from cnncli.datasets.inspect.resemblance import Look, resemblance
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import MOST_MASKED
from cnncli.datasets.sources import image_files
from cnncli.datasets.sources.found import Found, Listing
from cnncli.system.files import open_regular

Array = np.ndarray[Any, Any]


class _Seen(NamedTuple):
    """A usable file: what it is compared by, what it holds, and its mask's pixels of each number."""

    look: Look
    content: Content
    mask: Mapping[int, int]


def inspect_folder(source: Found, name: str, image_size: tuple[int, int] | None = None) -> Inspection:
    """Look through a folder, called `name`. `image_size`: height and width at which pixels are compared.

    Raises CnncliError where it can't be read at all.
    """
    found, root = source.listing(), source.file
    split_of = {sample.file: split for split, part in found.splits.items() for sample in part}
    files = sorted(split_of)
    seen: dict[str, _Seen] = {}
    problems = [*found.unfit, *found.problems]
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
                split: total(seen[file].mask for file in seen if usable[file] == split)
                for split in (found.splits if found.masks else ())
            }
        ),
        alike=resemblance({file: each.look for file, each in seen.items()}),
        image_size=image_size,
        palette=palette_of(root / problem.file for problem in problems if problem.file in {*found.masks.values()}),
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
