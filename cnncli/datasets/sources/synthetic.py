"""The synthetic dataset: its declaration. `shapes.py` draws the images."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any

from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.errors import DeclarationError
from cnncli.layers.declarations.declaration import Declaration, Registry, snake_case
from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Schema
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError

SMALLEST_SIDE, LARGEST_SIDE = 8, 4096
"""Pixels: a shape needs some to be told from another; beyond, squares of distances would leave 32 bits."""
MOST_CHANNELS = 1024
MOST_BYTES = 16 << 30
FORMS, GROUNDS, EDGES = 10, 10, 16
"""How many shapes, backgrounds behind them and sets of marked edges there are: their product is the most classes."""
DEFAULT_SHAPE = (32, 32, 3)


class Source(Declaration):
    """A dataset with arguments."""


SOURCES = Registry("dataset", Source)


class _ImageShape(ListOf):
    """[height, width, channels] within bounds."""

    def __init__(self) -> None:
        rule = (
            f"[height, width, channels] with a height and width of {SMALLEST_SIDE} to {LARGEST_SIDE:,} "
            f"and 1 to {MOST_CHANNELS:,} channels"
        )
        super().__init__(Integer(1), 3, 3, rule=rule)

    def read(self, value: Any) -> tuple[Any, ...]:
        height, width, channels = super().read(value)
        if not SMALLEST_SIDE <= min(height, width) <= max(height, width) <= LARGEST_SIDE or channels > MOST_CHANNELS:
            raise self.refuse()
        return height, width, channels


@SOURCES.register
class Synthetic(Source):
    """Synthetic images of shapes on noise, generated from a seed: uint8, the same bits on every machine.

    Each image shows a disc, square, triangle, plus, ring, horizontal or vertical bar, diamond, frame or saltire with
    random position, size, colors and noise. More than 10 classes also differ in the background (plain, checks, stripes
    of four directions and two widths), more than 100 also in marked edges of the image. `image_shape` defaults to the
    model's input_shape, or 32 × 32 × 3 without one.
    """

    image_shape: Annotated[tuple[int, int, int] | None, Maybe(_ImageShape())] = None
    classes: Annotated[int, Integer(2, FORMS * GROUNDS * EDGES)] = FORMS
    """Number of classes; image i shows class i modulo `classes`."""
    train: Annotated[int, Integer(1)] = 4000
    test: Annotated[int, Integer(0)] = 1000
    seed: Annotated[int, Integer(0, 2**63 - 1)] = 0
    """Random seed of the images, independent of the spec's seed."""

    def contradiction(self) -> str:
        if self.image_shape is None:
            return ""
        total = (self.train + self.test) * prod(self.image_shape)
        if total <= MOST_BYTES:
            return ""
        return f"synthetic images must take at most {MOST_BYTES:,} bytes in total; these take {total:,}"

    @property
    def samples(self) -> dict[str, int]:
        """The number of images by split; no test split without images."""
        return {name: count for name, count in (("train", self.train), ("test", self.test)) if count}

    def settled(self, input_shape: tuple[int, ...] | None) -> "Synthetic":
        """The same with its image_shape filled in, from a model's `input_shape` where there is one.

        Raises DeclarationError where that can't be an image's.
        """
        if self.image_shape is not None:
            return self
        shape = DEFAULT_SHAPE if input_shape is None else input_shape
        try:
            return self.replace(image_shape=shape)
        except ValidationError as error:
            raise DeclarationError(f"synthetic: {error}; received {list(shape)} as the model's input_shape") from None


class Named(Kind):
    """A dataset by its name, its file, or its name with arguments."""

    rule = "a dataset name, a path, or synthetic with arguments, like {synthetic: {classes: 10}}"
    sample = "mnist5k"

    def read(self, value: Any) -> str | Source:
        if isinstance(value, str) and SOURCES.find(value) is None:
            return value
        if not isinstance(value, str | Mapping | Source):
            raise self.refuse()
        if isinstance(value, Mapping) and not any(SOURCES.find(str(name)) for name in value):
            takers = ", ".join(snake_case(name) for name in SOURCES.classes)
            raise ValidationError([ErrorDetail((), "sentence", f"only the dataset {takers} takes arguments")])
        return SOURCES.parse(value)

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": [self.sample, *KNOWN]}, {"type": "string"}, SOURCES.reference]}
