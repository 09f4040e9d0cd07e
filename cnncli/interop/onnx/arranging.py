"""ONNX operators that rearrange their input → layers, or just other names of axes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from cnncli.interop.incoming.draft import UnsupportedError
from cnncli.interop.onnx.arithmetic import Translator
from cnncli.interop.onnx.call import Call, Operand
from cnncli.interop.onnx.constants import slices
from cnncli.interop.onnx.messages import FLOATS
from cnncli.interop.onnx.values import IMAGE, Tensor

ALL = (1 << 31) - 1
"""The end of a slice that means all."""


def _flattened(call: Call) -> Tensor:
    x, axis = call.tensor(0), call.attribute("axis", 1)
    if axis not in (1, 1 - x.rank):
        raise UnsupportedError("it mixes images")
    return call.flow.reshape(x, (1, prod(x.shape)))


def _reshaped(call: Call) -> Tensor:
    x = call.tensor(0)
    shape = call.integers(1) if len(call.values) > 1 else [int(one) for one in call.attribute("shape", [])]
    if not call.attribute("allowzero", 0):
        if any(length == 0 and number >= x.rank for number, length in enumerate(shape)):
            raise UnsupportedError(f"its shape is {shape}")
        shape = [x.shape[number] if length == 0 else length for number, length in enumerate(shape)]
    known = prod(length for length in shape if length != -1)
    if shape.count(-1) == 1 and known > 0:
        shape = [prod(x.shape) // known if length == -1 else length for length in shape]
    return call.flow.reshape(x, shape)


def _transposed(call: Call) -> Tensor:
    x = call.flow.whole(call.tensor(0))
    axes = call.attribute("perm", []) or list(reversed(range(x.rank)))
    if sorted(axes) != list(range(x.rank)) or axes[0] != 0:
        raise UnsupportedError(f"it moves the batch: {axes}")
    return Tensor(x.name, tuple(x.shape[axis] for axis in axes), tuple(map(axes.index, x.order)), None, x.positive)


def _squeezed(call: Call) -> Tensor:
    x = call.tensor(0)
    given = call.integers(1) if call.has(1) else call.attribute("axes", [])
    axes = {axis % x.rank for axis in given} or {axis for axis in range(1, x.rank) if x.shape[axis] == 1}
    if 0 in axes or any(x.shape[axis] != 1 for axis in axes):
        raise UnsupportedError(f"it removes the axes {sorted(axes)} of the shape {list(x.shape)}")
    return call.flow.reshape(x, [length for axis, length in enumerate(x.shape) if axis not in axes])


def _unsqueezed(call: Call) -> Tensor:
    x = call.tensor(0)
    axes = call.integers(1) if call.has(1) else call.attribute("axes", [])
    rank = x.rank + len(axes)
    shape, places = list(x.shape), sorted(axis % rank for axis in axes)
    if 0 in places:
        raise UnsupportedError("it adds an axis before the batch")
    for axis in places:
        shape.insert(axis, 1)
    return call.flow.reshape(x, shape)


def _joined(call: Call) -> Tensor:
    tensors = [call.flow.whole(call.tensor(number)) for number in range(len(call.values))]
    if len(tensors) == 1:
        return tensors[0]
    order = tensors[0].order
    tensors = [call.flow.ordered(x, order) for x in tensors]
    axis, positive = tensors[0].axis(call.attribute("axis", 1)), all(x.positive for x in tensors)
    return call.flow.layer("Concatenate", *tensors, positive=positive, axis=-1 if axis == len(order) else axis)


def _same(call: Call) -> Operand:
    return call.operand(0)


def _cast(call: Call) -> Operand:
    if call.attribute("to", 1) not in FLOATS:
        raise UnsupportedError("it rounds to another type; layers compute in float32")
    return call.operand(0)


def _dropped(call: Call) -> Tensor:
    x = call.tensor(0)
    if call.has(2) and call.constant(2).any():
        raise UnsupportedError("it is in training mode")
    rate = float(call.constant(1).item()) if call.has(1) else call.attribute("ratio", 0.5)
    if not 0 < rate < 1:
        return x
    return call.flow.layer("Dropout", x, elements=x.elements, rate=rate)


def _cut(call: Call) -> Tensor:
    x = call.flow.whole(call.tensor(0))
    bounds = [call.constant(number) if call.has(number) else None for number in range(1, len(call.values))]
    try:
        wanted = slices(x.shape, bounds, call.node.attributes)
    except (KeyError, TypeError, ValueError, IndexError):
        raise UnsupportedError("its bounds can't be read") from None
    return _taken(call, x, wanted)


def _taken(call: Call, x: Tensor, wanted: Sequence[slice]) -> Tensor:
    """Part of a tensor, one axis after the other."""
    if wanted[0] != slice(None) and not (wanted[0].start == 0 and wanted[0].stop >= ALL and wanted[0].step == 1):
        raise UnsupportedError("it takes some images of a batch only")
    for axis, part in enumerate(wanted[1:], start=1):
        start, stop, step = part.indices(x.shape[axis])
        if len(range(start, stop, step)) == x.shape[axis] and step == 1:
            continue
        if step < 1 or stop <= start:
            raise UnsupportedError("it takes nothing, or backwards")
        x = _part(call, x, axis, range(start, stop, step))
    return x


def _part(call: Call, x: Tensor, axis: int, kept: range) -> Tensor:
    """Some places along an axis, by cropping an image whose height that axis is."""
    if x.rank > 4:
        raise UnsupportedError(f"it works on 4 axes at most; received {x.rank}")
    shape = x.shape
    spatial = len(x.order) == 3 and axis in x.order[:2]
    x = x if spatial else call.flow.ordered(x, [axis, *(one for one in x.order if one != axis)])
    order, own = x.order, x.own_shape
    if len(order) < 3:
        padded = [*own, *[1] * (3 - len(own))]
        x = call.flow.layer("Reshape", x, order=(1, 2, 3), target_shape=padded)
    place = order.index(axis)
    sides = [[0, 0], [0, 0]]
    sides[place] = [kept.start, shape[axis] - (kept[-1] + 1)]
    if sides != [[0, 0], [0, 0]]:
        x = call.flow.layer("Cropping2D", x, cropping=sides)
    if kept.step > 1:
        strides = [1, 1]
        strides[place] = kept.step
        x = call.flow.layer("MaxPooling2D", x, pool_size=[1, 1], strides=strides)
    lengths = tuple(len(kept) if one == axis else length for one, length in enumerate(shape))
    if len(order) < 3:
        return call.flow.layer("Reshape", x, order=order, target_shape=[lengths[one] for one in order])
    return replace(x, order=order, shape=lengths)


def _divided(call: Call) -> list[Tensor]:
    x = call.flow.whole(call.tensor(0))
    axis = call.attribute("axis", 0)
    axis += x.rank if axis < 0 else 0
    count = len(call.node.outputs)
    lengths = call.integers(1) if call.has(1) else call.attribute("split", [])
    if not lengths:
        each = -(-x.shape[axis] // count)
        lengths = [min(each, x.shape[axis] - each * number) for number in range(count)]
    if axis == 0 or len(lengths) != count or sum(lengths) != x.shape[axis] or min(lengths) < 1:
        raise UnsupportedError(f"it divides the axis {axis} of the shape {list(x.shape)} into {lengths}")
    ends = np.cumsum([0, *lengths]).tolist()
    parts: list[Any] = [[slice(None)] * x.rank for _ in lengths]
    for part, start, end in zip(parts, ends[:-1], ends[1:], strict=True):
        part[axis] = slice(start, end)
    return [_taken(call, x, part) for part in parts]


def _expanded(call: Call) -> Tensor:
    x, shape = call.tensor(0), call.integers(1)
    if np.broadcast_shapes(x.shape, tuple(shape)) != x.shape:
        raise UnsupportedError(f"it repeats {list(x.shape)} to {shape}")
    return x


def _in_blocks(call: Call) -> Tensor:
    """DepthToSpace: blocks of channels become blocks of pixels."""
    x, block, mode = call.flow.image(call.tensor(0)), call.attribute("blocksize", 1), call.attribute("mode", "DCR")
    height, width, channels = x.own_shape
    left = channels // block**2
    if left * block**2 != channels:
        raise UnsupportedError(f"its {channels} channels are no blocks of {block} × {block}")
    inner = [block, block, left] if mode == "DCR" else [left, block, block]
    y = call.flow.layer("Reshape", x, order=(1, 2, 3, 4, 5), target_shape=[height, width, *inner])
    dims = [1, 3, 2, 4, 5] if mode == "DCR" else [1, 4, 2, 5, 3]
    y = call.flow.layer("Permute", y, order=(1, 2, 3, 4, 5), dims=dims)
    return call.flow.layer("Reshape", y, order=IMAGE, target_shape=[height * block, width * block, left])


def _of_blocks(call: Call) -> Tensor:
    """SpaceToDepth: blocks of pixels become channels."""
    x, block = call.flow.image(call.tensor(0)), call.attribute("blocksize", 1)
    height, width, channels = x.own_shape
    if block < 1 or height % block or width % block:
        raise UnsupportedError(f"its image of {height} × {width} is no blocks of {block} × {block}")
    rows, columns, by_channel = height // block, width // block, call.attribute("mode", "DCR") == "CRD"
    y = call.flow.layer("Reshape", x, order=(1, 2, 3, 4, 5), target_shape=[rows, block, columns, block, channels])
    dims = [1, 3, 5, 2, 4] if by_channel else [1, 3, 2, 4, 5]
    y = call.flow.layer("Permute", y, order=(1, 2, 3, 4, 5), dims=dims)
    return call.flow.layer("Reshape", y, order=IMAGE, target_shape=[rows, columns, channels * block**2])


ARRANGING: Mapping[str, Translator] = {
    "Cast": _cast,
    "Concat": _joined,
    "DepthToSpace": _in_blocks,
    "Dropout": _dropped,
    "Expand": _expanded,
    "Flatten": _flattened,
    "Identity": _same,
    "Reshape": _reshaped,
    "Slice": _cut,
    "SpaceToDepth": _of_blocks,
    "Split": _divided,
    "Squeeze": _squeezed,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
}
