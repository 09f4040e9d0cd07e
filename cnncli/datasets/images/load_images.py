"""Loads the images of a folder: pixels, labels, and the rows of each split."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnncli.datasets import masks
from cnncli.datasets.images import image_cache
from cnncli.datasets.images.decode import ALL, MASK, AllChannels, Form, Palette, has_colors
from cnncli.datasets.problems import Problem, raise_any
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import Found, Listing, absent
from cnncli.datasets.splits import selection

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Images:
    """x: uint8 or float32 (N, H, W, C), mapped into memory. y: int64 (N,), float32 (N, classes), uint8 (N, H, W), or
    None.

    `fingerprints`: of each row of x, uint8 (N, 16). `rows`: by split, int64 (n,), in the order of `files`, the N
    names; `masks`: those of their masks, if they have any. `skipped`: what was left out, and why.
    `notes`: what was understood. `groups`: those of the images, if there are any; `weights`: theirs in the loss,
    float32 (N,).
    """

    x: Array
    fingerprints: Array
    y: Array | None
    rows: Mapping[str, Array]
    files: Sequence[str]
    masks: Sequence[str]
    classes: tuple[str, ...]
    digest: str
    skipped: Sequence[Problem]
    notes: Sequence[str]
    groups: Sequence[str]
    weights: Array | None


def read(
    source: Found,
    data: DataSection,
    seed: int,
    progress: Callable[[int, int], None],
    void: int | None = None,
    *,
    evaluated: bool = False,
) -> Images:
    """Read a folder. `progress` hears how many of how many files are decoded. `void`: no class of a mask. `evaluated`:
    nothing is trained on it.

    Raises CnncliError with all files that can't be used; DeclarationError for options that the folder does not allow.
    """
    found, root = selection.listing(source, data, evaluated=evaluated), source.file
    shape, given = selection.image_shape(found, data), data.image_size is not None
    form = (
        AllChannels.like(data, shape, selection.kind(found, data).dtype, resized=given)
        if data.color_mode == ALL
        else Form.of(data, *shape[:2], data.color_mode, resized=given)
    )
    samples = sorted(sample for part in found.splits.values() for sample in part)
    made = image_cache.decoded(root, [sample.file for sample in samples], form, progress, crops=found.crops)
    problems, state = dict(made.problems), hashlib.sha256(made.digest.encode())
    classes, y = found.classes, None
    if found.masks:
        files = [sample.file for sample in samples]
        palette = data.colors or colors(found)
        own = replace(
            Form.of(data, *shape[:2], MASK, resized=given),
            interpolation="nearest",
            alpha="drop",
            palette=palette,
            fill=masks.byte_of(void) or 0,
        )
        drawn = image_cache.decoded(root, [found.masks[file] for file in files], own, progress, files)
        problems = drawn.problems | problems
        drawn_numbers = drawn.images[..., 0]
        y = drawn_numbers if palette else masks.settled(drawn_numbers, void)
        y = masks.numbered(y, f"{root}: masks", void)
        classes = masks.names(data.color_names or found.pixel_classes, masks.greatest(y, void) + 1, void)
        state.update(drawn.digest.encode())
    elif data.targets == "values":
        classes = found.outputs
        y = np.array([found.values[sample.file] for sample in samples], np.float32)
        state.update(repr((classes, [found.values[sample.file] for sample in samples])).encode())
    elif data.targets == "labels":
        y = _labels([sample.labels for sample in samples], len(found.classes), several=found.several)
    unusable = list(problems.values())
    selection.refuse(found, unusable, data)
    kept = without(found, {samples[row].file for row in problems}, evaluated=evaluated)
    parts = selection.splits(kept, data, seed)
    number = {sample.file: row for row, sample in enumerate(samples)}
    rows = {name: np.array([number[sample.file] for sample in part], np.int64) for name, part in parts.items()}
    state.update(repr((found.classes, samples)).encode())
    files = [sample.file for sample in samples]
    drawn_from = [found.masks[file] for file in files] if found.masks else []
    groups = [found.groups.get(file, "") for file in files] if found.groups else []
    weights = np.array([found.weights.get(file, 1) for file in files], np.float32) if found.weights else None
    state.update(b"" if weights is None else weights.tobytes())
    skipped = sorted([*found.problems, *unusable])
    digest = f"sha256:{state.hexdigest()}"
    arrays = made.images, made.fingerprints, y, rows
    return Images(*arrays, files, drawn_from, classes, digest, skipped, found.notes, groups, weights)


def colors(found: Listing) -> Palette:
    """The colors that a folder gives its classes, where the first of its masks that can be read is in colors."""
    seen = (has_colors(found.root / file) for file in found.masks.values() if found.colors)
    return found.colors if next((each for each in seen if each is not None), False) else ()


def without(found: Listing, files: set[str], *, evaluated: bool = False) -> Listing:
    """The listing without some files.

    Raises CnncliError where nothing is left of a split or, if it is not only `evaluated`, to train on of a class.
    """
    left = {name: [sample for sample in part if sample.file not in files] for name, part in found.splits.items()}
    lacking, lost = (absent(splits.get("train", ()), found.classes) for splits in (found.splits, left))
    rule = "a class must have at least one image that can be read"
    faults = [Problem(f"train {name}", rule) for name in lost if name not in lacking and not evaluated]
    faults += [
        Problem(name, "a split must have at least one image that can be read") for name in left if not left[name]
    ]
    raise_any(str(found.root), faults)
    return replace(found, splits=left)


def _labels(labels: Sequence[tuple[int, ...]], classes: int, *, several: bool) -> Array:
    """Class numbers, or rows with a 1 at each class where an image may have several."""
    if not several:
        return np.array([number for (number,) in labels], np.int64)
    rows = np.zeros((len(labels), classes), np.float32)
    for row, numbers in zip(rows, labels, strict=True):
        row[list(numbers)] = 1
    return rows
