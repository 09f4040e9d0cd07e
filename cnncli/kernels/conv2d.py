"""Convolution (cross-correlation, as Keras has it), channels last, with strides, padding, dilation and groups.

Each output element is one chain of fused multiply-adds: in the order (kh, kw, in) for the forward pass, in that order
over the flipped kernel (kh, kw, filters) for the input gradient, over (image, row, column) for the weight gradient.
"""

from typing import NamedTuple

from cnncli.kernels.dense import BLOCK, GRAIN, transpose
from cnncli.kernels.reduce import ITEM, PARTIALS, accumulate, partial_sums, start
from cnncli.kernels.runtime import Scratch, Step, Tensor, block, fields, worker

LARGE = 1 << 20
"""Elements that all partial sums of a weight gradient may have together: 4 MiB of float32, where more would cost more
in memory traffic than it saves."""

SIZES = "batch height width channels rows columns filters kh kw sy sx top left dy dx groups"
CORRELATE = block(f"x kernel bias out zy zx row_step group_step tap_step lines {SIZES}")
WEIGHT = block(f"x grad out partials tiles {SIZES}")


class Geometry(NamedTuple):
    """How a kernel lies on an image; pairs are (vertical, horizontal).

    `padding` counts the zero rows above and zero columns left of the image; those below and on the right follow from
    the shape of the output.
    """

    strides: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def forward(x: Tensor, kernel: Tensor, bias: Tensor | None, out: Tensor, geometry: Geometry) -> list[Step]:
    """out = x ∗ kernel + bias. x: real (N, H, W, C); kernel: (kh, kw, C/groups, F); bias: (F,); out: (N, OH, OW, F).

    Each element starts from its bias.
    """
    return [_correlate(x, kernel, bias, out, geometry, spread=(1, 1))]


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """The adjoint of `forward` in x. grad: real (N, OH, OW, F); kernel: (kh, kw, C/groups, F); out: (N, H, W, C).

    It is the correlation of the gradient, its pixels spread `strides` apart, with the flipped kernel, input channels
    and filters exchanged (Dumoulin & Visin 2016, section 4). Pixels that no tap reaches get zero.
    """
    kh, kw, channels, filters = kernel.shape
    flipped = Tensor(scratch.take(kernel.size * ITEM[kernel.dtype]), (kh, kw, filters, channels), kernel.dtype)
    (dy, dx), (top, left) = geometry.dilation, geometry.padding
    turned = geometry._replace(strides=(1, 1), padding=((kh - 1) * dy - top, (kw - 1) * dx - left))
    return [transpose(kernel, flipped), _correlate(grad, flipped, None, out, turned, spread=geometry.strides)]


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """The adjoint of `forward` in the kernel, summed over the batch.

    x: real (N, H, W, C); grad: (N, OH, OW, F); out: (kh, kw, C/groups, F).
    """
    batch = x.shape[0]
    partials = min(batch, PARTIALS, max(1, LARGE // out.size))
    tiles = min(out.size // out.shape[3], 4 * PARTIALS // partials)
    target, after = partial_sums(out, partials, scratch)
    step = weight_worker.step(
        x.dtype,
        partials * tiles,
        x=x.address,
        grad=grad.address,
        out=target,
        partials=partials,
        tiles=tiles,
        **_sizes(x, out, grad, geometry),
    )
    return [step, *after]


def _correlate(
    x: Tensor, kernel: Tensor, bias: Tensor | None, out: Tensor, geometry: Geometry, *, spread: tuple[int, int]
) -> Step:
    """`forward` on an image whose pixels lie `spread` apart with zeros between them.

    A group's part of the kernel is either its columns, as Keras has it (kh, kw, C/groups, F), or its rows, as the
    flipped kernel has it (kh, kw, C, F/groups).
    """
    kh, kw, kernel_rows, row_step = kernel.shape
    batch, rows, columns, filters = out.shape
    inner, width = x.shape[3] // geometry.groups, filters // geometry.groups
    return correlate_worker.step(
        x.dtype,
        -(-batch * rows // (lines := max(1, GRAIN // (columns * filters * kh * kw * inner)))),
        x=x.address,
        kernel=kernel.address,
        bias=bias.address if bias else 0,
        out=out.address,
        zy=spread[0],
        zx=spread[1],
        row_step=row_step,
        group_step=width if row_step == filters else inner * row_step,
        tap_step=kernel_rows * row_step,
        lines=lines,
        **_sizes(x, kernel, out, geometry),
    )


def _sizes(x: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry) -> dict[str, int]:
    (sy, sx), (top, left), (dy, dx), groups = geometry
    values = (*x.shape, *out.shape[1:], *kernel.shape[:2], sy, sx, top, left, dy, dx, groups)
    return dict(zip(SIZES.split(), values, strict=True))


@worker(CORRELATE)
def correlate_worker(real):  # type: ignore[no-untyped-def]
    """Some lines of output pixels; a block of the kernel serves a whole line while it lies in the L1 cache."""
    item = real.bitwidth // 8

    def correlate(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, CORRELATE)
        inner, width = p.channels // p.groups, p.filters // p.groups
        # Neighbouring taps of one kernel row read neighbouring pixels: one run over (kw, in) in x and kernel alike.
        taps = p.kw if p.zx == 1 and p.dx == 1 and p.groups == 1 else 1
        depth = max(8, BLOCK // width)
        for line in range(chunk * p.lines, min(p.batch * p.rows, (chunk + 1) * p.lines)):
            image, row = line // p.rows, line % p.rows
            out = p.out + line * p.columns * p.filters * item
            start(out, p.columns, p.filters * item, p.bias)
            for i in range(p.kh):
                y = row * p.sy - p.top + i * p.dy
                if y % p.zy != 0 or y < 0 or y // p.zy >= p.height:
                    continue
                x = p.x + (image * p.height + y // p.zy) * p.width * p.channels * item
                for group in range(p.groups):
                    for j in range(0, p.kw, taps):
                        kernel = p.kernel + ((i * p.kw + j) * p.tap_step + group * p.group_step) * item
                        for block_start in range(0, taps * inner, depth):
                            block_stop = min(taps * inner, block_start + depth)
                            for column in range(p.columns):
                                position = column * p.sx - p.left + j * p.dx
                                if p.zx > 1:
                                    if position % p.zx != 0:
                                        continue
                                    position //= p.zx
                                first = max(block_start, -position * inner)
                                last = min(block_stop, (p.width - position) * inner)
                                if first < last:
                                    accumulate(
                                        out + (column * p.filters + group * width) * item,
                                        width,
                                        x + (position * p.channels + group * inner + first) * item,
                                        item,
                                        kernel + first * p.row_step * item,
                                        p.row_step * item,
                                        last - first,
                                        real,
                                    )

    return correlate


@worker(WEIGHT)
def weight_worker(real):  # type: ignore[no-untyped-def]
    """Some (kh, kw, in) rows of one partial sum; each image row adds one run over its pixels to each."""
    item = real.bitwidth // 8

    def weight(parameters, chunk, thread):  # type: ignore[no-untyped-def]
        p = fields(parameters, WEIGHT)
        inner, width = p.channels // p.groups, p.filters // p.groups
        part, tile = chunk // p.tiles, chunk % p.tiles
        units = p.kh * p.kw * inner
        first, last = tile * units // p.tiles, (tile + 1) * units // p.tiles
        out = p.out + part * units * p.filters * item
        start(out + first * p.filters * item, last - first, p.filters * item, 0)
        for line in range(part * p.batch // p.partials * p.rows, (part + 1) * p.batch // p.partials * p.rows):
            image, row = line // p.rows, line % p.rows
            for tap in range(first // inner, (last - 1) // inner + 1):
                i, j = tap // p.kw, tap % p.kw
                y = row * p.sy - p.top + i * p.dy
                offset = j * p.dx - p.left
                left = max(0, -(offset // p.sx))
                right = min(p.columns, (p.width - 1 - offset) // p.sx + 1)
                if y < 0 or y >= p.height or left >= right:
                    continue
                x = p.x + ((image * p.height + y) * p.width + left * p.sx + offset) * p.channels * item
                grad = p.grad + (line * p.columns + left) * p.filters * item
                for group in range(p.groups):
                    for c in range(max(first - tap * inner, 0), min(last - tap * inner, inner)):
                        accumulate(
                            out + ((tap * inner + c) * p.filters + group * width) * item,
                            width,
                            x + (group * inner + c) * item,
                            p.sx * p.channels * item,
                            grad + group * width * item,
                            p.filters * item,
                            right - left,
                            real,
                        )

    return weight
