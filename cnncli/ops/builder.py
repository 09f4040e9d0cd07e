"""The builder used to lower layers: one method per operation, named as in Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from typing import Literal, NamedTuple

from cnncli.errors import ShapeError
from cnncli.kernels.elementwise.activation_names import named
from cnncli.ops import streams
from cnncli.ops.arrange import Concatenate, Reshape
from cnncli.ops.batch_normalization import BatchNormalization, FixedNormalization
from cnncli.ops.conv import Conv2D, image_shape
from cnncli.ops.dense import Dense
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.elementwise import Activation, Dropout, Noise, Rsqrt, Softmax
from cnncli.ops.ir import Shape, Tape, Value
from cnncli.ops.losses import AnglePenalty, SizePenalty
from cnncli.ops.merging import (
    Add,
    Affine,
    AffineChannels,
    Extreme,
    Merge,
    Multiply,
    Reduce,
    Subtract,
    SwapLast,
    Weighted,
    broadcast,
    common_shape,
    padded,
    with_long_lines,
)
from cnncli.ops.pooling import AveragePool2D, GlobalMaxPool2D, MaxPool2D
from cnncli.ops.resample import Frame, RepeatChannels, UpSample2D
from cnncli.ops.resize import Resample, Taps
from cnncli.ops.sample_normalization import GroupNormalization, LayerNormalization
from cnncli.ops.transpose import Conv2DTranspose
from cnncli.ops.window import Pair, Window


class Logits(NamedTuple):
    """The input of an activation, and its kind: "softmax", "softmax along another axis" or "sigmoid"."""

    value: Value
    activation: str


@dataclass
class Builder(Tape):
    """A tape with one method per operation.

    `training` selects the training behaviour of layers that have one (Dropout). `own` maps Keras' names to the weights
    of the layer being lowered; `dtype` is that of weights. `clock` is (seed, step, first row), int64. `updates` maps
    the new value of each statistic after a training step to the weight it replaces. `logits` maps the output of each
    softmax and sigmoid to its input; as in Keras, an operation that returns a new value loses this association, even if
    the elements are unchanged.
    """

    training: bool = False
    dtype: str = "float32"
    own: Mapping[str, Value] = field(default_factory=dict)
    clock: Value = field(default_factory=lambda: Value((3,), batched=False, dtype="int64", label="clock"))
    dropouts: int = 0
    updates: dict[Value, Value] = field(default_factory=dict)
    logits: dict[Value, Logits] = field(default_factory=dict)

    def weight(self, name: str) -> Value:
        """Return the weight `name` of the layer being lowered."""
        return self.own[name]

    def optional_weight(self, name: str) -> Value | None:
        """Return the weight `name` of the layer being lowered; None if it has none."""
        return self.own.get(name)

    def conv2d(self, x: Value, kernel: Value, bias: Value | None, window: Window, groups: int = 1) -> Value:
        """Convolution of an image (H,W,C) with a kernel (kh,kw,C/groups,F)."""
        if groups > 1 and x.shape[-1] == groups:
            return self.depthwise_conv2d(x, kernel, bias, window)
        return self.emit(Conv2D(window, groups), x, kernel, *_given(bias))

    def depthwise_conv2d(self, x: Value, kernel: Value, bias: Value | None, window: Window) -> Value:
        """Depthwise convolution of an image (H,W,C) with M kernels per channel, (kh,kw,…), C·M per tap; (OH,OW,C·M)."""
        times = prod(kernel.shape[2:]) // x.shape[-1]
        return self.emit(
            DepthwiseConv2D(window), self.emit(RepeatChannels(times), x) if times > 1 else x, kernel, *_given(bias)
        )

    def conv2d_transpose(self, x: Value, kernel: Value, bias: Value | None, window: Window, size: Pair) -> Value:
        """Transposed convolution to an image of `size`: the adjoint of a convolution with kernel (kh,kw,F,C)."""
        return self.emit(Conv2DTranspose(window, size), x, kernel, *_given(bias))

    def dense(self, x: Value, kernel: Value, bias: Value | None) -> Value:
        """Matrix product over the last axis with a kernel (in, units)."""
        return self.emit(Dense(), x, kernel, *_given(bias))

    def batch_normalization(
        self, x: Value, epsilon: float, momentum: float | None, *, synchronized: bool = False
    ) -> Value:
        """Batch normalization with the weights of the layer being lowered.

        Uses batch statistics in training, moving statistics in inference or if `momentum` is None. The weights are
        named as in Keras: moving_mean, moving_variance and, optionally, gamma and beta.
        """
        gamma, beta = self.optional_weight("gamma"), self.optional_weight("beta")
        mean, variance = self.weight("moving_mean"), self.weight("moving_variance")
        inputs = (x, mean, variance, *_given(gamma), *_given(beta))
        given = gamma is not None, beta is not None
        if momentum is None or not self.training:
            return self.emit(FixedNormalization(epsilon, *given), *inputs)
        op = BatchNormalization(epsilon, *given, momentum=momentum, synchronized=synchronized)
        y, _, new_mean, new_variance = self.emit_all(op, *inputs)
        self.updates |= {new_mean: mean, new_variance: variance}
        return y

    def layer_normalization(
        self, x: Value, axes: int, epsilon: float, gamma: Value | None, beta: Value | None, *, centered: bool = True
    ) -> Value:
        """Normalize the last `axes` axes of each sample, then scale by gamma and add beta, of the shape of these axes.

        Without `centered` the mean is not subtracted.
        """
        op = LayerNormalization(epsilon, gamma is not None, beta is not None, axes, centered)
        return self.emit(op, x, *_given(gamma), *_given(beta))

    def group_normalization(
        self, x: Value, groups: int, epsilon: float, gamma: Value | None, beta: Value | None
    ) -> Value:
        """Normalize each sample's groups of channels (C), then scale by gamma and add beta, of shape (C,).

        Raises ShapeError if `groups` does not divide C.
        """
        if x.shape[-1] % groups:
            raise ShapeError(f"groups must divide the {x.shape[-1]} channels; received groups={groups}")
        op = GroupNormalization(epsilon, gamma is not None, beta is not None, groups)
        return self.emit(op, x, *_given(gamma), *_given(beta))

    def max_pool2d(self, x: Value, window: Window) -> Value:
        """The maximum of each window of an image."""
        return self.emit(MaxPool2D(window), x)

    def average_pool2d(self, x: Value, window: Window) -> Value:
        """The mean of each window of an image; padding is not counted."""
        return self.emit(AveragePool2D(window), x)

    def global_average_pool2d(self, x: Value) -> Value:
        """The mean of each channel of an image, (1, 1, C)."""
        return self.average_pool2d(x, Window(image_shape(x)[:2]))

    def global_max_pool2d(self, x: Value) -> Value:
        """The maximum of each channel of an image, (C,)."""
        return self.emit(GlobalMaxPool2D(), x)

    def frame(self, x: Value, rows: Pair, columns: Pair) -> Value:
        """Pad an image with (before, after) rows and columns of zeros; negative numbers crop."""
        return self.emit(Frame(rows, columns), x)

    def up_sample2d(self, x: Value, size: Pair, interpolation: str) -> Value:
        """Upsample an image by the factors `size`."""
        return self.emit(UpSample2D(size, interpolation), x)

    def resample(self, x: Value, rows: Taps, columns: Taps) -> Value:
        """Each row and column of an image a weighted sum of those of x."""
        return self.emit(Resample(rows, columns), x)

    def activation(self, x: Value, name: str, *constants: float) -> Value:
        """Apply an activation of each element, or softmax, by name; optionally with other constants than the defaults.

        The names are those of `activation_names`, which are Keras' where it has the activation.
        """
        if name == "linear":
            return x
        if name == "softmax":
            return self.softmax(x)
        y = self.emit(Activation(named(name, *constants) if constants else name), x)
        if name == "sigmoid":
            self.logits[y] = Logits(x, name)
        return y

    def softmax(self, x: Value, axis: int = -1) -> Value:
        """Softmax along `axis`, counted from 0 without the batch axis."""
        return self.along("softmax", x, axis)

    def along(self, kind: str, x: Value, axis: int = -1) -> Value:
        """ "softmax", "log_softmax" or "sparsemax" along `axis`, counted from 0 without the batch axis."""
        inner, name = prod(x.shape[axis:][1:]), kind
        if len(x.shape[axis:]) == 1:  # an axis of length 1 may follow
            y = self.emit(Softmax(kind), x)
        else:
            name += " along another axis"
            columns = self.emit(SwapLast(), self.reshape(x, (x.size // (x.shape[axis] * inner), x.shape[axis], inner)))
            y = self.reshape(self.emit(SwapLast(), self.emit(Softmax(kind), columns)), x.shape)
        if kind == "softmax":
            self.logits[y] = Logits(x, name)
        return y

    def dropout(self, x: Value, rate: float, seed: int | None = None, shape: Shape | None = None) -> Value:
        """Dropout in training; x itself in inference. Each call uses its own random stream, or its own `seed`.

        One drop for each element of `shape`: that of x, with 1 for axes that are dropped together.
        """
        stream = self._stream(seed)
        if not (self.training and rate):
            return x
        if shape is None or shape == x.shape:
            return self.emit(Dropout(rate, stream, seed), x, self.clock)
        return self.multiply(x, self._kept(x, shape, Noise("kept", stream, seed, rate, b=1 / (1 - rate))))

    def keep(self, x: Value, rate: float, numbers: tuple[float, float, float], seed: int | None, shape: Shape) -> Value:
        """In training a · x + b where kept, else c, for `numbers` (a, b, c); all else is as in `dropout`."""
        stream, (a, b, c) = self._stream(seed), numbers
        if not (self.training and rate):
            return x
        if shape == x.shape:
            return self.emit(Noise("affine of kept", stream, seed, rate, a, b, c), x, self.clock)
        kept = self._kept(x, shape, Noise("kept", stream, seed, rate, b=1.0))
        return self.add(self.multiply(x, self.affine(kept, a)), self.affine(kept, b - c, c))

    def noise(self, kind: Literal["plus normal", "times normal"], x: Value, spread: float, seed: int | None) -> Value:
        """In training x + spread · n or x · (1 + spread · n) with normal numbers n; x itself in inference."""
        stream = self._stream(seed)
        return self.emit(Noise(kind, stream, seed, a=spread), x, self.clock) if self.training and spread else x

    def _stream(self, seed: int | None) -> int:
        stream = streams.DROPOUT + self.dropouts
        self.dropouts += 1
        return stream if seed is None else streams.DROPOUT

    def _kept(self, x: Value, shape: Shape, op: Noise) -> Value:
        """The numbers of `op`, which does not read its input, for each element of `shape`."""
        for axis, length in enumerate(shape):
            x = x if length == x.shape[axis] else self.slice(x, axis, 0, 1)
        return self.emit(op, x, self.clock)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """Change the shape; elements and their order stay the same."""
        return self.emit(Reshape(shape), x)

    def along_axes(self, kind: str, x: Value, axes: Sequence[int]) -> Value:
        """As `along`, over all elements along several axes together."""
        if len(axes) == 1:
            return self.along(kind, x, axes[0])
        moved, order = self.moved_last(x, axes)
        rows = self.reshape(moved, (*moved.shape[: -len(axes)], prod(moved.shape[-len(axes) :])))
        y = self.reshape(self.emit(Softmax(kind), rows), moved.shape)
        return self.permute(y, order)

    def slice(self, x: Value, axis: int, start: int, size: int) -> Value:
        """`size` elements from `start` along `axis`, counted from 0 without the batch axis."""
        outer, length, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
        part = self.frame(self.reshape(x, (outer, length, inner)), (0, 0), (-start, start + size - length))
        return self.reshape(part, (*x.shape[:axis], size, *x.shape[axis + 1 :]))

    def permute(self, x: Value, axes: Sequence[int]) -> Value:
        """Permute the axes, counted from 0 without the batch axis: axis i of the result is `axes[i]` of x."""
        order = list(range(len(x.shape)))
        for place, axis in enumerate(axes):  # a rotation of the axes from `place` on brings it there
            start, shape = order.index(axis), x.shape
            if start > place:
                before, after = prod(shape[place:start]), prod(shape[start:])
                swapped = self.emit(SwapLast(), self.reshape(x, (prod(shape[:place]), before, after)))
                order[place:] = [*order[start:], *order[place:start]]
                x = self.reshape(swapped, (*shape[:place], *shape[start:], *shape[place:start]))
        return x

    def moved_last(self, x: Value, axes: Sequence[int]) -> tuple[Value, list[int]]:
        """Return x with `axes` moved to the end, in this order, and the permutation that brings them back."""
        order = [*(axis for axis in range(len(x.shape)) if axis not in axes), *axes]
        return self.permute(x, order), [order.index(axis) for axis in range(len(order))]

    def broadcast(self, x: Value, shape: Shape) -> Value:
        """Copy x along axes of length 1 to `shape`, of the same rank; what merges values needs no copies."""
        return broadcast(self, x, shape)

    def affine(self, x: Value, scale: float, offset: float = 0.0) -> Value:
        """scale · x + offset."""
        return self.emit(Affine(scale, offset), x)

    def add(self, *xs: Value) -> Value:
        """The sum of values, added in order."""
        if len({x.shape for x in xs}) == 1:
            return self.emit(Add(), *xs)
        return self._merged(Add(), *xs)

    def subtract(self, a: Value, b: Value) -> Value:
        """a − b."""
        return self._merged(Subtract(), a, b)

    def multiply(self, *xs: Value) -> Value:
        """The product of values, multiplied in order."""
        return self._merged(Multiply(), *xs)

    def extreme(self, kind: Literal["maximum", "minimum"], *xs: Value) -> Value:
        """The elementwise maximum or minimum of values."""
        return self._merged(Extreme(kind), *xs)

    def _merged(self, op: Merge, *xs: Value) -> Value:
        """Apply `op` to values, in order, each broadcast along axes of length 1 and along missing first axes."""
        shape = common_shape(xs)
        return reduce(lambda a, b: self.emit(op, a, b), [self._aligned(x, shape) for x in xs])

    def _aligned(self, x: Value, shape: Shape) -> Value:
        """Return x with axes of length 1 prepended up to the rank of `shape`, ready to be broadcast to it."""
        own = padded(x.shape, len(shape))
        return with_long_lines(self, x if own == x.shape else self.reshape(x, own), shape)

    def reduce(self, kind: Literal["mean", "sum"], x: Value, axes: Sequence[int], *, keep: bool = True) -> Value:
        """The mean or sum over `axes`, counted from 0 without the batch axis; `keep` retains them with length 1."""
        return self.emit(Reduce(kind, tuple(axes), keep), x)

    def rsqrt(self, x: Value, epsilon: float = 0.0) -> Value:
        """1/√(x + epsilon)."""
        return self.emit(Rsqrt(epsilon), x)

    def scale(self, x: Value, weight: Value) -> Value:
        """x · weight, which has the shape of the last axes of x."""
        return self.emit(Weighted("multiply"), x, weight)

    def affine_channels(self, x: Value, scales: Sequence[float], offsets: Sequence[float]) -> Value:
        """scale · x + offset, with one scale and offset for each element of the last axis."""
        return self.emit(AffineChannels(tuple(scales), tuple(offsets)), x)

    def shift(self, x: Value, weight: Value) -> Value:
        """x + weight, which has the shape of the last axes of x."""
        return self.emit(Weighted("add"), x, weight)

    def concatenate(self, *xs: Value, axis: int) -> Value:
        """Concatenate values along `axis`, counted from 0 without the batch axis."""
        return self.emit(Concatenate(axis), *xs)

    def penalty(self, x: Value, l1: float, l2: float) -> None:
        """Add l1·Σ|x| + l2·Σx² of a weight or an activity to the objective."""
        if l1 or l2:
            self.emit(SizePenalty(l1, l2, x.batched), x)

    def angle_penalty(self, x: Value, factor: float, *, rows: bool) -> None:
        """Add factor · the mean of |cos| of the angles between the rows (or columns) of a weight to the objective."""
        if factor:
            self.emit(AnglePenalty(factor, rows), x)


def _given(value: Value | None) -> tuple[Value, ...]:
    return () if value is None else (value,)
