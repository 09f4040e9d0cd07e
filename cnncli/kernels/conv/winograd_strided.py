"""3×3 convolutions with strides of 2 by Winograd's method: 25 instead of 36 products for 4 output pixels.

The even pixels of an axis meet two taps, the odd ones a single one. So two outputs are those of F(2, 2) on the even
pixels, 3 products, plus 2 products of odd pixels and the middle tap: 5 instead of 6, along both axes. As with
`winograd`, sums over channels are matrix products with tiles as rows, and exact zeros stay zero. The input gradient is
the same backwards: 4×4 pixels from 3×3 gradients. Kernels have 16 different transforms, because both odd pixels meet
the same tap. Only float32 and float64: bfloat16 multiplies directly.
"""

from collections.abc import Sequence

from cnncli.kernels.batch.reduce import LARGE, in_lanes, partial_sums
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.winograd import FEW, IMAGE, image_fields, pad_to_odd_cache_lines, places, portions
from cnncli.kernels.conv.winograd_gradient import DEPTH, SHALLOW
from cnncli.kernels.conv.winograd_tiles import (
    doubled_input,
    doubled_output,
    halved_gradient,
    halved_input,
    halved_kernel,
    halved_output,
    halved_weight,
)
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.dense import Source, pack
from cnncli.kernels.gemm.epilogue import EPILOGUE, PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import call, copy
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, elements, fields, images, worker

SIDE = 5
"""Positions of a tile along an axis."""
POSITIONS = SIDE * SIDE
KERNELS = 16
CENTRE = SIDE + 1
"""The position whose coefficient is +1 for every output pixel of a tile."""
LAST = (2, 4)
"""Positions along an axis that only the second half of a tile's output depends on."""
OF_IMAGE, OF_KERNEL = (0, 1, 2, 3, 4), (0, 1, 2, 3, 3)
"""The transformed pixel and kernel of each position along an axis; the latter also is the sum it adds to."""
OF_GRADIENT = (0, 1, 2, 0, 2)
"""The transformed gradient of each position, for a weight gradient."""
OF_KERNEL_BACKWARD, OF_GRADIENT_BACKWARD = (2, 1, 0, 3, 3), (0, 1, 2, 1, 3)
"""The transformed kernel and gradient of each position, for an input gradient."""

KERNEL = block("x out tap step size")
TILE = block(
    "backward product border out b b_row b_panel b_step scratch scratch_step tiles tile_step products product_step "
    f"block first first_column odd_row odd_column {IMAGE} {EPILOGUE}"
)
SUM = block(
    "product border grad out lane depth breadth blocks panel scratch scratch_step copy tiles tile_step squares "
    f"square_step {IMAGE}"
)
WEIGHT = block("x out size")


