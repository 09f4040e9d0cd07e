"""Augmentations that move pixels (Keras' layers/preprocessing/): flips, shifts, turns, zooms, slants, windows."""

from typing import TYPE_CHECKING, Annotated, Literal

from cnncli import kernels
from cnncli.datasets.augment.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    Bounds,
    Factor,
    RandomContext,
    SignedFactor,
    Targets,
    UnitFactor,
    from_zero,
    symmetric,
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

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return self._moved(x, context, nearest=True)

    def target_steps(self, targets: Targets, context: RandomContext) -> "list[Step]":
        if not targets.pixels:
            return []
        return self._moved(targets.values, context, nearest=True, first=targets.background)

    def _moved(
        self, x: "Tensor", context: RandomContext, *, nearest: bool, value: float = 0.0, first: float | None = None
    ) -> "list[Step]":
        move, span = self._move()
        return kernels.affine.transform(
            x,
            context.clock,
            context.scratch,
            context.stream,
            move=move,
            span=span,
            fill=self._fill(),
            nearest=nearest,
            value=value,
            first=first,
            among=context.among,
        )


@AUGMENTATIONS.register
class RandomFlip(Geometric):
    """Flips half of the images; `horizontal_and_vertical` flips both axes at once (Keras RandomFlip)."""

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

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return self._moved(x, context, nearest=self.interpolation == "nearest", value=self.fill_value * scale)


@AUGMENTATIONS.register
class RandomTranslation(Filled):
    """Shifts images by a fraction of height and width; positive is down and right (Keras RandomTranslation)."""

    height_factor: SignedFactor
    width_factor: SignedFactor

    def _move(self) -> "tuple[int, Span]":
        span = symmetric(self.height_factor), symmetric(self.width_factor)
        return kernels.affine.SHIFT, span


@AUGMENTATIONS.register
class RandomRotation(Filled):
    """Rotates images by `factor` · 360°; positive is counter-clockwise (Keras RandomRotation)."""

    factor: SignedFactor

    def _move(self) -> "tuple[int, Span]":
        return kernels.affine.TURN, (symmetric(self.factor), (0.0, 0.0))


@AUGMENTATIONS.register
class RandomZoom(Filled):
    """Zooms by a fraction of height and width: positive is out, negative in (Keras RandomZoom).

    Without `width_factor` the width is zoomed like the height.
    """

    height_factor: Zoom
    width_factor: Annotated[Bounds | None, Maybe(Factor(Number(above=-1, most=1)))] = None

    def _move(self) -> "tuple[int, Span]":
        evenly = self.width_factor is None
        across = self.height_factor if self.width_factor is None else self.width_factor
        (low_y, high_y), (low_x, high_x) = symmetric(self.height_factor), symmetric(across)
        span = (1 + low_y, 1 + high_y), (1 + low_x, 1 + high_x)
        return kernels.affine.ZOOM_EVENLY if evenly else kernels.affine.ZOOM, span


@AUGMENTATIONS.register
class RandomShear(Filled):
    """Shears images: shifts rows by `x_factor` times and columns by `y_factor` times their index (Keras RandomShear).

    Both axes get the same random sign.
    """

    x_factor: UnitFactor = 0.0
    y_factor: UnitFactor = 0.0

    def _move(self) -> "tuple[int, Span]":
        span = symmetric(self.y_factor), symmetric(self.x_factor)
        return kernels.affine.SHEAR, span


@AUGMENTATIONS.register
class RandomPerspective(Augmentation):
    """Moves the corners of images by up to `scale`/2 of the sides, with a probability (Keras RandomPerspective).

    The probability is drawn from [0, factor] or [lower, upper]. As in Keras, the upper left corner stays where it is,
    and the others stay on their side of it. Masks move with their images.
    """

    factor: UnitFactor = 1.0
    scale: Annotated[float, Number(0, 1)] = 1.0
    interpolation: Interpolation = "bilinear"
    fill_value: float = 0.0

    def shape_error(self, shape: tuple[int, ...]) -> str:
        if min(shape[:2]) > 1:
            return ""
        return f"RandomPerspective requires images of at least 2 × 2 pixels; received {shape[0]} × {shape[1]}"

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "list[Step]":
        return self._warped(x, context, self.interpolation == "nearest", (self.fill_value * scale,) * 2)

    def target_steps(self, targets: Targets, context: RandomContext) -> "list[Step]":
        return self._warped(targets.values, context, True, (targets.background, 0.0)) if targets.pixels else []

    def _warped(self, x: "Tensor", context: RandomContext, nearest: bool, fill: tuple[float, float]) -> "list[Step]":
        return kernels.perspective.warp(
            *(x, context.clock, context.scratch, context.stream),
            odds=from_zero(self.factor),
            scale=self.scale,
            nearest=nearest,
            fill=fill,
            among=context.among,
        )


@AUGMENTATIONS.register
class RandomCrop(Geometric):
    """Pads images with zeros by `padding`, then crops a random window of `height` × `width` (Keras RandomCrop).

    `padding` is not in Keras: one number, [height, width] or [[top, bottom], [left, right]]. The window must have the
    size of the image, because images for validation are not cropped. Each image gets its own window, unlike in Keras,
    which draws one per batch.
    """

    height: PositiveInt
    width: PositiveInt
    padding: Annotated[tuple[tuple[int, int], tuple[int, int]], SidesOf(Integer(0))] = ((0, 0), (0, 0))

    def shape_error(self, shape: tuple[int, ...]) -> str:
        if shape[:2] == (self.height, self.width):
            return ""
        return (
            f"RandomCrop's height and width must be the image size, {shape[0]} × {shape[1]}; "
            f"received {self.height} × {self.width}"
        )

    def _move(self) -> "tuple[int, Span]":
        (top, bottom), (left, right) = self.padding
        span = (-float(top), float(bottom)), (-float(left), float(right))
        return kernels.affine.CROP, span
