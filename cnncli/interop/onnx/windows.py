"""ONNX operators of images → layers: convolutions, pooling, padding, resizing."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, prod
from typing import Any, NamedTuple

import numpy as np

from cnncli.interop.incoming.draft import Array, UnsupportedError
from cnncli.interop.onnx.arithmetic import Translator
from cnncli.interop.onnx.call import Call
from cnncli.interop.onnx.values import IMAGE, Tensor

Sides = tuple[tuple[int, int], tuple[int, int]]
"""Before and after, of rows and of columns."""
Pair = tuple[int, int]


class Pool(NamedTuple):
    """Windows: their size and strides, and what is padded."""

    size: Pair
    strides: Pair
    sides: Sides


class Resized(NamedTuple):
    """Height and width of a resized image, and the factors of both. `whole`: those that are integers."""

    size: Sequence[int]
    factors: Sequence[float]
    whole: Sequence[int] | None


NONE: Sides = ((0, 0), (0, 0))


def _extent(kernel: Pair, dilation: Pair) -> Pair:
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def _same(size: Sequence[int], extent: Pair, strides: Pair) -> Sides:
    """What Keras pads for "same"."""
    totals = [max(0, (ceil(n / s) - 1) * s + k - n) for n, k, s in zip(size, extent, strides, strict=True)]
    rows, columns = ((total // 2, total - total // 2) for total in totals)
    return rows, columns


def _sides(call: Call, size: Sequence[int], extent: Pair, strides: Pair) -> Sides:
    """What an operator pads, by its attributes."""
    auto = call.attribute("auto_pad", "NOTSET")
    if auto == "VALID":
        return NONE
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        rows, columns = _same(size, extent, strides)
        return (rows, columns) if auto == "SAME_UPPER" else (rows[::-1], columns[::-1])
    pads = call.attribute("pads", []) or [0, 0, 0, 0]
    if len(pads) != 4 or min(pads) < 0:
        raise UnsupportedError(f"its pads must be four numbers ≥ 0; received {pads}")
    return (pads[0], pads[2]), (pads[1], pads[3])


def _ceiled(sides: Sides, size: Sequence[int], extent: Pair, strides: Pair) -> Sides:
    """With more after the image, so that the last window of `ceil_mode` fits."""
    found = []
    for (before, after), n, k, s in zip(sides, size, extent, strides, strict=True):
        windows = ceil((n + before + after - k) / s) + 1
        if (windows - 1) * s >= n + before:  # windows that begin in the padding after do not count
            windows -= 1
        found.append((before, max(after, (windows - 1) * s + k - n - before)))
    return found[0], found[1]


def _convolved(call: Call) -> Tensor:
    x, kernel = call.flow.image(call.tensor(0)), call.constant(1)
    if kernel.ndim != 4:
        raise UnsupportedError(f"its kernel has the shape {list(kernel.shape)}")
    outputs, per_group, *size = kernel.shape
    strides, dilation, groups = call.pair("strides", 1), call.pair("dilations", 1), call.attribute("group", 1)
    extent = _extent((size[0], size[1]), dilation)
    x, padding = _padded(call, x, extent, strides, _sides(call, x.own_shape[:2], extent, strides))
    weights = {} if not call.has(2) else {"bias": call.constant(2)}
    given = {
        "kernel_size": size,
        "strides": list(strides),
        "dilation_rate": list(dilation),
        "padding": padding,
        "use_bias": bool(weights),
    }
    channels = x.shape[1]
    if groups == channels > 1 and per_group == 1 and outputs % channels == 0:
        times = outputs // channels
        weights["kernel"] = kernel.reshape(channels, times, *size).transpose(2, 3, 0, 1)
        return call.flow.layer("DepthwiseConv2D", x, weights=weights, positive=False, depth_multiplier=times, **given)
    weights["kernel"] = kernel.transpose(2, 3, 1, 0)
    return call.flow.layer("Conv2D", x, weights=weights, positive=False, filters=outputs, groups=groups, **given)


def _padded(call: Call, x: Tensor, extent: Pair, strides: Pair, sides: Sides) -> tuple[Tensor, str]:
    """The image, padded if Keras' paddings are others; and the padding of the layer."""
    if sides == NONE:
        return x, "valid"
    if sides == _same(x.own_shape[:2], extent, strides):
        return x, "same"
    return call.flow.layer("ZeroPadding2D", x, padding=[list(side) for side in sides]), "valid"


