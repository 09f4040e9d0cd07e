"""Layers that change an image's size: ZeroPadding2D, Cropping2D, CenterCrop, UpSampling2D."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Pair, PositiveInt
from cnncli.layers.declarations.field_types import Integer, Word
from cnncli.layers.declarations.list_types import SidesOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
from cnncli.layers.fields import DataFormat
from cnncli.layers.layer import LAYERS, Example, Layer
from cnncli.ops.builder import Builder
from cnncli.ops.conv import image_shape
from cnncli.ops.ir import Shape, Value
from cnncli.ops.resize import interpolated

SMOOTH = ("bicubic", "lanczos3", "lanczos5")
"""Interpolations by more than the nearest four pixels."""
Sides = Annotated[tuple[tuple[int, int], tuple[int, int]], SidesOf(Integer(0))]


def _example(image: Shape, **arguments: Any) -> Example:
    return Example(arguments, [image])


@LAYERS.register
class ZeroPadding2D(Layer):
    """Pads an image with zeros (Keras ZeroPadding2D).

    `padding` is one number for all sides, [height, width] or [[top, bottom], [left, right]].
    """

    padding: Sides = ((1, 1), (1, 1))
    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2)),
        _example((2, 3, 3), padding=2),
        _example((3, 2, 1), padding=[[0, 1], [2, 0]]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.frame(inputs[0], *self.padding)


@LAYERS.register
class Cropping2D(Layer):
    """Crops rows and columns from the edges of an image (Keras Cropping2D).

    `cropping` is one number for all sides, [height, width] or [[top, bottom], [left, right]].
    """

    cropping: Sides = ((0, 0), (0, 0))
    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2)),
        _example((5, 4, 3), cropping=1),
        _example((3, 4, 1), cropping=[[0, 1], [2, 0]]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        height, width, _ = image_shape(inputs[0])
        (top, bottom), (left, right) = self.cropping
        if top + bottom >= height or left + right >= width:
            raise ShapeError(
                "cropping must leave at least one row and one column; received "
                f"cropping={[[top, bottom], [left, right]]} for an image of {height}×{width}"
            )
        return build.frame(inputs[0], (-top, -bottom), (-left, -right))


@LAYERS.register
class CenterCrop(Layer):
    """Crops an image to its central `height` × `width` pixels (Keras CenterCrop, which enlarges smaller images)."""

    height: PositiveInt
    width: PositiveInt
    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = (
        _example((5, 6, 2), height=3, width=3),
        _example((4, 4, 1), height=4, width=1),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        height, width, _ = image_shape(inputs[0])
        if height < self.height or width < self.width:
            raise ShapeError(
                f"CenterCrop crops only, and does not enlarge as in Keras: received an image of {height}×{width} for "
                f"height={self.height}, width={self.width}"
            )
        rows, columns = (self._sides(*lengths) for lengths in ((height, self.height), (width, self.width)))
        return build.frame(inputs[0], rows, columns)

    @staticmethod
    def _sides(length: int, kept: int) -> tuple[int, int]:
        before = (length - kept) // 2
        return -before, before + kept - length


class _Interpolation(Word):
    def read(self, value: Any) -> str:
        if value == "area":
            message = "area has no gradient in Keras: use bilinear with antialias: true"
            raise ValidationError([ErrorDetail((), "sentence", message)])
        return super().read(value)


@LAYERS.register
class Resizing(Layer):
    """Resizes an image to `height` × `width` pixels (Keras Resizing)."""

    height: PositiveInt
    width: PositiveInt
    interpolation: Annotated[str, _Interpolation("bilinear", "nearest", *SMOOTH)] = "bilinear"
    crop_to_aspect_ratio: bool = False
    """Crop the image to the new aspect ratio first."""
    pad_to_aspect_ratio: bool = False
    """Pad the image to the new aspect ratio first, with `fill_value`."""
    fill_mode: Annotated[str, Word("constant")] = "constant"
    fill_value: float = 0.0
    antialias: bool = False
    """Average more pixels where the image gets smaller."""
    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = (
        _example((6, 7, 3), height=4, width=9),
        _example((3, 4, 2), height=5, width=2, interpolation="nearest"),
        _example((6, 7, 2), height=3, width=3, antialias=True),
        _example((5, 8, 2), height=4, width=4, interpolation="bicubic", crop_to_aspect_ratio=True),
        _example((5, 8, 2), height=4, width=4, interpolation="lanczos3", pad_to_aspect_ratio=True, fill_value=0.5),
    )

    def contradiction(self) -> str:
        both = self.crop_to_aspect_ratio and self.pad_to_aspect_ratio
        return "only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be true" if both else ""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x = self._of_its_aspect_ratio(build, inputs[0])
        sizes = zip(x.shape[:2], (self.height, self.width), strict=True)
        taps = (interpolated(cells, out, self.interpolation, antialias=self.antialias) for cells, out in sizes)
        return build.resample(x, *taps)

    def _of_its_aspect_ratio(self, build: Builder, x: Value) -> Value:
        """Crop or pad x as the options say: equally on both sides, where cropping an odd row less before."""
        height, width, _ = image_shape(x)
        if self.crop_to_aspect_ratio:
            rows = height - max(min(height, width * self.height // self.width), 1)
            columns = width - max(min(width, height * self.width // self.height), 1)
            return build.frame(x, (-(rows // 2), rows // 2 - rows), (-(columns // 2), columns // 2 - columns))
        if self.pad_to_aspect_ratio:
            rows = max(0, width * self.height // self.width - height) // 2
            columns = max(0, height * self.width // self.height - width) // 2
            padded = build.frame(build.affine(x, 1, -self.fill_value), (rows, rows), (columns, columns))
            return build.affine(padded, 1, self.fill_value)
        return x


@LAYERS.register
class UpSampling2D(Layer):
    """Enlarges an image by the factors `size`, repeating or interpolating pixels (Keras UpSampling2D).

    Interpolation uses half-pixel centers; pixels outside of the image do not count.
    """

    size: Pair = (2, 2)
    data_format: DataFormat = "channels_last"
    interpolation: Annotated[str, Word("nearest", "bilinear", *SMOOTH)] = "nearest"

    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2)),
        _example((2, 3, 3), size=[3, 1]),
        _example((3, 4, 2), interpolation="bilinear"),
        _example((1, 3, 17), size=[2, 3], interpolation="bilinear"),
        _example((3, 4, 2), size=[2, 3], interpolation="bicubic"),
        _example((2, 5, 3), size=[3, 1], interpolation="lanczos5"),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        if self.interpolation in SMOOTH:
            sizes = zip(image_shape(inputs[0])[:2], self.size, strict=True)
            return build.resample(
                inputs[0], *(interpolated(n, n * times, self.interpolation, antialias=False) for n, times in sizes)
            )
        return build.up_sample2d(inputs[0], self.size, self.interpolation)
