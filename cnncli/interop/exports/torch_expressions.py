"""ONNX operators, as `interop.onnx.network` uses them, as PyTorch expressions.

Operators with weights become modules: see `torch_folder`.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

Constant = float | list[Any]
Given = Sequence[str | Constant]
"""The inputs of a node: names of variables, and constants that are numbers or lists of integers."""
Attributes = Mapping[str, Any]
Expression = Callable[[Given, Attributes], str]


def _joined(sign: str) -> Expression:
    return lambda given, more: f" {sign} ".join(map(str, given))


def _of(template: str) -> Expression:
    """A template of the inputs, {0}, {1} …, and the attributes by name."""
    return lambda given, more: template.format(*given, **more)


def _gelu(given: Given, more: Attributes) -> str:
    return f'F.gelu({given[0]}, approximate="tanh")' if more else f"F.gelu({given[0]})"


def _hard_sigmoid(given: Given, more: Attributes) -> str:
    if more["beta"] == 0.5 and abs(more["alpha"] - 1 / 6) < 1e-9:
        return f"F.hardsigmoid({given[0]})"
    return f"torch.clamp({given[0]} * {more['alpha']} + {more['beta']}, 0, 1)"


def _shrink(given: Given, more: Attributes) -> str:
    return f"F.{'soft' if more['bias'] else 'hard'}shrink({given[0]}, {more['lambd']})"


def _clip(given: Given, more: Attributes) -> str:
    x, least, most = given
    bounds = [f"{name}={bound}" for name, bound in (("min", least), ("max", most)) if abs(float(str(bound))) != inf]
    return f"torch.clamp({', '.join([str(x), *bounds])})"


def _extreme(name: str, bound: str) -> Expression:
    def made(given: Given, more: Attributes) -> str:
        a, b = given
        return f"torch.clamp({a}, {bound}={b})" if isinstance(b, float) else f"torch.{name}({a}, {b})"

    return made


def padding(pads: Sequence[int]) -> tuple[list[int], list[int]]:
    """The cells before and after each axis, from ONNX' list of all before, then all after."""
    half = len(pads) // 2
    return list(pads[:half]), list(pads[half:])


