"""Augmentations that move pixels (Keras' layers/preprocessing/): flips, shifts, turns, zooms, slants, windows."""

from typing import TYPE_CHECKING, Annotated, Literal

from cnncli import kernels
from cnncli.datasets.augmentation import AUGMENTATIONS, Augmentation, Bounds, Drawing, Factor, Share, Slant, bounds
from cnncli.layers.declaration import PositiveInt
from cnncli.layers.kinds import Maybe, Number, SidesOf, Whole

if TYPE_CHECKING:
    from cnncli.kernels.affine import Span
    from cnncli.kernels.runtime import Scratch, Step, Tensor

FillMode = Literal["reflect", "wrap", "constant", "nearest"]
Interpolation = Literal["bilinear", "nearest"]
Zoom = Annotated[Bounds, Factor(Number(above=-1, most=1))]


@AUGMENTATIONS.register
class RandomFlip(Augmentation):
    """Turn half of the images around (Keras RandomFlip): with `horizontal_and_vertical` along both axes at once."""

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        down, across = self.mode != "horizontal", self.mode != "vertical"
        span = (float(down), float(down)), (float(across), float(across))
        return kernels.affine.transform(x, *_places(drawing), move=kernels.affine.FLIP, span=span, among=drawing.among)


class Filled(Augmentation):
    """A move of the pixels that may need some from outside the image."""

    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    fill_value: float = 0.0

    def _moved(self, x: "Tensor", drawing: Drawing, scale: float, move: int, span: "Span") -> "list[Step]":
        return kernels.affine.transform(
            x,
            *_places(drawing),
            move=move,
            span=span,
            fill=("reflect", "wrap", "constant", "nearest").index(self.fill_mode),
            nearest=self.interpolation == "nearest",
            value=self.fill_value * scale,
            among=drawing.among,
        )


@AUGMENTATIONS.register
class RandomTranslation(Filled):
    """Shift by a share of the height and of the width, down and right where positive (Keras RandomTranslation)."""

    height_factor: Share
    width_factor: Share

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        span = bounds(self.height_factor), bounds(self.width_factor)
        return self._moved(x, drawing, scale, kernels.affine.SHIFT, span)


@AUGMENTATIONS.register
class RandomRotation(Filled):
    """Turn by `factor` of a whole turn, counter-clockwise where positive (Keras RandomRotation)."""

    factor: Share

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return self._moved(x, drawing, scale, kernels.affine.TURN, (bounds(self.factor), (0.0, 0.0)))


@AUGMENTATIONS.register
class RandomZoom(Filled):
    """Zoom out by a share of height and width, in where negative; without `width_factor` alike (Keras RandomZoom)."""

    height_factor: Zoom
    width_factor: Annotated[Bounds | None, Maybe(Factor(Number(above=-1, most=1)))] = None

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        evenly = self.width_factor is None
        across = self.height_factor if self.width_factor is None else self.width_factor
        (low_y, high_y), (low_x, high_x) = bounds(self.height_factor), bounds(across)
        span = (1 + low_y, 1 + high_y), (1 + low_x, 1 + high_x)
        return self._moved(x, drawing, scale, kernels.affine.ZOOM_EVENLY if evenly else kernels.affine.ZOOM, span)


@AUGMENTATIONS.register
class RandomShear(Filled):
    """Slant: a row is shifted by `x_factor` times its number, a column by `y_factor` times its (Keras RandomShear).

    One sign is drawn for both axes.
    """

    x_factor: Slant = 0.0
    y_factor: Slant = 0.0

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        span = bounds(self.y_factor), bounds(self.x_factor)
        return self._moved(x, drawing, scale, kernels.affine.SHEAR, span)


@AUGMENTATIONS.register
class RandomCrop(Augmentation):
    """A window of `height` × `width` pixels of the image in a frame of zeros, `padding` wide (Keras RandomCrop).

    The padding is no argument of Keras: one number, [height, width] or [[top, bottom], [left, right]]. The window must
    be as large as the image, since other images are not cropped; each image has a place of its own, where Keras draws
    one for a batch.
    """

    height: PositiveInt
    width: PositiveInt
    padding: Annotated[tuple[tuple[int, int], tuple[int, int]], SidesOf(Whole(0))] = ((0, 0), (0, 0))

    def misfit(self, shape: tuple[int, ...]) -> str:
        if shape[:2] == (self.height, self.width):
            return ""
        return (
            f"RandomCrop must leave the images as large as they are, {shape[0]} × {shape[1]}; "
            f"received {self.height} × {self.width}"
        )

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        (top, bottom), (left, right) = self.padding
        span = (-float(top), float(bottom)), (-float(left), float(right))
        return kernels.affine.transform(x, *_places(drawing), move=kernels.affine.CROP, span=span, among=drawing.among)


def _places(drawing: Drawing) -> "tuple[Tensor, Scratch, int]":
    return drawing.clock, drawing.scratch, drawing.stream
