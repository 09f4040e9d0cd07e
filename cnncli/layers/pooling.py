"""Pooling layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

from cnncli.layers.declarations.declaration import Pair
from cnncli.layers.fields import DataFormat, Padding
from cnncli.layers.layer import LAYERS, Example, Layer
from cnncli.ops.builder import Builder
from cnncli.ops.conv import image_shape
from cnncli.ops.ir import Shape, Value
from cnncli.ops.resize import averages, picked, windows
from cnncli.ops.window import Window


def _example(image: Shape, **arguments: Any) -> Example:
    return Example(arguments, [image])


class _Pooling2D(Layer):
    pool_size: Pair
    strides: Pair | None = None
    padding: Padding = "valid"
    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = (
        _example((6, 7, 3), pool_size=2),
        _example((7, 7, 2), pool_size=3, strides=2, padding="same"),
        _example((8, 7, 1), pool_size=[2, 3], strides=1),
        _example((5, 6, 2), pool_size=2, strides=[1, 3], padding="same"),
    )

    @property
    def window(self) -> Window:
        """The window; strides default to pool_size, as in Keras."""
        return Window(self.pool_size, self.strides or self.pool_size, self.padding)


@LAYERS.register
class MaxPooling2D(_Pooling2D):
    """Max pooling: the maximum of each window (Keras MaxPooling2D)."""

    aliases = ("MaxPool2D", "max_pool2d")

    pool_size: Pair = (2, 2)

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.max_pool2d(inputs[0], self.window)


@LAYERS.register
class AveragePooling2D(_Pooling2D):
    """Average pooling: the mean of each window, without its padding (Keras AveragePooling2D)."""

    aliases = ("AvgPool2D", "avg_pool2d")

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.average_pool2d(inputs[0], self.window)


class _AdaptivePooling2D(Layer):
    output_size: Pair
    data_format: DataFormat = "channels_last"

    examples: ClassVar[Sequence[Example]] = (
        _example((6, 7, 3), output_size=[3, 2]),
        _example((5, 4, 2), output_size=[2, 3]),
        _example((3, 4, 2), output_size=1),
        _example((2, 3, 2), output_size=5),
    )


@LAYERS.register
class AdaptiveAveragePooling2D(_AdaptivePooling2D):
    """Average pooling to `output_size` by windows that may overlap (Keras AdaptiveAveragePooling2D)."""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        sizes = zip(image_shape(inputs[0])[:2], self.output_size, strict=True)
        return build.resample(inputs[0], *(averages(cells, out) for cells, out in sizes))


@LAYERS.register
class AdaptiveMaxPooling2D(_AdaptivePooling2D):
    """Max pooling to `output_size` by windows that may overlap (Keras AdaptiveMaxPooling2D)."""

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x = inputs[0]
        for axis in range(2):
            x = self._pooled(build, x, axis)
        return x

    def _pooled(self, build: Builder, x: Value, axis: int) -> Value:
        """The maxima of windows of each size wherever they fit, and of these the ones that are asked for."""
        spans = windows(image_shape(x)[axis], self.output_size[axis])
        pools: list[Value] = []
        first: dict[int, int] = {}
        for size in sorted({end - start for start, end in spans}):
            first[size] = sum(pool.shape[axis] for pool in pools)
            pools.append(build.max_pool2d(x, Window((size, 1) if axis == 0 else (1, size))))
        joined = build.concatenate(*pools, axis=axis) if len(pools) > 1 else pools[0]
        cells = [first[end - start] + start for start, end in spans]
        taps = [picked(range(length)) for length in joined.shape[:2]]
        taps[axis] = picked(cells)
        return build.resample(joined, *taps)


class _GlobalPooling2D(Layer):
    data_format: DataFormat = "channels_last"
    keepdims: bool = False

    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2)),
        _example((2, 3, 17), keepdims=True),
        _example((1, 1, 3)),
    )

    def shaped(self, build: Builder, y: Value, image: Value) -> Value:
        """(C,) or, with `keepdims`, (1, 1, C)."""
        channels = image.shape[-1]
        shape = (1, 1, channels) if self.keepdims else (channels,)
        return y if y.shape == shape else build.reshape(y, shape)


@LAYERS.register
class GlobalAveragePooling2D(_GlobalPooling2D):
    """Global average pooling: the mean of each channel (Keras GlobalAveragePooling2D)."""

    aliases = ("GlobalAvgPool2D", "global_avg_pool2d")

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return self.shaped(build, build.global_average_pool2d(inputs[0]), inputs[0])


@LAYERS.register
class GlobalMaxPooling2D(_GlobalPooling2D):
    """Global max pooling: the maximum of each channel; ties share the gradient (Keras GlobalMaxPooling2D)."""

    aliases = ("GlobalMaxPool2D", "global_max_pool2d")

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return self.shaped(build, build.global_max_pool2d(inputs[0]), inputs[0])