def forward(
    x: Tensor, kernel: Tensor, epilogue: Epilogue, out: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """Compute the same as `conv2d.forward`, for float32 or float64 and what `suits_strided_winograd` accepts."""
    channels, filters = kernel.shape[2:]
    taps = 3 * channels * filters, channels * filters
    source = Source(kernel.address, (1, 3, 3, channels, filters), (filters, *taps, filters, 1))
    size = -(-out.shape[1] // 2), -(-out.shape[2] // 2)
    odd = out.shape[1] % 2, out.shape[2] % 2
    return _correlate(x, source, epilogue, out, size, odd, geometry.padding, (0, 0), scratch)


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """Compute the same as `conv2d_gradient.grad_input`, as `forward` does."""
    channels, filters = kernel.shape[2:]
    taps = 3 * channels * filters, channels * filters
    source = Source(kernel.address, (1, 3, 3, filters, channels), (filters, *taps, 1, filters))
    ends = [size + before for size, before in zip(out.shape[1:3], geometry.padding, strict=True)]
    size = -(-ends[0] // 4), -(-ends[1] // 4)
    odd = int(ends[0] % 4 in (1, 2)), int(ends[1] % 4 in (1, 2))
    return _correlate(grad, source, PLAIN, out, size, odd, (1, 1), geometry.padding, scratch, backward=True)


def _correlate(
    x: Tensor,
    kernel: Source,
    epilogue: Epilogue,
    out: Tensor,
    size: tuple[int, int],
    odd: Sequence[int],
    padding: tuple[int, int],
    first: tuple[int, int],
    scratch: Scratch,
    *,
    backward: bool = False,
) -> list[Step]:
    """Return the steps for `size` tiles an image, the output's first pixel being `first` in the first tile.

    `odd`: for both axes, whether only the first half of the last tile's output is in the image.
    """
    batch, channels, filters, item = x.shape[0], x.shape[3], out.shape[3], bytes_of(x.dtype)
    pack_step, packed = pack(kernel, x.dtype, scratch)
    _, panel, product, *_ = microkernel.family(x.dtype)
    matrix = channels * panel
    kernel_size = -(-filters // panel) * matrix
    transformed = scratch.take(KERNELS * kernel_size * item)
    kernel_step = kernel_worker.step(
        x.dtype,
        kernel_size // matrix,
        x=packed.address,
        out=transformed,
        tap=packed.tap_x,
        step=kernel_size * item,
        size=matrix,
    )
    cut = portions(batch, size, (channels + filters) * item * POSITIONS // 16, FEW)
    step, across = (2, 4) if backward else (4, 2)
    rows = cut.capacity // (cut.across * cut.together)
    tile_step, product_step = (pad_to_odd_cache_lines(cut.capacity * n * item) for n in (channels, filters))
    copied = (step * rows + 1) * (step * cut.across + 1) * channels * item
    tiles = copied
    products = tiles + (16 if backward else POSITIONS) * tile_step
    lines = products + POSITIONS * product_step
    base, stride = scratch.per_thread(lines + across * across * cut.across * filters * item)
    convolution = tile_worker.step(
        x.dtype,
        images(batch, cut.together, cut.bands),
        backward=int(backward),
        product=product,
        border=microkernel.family(x.dtype).border,
        out=out.address,
        b=transformed,
        b_row=panel * item,
        b_panel=matrix * item,
        b_step=kernel_size * item,
        scratch=base,
        scratch_step=stride,
        tiles=tiles,
        tile_step=tile_step,
        products=products,
        product_step=product_step,
        block=lines,
        first=first[0],
        first_column=first[1],
        odd_row=odd[0],
        odd_column=odd[1],
        **image_fields(x, out.shape[1:], cut, padding),
        **epilogue.fields(x.dtype),
    )
    return [pack_step, kernel_step, convolution]


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """Compute the same as `conv2d_gradient.grad_weight`; each sum is a chain over (image, tile), as of `winograd`."""
    batch, channels = x.shape[0], x.shape[3]
    rows, columns, filters = grad.shape[1:]
    item = bytes_of(x.dtype)
    summed = Tensor(scratch.take(KERNELS * channels * filters * item), (KERNELS, channels, filters), x.dtype)
    parts = in_lanes(batch, summed.size)
    target, after = partial_sums(summed, parts, scratch)
    _, panel, product, *_ = microkernel.family(x.dtype)
    most = SHALLOW if summed.size * FEW > LARGE else DEPTH
    depth, width = (-(-size // -(-size // most) // panel) * panel for size in (channels, filters))
    blocks = -(-channels // depth), -(-filters // width)
    cut = portions(batch, (-(-rows // 2), -(-columns // 2)), (depth * POSITIONS + width * 9) * item // 16)
    lines = cut.capacity // (cut.across * cut.together)
    tile_step, square_step = (pad_to_odd_cache_lines(cut.capacity * size * item) for size in (depth, width))
    copied = (4 * lines + 1) * (4 * cut.across + 1) * depth * item
    tiles = copied + 4 * lines * cut.across * width * item
    squares = tiles + POSITIONS * tile_step
    base, stride = scratch.per_thread(squares + 9 * square_step)
    sum_step = sum_worker.step(
        x.dtype,
        parts.work(blocks[0] * blocks[1]),
        product=product,
        border=microkernel.family(x.dtype).border,
        grad=grad.address,
        out=target,
        lane=parts.images,
        depth=depth,
        breadth=width,
        blocks=blocks[1],
        panel=panel * item,
        scratch=base,
        scratch_step=stride,
        copy=copied,
        tiles=tiles,
        tile_step=tile_step,
        squares=squares,
        square_step=square_step,
        **image_fields(x, grad.shape[1:], cut, geometry.padding),
    )
    size = channels * filters
    weight_step = weight_worker.step(x.dtype, elements(size), x=summed.address, out=out.address, size=size)
    return [sum_step, *after, weight_step]


@worker(KERNEL)
def kernel_worker(real):
    """Transform one panel of the kernels."""
    item = real.bitwidth // 8

    def spread_kernels(parameters, chunk, _, thread):
        p = fields(parameters, KERNEL)
        x, out = p.x + 9 * chunk * p.size * item, p.out + chunk * p.size * item
        halved_kernel(x, 3 * p.tap, p.tap, out, 4 * p.step, p.step, 0, p.size, real)

    return spread_kernels


@worker(TILE)
def tile_worker(real):
    """Process bands of tiles; if an image is a single band, several images together."""
    item = real.bitwidth // 8

    def convolve(parameters, begin, end, thread):
        p = fields(parameters, TILE)
        base = p.scratch + thread * p.scratch_step
        backward = p.backward != 0
        step, size, side = (2, 4, 4) if backward else (4, 2, SIDE)
        left, right = (OF_GRADIENT_BACKWARD, OF_KERNEL_BACKWARD) if backward else (OF_IMAGE, OF_KERNEL)
        pixel, row_of = p.channels * item, p.filters * item
        wide = step * p.across + 1
        line, block_line = wide * pixel, size * p.across * row_of
        tiles, products, block = base + p.tiles, base + p.products, base + p.block
        for unit in range(begin, end, p.together):
            band, start = unit % p.bands, unit // p.bands
            first, last = band * p.down // p.bands, (band + 1) * p.down // p.bands
            stop = min(end, start + p.together) if p.bands == 1 else start + 1
            lower = p.odd_row if last == p.down else 0
            rows, columns, images = last - first - lower, p.across - p.odd_column, stop - start
            begins = (
                images * rows * p.odd_column,
                images * rows * p.across,
                images * (rows * p.across + lower * columns),
            )
            count = images * (last - first) * p.across
            for image in range(start, stop):
                x = p.x + image * p.height * p.width * pixel
                part = step * first - p.top, step * (last - first) + 1, -p.left, wide
                call(p.border, (base, x, p.height, p.width, pixel, pixel, *part))
                for row in range(last - first):
                    begun, end_of_row = places(image - start, row, rows, columns, begins)
                    for column in range(p.across):
                        corner = base + step * row * line + step * column * pixel
                        tile = tiles + (begun + column if column < columns else end_of_row) * pixel
                        if backward:
                            doubled_input(corner, line, pixel, tile, 4 * p.tile_step, p.tile_step, 0, p.channels, real)
                        else:
                            halved_input(corner, line, pixel, tile, 5 * p.tile_step, p.tile_step, 0, p.channels, real)
            for position in range(POSITIONS):
                i, j = position // SIDE, position % SIDE
                last_column = j == LAST[0] or j == LAST[1]
                begun = begins[0] if last_column else 0
                ended = begins[1] if i == LAST[0] or i == LAST[1] else count
                ended = min(ended, begins[2]) if last_column else ended
                if ended > begun:
                    factor = tiles + (side * left[i] + left[j]) * p.tile_step + begun * pixel
                    call(
                        p.product,
                        (
                            products + position * p.product_step + begun * row_of,
                            row_of,
                            p.bias if position == CENTRE else 0,
                            0,
                            ended - begun,
                            p.filters,
                            factor,
                            pixel,
                            item,
                            0,
                            p.b + (4 * right[i] + right[j]) * p.b_step,
                            p.b_row,
                            p.b_panel,
                            0,
                            p.channels,
                            1,
                        ),
                    )
            for image in range(start, stop):
                for row in range(first, last):
                    begun, end_of_row = places(image - start, row - first, rows, columns, begins)
                    for column in range(p.across):
                        tile = products + (begun + column if column < columns else end_of_row) * row_of
                        place = block + size * column * row_of
                        across, down = p.product_step, SIDE * p.product_step
                        if backward:
                            doubled_output(tile, down, across, place, block_line, row_of, 0, p.filters, real)
                        else:
                            halved_output(tile, down, across, place, block_line, row_of, 0, p.filters, real)
                    # The part of these pixels that is inside the image.
                    for y in range(max(0, size * row - p.first), min(p.rows, size * (row + 1) - p.first)):
                        out = p.out + (image * p.rows + y) * p.columns * row_of
                        inside = block + (y + p.first - size * row) * block_line + p.first_column * row_of
                        copy(out, inside, p.columns * row_of)
                        if p.after != 0:
                            call(p.after, (out, p.slopes + out - p.out, p.columns * p.filters))

    return convolve


@worker(SUM)
def sum_worker(real):
    """Accumulate the products of one block of some images of a lane, band by band."""
    item = real.bitwidth // 8

    def add_up(parameters, begin, end, thread):
        p = fields(parameters, SUM)
        base = p.scratch + thread * p.scratch_step
        block = begin // p.batch
        begin, end = begin - block * p.batch, end - block * p.batch
        left, top = block % p.blocks * p.breadth, block // p.blocks * p.depth
        depth, width = min(p.depth, p.channels - top), min(p.breadth, p.filters - left)
        pixel, grad_pixel, row_of = depth * item, width * item, p.breadth * item
        line, grad_line = (4 * p.across + 1) * pixel, 2 * p.across * grad_pixel
        tiles, squares, copied = base + p.tiles, base + p.squares, base + p.copy
        matrix, step = p.channels * p.filters * item, p.filters * item
        out = p.out + begin // p.lane * KERNELS * matrix + top * step + left * item
        x_step, grad_step = p.channels * item, p.filters * item
        for start in range(begin, end, p.together):
            for band in range(p.bands):
                first, last = band * p.down // p.bands, (band + 1) * p.down // p.bands
                count, images = 0, min(end - start, p.together)
                for image in range(start, start + images):
                    x = p.x + image * p.height * p.width * x_step + top * item
                    part = 4 * first - p.top, 4 * (last - first) + 1, -p.left, 4 * p.across + 1
                    call(p.border, (base, x, p.height, p.width, x_step, pixel, *part))
                    grad = p.grad + image * p.rows * p.columns * grad_step + left * item
                    part = 2 * first, 2 * (last - first), 0, 2 * p.across
                    call(p.border, (copied, grad, p.rows, p.columns, grad_step, grad_pixel, *part))
                    for row in range(last - first):
                        for column in range(p.across):
                            x = base + 4 * row * line + 4 * column * pixel
                            grad = copied + 2 * row * grad_line + 2 * column * grad_pixel
                            tile, square = tiles + count * pixel, squares + count * row_of
                            halved_input(x, line, pixel, tile, SIDE * p.tile_step, p.tile_step, 0, depth, real)
                            across = p.square_step
                            halved_gradient(grad, grad_line, grad_pixel, square, 3 * across, across, 0, width, real)
                            count += 1
                begun = start % p.lane > 0 or band > 0
                rows = last - first
                inside = rows - p.rows % 2 if last == p.down and rows > 1 else rows
                for position in range(POSITIONS):
                    i, j = position // SIDE, position % SIDE
                    target = out + (4 * OF_KERNEL[i] + OF_KERNEL[j]) * matrix
                    square = squares + (3 * OF_GRADIENT[i] + OF_GRADIENT[j]) * p.square_step
                    call(
                        p.product,
                        (
                            target,
                            step,
                            target if begun or i == SIDE - 1 or j == SIDE - 1 else 0,
                            step,
                            depth,
                            width,
                            tiles + position * p.tile_step,
                            item,
                            pixel,
                            rows * p.across * pixel,
                            square,
                            row_of,
                            p.panel,
                            rows * p.across * row_of,
                            (inside if i == LAST[0] or i == LAST[1] else rows) * p.across,
                            images,
                        ),
                    )

    return add_up


@worker(WEIGHT)
def weight_worker(real):
    """Compute some weights of each tap from their sums."""
    item = real.bitwidth // 8

    def weight(parameters, start, stop, thread):
        p = fields(parameters, WEIGHT)
        step = p.size * item
        halved_weight(p.x, 4 * step, step, p.out, 3 * step, step, start, stop, real)

    return weight
