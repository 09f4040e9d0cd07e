"""Operators on constants alone, such as those that compute shapes: NumPy computes them when a graph is read."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from cnncli.interop.incoming.draft import Array, UnsupportedError
from cnncli.interop.onnx.messages import DTYPES

LARGEST, LARGEST_VIEW = 1 << 24, 1 << 28
"""Elements of a computed constant, and of one that repeats a number and takes no memory: few bytes may ask for many."""
Compute = Callable[..., Any]


def computed(operator: str, inputs: Sequence[Array | None], attributes: Mapping[str, Any], opset: int) -> list[Array]:
    """The outputs of an operator on constants. Raises UnsupportedError for an unknown one, or for too large a result.

    The input that is an attribute in older versions, such as the axes of Unsqueeze, is taken from either.
    """
    compute = COMPUTED.get(operator)
    if compute is None:
        raise UnsupportedError("it is computed from constants alone, by an operator that is not known")
    given = dict(attributes)
    if operator in LISTED and len(inputs) > 1 and inputs[1] is not None:
        given[LISTED[operator]] = np.atleast_1d(inputs[1]).tolist()
        inputs = inputs[:1]
    try:
        with np.errstate(all="ignore"):
            found = compute(*inputs, **{key: given[key] for key in given if key in ATTRIBUTES})
    except (TypeError, ValueError, IndexError, OverflowError, MemoryError, AttributeError) as error:
        raise UnsupportedError(f"it can't be computed from these constants: {error}") from None
    return [np.asarray(one) for one in (found if isinstance(found, list) else [found])]


def limited(shape: Sequence[int], most: int = LARGEST) -> tuple[int, ...]:
    """A shape that may be allocated. Raises UnsupportedError for others."""
    lengths = tuple(int(length) for length in shape)
    if min(lengths, default=0) < 0 or prod(lengths) > most:
        raise UnsupportedError(f"it makes a constant of the shape {list(lengths)}")
    return lengths


def _constant(**given: Any) -> Any:
    for key in ("value", "value_float", "value_int"):
        if key in given:
            found = given[key]
            return found if key == "value" else np.array(found, np.float32 if key == "value_float" else np.int64)
    if "value_floats" in given:
        return np.array(given["value_floats"], np.float32)
    return np.array(given["value_ints"], np.int64)


def _filled(shape: Array, value: Array | None = None) -> Array:
    fill = np.zeros(1, np.float32) if value is None else value
    return np.broadcast_to(fill.reshape(-1)[:1], limited(shape.tolist(), LARGEST_VIEW))


def _cast(x: Array, to: int) -> Array:
    if to not in DTYPES or to == 16:
        raise ValueError(f"type {to}")
    return x.astype(DTYPES[to])


def _unsqueezed(x: Array, axes: Sequence[int]) -> Array:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = np.expand_dims(x, axis)
    return x


def _squeezed(x: Array, axes: Sequence[int] | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(axes))


def _sliced(x: Array, *bounds: Array, **given: Any) -> Array:
    return x[slices(x.shape, bounds, given)]


def slices(shape: Sequence[int], bounds: Sequence[Any], given: Mapping[str, Any]) -> tuple[slice, ...]:
    """The slices of Slice, by its inputs or, in older versions, its attributes."""
    listed = [None if one is None else np.atleast_1d(one).tolist() for one in bounds]
    starts, ends, axes, steps = [*listed, None, None, None, None][:4]
    starts, ends = starts if starts is not None else given["starts"], ends if ends is not None else given["ends"]
    axes = axes if axes is not None else given.get("axes", list(range(len(starts))))
    steps = steps if steps is not None else [1] * len(starts)
    found = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        found[axis] = slice(start, None if step < 0 and end < -shape[axis] else end, step)
    return tuple(found)


def _reshaped(x: Array, shape: Array, allowzero: int = 0) -> Array:
    return x.reshape([x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(shape.tolist())])


def _range(start: Array, limit: Array, delta: Array) -> Array:
    count = (limit.item() - start.item()) / delta.item()
    limited([max(0, int(count) + 1)])
    return np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _expanded(x: Array, shape: Array) -> Array:
    wanted = np.broadcast_shapes(x.shape, limited(shape.tolist(), LARGEST_VIEW))
    return np.broadcast_to(x, limited(wanted, LARGEST_VIEW))


def _paired(function: Callable[[Any, Any], Any]) -> Compute:
    """Of two arrays, whose result may be larger than both."""

    def compute(a: Array, b: Array) -> Any:
        limited(np.broadcast_shapes(a.shape, b.shape))
        return function(a, b)

    return compute


def _divided(a: Array, b: Array) -> Any:
    return a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype)


def _gathered(x: Array, indices: Array, axis: int = 0) -> Any:
    limited([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])
    return np.take(x, indices, axis)


def _matmul(a: Array, b: Array) -> Any:
    limited([*a.shape[:-1], *b.shape[-1:]])
    return a @ b


COMPUTED: Mapping[str, Compute] = {
    "Add": _paired(np.add),
    "Cast": _cast,
    "Ceil": np.ceil,
    "Concat": lambda *arrays, axis: np.concatenate(arrays, axis),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Div": _paired(_divided),
    "Equal": _paired(np.equal),
    "Expand": _expanded,
    "Floor": np.floor,
    "Gather": _gathered,
    "Identity": lambda x: x,
    "MatMul": _matmul,
    "Mul": _paired(np.multiply),
    "Neg": np.negative,
    "Pow": _paired(np.power),
    "Range": _range,
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Sqrt": np.sqrt,
    "Squeeze": _squeezed,
    "Sub": _paired(np.subtract),
    "Transpose": lambda x, perm=None: np.transpose(x, perm),
    "Unsqueeze": _unsqueezed,
    "Where": lambda c, a, b: np.where(c, a, b) if limited(np.broadcast_shapes(c.shape, a.shape, b.shape)) else None,
}
LISTED = {"Squeeze": "axes", "Unsqueeze": "axes"}
"""Operators whose second input is an attribute in older versions."""
ATTRIBUTES = frozenset(
    [
        "allowzero",
        "axes",
        "axis",
        "ends",
        "perm",
        "starts",
        "to",
        "value",
        "value_float",
        "value_floats",
        "value_int",
        "value_ints",
    ]
)
