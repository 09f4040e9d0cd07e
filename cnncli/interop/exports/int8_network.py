"""Networks in int8: weights with a scale for each filter, values with one scale and zero each, as in TensorFlow Lite.

A value is (q − zero) · scale. Products, pooling, additions and functions of one number are computed in integers; other
operations in float32, with conversions around them. Scales come from the least and greatest numbers that values have
for images of the training.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import frexp
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cnncli.interop.exports.numpy_evaluation import Evaluation
from cnncli.interop.folding import scale_and_offset
from cnncli.interop.inference import Inference
from cnncli.ops.arrange import Concatenate, Reshape
from cnncli.ops.batch_normalization import FixedNormalization
from cnncli.ops.conv import Conv2D
from cnncli.ops.dense import Dense
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.elementwise import Activation
from cnncli.ops.ir import Call, Op, Shape, Value
from cnncli.ops.merging import Add, Affine, AffineChannels, Subtract
from cnncli.ops.pooling import AveragePool2D, GlobalMaxPool2D, MaxPool2D
from cnncli.ops.window import Window

Array = np.ndarray[Any, Any]
Ranges = Mapping[Value, tuple[float, float]]
LEAST, MOST = -128, 127
MOST_TERMS = 2**30 // (255 * 127)
"""Terms of a sum that has 31 bits with its bias, whatever they are."""


class Scale(NamedTuple):
    """A number is (q − zero) · scale."""

    scale: float
    zero: int

    @classmethod
    def of(cls, least: float, most: float) -> "Scale":
        """That of numbers from `least` to `most`, and of 0, which is exact."""
        least, most = min(least, 0.0), max(most, 0.0)
        scale = float(np.float32((most - least) / (MOST - LEAST))) or 1.0
        return cls(scale, int(np.clip(np.rint(LEAST - least / scale), LEAST, MOST)))

    def numbers(self, q: Array) -> Array:
        """The numbers that are in int8: float32."""
        return (q.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)

    def int8(self, x: Array) -> Array:
        """Numbers in int8; x is float32."""
        q = np.rint(x / np.float32(self.scale)) + np.float32(self.zero)
        return np.clip(q, LEAST, MOST).astype(np.int8)


@dataclass(frozen=True, eq=False)
class ToInt8(Op):
    """float32 → int8."""

    scale: Scale


@dataclass(frozen=True, eq=False)
class ToFloat(Op):
    """int8 → float32."""

    scale: Scale


@dataclass(frozen=True, eq=False)
class Products(Op):
    """A convolution of groups, x (H,W,C) → y (OH,OW,F): sums times multiplier / 2^shift, of each filter.

    `kernel`: int8 (F, kh, kw, C/groups). `bias`, `multipliers`: int32 (F,). `shifts`: uint8 (F,). `image`, `out`: the
    shapes, also where the values have others.
    """

    window: Window
    groups: int
    kernel: Array
    bias: Array
    multipliers: Array
    shifts: Array
    x_zero: int
    y_zero: int
    image: Shape
    out: Shape


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """The greatest or mean number of each window of an image; `kind`: "max" or "average"."""

    kind: str
    window: Window


@dataclass(frozen=True, eq=False)
class Sum(Op):
    """Two values, each less its zero and times its multiplier, added, and divided by 2^shift."""

    zeros: tuple[int, int]
    multipliers: tuple[int, int]
    shift: int
    y_zero: int
    overwrites: ClassVar[int | None] = 0


@dataclass(frozen=True, eq=False)
class LookUp(Op):
    """What the table of each input, int8 (256,), has for its numbers, concatenated along an axis."""

    tables: Sequence[Array]
    axis: int = 0
    overwrites: ClassVar[int | None] = 0


CELL = Window((1, 1))
CLAMPS = ("relu", "relu6")
"""Activations that are nothing but an end of the range of numbers."""


def quantized(network: Inference, ranges: Ranges) -> Inference:
    """The network in int8, as far as it goes: its input is int8, and its output is float32.

    `ranges`: the least and greatest number of each value, and of the input.
    """
    return _Quantizing(network, ranges).network()


class _Quantizing:
    def __init__(self, network: Inference, ranges: Ranges) -> None:
        self.source, self.ranges, self.evaluation = network, ranges, Evaluation(network)
        self.calls: list[Call] = []
        self.scales: dict[Value, Scale] = {}
        self.ints: dict[Value, Value] = {}
        self.floats: dict[Value, Value] = {}
        self.owner = ""
        self.uses = Counter(value for call in network.calls for value in call.inputs)

    def network(self) -> Inference:
        """The translated network."""
        source = self.source
        self._scale(source.input)
        self.ints[source.input] = source.input.like(dtype="int8")
        given = self.ints[source.input]
        for call, bound in self._with_bounds():
            if bound is None or not self._in_int8(replace(call, outputs=bound.outputs)):
                for own in (call, *([] if bound is None else [bound])):
                    if not self._in_int8(own):
                        self._as_it_is(own)
        output = self._float(source.output)
        changed = source.changed(self.calls, source.names, source.arrays)
        return replace(changed, input=given, output=output)

    def _with_bounds(self) -> Iterable[tuple[Call, Call | None]]:
        """The calls, each with an activation behind it that only bounds the range of its results, if there is one."""
        calls, skipped = list(self.source.calls), set[Call]()
        for call in calls:
            if call in skipped:
                continue
            readers = self.source.reads(call.output)
            if type(call.op) in BOUNDED and self.uses[call.output] == 1 and call.output is not self.source.output:
                (reader,) = readers
                if isinstance(reader.op, Activation) and reader.op.kind in CLAMPS:
                    skipped.add(reader)
                    yield call, reader
                    continue
            yield call, None

    def _in_int8(self, call: Call) -> bool:
        """Emit a call in int8, if that is possible."""
        self.owner = call.owner
        translate = TRANSLATORS.get(type(call.op))
        return translate is not None and bool(translate(self, call, call.op))

    def _scale(self, value: Value) -> Scale:
        """The scale of a value: that of its range, unless it has one."""
        if value not in self.scales:
            self.scales[value] = Scale.of(*self.ranges[value])
        return self.scales[value]

    def _emit(self, op: Op, inputs: Sequence[Value], output: Value) -> Value:
        self.calls.append(Call(op, tuple(inputs), (output,), self.owner))
        return output

    def _int(self, value: Value) -> Value:
        """A value in int8."""
        if value not in self.ints:
            scale = self._scale(value)
            self.ints[value] = self._emit(ToInt8(scale), [self.floats[value]], value.like(dtype="int8"))
        return self.ints[value]

    def _float(self, value: Value) -> Value:
        """A value in float32."""
        if not value.batched:
            return value
        if value not in self.floats:
            self.floats[value] = self._emit(ToFloat(self._scale(value)), [self.ints[value]], value.like())
        return self.floats[value]

    def in_integers(self, op: Op, call: Call, *inputs: Value) -> bool:
        """Emit an operation on values in int8, for a call."""
        y = call.output.like(dtype="int8")
        self.ints[call.output] = self._emit(op, [self._int(value) for value in inputs or call.inputs], y)
        return True

    def _as_it_is(self, call: Call) -> None:
        """Emit a call in float32."""
        self.calls.append(replace(call, inputs=tuple(map(self._float, call.inputs)), outputs=call.outputs[:1]))
        self.floats[call.output] = call.output

    def array(self, value: Value) -> Array:
        """A weight, float64."""
        return self.source.arrays[self.source.names[value]].astype(np.float64)

    def products(
        self, call: Call, kernel: Array, bias: Array, window: Window, *, groups: int = 1, rows: int = 0
    ) -> bool:
        """Emit products. `kernel`: float64 (F, kh, kw, C/groups). `rows`: the input is so many rows of channels."""
        if kernel[0].size > MOST_TERMS:
            return False
        x, y = self._scale(call.inputs[0]), self._scale(call.output)
        greatest = np.abs(kernel).max((1, 2, 3)) / MOST
        scales = np.maximum(greatest, np.abs(bias) / (x.scale * 2**30))  # the bias must fit
        scales[scales == 0] = 1.0
        factors = [fixed(x.scale * scale / y.scale) for scale in scales.tolist()]
        multipliers, shifts = (np.array(column) for column in zip(*factors, strict=True))
        image, out = call.inputs[0].shape, call.output.shape
        if rows:
            image, out = (1, rows, image[-1]), (1, rows, out[-1])
        op = Products(
            window,
            groups,
            np.rint(kernel / scales[:, None, None, None]).astype(np.int8),
            np.rint(bias / (scales * x.scale)).astype(np.int32),
            multipliers.astype(np.int32),
            shifts.astype(np.uint8),
            *(x.zero, y.zero, image, out),
        )
        return self.in_integers(op, call, call.inputs[0])

    def same_scale(self, call: Call) -> None:
        """Give the output of a call the scale of its input."""
        self.scales[call.output] = self._scale(call.inputs[0])

    def table(self, x: Value, y: Value, function: Any = None) -> Array:
        """The table of a function of a number: int8 (256,)."""
        numbers = self._scale(x).numbers(np.arange(LEAST, MOST + 1))
        return self._scale(y).int8(np.asarray(numbers if function is None else function(numbers), np.float32))


def fixed(factor: float) -> tuple[int, int]:
    """A positive factor as multiplier / 2^shift, with a multiplier of 31 bits."""
    fraction, exponent = frexp(factor)
    multiplier, shift = round(fraction * 2**31), 31 - exponent
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift - 1
    if shift < 1:
        return 2**31 - 1, 1
    return (multiplier, shift) if shift <= 62 else (0, 1)


def _convolution(to: _Quantizing, call: Call, op: Conv2D) -> bool:
    kernel = np.moveaxis(to.array(call.inputs[1]), 3, 0)
    return to.products(call, kernel, _bias(to, call), op.window, groups=op.groups)


def _depthwise(to: _Quantizing, call: Call, op: DepthwiseConv2D) -> bool:
    x = call.inputs[0]
    kernel = to.array(call.inputs[1]).reshape(*op.window.size, x.shape[-1], 1).transpose(2, 0, 1, 3)
    return to.products(call, kernel, _bias(to, call), op.window, groups=x.shape[-1])


def _dense(to: _Quantizing, call: Call, op: Dense) -> bool:
    kernel = to.array(call.inputs[1])
    rows = call.inputs[0].size // len(kernel)
    return to.products(call, kernel.T[:, None, None], _bias(to, call), CELL, rows=rows)


def _bias(to: _Quantizing, call: Call) -> Array:
    return to.array(call.inputs[2]) if len(call.inputs) > 2 else np.zeros(call.output.shape[-1])


def _normalized(to: _Quantizing, call: Call, op: FixedNormalization) -> bool:
    return _of_channels(to, call, *scale_and_offset(op, *map(to.array, call.inputs[1:])))


def _of_channels(to: _Quantizing, call: Call, scales: Array, offsets: Array) -> bool:
    """As a convolution of each channel with a kernel of one cell."""
    offsets = np.broadcast_to(offsets, scales.shape)
    count = len(scales)
    return to.products(call, scales[:, None, None, None], offsets, CELL, groups=count, rows=call.output.size // count)


def _pooled(to: _Quantizing, call: Call, op: Any) -> bool:
    to.same_scale(call)
    window = getattr(op, "window", Window(call.inputs[0].shape[:2]))  # type: ignore[arg-type]  # an image has two
    return to.in_integers(Pool("average" if isinstance(op, AveragePool2D) else "max", window), call)


def _reshaped(to: _Quantizing, call: Call, op: Reshape) -> bool:
    if call.inputs[0] not in to.ints:
        return False
    to.same_scale(call)
    return to.in_integers(op, call)


def _of_number(to: _Quantizing, call: Call, op: Op) -> bool:
    table = to.table(call.inputs[0], call.output, lambda x: to.evaluation.of(call, x))
    return to.in_integers(LookUp([table]), call)


def _concatenated(to: _Quantizing, call: Call, op: Concatenate) -> bool:
    return to.in_integers(LookUp([to.table(x, call.output) for x in call.inputs], op.axis), call)


def _added(to: _Quantizing, call: Call, op: Op) -> bool:
    """Of two values of one shape."""
    if len(call.inputs) != 2 or call.inputs[0].shape != call.inputs[1].shape:
        return False
    a, b, y = (to._scale(value) for value in (*call.inputs, call.output))
    _, shift = fixed(max(a.scale, b.scale) / y.scale)
    first, second = (round(own.scale / y.scale * 2**shift) for own in (a, b))
    second = -second if isinstance(op, Subtract) else second
    return to.in_integers(Sum((a.zero, b.zero), (first, second), shift, y.zero), call)


BOUNDED = (Conv2D, DepthwiseConv2D, Dense, FixedNormalization, AffineChannels, Add, Subtract)
"""Operations whose results end where the range of numbers does."""
TRANSLATORS: Mapping[type[Op], Any] = {
    Activation: _of_number,
    Add: _added,
    Affine: _of_number,
    AffineChannels: lambda to, call, op: _of_channels(to, call, np.array(op.scales), np.array(op.offsets)),
    AveragePool2D: _pooled,
    Concatenate: _concatenated,
    Conv2D: _convolution,
    Dense: _dense,
    DepthwiseConv2D: _depthwise,
    FixedNormalization: _normalized,
    GlobalMaxPool2D: _pooled,
    MaxPool2D: _pooled,
    Reshape: _reshaped,
    Subtract: _added,
}
"""Emit an operation in int8 and return True, or return False where that is not possible."""
