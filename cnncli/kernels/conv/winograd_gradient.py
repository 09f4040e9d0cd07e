"""The weight gradient of `winograd`: for each position of a tile, one product over all tiles.

    dg = Gᵀ [Σ (Bᵀ d B) ⊙ (A y Aᵀ)] G    for tiles d of the image and squares y of the gradient

Each element is one chain of fused multiply-adds over (image, tile) in each of at most 8 parts of the batch. Many
channels and filters are divided into blocks, whose sums stay in the L2 cache; each block transforms its part of the
images again. Tiles and squares of bfloat16 are transformed in float32, rounded, and multiplied in pairs, those of
adjacent tiles.
"""

from cnncli.kernels.batch.reduce import LARGE, in_lanes, partial_sums
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.winograd import (
    IMAGE,
    LAST_ROW,
    POSITIONS,
    image_fields,
    is_slim,
    pad_to_odd_cache_lines,
    portions,
)
from cnncli.kernels.conv.winograd_tiles import (
    gather_weight,
    spread_gradient,
    spread_gradient_pair,
    spread_tile,
    spread_tile_pair,
)
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.intrinsics import call, fetch
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, elements, fields, worker

DEPTH = 128
"""Maximum channels and filters of a block of the sums: 16 such blocks of float32 are 1 MiB."""
SHALLOW = 64
"""The same where the sums are so large that the batch has less than FEW parts: threads then share its blocks."""
FEW = 4

