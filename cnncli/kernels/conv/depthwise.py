"""Depthwise convolution, channels last: one kernel per channel (Howard et al. 2017, section 3.1).

Vectors run along the channels. Each output element is one chain of fused multiply-adds, in the order (kh, kw) in the
forward pass, and reversed in the input gradient. The weight gradient is in `depthwise_weights`.

Both read the image where it is. The usual kernels, 3 × 3 and 5 × 5 without dilation, take zeros where a tap is outside
(`filter_rows`); for all others, a row of output is cut where pixels at the border have fewer taps (`correlate_row`).

Forward pass and input gradient use the same workers, except that the input gradient of the usual kernels with strides
of 2 takes pairs of pixels, which read the same pixels of the gradient (`spread_rows`). Output pixels with distance
`spread` use the same taps: in the forward pass all pixels, with input stride `strides`; in the input gradient, where
the output is strided, the pixels of one phase (as in `conv2d_gradient`).
"""

from collections.abc import Iterable, Sequence
from math import gcd
from typing import NamedTuple

import numpy as np
from numba import njit, types

from cnncli.kernels.conv.depthwise_blocks import SHARED, correlate_row, filter_rows, spread_rows
from cnncli.kernels.conv.geometry import FILTERED, Geometry
from cnncli.kernels.gemm.dense import GRAIN, shares
from cnncli.kernels.gemm.epilogue import EPILOGUE, LIMITS, PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import call
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, fields, images, view, worker
from cnncli.kernels.vector.lanes import LINE

CORRELATE = block(f"kernel out blocks rows columns spread_y spread_x kw x height width channels sy sx {EPILOGUE}")
FILTERING = "kernel out height width channels rows columns sy dy top left kernel_row kernel_step low:f high:f"
FILTER = block(f"x blocks block {FILTERING} {EPILOGUE}")
SPREAD = block(
    "grad kernel out blocks height width channels rows columns pairs_y pairs_x above before top left first end tap"
)
PLANES = 1 << 14
"""Bytes of the rows of an image, and of the channels of them, that are read at a time: they stay in the L1 cache."""


class Phase(NamedTuple):
    """The taps used by some pixels of an axis, in order of accumulation.

    Tap `first` + k · step reads the input at `shift` + k · distance, for k = 0 … taps − 1.
    """

    taps: int
    shift: int
    distance: int
    first: int
    step: int


class Axis(NamedTuple):
    """Mapping from output to input along one axis.

    The pixels first, first + spread, … form phases[first]: the k-th of them reads input k · stride + shift.
    """

    stride: int
    spread: int
    phases: Sequence[Phase]


