"""Operations as statements of C99, which call functions of `c_functions.c`."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from cnncli.interop.exports.c_memory import Buffers
from cnncli.interop.exports.c_text import Array, Nest, array, comment, identifier, image, number, size, steps
from cnncli.interop.folding import scale_and_offset
from cnncli.interop.inference import Inference
from cnncli.interop.refusal import no_counterpart
from cnncli.interop.resampling import taps_of
from cnncli.kernels.elementwise.activation_names import parts
from cnncli.ops.arrange import Concatenate, Reshape, Slice
from cnncli.ops.batch_normalization import FixedNormalization
from cnncli.ops.conv import Conv2D
from cnncli.ops.dense import Dense
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.elementwise import Activation, Rsqrt, Softmax
from cnncli.ops.ir import Call, Op, Shape, Value
from cnncli.ops.merging import (
    Add,
    Affine,
    AffineChannels,
    Broadcast,
    Extreme,
    Multiply,
    Reduce,
    Subtract,
    SwapLast,
    Weighted,
)
from cnncli.ops.pooling import AveragePool2D, GlobalMaxPool2D, MaxPool2D
from cnncli.ops.resample import Frame, RepeatChannels, UpSample2D
from cnncli.ops.resize import Resample, Taps
from cnncli.ops.sample_normalization import GroupNormalization, LayerNormalization
from cnncli.ops.transpose import Conv2DTranspose
from cnncli.ops.window import Window

Lines = list[str]
Translator = Callable[["Code", Call, Any], Lines]


class Code:
    """The code of a network. `prefix`: what the names of its constants begin with. `constants`: arrays by name, with
    what they are.
    """

    def __init__(self, network: Inference, buffers: Buffers, prefix: str) -> None:
        self.network, self.buffers, self.prefix = network, buffers, prefix
        self.constants: dict[str, tuple[Array, str]] = {}
        self.weights: dict[Value, str] = {}

    def constant(self, name: str, values: Array, about: str) -> str:
        """Add an array, and return its name."""
        base = found = f"{self.prefix}_{identifier(name)}"
        number = 1
        while found in self.constants:
            number += 1
            found = f"{base}_{number}"
        self.constants[found] = values, about
        return found

    def __getitem__(self, value: Value) -> str:
        """A value as a pointer; weights become constants."""
        if value.batched:
            return self.buffers[value]
        if value not in self.weights:
            name = self.network.names[value]
            weight = self.network.arrays[name]
            self.weights[value] = self.constant(name, weight, f"{comment(name)}: {size(weight.shape)}")
        return self.weights[value]

    def definitions(self) -> list[str]:
        """The definitions of all arrays."""
        return [array(name, values, about) for name, (values, about) in self.constants.items()]

    @property
    def bytes(self) -> int:
        """The size of all arrays."""
        return sum(values.nbytes for values, _ in self.constants.values())

    def statements(self, translators: "Mapping[type[Op], Translator]") -> Lines:
        """The statements of the network. Raises UsageError for an unknown operation."""
        lines: Lines = []
        owner = ""
        for call in self.network.calls:
            if type(call.op) not in translators:
                raise no_counterpart("c", self.network.title(call), "--format")
            declared = self.buffers.declared(call.output)
            made = translators[type(call.op)](self, call, call.op)
            if made and call.owner != owner:
                owner = call.owner
                lines.append(f"/* {comment(self.network.title(call))}: {size(call.output.shape)} */")
            lines += [*([declared] if declared else []), *made]
        answer = self.buffers[self.network.output]
        if answer != "output":
            lines.append(f"memcpy(output, {answer}, {self.network.output.size} * sizeof *output);")
        return lines


def invoke(name: str, *arguments: object) -> Lines:
    """The call of a function."""
    return [f"{name}({', '.join(map(str, arguments))});"]


def window_of(window: Window, shape: Shape) -> str:
    """A `Window` that slides over an image of a shape."""
    pairs = {
        "size": window.size,
        "strides": window.strides,
        "padding": window.padding_before(*shape[:2]),
        "dilation": window.dilation,
    }
    return f"(Window){{{', '.join(f'.{name} = {{{a}, {b}}}' for name, (a, b) in pairs.items())}}}"


def _bias(code: Code, call: Call) -> str:
    return code[call.inputs[2]] if len(call.inputs) > 2 else "0"


def _sliding(name: str, *, transposed: bool = False) -> Translator:
    """A function of (x, image, kernel, bias, window, y, image)."""

    def translate(code: Code, call: Call, op: Any) -> Lines:
        x, kernel = call.inputs[:2]
        window = window_of(op.window, call.output.shape if transposed else x.shape)
        groups = [op.groups] if getattr(op, "groups", 1) > 1 else []
        return invoke(
            f"grouped_{name}" if groups else name,
            *(code[x], image(x.shape), code[kernel], _bias(code, call), window, *groups),
            *(code[call.output], image(call.output.shape)),
        )

    return translate


def _dense(code: Code, call: Call, op: Dense) -> Lines:
    x, kernel = call.inputs[:2]
    inputs, units = kernel.shape
    return invoke("dense", code[x], x.size // inputs, inputs, code[kernel], _bias(code, call), code[call.output], units)


def _pooled(name: str) -> Translator:
    def translate(code: Code, call: Call, op: Any) -> Lines:
        (x,) = call.inputs
        window = window_of(getattr(op, "window", Window(x.shape[:2])), x.shape)  # type: ignore[arg-type]  # two lengths
        out = call.output.shape if len(call.output.shape) == 3 else (1, 1, *call.output.shape)
        return invoke(name, code[x], image(x.shape), window, code[call.output], image(out))

    return translate


def _each(code: Code, call: Call, formula: str, inputs: Sequence[tuple[str, Shape]] | None = None) -> Lines:
    """A formula of an element of each input, {0}, {1}…; they are broadcast."""
    shape = call.output.shape
    read = [(code[value], value.shape) for value in call.inputs] if inputs is None else inputs
    nest = Nest(shape, steps(shape, shape), *(steps(own, shape) for _, own in read))
    terms = [f"{name}[{nest.place(place)}]" for place, (name, _) in enumerate(read, 1)]
    return nest.around([f"{code[call.output]}[{nest.place(0)}] = {formula.format(*terms)};"])


def _formula(formula: str) -> Translator:
    return lambda code, call, op: _each(code, call, formula)


def _joined(sign: str) -> Translator:
    def translate(code: Code, call: Call, op: Op) -> Lines:
        return _each(code, call, sign.join(f"{{{place}}}" for place in range(len(call.inputs))))

    return translate


def _activation(code: Code, call: Call, op: Activation) -> Lines:
    name, constants = parts(op.kind)
    arguments = ", ".join(["{0}", *map(number, constants)])
    return _each(code, call, f"{NAMES.get(name, name)}({arguments})")


def _affine(code: Code, call: Call, op: Affine) -> Lines:
    scaled = f"{{0}} * {number(op.scale)}" if op.scale != 1 else "{0}"
    return _each(code, call, f"{scaled} + {number(op.offset)}" if op.offset else scaled)


def _of_channels(code: Code, call: Call, scales: Array, offsets: Array) -> Lines:
    (channels,) = scales.shape
    named = [
        (
            code.constant(f"{call.owner}/{name}", values.astype(np.float32), f"{comment(call.owner)}: {channels}"),
            (channels,),
        )
        for name, values in (("scale", scales), ("offset", offsets))
    ]
    x = call.inputs[0]
    return _each(code, call, "{0} * {1} + {2}", [(code[x], x.shape), *named])


def _normalized(code: Code, call: Call, op: FixedNormalization) -> Lines:
    given = (code.network.arrays[code.network.names[value]] for value in call.inputs[1:])
    return _of_channels(code, call, *scale_and_offset(op, *given))


def _sample_normalized(code: Code, call: Call, op: Any, name: str, *lengths: int) -> Lines:
    given = iter(call.inputs[1:])
    weights = [code[next(given)] if wanted else "0" for wanted in (op.scale, op.center)]
    return invoke(name, code[call.inputs[0]], *lengths, *weights, number(op.epsilon), code[call.output])


def _layer_normalized(code: Code, call: Call, op: LayerNormalization) -> Lines:
    shape = call.output.shape
    count = prod(shape[-op.axes :])
    name = "layer_normalization" if op.centered else "rms_normalization"
    return _sample_normalized(code, call, op, name, prod(shape) // count, count)


def _group_normalized(code: Code, call: Call, op: GroupNormalization) -> Lines:
    *pixels, channels = call.output.shape
    return _sample_normalized(code, call, op, "group_normalization", prod(pixels), channels, op.groups)


def _softmax(code: Code, call: Call, op: Softmax) -> Lines:
    *rows, count = call.output.shape
    return invoke(op.kind, code[call.inputs[0]], prod(rows), count, code[call.output])


def _rsqrt(code: Code, call: Call, op: Rsqrt) -> Lines:
    return _each(code, call, f"1.0f / sqrtf({{0}} + {number(op.epsilon)})" if op.epsilon else "1.0f / sqrtf({0})")


def _concatenated(code: Code, call: Call, op: Concatenate) -> Lines:
    whole, start, lines = call.output.shape, 0, []
    for x in call.inputs:
        length = prod(x.shape[op.axis :])
        y = f"{code[call.output]} + {start}" if start else code[call.output]
        lines += invoke("copy_rows", code[x], length, y, prod(whole[op.axis :]), prod(whole[: op.axis]), length)
        start += length
    return lines


def _sliced(code: Code, call: Call, op: Slice) -> Lines:
    (x,) = call.inputs
    inner = prod(x.shape[op.axis + 1 :])
    start = f"{code[x]} + {op.start * inner}" if op.start else code[x]
    length = op.size * inner
    return invoke(
        *("copy_rows", start, prod(x.shape[op.axis :]), code[call.output], length, prod(x.shape[: op.axis]), length)
    )


def _swapped(code: Code, call: Call, op: SwapLast) -> Lines:
    *outer, rows, columns = call.inputs[0].shape
    return invoke("swap_last", code[call.inputs[0]], prod(outer), rows, columns, code[call.output])


def _repeated(code: Code, call: Call, op: RepeatChannels) -> Lines:
    x, y = code[call.inputs[0]], code[call.output]
    return Nest((call.output.size,), (1,)).around([f"{y}[i] = {x}[i / {op.times}];"])


def _reduced(code: Code, call: Call, op: Reduce) -> Lines:
    shape = call.inputs[0].shape
    kept = tuple(1 if axis in op.axes else length for axis, length in enumerate(shape))
    own = steps(shape, shape)
    outer = Nest(kept, steps(kept, kept), own)
    inner = Nest(tuple(length if axis in op.axes else 1 for axis, length in enumerate(shape)), own, names="klmn")
    place = " + ".join(part for part in (outer.place(1), inner.place(0)) if part != "0") or "0"
    term = " * ".join(f"{code[value]}[{place}]" for value in call.inputs)
    count = f" / {number(prod(shape[axis] for axis in op.axes))}" if op.kind == "mean" else ""
    body = [
        "float sum = 0.0f;",
        *inner.around([f"sum += {term};"]),
        f"{code[call.output]}[{outer.place(0)}] = sum{count};",
    ]
    made = outer.around(body)
    return made if made != body else ["{", *(f"    {line}" for line in body), "}"]


def _framed(code: Code, call: Call, op: Frame) -> Lines:
    (x,), y = call.inputs, call.output
    return invoke("frame", code[x], image(x.shape), -op.rows[0], -op.columns[0], code[y], image(y.shape))


def _larger(code: Code, call: Call, op: UpSample2D) -> Lines:
    (x,), y = call.inputs, call.output
    if op.interpolation == "nearest":
        return invoke("up_sample2d", code[x], image(x.shape), code[y], image(y.shape))
    return _resampled(code, call, op)


def _resampled(code: Code, call: Call, op: Op) -> Lines:
    (x,), y = call.inputs, call.output
    both = taps_of(call)
    assert both is not None
    arguments: list[object] = []
    for name, taps, cells in zip(("row", "column"), both, x.shape, strict=False):
        first, weights = _table(taps, cells)
        about = f"{comment(call.owner)}: {{}} of {name}s"
        arguments += [
            code.constant(f"{call.owner}/first_{name}s", first, about.format("the first")),
            code.constant(f"{call.owner}/{name}_weights", weights, about.format("weights")),
            weights.shape[1],
        ]
    return invoke("resample", code[x], image(x.shape), *arguments, code[y], image(y.shape))


def _table(taps: Taps, cells: int) -> tuple[Array, Array]:
    """Taps as arrays, with as many weights for each place: first cells, and weights (places, weights)."""
    most = max(len(own) for _, own in taps)
    first = np.array([min(start, cells - most) for start, _ in taps], np.int32)
    weights = np.zeros((len(taps), most), np.float32)
    for place, (start, own) in enumerate(taps):
        begin = start - first[place]
        weights[place, begin : begin + len(own)] = own
    return first, weights


NAMES = {"tanh": "tanhf", "exponential": "expf", "elu_of_input": "elu"}
"""Functions of activations that have another name."""
TRANSLATORS: Mapping[type[Op], Translator] = {
    Activation: _activation,
    Add: _joined(" + "),
    Affine: _affine,
    AffineChannels: lambda code, call, op: _of_channels(code, call, np.array(op.scales), np.array(op.offsets)),
    AveragePool2D: _pooled("average_pool2d"),
    Broadcast: _formula("{0}"),
    Concatenate: _concatenated,
    Conv2D: _sliding("conv2d"),
    Conv2DTranspose: _sliding("conv2d_transpose", transposed=True),
    Dense: _dense,
    DepthwiseConv2D: _sliding("depthwise_conv2d"),
    Extreme: lambda code, call, op: _each(
        code, call, f"{'larger' if op.kind == 'maximum' else 'smaller'}({{0}}, {{1}})"
    ),
    FixedNormalization: _normalized,
    Frame: _framed,
    GlobalMaxPool2D: _pooled("max_pool2d"),
    GroupNormalization: _group_normalized,
    LayerNormalization: _layer_normalized,
    MaxPool2D: _pooled("max_pool2d"),
    Multiply: _joined(" * "),
    Reduce: _reduced,
    RepeatChannels: _repeated,
    Resample: _resampled,
    Reshape: lambda code, call, op: [],
    Rsqrt: _rsqrt,
    Slice: _sliced,
    Softmax: _softmax,
    Subtract: _joined(" - "),
    SwapLast: _swapped,
    UpSample2D: _larger,
    Weighted: lambda code, call, op: _each(code, call, f"{{0}} {'*' if op.kind == 'multiply' else '+'} {{1}}"),
}