SUM = block(
    "product border grad out lane depth breadth blocks panel scratch scratch_step copy tiles tile_step squares "
    f"square_step fetches {IMAGE}"
)
WEIGHT = block("x out size")


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """Compute the same as `conv2d_gradient.grad_weight`, for convolutions that `suits_winograd` accepts."""
    batch, channels = x.shape[0], x.shape[3]
    rows, columns, filters = grad.shape[1:]
    sums = dtype_of_sums(x.dtype)
    item, cell = bytes_of(x.dtype), bytes_of(sums)
    summed = Tensor(scratch.take(POSITIONS * channels * filters * cell), (POSITIONS, channels, filters), sums)
    parts = in_lanes(batch, summed.size)
    target, after = partial_sums(summed, parts, scratch)
    panel = microkernel.family(x.dtype).panel
    most = SHALLOW if summed.size * FEW > LARGE else DEPTH
    depth, width = (-(-size // -(-size // most) // panel) * panel for size in (channels, filters))
    blocks = -(-channels // depth), -(-filters // width)
    across = -(-columns // 2)
    across += across % (cell // item)
    cut = portions(batch, (-(-rows // 2), across), (depth + width) * item)
    tile_step, square_step = (pad_to_odd_cache_lines(cut.capacity * size * item) for size in (depth, width))
    copy = cut.pixels * depth * item
    tiles = copy + 4 * cut.capacity * width * item
    squares = tiles + POSITIONS * tile_step
    base, stride = scratch.per_thread(squares + POSITIONS * square_step)
    sum_step = sum_worker.step(
        x.dtype,
        parts.work(blocks[0] * blocks[1]),
        product=microkernel.family(x.dtype).product,
        border=microkernel.family(x.dtype).border,
        grad=grad.address,
        out=target,
        lane=parts.images,
        depth=depth,
        breadth=width,
        blocks=blocks[1],
        panel=panel * cell,
        scratch=base,
        scratch_step=stride,
        copy=copy,
        tiles=tiles,
        tile_step=tile_step,
        squares=squares,
        square_step=square_step,
        fetches=is_slim(channels, filters, item),
        **image_fields(x, grad.shape[1:], cut, geometry.padding),
    )
    size = channels * filters
    weight_step = weight_worker.step(sums, elements(size), x=summed.address, out=out.address, size=size)
    return [sum_step, *after, weight_step]


@worker(SUM)
def sum_worker(real):
    """Accumulate the 16 products of one block of some images of a lane, band by band."""
    item, cell = real.bitwidth // 8, computed(real).bitwidth // 8
    terms = cell // item
    in_pairs = terms > 1

    def add_up(parameters, begin, end, thread):
        p = fields(parameters, SUM)
        base = p.scratch + thread * p.scratch_step
        block = begin // p.batch
        begin, end = begin - block * p.batch, end - block * p.batch
        left, top = block % p.blocks * p.breadth, block // p.blocks * p.depth
        depth, width = min(p.depth, p.channels - top), min(p.breadth, p.filters - left)
        pixel, grad_pixel, row_of = depth * item, width * item, p.breadth * item
        line, grad_line = (2 * p.across + 2) * pixel, 2 * p.across * grad_pixel
        tiles, squares, copy = base + p.tiles, base + p.squares, base + p.copy
        matrix, step = p.channels * p.filters * cell, p.filters * cell
        out = p.out + begin // p.lane * POSITIONS * matrix + top * step + left * cell
        x_step, grad_step = p.channels * item, p.filters * item
        for start in range(begin, end, p.together):
            for band in range(p.bands):
                first, last = band * p.down // p.bands, (band + 1) * p.down // p.bands
                count, images = 0, min(end - start, p.together)
                for image in range(start, start + images):
                    x = p.x + image * p.height * p.width * x_step + top * item
                    part = 2 * first - p.top, 2 * (last - first) + 2, -p.left, 2 * p.across + 2
                    call(p.border, (base, x, p.height, p.width, x_step, pixel, *part))
                    grad = p.grad + image * p.rows * p.columns * grad_step + left * item
                    part = 2 * first, 2 * (last - first), 0, 2 * p.across
                    call(p.border, (copy, grad, p.rows, p.columns, grad_step, grad_pixel, *part))
                    for row in range(last - first):
                        for column in range(0, p.across, terms):
                            x = base + 2 * row * line + 2 * column * pixel
                            grad = copy + 2 * row * grad_line + 2 * column * grad_pixel
                            tile, square = tiles + count * pixel, squares + count * row_of
                            if in_pairs:
                                spread_tile_pair(x, line, pixel, tile, p.tile_step, depth, real)
                                spread_gradient_pair(grad, grad_line, grad_pixel, square, p.square_step, width, real)
                            else:
                                spread_tile(x, line, pixel, tile, p.tile_step, depth, real)
                                spread_gradient(grad, grad_line, grad_pixel, square, p.square_step, width, real)
                            count += terms
                begun = start % p.lane > 0 or band > 0
                # Positions in the last row need no tiles whose last row of pixels is outside the image.
                rows = last - first
                inside = rows - p.rows % 2 if last == p.down and rows > 1 else rows
                # What the next band, or the next images, read.
                lines, image = 2 * rows * p.together, start + p.together - 1
                x = p.x + (image * p.height + 2 * last - p.top) * p.width * x_step
                grad = p.grad + (image * p.rows + 2 * last) * p.columns * grad_step
                reads, grads = lines * p.width * x_step // POSITIONS, lines * p.columns * grad_step // POSITIONS
                for position in range(POSITIONS):
                    if p.fetches != 0:
                        fetch(x + position * reads, reads, 0)
                        fetch(grad + position * grads, grads, 0)
                    target = out + position * matrix
                    call(
                        p.product,
                        (
                            target,
                            step,
                            target if begun else 0,
                            step,
                            depth,
                            width,
                            tiles + position * p.tile_step,
                            cell,
                            pixel * terms,
                            rows * p.across * pixel,
                            squares + position * p.square_step,
                            row_of * terms,
                            p.panel,
                            rows * p.across * row_of,
                            (inside if position >= LAST_ROW else rows) * p.across // terms,
                            images,
                        ),
                    )

    return add_up


@worker(WEIGHT)
def weight_worker(real):
    """Compute Gᵀ u G for some weights of each tap."""
    item = real.bitwidth // 8

    def weight(parameters, start, stop, thread):
        p = fields(parameters, WEIGHT)
        gather_weight(p.x, p.out, p.size * item, start, stop, real)

    return weight