def forward(
    x: Tensor, kernel: Tensor, epilogue: Epilogue, out: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """out = f(x ∗ kernel + bias), channel by channel. x: real (N, H, W, C); kernel: (kh, kw, …), C elements per tap.

    out: (N, OH, OW, C). Each element starts from its bias; f and the bias are the epilogue's. `groups` is not read.
    """
    return [_correlate(x, kernel, out, *axes(kernel, geometry), epilogue)]


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """The adjoint of `forward` in x. grad: real (N, OH, OW, C); kernel: (kh, kw, …); out: (N, H, W, C).

    Pixels that no tap reaches are set to zero.
    """
    (sy, sx), (top, left), (dy, dx), _ = geometry
    if (sy, sx, dy, dx) == (2, 2, 1, 1) and kernel.shape[0] == kernel.shape[1] in FILTERED:
        return [_spread(grad, kernel, out, top, left)]
    rows, columns = _turned(kernel.shape[0], sy, top, dy), _turned(kernel.shape[1], sx, left, dx)
    return [_correlate(grad, kernel, out, rows, columns, PLAIN)]


def axes(kernel: Tensor, geometry: Geometry) -> tuple[Axis, Axis]:
    """Return the axes of `forward`, rows and columns."""
    (sy, sx), (top, left), (dy, dx), _ = geometry
    kh, kw = kernel.shape[:2]
    rows = Axis(sy, 1, [Phase(kh, -top, apart(kh, dy), 0, 1)])
    return rows, Axis(sx, 1, [Phase(kw, -left, apart(kw, dx), 0, 1)])


def apart(taps: int, distance: int) -> int:
    """Return the distance of taps; 1 for a single tap."""
    return distance if taps > 1 else 1


def _turned(taps: int, stride: int, padding: int, dilation: int) -> Axis:
    """Return the axis of an input gradient: pixel y uses tap i if stride divides y + padding − i · dilation."""
    common, phases = gcd(stride, dilation), []
    for first in range(stride):
        met = [i for i in range(taps) if (first + padding - i * dilation) % stride == 0]
        last = met[-1] if met else 0
        shift = (first + padding - last * dilation) // stride
        phases.append(Phase(len(met), shift, apart(len(met), dilation // common), last, -stride // common))
    return Axis(1, stride, phases)


def _correlate(x: Tensor, kernel: Tensor, out: Tensor, rows: Axis, columns: Axis, epilogue: Epilogue) -> Step:
    """Chunks are blocks of rows of an image, or several images. The step's block is followed by the phases."""
    if _uniform(rows, columns):
        return _filter(x, kernel, out, rows, columns, epilogue)
    batch, height, width, channels = out.shape
    work = height * width * channels * kernel.shape[0] * kernel.shape[1]
    blocks = shares(height, work, GRAIN)
    together = 1 if blocks > 1 else max(1, GRAIN // work)
    step = correlate_worker.step(
        x.dtype,
        images(batch, together, blocks),
        register_block(columns.stride, [phase.distance for phase in columns.phases]),
        kernel=kernel.address,
        out=out.address,
        blocks=blocks,
        rows=height,
        columns=width,
        spread_y=rows.spread,
        spread_x=columns.spread,
        kw=kernel.shape[1],
        x=x.address,
        height=x.shape[1],
        width=x.shape[2],
        channels=channels,
        sy=rows.stride,
        sx=columns.stride,
        **epilogue.fields(out.dtype),
    )
    table = np.array([*rows.phases, *columns.phases], np.int64).ravel()
    return step._replace(parameters=np.concatenate([step.parameters.view(np.int64), table]))


def _uniform(rows: Axis, columns: Axis) -> bool:
    """Whether all pixels have the same taps, of a number and distance that `filter_rows` is compiled for."""
    down, across = rows.phases[0], columns.phases[0]
    square = down.taps == across.taps and across.taps in FILTERED
    return rows.spread == columns.spread == 1 and square and register_block(columns.stride, [across.distance]) > 0


def _filter(x: Tensor, kernel: Tensor, out: Tensor, rows: Axis, columns: Axis, epilogue: Epilogue) -> Step:
    """`_correlate` without a copy of the image, for axes that are `_uniform`."""
    batch, height, width, channels = out.shape
    taps = kernel.shape[0]
    work = height * width * channels * taps * taps
    blocks = shares(height, 2 * work, GRAIN)
    filtering = filtering_fields(x.shape[1:3], kernel, out, (rows, columns), epilogue.activation)
    if epilogue.activation in LIMITS:
        epilogue = epilogue._replace(activation="linear")
    return filter_worker.step(
        x.dtype,
        images(batch, 1 if blocks > 1 else max(1, GRAIN // work), blocks),
        columns.stride,
        taps,
        x=x.address,
        blocks=blocks,
        block=near_channels(x, taps),
        **filtering,
        **epilogue.fields(out.dtype),
    )


def near_channels(x: Tensor, taps: int) -> int:
    """Return how many channels of images x are filtered at a time: `taps` rows of them stay in the L1 cache."""
    item = bytes_of(x.dtype)
    near = PLANES // (taps * x.shape[2] * LINE) * LINE // item
    return min(x.shape[3], max(LINE // item, near))


def filtering_fields(
    image: Sequence[int], kernel: Tensor, out: Tensor, places: tuple[Axis, Axis], activation: str
) -> dict[str, float]:
    """Return the fields of FILTERING, for images of this height and width and axes that are `_uniform`."""
    _, height, width, channels = out.shape
    (down,), (across,) = (axis.phases for axis in places)
    tap = channels * bytes_of(kernel.dtype)
    low, high = LIMITS.get(activation, LIMITS["linear"])
    return {
        "kernel": kernel.address + (down.first * kernel.shape[1] + across.first) * tap,
        "out": out.address,
        "height": image[0],
        "width": image[1],
        "channels": channels,
        "rows": height,
        "columns": width,
        "sy": places[0].stride,
        "dy": down.distance,
        "top": down.shift,
        "left": across.shift,
        "kernel_row": down.step * kernel.shape[1] * tap,
        "kernel_step": across.step * tap,
        "low": low,
        "high": high,
    }


def _spread(grad: Tensor, kernel: Tensor, out: Tensor, top: int, left: int) -> Step:
    """`grad_input` with strides of 2. Chunks are blocks of pairs of rows of an image, or several images."""
    batch, height, width, channels = out.shape
    taps = kernel.shape[0]
    (above, top, rows), (before, left, columns) = (
        (padding % 2, padding // 2, (size + padding % 2 + 1) // 2) for padding, size in ((top, height), (left, width))
    )
    first = min(columns, max(taps // 2 - left, before))
    work = rows * columns * channels * taps * taps
    blocks = min(rows, max(1, 2 * work // GRAIN))
    return spread_worker.step(
        out.dtype,
        images(batch, 1 if blocks > 1 else max(1, GRAIN // work), blocks),
        taps,
        grad=grad.address,
        kernel=kernel.address,
        out=out.address,
        blocks=blocks,
        height=grad.shape[1],
        width=grad.shape[2],
        channels=channels,
        rows=height,
        columns=width,
        pairs_y=rows,
        pairs_x=columns,
        above=above,
        before=before,
        top=top,
        left=left,
        first=first,
        end=max(first, min(grad.shape[2] - left, (width + before) // 2)),
        tap=channels * bytes_of(kernel.dtype),
    )


def register_block(stride: int, distances: Iterable[int]) -> int:
    """Select the register block for this stride and these tap distances."""
    return stride if stride in SHARED and set(distances) <= {1} else 0


@worker(FILTER)
def filter_worker(real, share, taps):
    """Process blocks of rows of images."""
    item, number = real.bitwidth // 8, computed(real)
    cell = number.bitwidth // 8

    def filter_all(parameters, start, stop, thread):
        p = fields(parameters, FILTER)
        step = p.channels * item
        line = p.width * step
        low, high = number(p.low), number(p.high)
        bias = p.bias if p.bias != 0 else p.kernel  # no lane of it is read then, but its address must be valid
        for unit in range(start, stop):
            image, block = unit // p.blocks, unit % p.blocks
            first, last = block * p.rows // p.blocks, (block + 1) * p.rows // p.blocks
            x, out = p.x + image * p.height * line, p.out + image * p.rows * p.columns * step
            for channel in range(0, p.channels, p.block):
                width, skip, given = min(p.block, p.channels - channel), channel * item, channel * cell
                filter_rows(
                    share,
                    taps,
                    (out + skip, p.columns * step, step),
                    (x + skip, p.height, p.width, line, step),
                    (first, last, p.sy, p.top, p.dy),
                    (p.columns, p.left),
                    (p.kernel + given, p.kernel_row, p.kernel_step, bias + given, width if p.bias != 0 else 0),
                    (low, high),
                    width,
                    real,
                )
            if p.after != 0:
                written = out + first * p.columns * step
                call(p.after, (written, p.slopes + written - p.out, (last - first) * p.columns * p.channels))

    return filter_all


@worker(SPREAD)
def spread_worker(real, taps):
    """Process blocks of pairs of rows of images."""
    item = real.bitwidth // 8

    def spread_all(parameters, start, stop, thread):
        p = fields(parameters, SPREAD)
        step = p.channels * item
        for unit in range(start, stop):
            image, block = unit // p.blocks, unit % p.blocks
            pairs = block * p.pairs_y // p.blocks, (block + 1) * p.pairs_y // p.blocks
            spread_rows(
                taps,
                (p.out + image * p.rows * p.columns * step, p.rows, p.columns, p.columns * step, step),
                (p.grad + image * p.height * p.width * step, p.height, p.width, p.width * step, step),
                (pairs[0], pairs[1], p.above, p.top),
                (p.pairs_x, p.before, p.left, p.first, p.end),
                (p.kernel, taps * p.tap, p.tap),
                p.channels,
                real,
            )

    return spread_all


@njit
def taps_inside(first, distance, taps, size):
    """Return (k, n): of taps at `first` + k · distance, those with 0 ≤ position < size are n from k on."""
    start = max(0, -(first // distance)) if first < 0 else 0
    stop = min(taps, (size - 1 - first) // distance + 1)
    return start, max(0, stop - start)


@worker(CORRELATE)
def correlate_worker(real, share):
    """Process blocks of rows of images."""
    item, cell = real.bitwidth // 8, computed(real).bitwidth // 8

    def correlate(parameters, start, stop, thread):
        p = fields(parameters, CORRELATE)
        phases = view(parameters + TABLE, (p.spread_y + p.spread_x, 5), types.int64)
        step, tap = p.channels * item, p.channels * cell
        # No lane of a missing bias is read, but its address must be valid: masked loads from an invalid one cost
        # hundreds of cycles.
        bias, biased = (p.bias, p.channels) if p.bias != 0 else (p.kernel, 0)
        for unit in range(start, stop):
            image, block = unit // p.blocks, unit % p.blocks
            first, last = block * p.rows // p.blocks, (block + 1) * p.rows // p.blocks
            x, out = p.x + image * p.height * p.width * step, p.out + image * p.rows * p.columns * step
            for row in range(first, last):
                kh, down, distance_y, i, step_y = phases[row % p.spread_y]
                y = row // p.spread_y * p.sy + down
                above, high = taps_inside(y, distance_y, kh, p.height)
                for column in range(min(p.spread_x, p.columns)):
                    kw, right, distance_x, j, step_x = phases[p.spread_y + column]
                    pixels = (p.columns - 1 - column) // p.spread_x + 1
                    # Pixels from `done` to `inner` have all taps.
                    inner = max(0, (p.width - 1 - (kw - 1) * distance_x - right) // p.sx + 1) if kw else pixels
                    done = 0
                    while done < pixels:
                        left = done * p.sx + right
                        before, wide = taps_inside(left, distance_x, kw, p.width)
                        count = max(1, min(inner, pixels) - done) if wide == kw else 1
                        write = out + (row * p.columns + column + done * p.spread_x) * step
                        read = x + ((y + above * distance_y) * p.width + left + before * distance_x) * step
                        weights = p.kernel + ((i + above * step_y) * p.kw + j + before * step_x) * tap
                        correlate_row(
                            share,
                            (write, p.spread_x * step),
                            (read, p.sx * step),
                            (high, distance_y * p.width * step, step_y * p.kw * tap),
                            (wide, distance_x * step, step_x * tap),
                            (weights, bias, biased),
                            count,
                            p.channels,
                            real,
                        )
                        done += count
            if p.after != 0:
                written = out + first * p.columns * step
                call(p.after, (written, p.slopes + written - p.out, (last - first) * p.columns * p.channels))

    return correlate


TABLE = correlate_worker.dtype.itemsize
"""Bytes from a step's block to its table."""
