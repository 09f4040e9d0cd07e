"""Operations in int8 as statements of C99."""

from collections.abc import Mapping
from math import prod

from cnncli.interop.exports.c_operations import Code, Lines, Translator, invoke, window_of
from cnncli.interop.exports.c_text import comment, image, number
from cnncli.interop.exports.int8_network import LookUp, Pool, Products, Sum, ToFloat, ToInt8
from cnncli.ops.ir import Call, Op


def _converted(name: str) -> Translator:
    def translate(code: Code, call: Call, op: ToInt8 | ToFloat) -> Lines:
        x, y = code[call.inputs[0]], code[call.output]
        return invoke(name, x, y, call.output.size, number(op.scale.scale), op.scale.zero)

    return translate


def _products(code: Code, call: Call, op: Products) -> Lines:
    arrays = {
        "kernel": op.kernel.transpose(1, 2, 3, 0),
        "bias": op.bias,
        "multipliers": op.multipliers,
        "shifts": op.shifts,
    }
    kernel, bias, multipliers, shifts = (
        code.constant(f"{call.owner}/{name}", values, f"{comment(call.owner)}: {name}")
        for name, values in arrays.items()
    )
    depthwise = op.groups == len(op.kernel) == op.image[-1]
    return invoke(
        "depthwise_conv2d_int8" if depthwise else "conv2d_int8",
        *(code[call.inputs[0]], image(op.image), op.x_zero, kernel, bias, window_of(op.window, op.image)),
        *([] if depthwise else [op.groups]),
        *(multipliers, shifts, code[call.output], image(op.out), op.y_zero),
    )


def _pooled(code: Code, call: Call, op: Pool) -> Lines:
    x, y = call.inputs[0], call.output
    out = y.shape if len(y.shape) == 3 else (1, 1, *y.shape)
    window = window_of(op.window, x.shape)
    return invoke(f"{op.kind}_pool2d_int8", code[x], image(x.shape), window, code[y], image(out))


def _sum(code: Code, call: Call, op: Sum) -> Lines:
    terms = zip((code[value] for value in call.inputs), op.zeros, op.multipliers, strict=True)
    given = [argument for term in terms for argument in term]
    return invoke("add_int8", *given, op.shift, code[call.output], op.y_zero, call.output.size)


def _looked_up(code: Code, call: Call, op: LookUp) -> Lines:
    whole, start, lines = call.output.shape, 0, []
    for x, values in zip(call.inputs, op.tables, strict=True):
        table = code.constant(f"{call.owner}/table", values, f"{comment(call.owner)}: of -128 to 127")
        length = prod(x.shape[op.axis :])
        y = f"{code[call.output]} + {start}" if start else code[call.output]
        lines += invoke("look_up", code[x], length, y, prod(whole[op.axis :]), prod(whole[: op.axis]), length, table)
        start += length
    return lines


TRANSLATORS: Mapping[type[Op], Translator] = {
    LookUp: _looked_up,
    Pool: _pooled,
    Products: _products,
    Sum: _sum,
    ToFloat: _converted("to_float"),
    ToInt8: _converted("to_int8"),
}
