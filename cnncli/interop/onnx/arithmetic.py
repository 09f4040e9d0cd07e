"""ONNX operators of elements, matrices and normalizations → layers."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import Any

import numpy as np

from cnncli.interop.incoming.draft import Array, UnsupportedError
from cnncli.interop.onnx.call import Call, Operand
from cnncli.interop.onnx.values import Tensor

Translator = Callable[[Call], Any]
MOST_LISTED = 8
"""Numbers of channels that a spec lists; more are weights."""


def _activation(name: str, *, positive: bool = False, **fixed: Any) -> Translator:
    """An activation without arguments."""
    activation: Any = {name: fixed} if fixed else name
    return lambda call: call.flow.layer(
        "Activation", call.tensor(0), positive=positive, elements=call.elements, activation=activation
    )


def _relu(call: Call) -> Tensor:
    return _clipped(call, call.tensor(0), 0.0, inf)


def _leaky(call: Call) -> Tensor:
    slope = call.attribute("alpha", 0.01)
    return call.flow.layer("LeakyReLU", call.tensor(0), elements=call.elements, negative_slope=slope)


def _elu(call: Call) -> Tensor:
    return call.flow.layer("ELU", call.tensor(0), elements=call.elements, alpha=call.attribute("alpha", 1.0))


def _selu(call: Call) -> Tensor:
    usual = {"alpha": 1.6732632, "gamma": 1.050701}
    if any(abs(call.attribute(name, value) - value) > 1e-6 for name, value in usual.items()):
        raise UnsupportedError("its alpha and gamma must be the usual ones")
    return _activation("selu")(call)  # type: ignore[no-any-return]


def _celu(call: Call) -> Tensor:
    return _activation("celu", alpha=call.attribute("alpha", 1.0))(call)  # type: ignore[no-any-return]


def _gelu(call: Call) -> Tensor:
    tanh = call.attribute("approximate", "none") == "tanh"
    return _activation("gelu", approximate=tanh)(call)  # type: ignore[no-any-return]


def _thresholded(call: Call) -> Tensor:
    return _activation("threshold", threshold=call.attribute("alpha", 1.0), default_value=0.0)(call)  # type: ignore[no-any-return]


def _shrink(call: Call) -> Tensor:
    threshold, bias = call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    if bias not in (0.0, threshold):
        raise UnsupportedError(f"its bias must be 0 or lambd; received {bias}")
    return _activation("soft_shrink" if bias else "hard_shrink", threshold=threshold)(call)  # type: ignore[no-any-return]


def _swish(call: Call) -> Tensor:
    alpha = call.attribute("alpha", 1.0)
    if alpha != 1:
        raise UnsupportedError(f"its alpha must be 1; received {alpha}")
    return _activation("silu")(call)  # type: ignore[no-any-return]


def _hard_sigmoid(call: Call) -> Tensor:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    return _clipped(call, _rescaled(call, call.tensor(0), alpha, beta), 0.0, 1.0)


def _clip(call: Call) -> Tensor:
    least, most = -inf, inf
    if call.opset < 11:
        least, most = call.attribute("min", -inf), call.attribute("max", inf)
    else:
        given = [call.constant(number) if call.has(number) else None for number in (1, 2)]
        if any(one is not None and one.size != 1 for one in given):
            raise UnsupportedError("its bounds must be numbers")
        least, most = (
            usual if one is None else float(one.item()) for one, usual in zip(given, (-inf, inf), strict=True)
        )
    return _clipped(call, call.tensor(0), least, most)


def _clipped(call: Call, x: Tensor, least: float, most: float) -> Tensor:
    """min(max(x, least), most)."""
    layer, elements = call.flow.layer, x.elements
    if least <= -1e30 and most >= 1e30:
        return x
    if (least, most) == (-1.0, 1.0):
        return layer("Activation", x, elements=elements, positive=False, activation="hard_tanh")
    if least > most:
        raise UnsupportedError(f"its lower bound is above the upper one: {least}, {most}")
    if least <= -1e30:
        flipped = _clipped(call, _rescaled(call, x, -1.0, most), 0.0, inf)
        return _rescaled(call, flipped, -1.0, most)
    if least == 0:
        bound: dict[str, Any] = {} if most >= 1e30 else {"max_value": most}
        return layer("ReLU", x, elements=elements, positive=True, **bound)
    return _rescaled(call, _clipped(call, _rescaled(call, x, 1.0, -least), 0.0, most - least), 1.0, least)


def _rescaled(call: Call, x: Tensor, scale: Any, offset: Any) -> Tensor:
    """scale · x + offset, numbers or lists along our last axis."""
    kept = x.positive and np.min(scale) >= 0 and np.min(offset) >= 0
    return call.flow.layer("Rescaling", x, elements=x.elements, positive=bool(kept), scale=scale, offset=offset)


def _softmax(kind: str) -> Translator:
    def translate(call: Call) -> Tensor:
        x = call.flow.whole(call.tensor(0))
        axis = call.attribute("axis", -1 if call.opset >= 13 else 1)
        axis += x.rank if axis < 0 else 0
        axes = [axis] if call.opset >= 13 else range(axis, x.rank)
        ours = sorted(x.axis(one) for one in axes if x.shape[one] > 1 or len(axes) == 1) or [x.axis(axis)]
        if kind == "softmax":
            given: Any = -1 if ours == [len(x.order)] else ours
            return call.flow.layer("Softmax", x, positive=True, axis=given)
        if len(ours) > 1:
            raise UnsupportedError("it works along several axes")
        return call.flow.layer("Activation", x, positive=False, activation={kind: {"axis": ours[0]}})

    return translate


def _add(call: Call) -> Operand:
    return _combined(call, "Add", lambda c: (1.0, c), lambda c: (1.0, c))


def _subtracted(call: Call) -> Operand:
    return _combined(call, "Subtract", lambda c: (1.0, -c), lambda c: (-1.0, c))


def _multiplied(call: Call) -> Operand:
    return _combined(call, "Multiply", lambda c: (c, 0.0), lambda c: (c, 0.0))


def _divided(call: Call) -> Operand:
    def inverse(c: Array) -> tuple[Any, float]:
        if not c.all():
            raise UnsupportedError("it divides by 0")
        return 1.0 / c.astype(np.float64), 0.0

    return _combined(call, "", inverse, None)


def _powered(call: Call) -> Operand:
    x, exponent = call.tensor(0), call.constant(1)
    if exponent.size == 1 and exponent.item() == 2:
        return call.flow.layer("Multiply", x, x, elements=x.elements, positive=True)
    raise UnsupportedError("only squares are powers that a layer has")


Affine = Callable[[Array], tuple[Any, Any]]


def _combined(call: Call, merge: str, after: Affine, before: Affine | None) -> Operand:
    """Two tensors, or a tensor and a constant as scale and offset; `before`: of a constant on the left."""
    a, b = call.operand(0), call.operand(1)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return merged(call, merge, [a, b])
    x, constant, affine = (a, b, after) if isinstance(a, Tensor) else (b, a, before)
    assert isinstance(x, Tensor) and not isinstance(constant, Tensor)
    if affine is None:
        raise UnsupportedError("it divides a constant by an output")
    if constant.size == 1 and constant.ndim <= x.rank:
        scale, offset = affine(constant.reshape(()))
        return _rescaled(call, x, float(scale), float(offset))
    axis = _only_axis(constant, x)
    x = call.flow.whole(x)
    x = x if x.order[-1] == axis else call.flow.ordered(x, [*(one for one in x.order if one != axis), axis])
    scale, offset = (np.broadcast_to(one, constant.size) for one in affine(constant.reshape(-1)))
    if x.rank == 4 and constant.size > MOST_LISTED:
        weights = {"kernel": scale.reshape(1, 1, -1, 1), "bias": offset}
        return call.flow.layer("DepthwiseConv2D", x, weights=weights, positive=False, kernel_size=1)
    return _rescaled(call, x, scale.tolist(), offset.tolist())


def _only_axis(constant: Array, x: Tensor) -> int:
    """The ONNX axis of x that a constant has; it is the same along the others."""
    shape = (1,) * (x.rank - constant.ndim) + constant.shape
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    if len(shape) > x.rank or len(axes) != 1 or axes[0] == 0 or shape[axes[0]] != x.shape[axes[0]]:
        raise UnsupportedError(f"a constant of the shape {list(constant.shape)} is not one number for each channel")
    return axes[0]


def merged(call: Call, kind: str, tensors: Sequence[Tensor]) -> Tensor:
    """A layer of several tensors, which broadcast."""
    if not kind:
        raise UnsupportedError("there is no layer for it of two outputs")
    if len({x.rank for x in tensors}) > 1:
        raise UnsupportedError("its inputs have different numbers of axes")
    first = max(tensors, key=lambda x: prod(x.shape))
    elements = first.elements
    if elements is not None and all(x.elements is not None and (x.elements == elements).all() for x in tensors):
        return call.flow.layer(kind, *tensors, elements=elements, positive=False)
    order = first.order if first.elements is None else tuple(range(1, first.rank))
    positive = kind != "Subtract" and all(x.positive for x in tensors)
    return call.flow.layer(kind, *(call.flow.ordered(x, order) for x in tensors), order=order, positive=positive)


def _several(kind: str) -> Translator:
    def translate(call: Call) -> Tensor:
        operands = [call.operand(number) for number in range(len(call.node.inputs))]
        tensors = [one for one in operands if isinstance(one, Tensor)]
        if len(tensors) < len(operands):
            raise UnsupportedError("one of its inputs is a constant")
        return tensors[0] if len(tensors) == 1 else merged(call, kind, tensors)

    return translate


def _gemm(call: Call) -> Tensor:
    """alpha · x · W + beta · c."""
    kernel = call.constant(1)
    if call.attribute("transA", 0):
        raise UnsupportedError("it transposes its first input")
    kernel = kernel.T if call.attribute("transB", 0) else kernel
    bias = call.constant(2) * call.attribute("beta", 1.0) if call.has(2) else None
    return _dense(call, call.tensor(0), kernel * call.attribute("alpha", 1.0), bias)


def _matmul(call: Call) -> Tensor:
    a, b = call.operand(0), call.operand(1)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        raise UnsupportedError("there is no layer for the product of two outputs")
    if not isinstance(a, Tensor) or isinstance(b, Tensor):
        raise UnsupportedError("its kernel is on the left")
    return _dense(call, a, b, None)


def _dense(call: Call, x: Tensor, kernel: Array, bias: Array | None) -> Tensor:
    if kernel.ndim != 2 or x.shape[-1] != kernel.shape[0]:
        raise UnsupportedError(f"its kernel has the shape {list(kernel.shape)}")
    if x.elements is not None:
        kernel = kernel[x.elements]
    elif x.order[-1] != x.rank - 1:
        x = call.flow.ordered(x, [*(one for one in x.order if one != x.rank - 1), x.rank - 1])
    weights = {"kernel": kernel}
    if bias is not None:
        if bias.size not in (1, kernel.shape[1]) or bias.shape[:-1] not in ((), (1,)):
            raise UnsupportedError(f"its bias has the shape {list(bias.shape)}")
        weights["bias"] = np.broadcast_to(bias.reshape(-1), kernel.shape[1])
    units, has_bias = kernel.shape[1], bias is not None
    return call.flow.layer("Dense", x, weights=weights, positive=False, units=units, use_bias=has_bias)


def _batch_normalization(call: Call) -> Tensor:
    x = call.flow.whole(call.tensor(0))
    if call.attribute("training_mode", 0):
        raise UnsupportedError("it is in training mode")
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    weights = {name: call.constant(number) for number, name in enumerate(names, start=1)}
    return call.flow.layer(
        "BatchNormalization",
        x,
        weights=weights,
        positive=False,
        axis=_axis(x, 1),
        epsilon=call.attribute("epsilon", 1e-5),
        momentum=call.attribute("momentum", 0.9),
    )


def _axis(x: Tensor, axis: int) -> int:
    found = x.axis(axis)
    return -1 if found == len(x.order) else found


def _last_axes(call: Call, x: Tensor) -> list[int]:
    """The axes from `axis` on."""
    axis = call.attribute("axis", -1)
    axis += x.rank if axis < 0 else 0
    if not 0 < axis < x.rank:
        raise UnsupportedError("it works along the batch")
    return list(range(axis, x.rank))


def _layer_normalization(call: Call) -> Tensor:
    x = call.flow.straight(call.tensor(0))
    axes = _last_axes(call, x)
    weights = {"gamma": call.constant(1), **({"beta": call.constant(2)} if call.has(2) else {})}
    shape = x.shape[axes[0] :]
    weights = {name: np.broadcast_to(array, shape) for name, array in weights.items()}
    epsilon = call.attribute("epsilon", 1e-5)
    return call.flow.layer(
        *("LayerNormalization", x),
        weights=weights,
        positive=False,
        axis=-1 if len(axes) == 1 else axes,
        epsilon=epsilon,
        center="beta" in weights,
    )


def _instance_normalization(call: Call) -> Tensor:
    return _groups(call, -1)


def _group_normalization(call: Call) -> Tensor:
    return _groups(call, call.attribute("num_groups", 1))


def _groups(call: Call, groups: int) -> Tensor:
    x = call.flow.whole(call.tensor(0))
    channels = x.shape[1]
    gamma, beta = (call.constant(number) for number in (1, 2))
    if gamma.size == groups != channels:  # opset 18 has them by group
        gamma, beta = (np.repeat(one, channels // groups) for one in (gamma, beta))
    return call.flow.layer(
        *("GroupNormalization", x),
        weights={"gamma": gamma, "beta": beta},
        positive=False,
        groups=groups,
        axis=_axis(x, 1),
        epsilon=call.attribute("epsilon", 1e-5),
    )


def _rms_normalization(call: Call) -> Tensor:
    x = call.flow.straight(call.tensor(0))
    axes = _last_axes(call, x)
    scale = np.broadcast_to(call.constant(1), x.shape[axes[0] :])
    return call.flow.layer(
        *("RMSNormalization", x),
        weights={"scale": scale},
        positive=False,
        axis=axes,
        epsilon=call.attribute("epsilon", 1e-5),
    )


def _lp_normalization(call: Call) -> Tensor:
    x = call.flow.whole(call.tensor(0))
    if call.attribute("p", 2) != 2:
        raise UnsupportedError("its norm must be the Euclidean one")
    return call.flow.layer("UnitNormalization", x, axis=_axis(x, call.attribute("axis", -1)))


def _local_response_normalization(call: Call) -> Tensor:
    given = {name: call.attribute(name, usual) for name, usual in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))}
    size = call.attribute("size", 0)
    return call.flow.layer("LocalResponseNormalization", call.flow.image(call.tensor(0)), size=size, **given)


def _absolute(call: Call) -> Tensor:
    """max(x, −x)."""
    x = call.tensor(0)
    negated = _rescaled(call, x, -1.0, 0.0)
    return call.flow.layer("Maximum", x, negated, elements=x.elements, positive=True)


def _parametric(call: Call) -> Tensor:
    x, slope = call.flow.whole(call.tensor(0)), call.constant(1)
    shape = (1,) * (x.rank - slope.ndim) + slope.shape
    if slope.size == 1:
        shape = (1,) * x.rank
    elif len(shape) != x.rank or any(n not in (1, m) for n, m in zip(shape[1:], x.shape[1:], strict=True)):
        raise UnsupportedError(f"its slopes have the shape {list(slope.shape)}")
    own = slope.reshape(shape).transpose(0, *x.order)[0] if shape[0] == 1 else slope
    shared = [axis for axis, length in enumerate(own.shape, start=1) if length == 1]
    return call.flow.layer("PReLU", x, weights={"alpha": own}, positive=False, shared_axes=shared or None)


ARITHMETIC: Mapping[str, Translator] = {
    "Abs": _absolute,
    "Add": _add,
    "BatchNormalization": _batch_normalization,
    "Celu": _celu,
    "Clip": _clip,
    "Div": _divided,
    "Elu": _elu,
    "Exp": _activation("exponential", positive=True),
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GroupNormalization": _group_normalization,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _activation("hard_silu"),
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LRN": _local_response_normalization,
    "LeakyRelu": _leaky,
    "LogSoftmax": _softmax("log_softmax"),
    "LpNormalization": _lp_normalization,
    "MatMul": _matmul,
    "Max": _several("Maximum"),
    "Mean": _several("Average"),
    "Min": _several("Minimum"),
    "Mish": _activation("mish"),
    "Mul": _multiplied,
    "Neg": lambda call: _rescaled(call, call.tensor(0), -1.0, 0.0),
    "PRelu": _parametric,
    "Pow": _powered,
    "RMSNormalization": _rms_normalization,
    "Relu": _relu,
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": _activation("sigmoid", positive=True),
    "Softmax": _softmax("softmax"),
    "Softplus": _activation("softplus", positive=True),
    "Softsign": _activation("softsign"),
    "Sub": _subtracted,
    "Sum": _several("Add"),
    "Swish": _swish,
    "Tanh": _activation("tanh"),
    "ThresholdedRelu": _thresholded,
}