def _transposed(call: Call) -> Tensor:
    x, kernel = call.flow.image(call.tensor(0)), call.constant(1)
    if kernel.ndim != 4 or call.attribute("group", 1) != 1:
        raise UnsupportedError("it must be of images, without groups")
    size, strides, dilation = kernel.shape[2:], call.pair("strides", 1), call.pair("dilations", 1)
    extent, more = _extent((size[0], size[1]), dilation), call.pair("output_padding", 0)
    full = [(n - 1) * s + k for n, s, k in zip(x.own_shape[:2], strides, extent, strict=True)]
    sides = _cut(call, x.own_shape[:2], full, strides, more)
    grown = [max(0, -after) for _, after in sides]
    weights = {"kernel": kernel.transpose(2, 3, 1, 0), **({"bias": call.constant(2)} if call.has(2) else {})}
    given: dict[str, Any] = {"strides": list(strides), "dilation_rate": list(dilation), "kernel_size": list(size)}
    given |= {"filters": kernel.shape[1], "use_bias": call.has(2)}
    same = [_half(max(0, k - s)) for k, s in zip(extent, strides, strict=True)]
    if list(map(tuple, sides)) == same and all(k >= s for k, s in zip(extent, strides, strict=True)):
        return call.flow.layer("Conv2DTranspose", x, weights=weights, positive=False, padding="same", **given)
    y = call.flow.layer("Conv2DTranspose", x, weights=weights, positive=False, output_padding=grown, **given)
    cropping = [[before, max(0, after)] for before, after in sides]
    return y if cropping == [[0, 0], [0, 0]] else call.flow.layer("Cropping2D", y, cropping=cropping)


def _half(total: int) -> Pair:
    return total // 2, total - total // 2


def _cut(call: Call, size: Sequence[int], full: Sequence[int], strides: Pair, more: Pair) -> Sides:
    """What a transposed convolution cuts off its full output; a negative number after it adds."""
    wanted = call.attribute("output_shape", [])
    auto = call.attribute("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER") and not wanted:
        wanted = [n * s for n, s in zip(size, strides, strict=True)]
    if not wanted:
        rows, columns = _sides(call, size, (1, 1), (1, 1)) if auto == "NOTSET" else NONE
        return (rows[0], rows[1] - more[0]), (columns[0], columns[1] - more[1])
    if len(wanted) not in (2, 4):
        raise UnsupportedError(f"its output_shape must be two numbers; received {wanted}")
    found = []
    for length, total, extra in zip(wanted[-2:], full, more, strict=True):
        cut = total + extra - length
        before = cut - cut // 2 if auto == "SAME_UPPER" else cut // 2
        before = cut // 2 if auto != "SAME_LOWER" else cut - cut // 2
        found.append((before, cut - before - extra))
    if min(before for before, _ in found) < 0:
        raise UnsupportedError("its output is larger than its windows reach")
    return found[0], found[1]


def _largest(call: Call) -> Tensor:
    x, size, strides, dilation = _window(call)
    if dilation != (1, 1) or call.attribute("storage_order", 0) or len(call.node.outputs) > 1:
        raise UnsupportedError("a maximum with dilation, or with its places, has no layer")
    sides = _pool_sides(call, x, size, strides)
    given: dict[str, Any] = {"pool_size": list(size)}
    if sides in (NONE, _same(x.own_shape[:2], size, strides)):
        padding = "valid" if sides == NONE else "same"
        return call.flow.layer("MaxPooling2D", x, strides=list(strides), padding=padding, **given)
    if x.positive:
        y = call.flow.layer("ZeroPadding2D", x, padding=[list(side) for side in sides])
        return call.flow.layer("MaxPooling2D", y, strides=list(strides), **given)
    return _thinned(call, "MaxPooling2D", x, Pool(size, strides, sides))