def framed(x: str, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> str:
    """x with a border; PyTorch lists the last axis first."""
    cells = [number for pair in zip(reversed(before), reversed(after), strict=True) for number in pair]
    return f"F.pad({x}, {tuple(cells)}{'' if not value else f', value={number(value)}'})"


def number(value: float) -> str:
    """A number as code."""
    return repr(value) if abs(value) != inf else f'float("{value}")'


def _pad(given: Given, more: Attributes) -> str:
    x, pads = given
    assert isinstance(pads, list)
    before, after = padding(pads)
    return framed(str(x), before[2:], after[2:])


def _max_pool(given: Given, more: Attributes) -> str:
    x, (before, after), size = str(given[0]), padding(more["pads"]), more["kernel_shape"]
    about = f"{_one(size)}, {_one(more['strides'])}"
    if before == after and all(2 * cells <= length for cells, length in zip(before, size, strict=True)):
        return f"F.max_pool2d({x}, {about}{_padded(before)})"
    return f"F.max_pool2d({framed(x, before, after, -inf)}, {about})"


def _average_pool(given: Given, more: Attributes) -> str:
    x, (before, after), size = str(given[0]), padding(more["pads"]), more["kernel_shape"]
    about = f"{_one(size)}, {_one(more['strides'])}"
    if before == after and all(2 * cells <= length for cells, length in zip(before, size, strict=True)):
        return f"F.avg_pool2d({x}, {about}{_padded(before)}{', count_include_pad=False' if any(before) else ''})"
    inside = framed(f"torch.ones_like({x}[:, :1])", before, after)
    return f"F.avg_pool2d({framed(x, before, after)}, {about}) / F.avg_pool2d({inside}, {about})"


def _one(lengths: Sequence[int]) -> str:
    """Lengths of all axes as one number, if they are equal."""
    return str(lengths[0] if len(set(lengths)) == 1 else tuple(lengths))


def _padded(cells: Sequence[int]) -> str:
    return f", padding={_one(cells)}" if any(cells) else ""


def _reshape(given: Given, more: Attributes) -> str:
    x, shape = given
    assert isinstance(shape, list)
    return f"{x}.reshape(len({x}), {', '.join(map(str, shape[1:]))})"


def _expand(given: Given, more: Attributes) -> str:
    x, shape = given
    assert isinstance(shape, list)
    return f"{x}.expand(-1, {', '.join(map(str, shape[1:]))})"


def _resize(given: Given, more: Attributes) -> str:
    scales = given[2]
    assert isinstance(scales, list)
    mode = ', mode="bilinear"' if more["mode"] == "linear" else ""
    return f"F.interpolate({given[0]}, scale_factor={tuple(scales[2:])}{mode})"


def _reduced(method: str) -> Expression:
    def made(given: Given, more: Attributes) -> str:
        x, axes = given
        assert isinstance(axes, list)
        return f"{x}.{method}({tuple(axes) if len(axes) > 1 else axes[0]}, keepdim=True)"

    return made


EXPRESSIONS: Mapping[str, Expression] = {
    "Add": _joined("+"),
    "AveragePool": _average_pool,
    "Celu": _of("F.celu({0}, {alpha})"),
    "Clip": _clip,
    "Concat": lambda given, more: f"torch.cat([{', '.join(map(str, given))}], dim={more['axis']})",
    "CumSum": _of("{0}.cumsum({1})"),
    "Div": _joined("/"),
    "Elu": _of("F.elu({0}, {alpha})"),
    "Exp": _of("torch.exp({0})"),
    "Expand": _expand,
    "Flatten": _of("torch.flatten({0}, 1)"),
    "Gather": _of("{0}[:, {1}]"),
    "Gelu": _gelu,
    "GlobalAveragePool": _of("{0}.mean((2, 3), keepdim=True)"),
    "GlobalMaxPool": _of("{0}.amax((2, 3), keepdim=True)"),
    "Greater": _joined(">"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _of("F.hardswish({0})"),
    "Identity": _of("{0}"),
    "InstanceNormalization": _of("F.layer_norm({0}, {0}.shape[2:], eps={epsilon})"),
    "LayerNormalization": _of("F.layer_norm({0}, {1}.shape, eps={epsilon})"),
    "LeakyRelu": _of("F.leaky_relu({0}, {alpha})"),
    "LogSoftmax": _of("torch.log_softmax({0}, dim={axis})"),
    "MatMul": _joined("@"),
    "Max": _extreme("maximum", "min"),
    "MaxPool": _max_pool,
    "Min": _extreme("minimum", "max"),
    "Mish": _of("F.mish({0})"),
    "Mul": _joined("*"),
    "Neg": _of("-{0}"),
    "Pad": _pad,
    "Reciprocal": _of("1 / {0}"),
    "ReduceMax": _reduced("amax"),
    "ReduceMean": _reduced("mean"),
    "ReduceSum": _reduced("sum"),
    "Relu": _of("F.relu({0})"),
    "Reshape": _reshape,
    "Resize": _resize,
    "Selu": _of("F.selu({0})"),
    "Shrink": _shrink,
    "Sigmoid": _of("torch.sigmoid({0})"),
    "Softmax": _of("torch.softmax({0}, dim={axis})"),
    "Softplus": _of("F.softplus({0})"),
    "Softsign": _of("F.softsign({0})"),
    "Sqrt": _of("torch.sqrt({0})"),
    "Sub": _joined("-"),
    "Sum": _joined("+"),
    "Tanh": _of("torch.tanh({0})"),
    "ThresholdedRelu": _of("F.threshold({0}, {alpha}, 0.0)"),
    "TopK": _of("{0}.sort(dim={axis}, descending=True).values"),
    "Transpose": lambda given, more: f"{given[0]}.permute({', '.join(map(str, more['perm']))})",
    "Where": lambda given, more: f"torch.where({', '.join(map(str, given))})",
}
"""(inputs, attributes) → an expression."""
