"""Augmentations that move pixels (Keras' layers/preprocessing/): flips, shifts, turns, zooms, slants, windows."""

from typing import TYPE_CHECKING, Annotated, Literal

from cnncli import kernels
from cnncli.datasets.augment.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    Bounds,
    Drawing,
    Factor,
    Share,
    Slant,
    Targets,
    bounds,
)
from cnncli.layers.declarations.declaration import PositiveInt
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.layers.declarations.list_types import SidesOf

if TYPE_CHECKING:
    from cnncli.kernels.augment.affine import Span
    from cnncli.kernels.jit.runtime import Step, Tensor

FillMode = Literal["reflect", "wrap", "constant", "nearest"]
Interpolation = Literal["bilinear", "nearest"]
Zoom = Annotated[Bounds, Factor(Number(above=-1, most=1))]


class Geometric(Augmentation):
    """A move of the pixels. Masks move with their images; pixels of which they say nothing are of class 0."""

    def _move(self) -> "tuple[int, Span]":
        """Which move, and between which numbers it is drawn (`kernels.affine.transform`)."""
        raise NotImplementedError

    def _fill(self) -> int:
        """Where pixels outside come from (`kernels.affine.FILLS`)."""
        return kernels.affine.CONSTANT

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return self._moved(x, drawing, nearest=True)

    def follow(self, targets: Targets, drawing: Drawing) -> "list[Step]":
        if not targets.pixels:
            return []
        return self._moved(targets.values, drawing, nearest=True, first=targets.background)

    def _moved(
        self, x: "Tensor", drawing: Drawing, *, nearest: bool, value: float = 0.0, first: float | None = None
    ) -> "list[Step]":
        move, span = self._move()
        return kernels.affine.transform(
            x,
            drawing.clock,
            drawing.scratch,
            drawing.stream,
            move=move,
            span=span,
            fill=self._fill(),
            nearest=nearest,
            value=value,
            first=first,
            among=drawing.among,
        )


@AUGMENTATIONS.register
class RandomFlip(Geometric):
    """Turn half of the images around (Keras RandomFlip): with `horizontal_and_vertical` along both axes at once."""

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"

    def _move(self) -> "tuple[int, Span]":
        down, across = self.mode != "horizontal", self.mode != "vertical"
        span = (float(down), float(down)), (float(across), float(across))
        return kernels.affine.FLIP, span


class Filled(Geometric):
    """A move of the pixels that may need some from outside the image."""

    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    fill_value: float = 0.0

    def _fill(self) -> int:
        return ("reflect", "wrap", "constant", "nearest").index(self.fill_mode)

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return self._moved(x, drawing, nearest=self.interpolation == "nearest", value=self.fill_value * scale)


@AUGMENTATIONS.register
class RandomTranslation(Filled):
    """Shift by a share of the height and of the width, down and right where positive (Keras RandomTranslation)."""

    height_factor: Share
    width_factor: Share

    def _move(self) -> "tuple[int, Span]":
        span = bounds(self.height_factor), bounds(self.width_factor)
        return kernels.affine.SHIFT, span


@AUGMENTATIONS.register
class RandomRotation(Filled):
    """Turn by `factor` of a whole turn, counter-clockwise where positive (Keras RandomRotation)."""

    factor: Share

    def _move(self) -> "tuple[int, Span]":
        return kernels.affine.TURN, (bounds(self.factor), (0.0, 0.0))


@AUGMENTATIONS.register
class RandomZoom(Filled):
    """Zoom out by a share of height and width, in where negative; without `width_factor` alike (Keras RandomZoom)."""

    height_factor: Zoom
    width_factor: Annotated[Bounds | None, Maybe(Factor(Number(above=-1, most=1)))] = None

    def _move(self) -> "tuple[int, Span]":
        evenly = self.width_factor is None
        across = self.height_factor if self.width_factor is None else self.width_factor
        (low_y, high_y), (low_x, high_x) = bounds(self.height_factor), bounds(across)
        span = (1 + low_y, 1 + high_y), (1 + low_x, 1 + high_x)
        return kernels.affine.ZOOM_EVENLY if evenly else kernels.affine.ZOOM, span


@AUGMENTATIONS.register
class RandomShear(Filled):
    """Slant: a row is shifted by `x_factor` times its number, a column by `y_factor` times its (Keras RandomShear).

    One sign is drawn for both axes.
    """

    x_factor: Slant = 0.0
    y_factor: Slant = 0.0

    def _move(self) -> "tuple[int, Span]":
        span = bounds(self.y_factor), bounds(self.x_factor)
        return kernels.affine.SHEAR, span


@AUGMENTATIONS.register
class RandomCrop(Geometric):
    """A window of `height` × `width` pixels of the image in a frame of zeros, `padding` wide (Keras RandomCrop).

    The padding is no argument of Keras: one number, [height, width] or [[top, bottom], [left, right]]. The window must
    be as large as the image, since other images are not cropped; each image has a place of its own, where Keras draws
    one for a batch.
    """

    height: PositiveInt
    width: PositiveInt
    padding: Annotated[tuple[tuple[int, int], tuple[int, int]], SidesOf(Integer(0))] = ((0, 0), (0, 0))

    def misfit(self, shape: tuple[int, ...]) -> str:
        if shape[:2] == (self.height, self.width):
            return ""
        return (
            f"RandomCrop must leave the images as large as they are, {shape[0]} × {shape[1]}; "
            f"received {self.height} × {self.width}"
        )

    def _move(self) -> "tuple[int, Span]":
        (top, bottom), (left, right) = self.padding
        span = (-float(top), float(bottom)), (-float(left), float(right))
        return kernels.affine.CROP, span