def _thinned(call: Call, kind: str, x: Tensor, pool: Pool) -> Tensor:
    """A pool whose padding no layer has: one with a window around every pixel, of which some are taken then."""
    size, strides, sides = pool
    cropping = []
    for n, k, s, (before, after) in zip(x.own_shape[:2], size, strides, sides, strict=True):
        first = (k - 1) // 2 - before
        left = n - 1 - first - (n + before + after - k) // s * s
        if first < 0 or left < 0:
            raise UnsupportedError(f"its pads {[list(side) for side in sides]} are no padding of a layer")
        cropping.append([first, left if left >= s else 0])
    found = call.flow.layer(kind, x, pool_size=list(size), strides=[1, 1], padding="same")
    if cropping != [[0, 0], [0, 0]]:
        found = call.flow.layer("Cropping2D", found, cropping=cropping)
    return found if strides == (1, 1) else call.flow.layer("MaxPooling2D", found, pool_size=1, strides=list(strides))


def _pool_sides(call: Call, x: Tensor, size: Pair, strides: Pair) -> Sides:
    sides = _sides(call, x.own_shape[:2], size, strides)
    return _ceiled(sides, x.own_shape[:2], size, strides) if call.attribute("ceil_mode", 0) else sides


def _window(call: Call) -> tuple[Tensor, Pair, Pair, Pair]:
    """The image, and the size, strides and dilation of a pool's windows."""
    x = call.flow.image(call.tensor(0))
    return x, call.pair("kernel_shape", 0), call.pair("strides", 1), call.pair("dilations", 1)


def _averaged(call: Call) -> Tensor:
    x, size, strides, dilation = _window(call)
    if dilation != (1, 1):
        raise UnsupportedError("an average with dilation has no layer")
    sides, plain = _pool_sides(call, x, size, strides), _sides(call, x.own_shape[:2], size, strides)
    given: dict[str, Any] = {"pool_size": list(size), "strides": list(strides)}
    if sides == NONE:
        return call.flow.layer("AveragePooling2D", x, **given)
    if call.attribute("count_include_pad", 0):
        if sides != plain:
            raise UnsupportedError("it counts some of its padding only")
        y = call.flow.layer("ZeroPadding2D", x, padding=[list(side) for side in sides])
        return call.flow.layer("AveragePooling2D", y, **given)
    if sides == _same(x.own_shape[:2], size, strides):
        return call.flow.layer("AveragePooling2D", x, padding="same", **given)
    return _thinned(call, "AveragePooling2D", x, Pool(size, strides, sides))


def _global(kind: str) -> Translator:
    def translate(call: Call) -> Tensor:
        return call.flow.layer(kind, call.flow.image(call.tensor(0)), keepdims=True)

    return translate


def _reduced_mean(call: Call) -> Tensor:
    return _reduced(call, call.tensor(0), "GlobalAveragePooling2D")


def _reduced_largest(call: Call) -> Tensor:
    return _reduced(call, call.tensor(0), "GlobalMaxPooling2D")


def _reduced_smallest(call: Call) -> Tensor:
    return _negated(call, _reduced(call, _negated(call, call.tensor(0)), "GlobalMaxPooling2D"))


def _negated(call: Call, x: Tensor) -> Tensor:
    return call.flow.layer("Rescaling", x, positive=False, scale=-1.0)


def _reduced_sum(call: Call) -> Tensor:
    return _sum(call, call.tensor(0))


def _reduced_squares(call: Call) -> Tensor:
    return _sum(call, call.flow.layer("Multiply", call.tensor(0), call.tensor(0), positive=True))


def _sum(call: Call, x: Tensor) -> Tensor:
    found = _reduced(call, x, "GlobalAveragePooling2D")
    return call.flow.layer("Rescaling", found, scale=float(prod(x.shape[axis] for axis in _reduced_axes(call, x))))


def _reduced_axes(call: Call, x: Tensor) -> list[int]:
    axes = call.integers(1) if call.has(1) else call.attribute("axes", [])
    if not all(-x.rank <= axis < x.rank for axis in axes):
        raise UnsupportedError(f"its axes are {axes}, of {x.rank}")
    every = () if call.attribute("noop_with_empty_axes", 0) else range(x.rank)
    found = sorted({axis % x.rank for axis in axes} or every)
    if 0 in found:
        raise UnsupportedError("it works along the batch")
    return found


