"""Outputs that are images or masks, beside inputs and targets."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from cnncli.datasets.inspect.preview import palette
from cnncli.report.html.page import Sample, Samples, Thumbnail
from cnncli.report.html.thumbnails import Room, as_image, bounds, shown_size
from cnncli.report.plots.overlays import covered
from cnncli.report.terminal.figures import figure
from cnncli.training.metrics.examples import Example, Examples
from cnncli.training.metrics.statistics import class_numbers

Array = np.ndarray[Any, Any]
COVER = 0.55
"""Opacity of a mask over an image; class 0, the background, is left as it is."""
NAMED = 4
"""Classes that the text about a mask names."""


def samples(examples: Examples, classes: Sequence[str], room: Room, *, masks: bool) -> Samples:
    """The worst and some typical ones, with masks of `classes`, or else images."""
    found = [*examples.worst, *examples.typical]
    low, high = bounds([example.fed for example in found])
    kinds = ["Worst"] * len(examples.worst) + ["Typical"] * len(examples.typical)
    shown = []
    for example, kind in zip(found, kinds, strict=True):
        panels = _masks(example, classes, low, high) if masks else _images(example, low, high)
        thumbnails = list(_thumbnails(panels, room))
        if len(thumbnails) < 3:
            break
        what = (
            f"{100 * example.error:.2g} % of the pixels wrong"
            if masks
            else f"mean squared error {figure(example.error)}"
        )
        shown.append(Sample(f"{kind}: {what}", thumbnails))
    title = "Masks, true and predicted" if masks else "Inputs and outputs"
    note = (
        f"{len(shown)} of {examples.looked_at:,} that were compared: the {len(examples.worst)} with the largest error, "
        f"and {max(0, len(shown) - len(examples.worst))} from the middle."
    )
    return Samples(title, note, shown)


def class_colors(count: int) -> list[str]:
    """The color of each class in masks, as #rrggbb."""
    return [f"#{bytes(color).hex()}" for color in _palette(count)]


def _masks(example: Example, classes: Sequence[str], low: float, high: float) -> Iterator[tuple[Image.Image, str, str]]:
    """The input, and over it the true and the predicted mask: image, text for those who can't see it, caption."""
    image = as_image(example.fed, low, high)
    yield image, "the input", "input"
    for name, scores in (("true", example.target), ("predicted", example.output)):
        mask = class_numbers(scores)
        yield _overlay(image, mask, max(2, scores.shape[2])), f"{name} mask: {_shares(mask, classes)}", name


def _images(example: Example, low: float, high: float) -> Iterator[tuple[Image.Image, str, str]]:
    """The input, the output, and how far they differ."""
    yield as_image(example.fed, low, high), "the input", "input"
    yield as_image(example.output, low, high), "the output", "output"
    difference = np.abs(example.output.astype(np.float64) - example.target)
    yield as_image(difference, 0.0, high - low), "the absolute difference", "difference"


def _thumbnails(panels: Iterator[tuple[Image.Image, str, str]], room: Room) -> Iterator[Thumbnail]:
    for image, about, caption in panels:
        uri = room.uri(image)
        if uri:
            yield Thumbnail(uri, about, [caption], *shown_size(image))


def _overlay(image: Image.Image, mask: Array, classes: int) -> Image.Image:
    """The mask, int64 (H, W), over the image, which is gray: the colors are those of classes."""
    scaled = Image.fromarray(mask.astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
    return covered(image, np.asarray(scaled), _palette(classes).astype(np.float64), COVER)


def _palette(classes: int) -> Array:
    """uint8 (classes, 3): VOC's colors, twice as bright where there are few."""
    colors = palette(classes)
    return (colors * (255 / max(1.0, float(colors.max())))).astype(np.uint8)


def _shares(mask: Array, classes: Sequence[str]) -> str:
    """`background 80 %, disc 20 %`: the largest classes of a mask."""
    counts = np.bincount(mask.ravel(), minlength=len(classes))
    order = [number for number in np.argsort(-counts, kind="stable")[:NAMED].tolist() if counts[number]]
    return ", ".join(f"{classes[number]} {100 * counts[number] / mask.size:.0f} %" for number in order)
