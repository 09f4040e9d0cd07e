"""What masks show: their classes, colors and void, to create a spec for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.datasets import masks
from cnncli.datasets.images.decode import MASK, Form, decode, has_colors, palette_of
from cnncli.datasets.images.load_images import colors
from cnncli.datasets.problems import Problem
from cnncli.datasets.section import MOST_MASKED
from cnncli.datasets.sources.found import Listing
from cnncli.datasets.sources.image_files import UnusableError, check_size, size_of
from cnncli.errors import UsageError

VOIDS = {"void", "ignore", "unlabeled", "unlabelled", "unknown"}
"""Names of what is no class."""


@dataclass(frozen=True)
class MaskSummary:
    """`classes`: names of the classes that a model needs outputs for. `palette`: a spec's, where masks are in colors
    that the folder does not tell. `void`: the number of what is no class.
    """

    classes: tuple[str, ...]
    palette: Sequence[Sequence[int]] = ()
    void: int | None = None


def summarize(found: Listing, files: Sequence[str], problems: list[Problem]) -> MaskSummary:
    """Look at the masks of some images; those that can't be used are added to `problems`.

    Raises UsageError where they show no classes.
    """
    drawn = [found.root / found.masks[file] for file in files]
    told = colors(found)
    palette = [] if told else palette_of(path for path in drawn if has_colors(path))
    held = np.zeros(MOST_MASKED + 1, bool)
    for file in files:
        mask = found.root / found.masks[file]
        try:
            check_size(mask, found.root / file)
            form = Form(*size_of(mask), MASK, palette=told or [(r, g, b) for r, g, b in palette])
            held[decode(mask, form)] = True
        except UnusableError as error:
            problems.append(Problem(found.masks[file], str(error)))
    numbers = np.flatnonzero(held).tolist()
    if not numbers:
        raise UsageError(f"{found.root}: the masks can't be read: {problems[-1]}")
    if told or palette:
        return _named(found.pixel_classes if told else tuple(map(str, range(len(palette)))), palette)
    void = MOST_MASKED if masks.looks_void(numbers) else None
    shown = [number for number in numbers if number != void]
    count = 2 if shown == [0, MOST_MASKED] else max(2, max(shown) + 1)  # black and white
    if void is None and len(found.pixel_classes) >= count:
        return _named(found.pixel_classes)
    return MaskSummary(masks.names(found.pixel_classes, count, void), void=void)


def _named(names: tuple[str, ...], palette: Sequence[Sequence[int]] = ()) -> MaskSummary:
    """What is known by names, one of which may be void's."""
    void = next((number for number, name in enumerate(names) if name.casefold() in VOIDS), None)
    return MaskSummary(masks.names(names, 0, void), palette, void)