def _reduced(call: Call, x: Tensor, kind: str) -> Tensor:
    """A mean or maximum along some axes, by a global pooling."""
    keep, axes = bool(call.attribute("keepdims", 1)), _reduced_axes(call, x)
    if not axes:
        return x
    if x.rank == 4 and axes == [2, 3]:
        return call.flow.layer(kind, call.flow.image(x), order=IMAGE if keep else (1,), keepdims=keep)
    kept = [axis for axis in range(1, x.rank) if axis not in axes]
    if not kept and not keep:
        raise UnsupportedError("it leaves one number of each image, without an axis")
    lengths = [x.shape[axis] for axis in kept]
    x = call.flow.ordered(x, [*axes, *kept])
    target = [prod(x.shape[axis] for axis in axes), 1, prod(lengths)]
    pooled = call.flow.layer(kind, call.flow.layer("Reshape", x, order=(1, 2, 3), target_shape=target), order=(1,))
    if keep:
        return call.flow.layer("Reshape", pooled, order=(*axes, *kept), target_shape=[*(1 for _ in axes), *lengths])
    return call.flow.layer("Reshape", pooled, order=tuple(range(1, len(kept) + 1)), target_shape=lengths)


def _bordered(call: Call) -> Tensor:
    x, mode = call.tensor(0), call.attribute("mode", "constant")
    pads = call.integers(1) if call.has(1) else call.attribute("pads", [])
    axes = call.integers(3) if call.has(3) else list(range(x.rank))
    value = float(call.constant(2).item()) if call.has(2) else call.attribute("value", 0.0)
    before, after = dict.fromkeys(range(x.rank), 0), dict.fromkeys(range(x.rank), 0)
    if len(pads) != 2 * len(axes) or any(not -x.rank <= axis < x.rank for axis in axes):
        raise UnsupportedError(f"its pads are {pads}")
    for number, axis in enumerate(axes):
        before[axis % x.rank], after[axis % x.rank] = pads[number], pads[number + len(axes)]
    if not any(pads):
        return x
    if mode != "constant" or x.rank != 4 or any(before[axis] or after[axis] for axis in (0, 1)):
        raise UnsupportedError(f"it pads in the mode {mode}, or more than height and width")
    x = call.flow.image(x)
    sides = [(before[2], after[2]), (before[3], after[3])]
    if any(one < 0 for side in sides for one in side):
        x = call.flow.layer("Cropping2D", x, cropping=[[max(0, -a), max(0, -b)] for a, b in sides])
    grown = [[max(0, a), max(0, b)] for a, b in sides]
    if grown == [[0, 0], [0, 0]]:
        return x
    if value == 0:
        return call.flow.layer("ZeroPadding2D", x, padding=grown)
    shifted = call.flow.layer("Rescaling", x, positive=False, scale=1.0, offset=-value)
    bordered = call.flow.layer("ZeroPadding2D", shifted, padding=grown)
    return call.flow.layer("Rescaling", bordered, positive=False, scale=1.0, offset=value)


