"""Augmentations: what is done at random to the images of a training batch (Keras' layers/preprocessing/)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cnncli import kernels
from cnncli.layers.declaration import Declaration, PositiveInt, Registry
from cnncli.layers.kinds import Kind, ListOf, Maybe, Number, RefusedError, SidesOf, Whole
from cnncli.ops import streams

if TYPE_CHECKING:
    from cnncli.kernels.affine import Span
    from cnncli.kernels.runtime import Scratch, Step, Tensor

FillMode = Literal["reflect", "wrap", "constant", "nearest"]
Interpolation = Literal["bilinear", "nearest"]


class Factor(Kind):
    """A number, or the [lowest, highest] of what may be drawn."""

    def __init__(self, item: Number) -> None:
        self.item, self.pair = item, ListOf(item, 2, 2)
        self.rule = f"{item.rule}, or [lowest, highest] of such numbers"

    def read(self, value: Any) -> Any:
        try:
            return tuple(sorted(self.pair.read(value))) if isinstance(value, list | tuple) else self.item.read(value)
        except RefusedError:
            raise self.refuse() from None


Bounds = float | tuple[float, float]
Share = Annotated[Bounds, Factor(Number(-1, 1))]
Zoom = Annotated[Bounds, Factor(Number(above=-1, most=1))]
Slant = Annotated[Bounds, Factor(Number(0, 1))]


def bounds(factor: Bounds) -> tuple[float, float]:
    """The lowest and highest: a number stands for both signs of it."""
    return factor if isinstance(factor, tuple) else (-abs(factor), abs(factor))


def upward(factor: Bounds) -> tuple[float, float]:
    """The lowest and highest: a number stands for 0 up to it."""
    return factor if isinstance(factor, tuple) else (0.0, factor)


class Drawing(NamedTuple):
    """What randomness comes from: `clock`, int64 (2,), [seed, step], and its number in the list. Working memory."""

    clock: "Tensor"
    number: int
    scratch: "Scratch"

    @property
    def stream(self) -> int:
        """The stream of what is drawn for an image."""
        return streams.AUGMENTATION + self.number

    @property
    def noise(self) -> int:
        """The stream of what is drawn for each of its numbers."""
        return streams.NOISE + self.number


class Augmentation(Declaration):
    """What is done at random to the images of a training batch, in the order of the list; each image by itself.

    Arguments that are numbers of pixels count as the data do before `rescale`: from 0 to 255 for uint8.
    """

    def misfit(self, shape: tuple[int, ...]) -> str:
        """Why images of `shape`, (H, W, C), can't be treated so, as a sentence; empty where they can."""
        return ""

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        """Steps that change x, real (N, H, W, C), whose numbers are `scale` times those of the data."""
        raise NotImplementedError


AUGMENTATIONS = Registry("augmentation", Augmentation)


def steps(
    augment: Sequence[Augmentation], x: "Tensor", clock: "Tensor", scratch: "Scratch", scale: float
) -> "list[Step]":
    """The steps of all of `augment`, in order, on x; see `Augmentation.steps`. They use the same working memory."""
    found = []
    for number, augmentation in enumerate(augment):
        own = type(scratch)(private=scratch.private, stride=scratch.stride)
        found += augmentation.steps(x, Drawing(clock, number, own), scale)
        scratch.used_by_thread = max(scratch.used_by_thread, own.used_by_thread)
    return found


@AUGMENTATIONS.register
class RandomFlip(Augmentation):
    """Turn half of the images around (Keras RandomFlip): with `horizontal_and_vertical` along both axes at once."""

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        down, across = self.mode != "horizontal", self.mode != "vertical"
        span = (float(down), float(down)), (float(across), float(across))
        return kernels.affine.transform(x, *_places(drawing), move=kernels.affine.FLIP, span=span)


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
        return kernels.affine.transform(x, *_places(drawing), move=kernels.affine.CROP, span=span)


class Tone(Augmentation):
    """A change of the numbers of an image, which then stay within `value_range`."""

    value_range: Annotated[tuple[float, float], ListOf(Number(), 2, 2)] = (0.0, 255.0)

    def _limits(self, scale: float) -> tuple[float, float]:
        least, most = sorted(bound * scale for bound in self.value_range)
        return least, most


@AUGMENTATIONS.register
class RandomBrightness(Tone):
    """Add a share of the width of `value_range`; 1 makes an image white, -1 black (Keras RandomBrightness)."""

    factor: Share

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        width = (max(self.value_range) - min(self.value_range)) * scale
        low, high = (bound * width for bound in bounds(self.factor))
        return kernels.tone.brighten(x, drawing.clock, drawing.stream, (low, high), self._limits(scale))


@AUGMENTATIONS.register
class RandomContrast(Tone):
    """Multiply the distance of each pixel from its channel's mean (Keras RandomContrast).

    The multiplier lies between 1 and 1 + `factor`; with [lower, upper], between 1 - lower and 1 + upper.
    """

    factor: Slant

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        lower, upper = upward(self.factor)
        factors = 1 - lower, 1 + upper
        return kernels.tone.contrast(x, drawing.clock, drawing.stream, factors, self._limits(scale))


@AUGMENTATIONS.register
class RandomErasing(Tone):
    """Rub out a rectangle (Keras RandomErasing), with odds between 0 and `factor`, or [lowest, highest].

    Its sides are the square roots of two numbers out of `scale`, as shares of the image's. `fill_value` is one number,
    or null: noise.
    """

    factor: Slant = 1.0
    scale: Slant = (0.02, 0.33)
    fill_value: float | None = None

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        patch = kernels.erase.Patch(
            odds=upward(self.factor),
            area=upward(self.scale),
            value=None if self.fill_value is None else self.fill_value * scale,
            deviation=self.value_range[1] * scale,
            limits=self._limits(scale),
        )
        return kernels.erase.erase(x, drawing.clock, drawing.stream, drawing.noise, patch)


def _places(drawing: Drawing) -> "tuple[Tensor, Scratch, int]":
    return drawing.clock, drawing.scratch, drawing.stream