def _resized(call: Call) -> Tensor:
    x = call.tensor(0)
    scales, sizes = _scales(call, x)
    if x.rank != 4 or sizes[:2] != list(x.shape[:2]):
        raise UnsupportedError("it resizes more than height and width")
    x = call.flow.image(x)
    mode, how = call.attribute("mode", "nearest"), call.attribute("coordinate_transformation_mode", "half_pixel")
    how = "asymmetric" if call.node.operator == "Upsample" or call.opset < 11 else how
    if call.attribute("antialias", 0) or call.attribute("exclude_outside", 0):
        raise UnsupportedError("antialiasing, and exclude_outside, have no layer")
    inner, outer, factors = x.own_shape[:2], sizes[2:], scales[2:]
    times = [b // a for a, b in zip(inner, outer, strict=True)]
    whole = all(n * t == m and f == t for n, t, m, f in zip(inner, times, outer, factors, strict=True))
    if list(inner) == outer and all(f == 1 for f in factors):
        return x
    if mode == "nearest":
        nearest = call.attribute("nearest_mode", "round_prefer_floor") if call.opset >= 11 else "floor"
        return _picked(call, x, Resized(outer, factors, times if whole else None), (how, nearest))
    if mode in ("linear", "bilinear") and _is_centered(how, inner, outer, factors):
        if whole:
            return call.flow.layer("UpSampling2D", x, size=times, interpolation="bilinear")
        return call.flow.layer("Resizing", x, height=outer[0], width=outer[1])
    raise UnsupportedError(f"it resizes in the mode {mode} with the coordinates {how}")


def _scales(call: Call, x: Tensor) -> tuple[list[float], list[int]]:
    """The factors and the lengths of the output, for every axis."""
    old = call.opset < 11
    given = call.attribute("scales", []) if call.node.operator == "Upsample" and call.opset < 9 else None
    axes = call.attribute("axes", []) or list(range(x.rank))
    if not old and call.has(3) and call.constant(3).size:
        if call.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UnsupportedError("it keeps the aspect ratio")
        sizes = list(x.shape)
        for axis, length in zip(axes, call.integers(3), strict=True):
            sizes[axis] = length
        return [b / a for a, b in zip(x.shape, sizes, strict=True)], sizes
    place = 1 if old else 2
    listed = given if given is not None else call.constant(place).reshape(-1).tolist()
    scales = [1.0] * x.rank
    if len(listed) != len(axes):
        raise UnsupportedError(f"its scales are {listed}")
    for axis, factor in zip(axes, listed, strict=True):
        scales[axis] = float(factor)
    return scales, [floor(n * factor) for n, factor in zip(x.shape, scales, strict=True)]


def _is_centered(how: str, inner: Sequence[int], outer: Sequence[int], factors: Sequence[float]) -> bool:
    """Whether coordinates are those of pixels' centers, as Keras' are."""
    exact = all(abs(m / n - f) < 1e-9 for n, m, f in zip(inner, outer, factors, strict=True))
    return exact and (how == "half_pixel" or (how == "pytorch_half_pixel" and min(outer) > 1))


def _picked(call: Call, x: Tensor, to: Resized, rule: tuple[str, str]) -> Tensor:
    """The nearest pixels, if they are those that a layer takes. `rule`: the coordinates, and how they are rounded."""
    inner = x.own_shape[:2]
    wanted = [_nearest(n, m, f, *rule) for n, m, f in zip(inner, to.size, to.factors, strict=True)]
    repeated = [] if to.whole is None else [np.arange(m) // t for m, t in zip(to.size, to.whole, strict=True)]
    if repeated and all(map(np.array_equal, wanted, repeated)):
        return call.flow.layer("UpSampling2D", x, size=list(to.whole or ()))
    ours = [np.floor((np.arange(m) + 0.5) * (n / m)) for n, m in zip(inner, to.size, strict=True)]
    if all(map(np.array_equal, wanted, ours)):
        height, width = to.size
        return call.flow.layer("Resizing", x, height=height, width=width, interpolation="nearest")
    raise UnsupportedError(f"it takes pixels as no layer does: {', '.join(rule)}")


def _nearest(inner: int, outer: int, factor: float, how: str, nearest: str) -> Array:
    """The pixel that each place takes along an axis (onnx' Resize)."""
    places = np.arange(outer, dtype=np.float64)
    if how == "asymmetric":
        at = places / factor
    elif how in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"):
        at = (places + 0.5) / factor - 0.5
    elif how == "align_corners":
        at = places * (inner - 1) / max(1, outer - 1)
    else:
        raise UnsupportedError(f"the coordinates {how} have no layer")
    rounding: dict[str, Callable[[Array], Array]] = {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda value: np.ceil(value - 0.5),
        "round_prefer_ceil": lambda value: np.floor(value + 0.5),
    }
    if nearest not in rounding:
        raise UnsupportedError(f"its nearest_mode is {nearest}")
    return np.clip(rounding[nearest](at), 0, inner - 1)


WINDOWS: Mapping[str, Translator] = {
    "AveragePool": _averaged,
    "Conv": _convolved,
    "ConvTranspose": _transposed,
    "GlobalAveragePool": _global("GlobalAveragePooling2D"),
    "GlobalMaxPool": _global("GlobalMaxPooling2D"),
    "MaxPool": _largest,
    "Pad": _bordered,
    "ReduceMax": _reduced_largest,
    "ReduceMean": _reduced_mean,
    "ReduceMin": _reduced_smallest,
    "ReduceSum": _reduced_sum,
    "ReduceSumSquare": _reduced_squares,
    "Resize": _resized,
    "Upsample": _resized,
}
