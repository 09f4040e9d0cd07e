"""The weight gradient of `winograd`: for each position of a tile, one product over all tiles.

    dg = Gᵀ [Σ (Bᵀ d B) ⊙ (A y Aᵀ)] G    for tiles d of the image and squares y of the gradient

Each element is one chain of fused multiply-adds over (image, position, tile) in each of at most 8 parts of the batch,
however many images are taken at a time; with strides of 2, some elements have several positions. Many channels and
filters are divided into blocks, whose sums stay in the L2 cache; each block transforms its part of the images again.
Tiles and squares of bfloat16 are transformed in float32, rounded, and multiplied in pairs, those of adjacent tiles.
"""

from typing import NamedTuple

from cnncli.kernels.batch.reduce import LARGE, in_lanes, partial_sums
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.winograd import (
    FEW,
    IMAGE,
    KERNELS,
    form_of,
    image_fields,
    is_slim,
    pad_to_odd_cache_lines,
    portions,
)
from cnncli.kernels.conv.winograd_tiles import (
    EACH,
    FORMS,
    of_gradient,
    of_strided_gradient,
    of_strided_sums,
    of_sums,
    packed,
    transform_square,
)
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.intrinsics import call, fetch
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, elements, fields, worker

DEPTH = 128
"""Maximum channels and filters of a block of the sums: 16 such blocks of float32 are 1 MiB."""
SHALLOW = 64
"""The same where the sums are so large that the batch has less than FEW parts: threads then share its blocks."""

SUM = block(
    "product border grad out lane depth breadth blocks panel scratch scratch_step copy tiles tile_step squares "
    f"square_step fetches {IMAGE}"
)
WEIGHT = block("x out size")


class Adjoint(NamedTuple):
    """What a form's weight gradient needs besides: the numbers of the transforms of the gradient and of the sums.

    Product i is that of element `gradient_of[i]` of the transformed gradient, and added to element `kernel_of[i]` of
    the sums.
    """

    gradient: int
    sums: int
    gradient_of: tuple[int, ...]

    @property
    def spread(self) -> int:
        """The elements of a transformed square along an axis."""
        return max(self.gradient_of) + 1


ADJOINTS = {
    "plain": Adjoint(of_gradient, of_sums, EACH),
    "strided": Adjoint(of_strided_gradient, of_strided_sums, (0, 1, 2, 0, 2)),
}


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """Compute the same as `conv2d_gradient.grad_weight`, where `suits_winograd` or `suits_strided_winograd`."""
    batch, channels = x.shape[0], x.shape[3]
    rows, columns, filters = grad.shape[1:]
    name = form_of(geometry)
    form, adjoint, family = FORMS[name], ADJOINTS[name], microkernel.family(x.dtype)
    sums = dtype_of_sums(x.dtype)
    item, cell = bytes_of(x.dtype), bytes_of(sums)
    size = channels * filters
    summed = Tensor(scratch.take(KERNELS * size * cell), (KERNELS, channels, filters), sums)
    parts = in_lanes(batch, summed.size)
    target, after = partial_sums(summed, parts, scratch)
    most = SHALLOW if summed.size * FEW > LARGE else DEPTH
    depth, width = (-(-size // -(-size // most) // family.panel) * family.panel for size in (channels, filters))
    blocks = -(-channels // depth), -(-filters // width)
    across = -(-columns // 2)
    across += across % (cell // item)
    squares = adjoint.spread**2
    cut = portions(batch, (-(-rows // 2), across), (depth * form.positions + width * squares) * item)
    tile_step, square_step = (pad_to_odd_cache_lines(cut.capacity * size * item) for size in (depth, width))
    copy = cut.pixels(form) * depth * item
    tiles = copy + 4 * cut.rows * across * width * item
    squares_at = tiles + form.positions * tile_step
    base, stride = scratch.per_thread(squares_at + squares * square_step)
    sum_step = sum_worker.step(
        x.dtype,
        parts.work(blocks[0] * blocks[1]),
        name,
        product=family.product,
        border=family.border,
        grad=grad.address,
        out=target,
        lane=parts.images,
        depth=depth,
        breadth=width,
        blocks=blocks[1],
        panel=family.panel * cell,
        scratch=base,
        scratch_step=stride,
        copy=copy,
        tiles=tiles,
        tile_step=tile_step,
        squares=squares_at,
        square_step=square_step,
        fetches=is_slim(channels, filters, item),
        **image_fields(x, grad.shape[1:], cut, geometry.padding),
    )
    weight_step = weight_worker.step(sums, elements(size), adjoint.sums, x=summed.address, out=out.address, size=size)
    return [sum_step, *after, weight_step]


@worker(SUM)
def sum_worker(real, name):
    """Accumulate the products of one block of some images of a lane, band by band."""
    item, cell = real.bitwidth // 8, computed(real).bitwidth // 8
    terms = cell // item
    in_pairs = terms > 1
    form, adjoint = FORMS[name], ADJOINTS[name]
    step, of_image, of_gradient = form.step, form.image, adjoint.gradient
    side, spread, shared, positions = len(form.late), form.spread, form.shared, form.positions
    spread_gradient, gradient_of = adjoint.spread, packed(adjoint.gradient_of)
    image_of, kernel_of, late = packed(form.image_of), packed(form.kernel_of), packed(form.late)
    # Whether other products are added to the same sum, and whether they are before.
    joint = packed([form.kernel_of.count(kernel) > 1 for kernel in form.kernel_of])
    joins = packed([kernel in form.kernel_of[:i] for i, kernel in enumerate(form.kernel_of)])

    def add_up(parameters, begin, end, thread):
        p = fields(parameters, SUM)
        base = p.scratch + thread * p.scratch_step
        block = begin // p.batch
        begin, end = begin - block * p.batch, end - block * p.batch
        left, top = block % p.blocks * p.breadth, block // p.blocks * p.depth
        depth, width = min(p.depth, p.channels - top), min(p.breadth, p.filters - left)
        pixel, grad_pixel, row_of = depth * item, width * item, p.breadth * item
        wide = step * p.across + shared
        line, grad_line = wide * pixel, 2 * p.across * grad_pixel
        tiles, squares, copy = base + p.tiles, base + p.squares, base + p.copy
        matrix, row_of_sums = p.channels * p.filters * cell, p.filters * cell
        out = p.out + begin // p.lane * KERNELS * matrix + top * row_of_sums + left * cell
        x_step, grad_step = p.channels * item, p.filters * item
        for start in range(begin, end, p.together):
            for band in range(p.bands):
                first, last = band * p.down // p.bands, (band + 1) * p.down // p.bands
                count, images = 0, min(end - start, p.together)
                for image in range(start, start + images):
                    x = p.x + image * p.height * p.width * x_step + top * item
                    part = step * first - p.top, step * (last - first) + shared, -p.left, wide
                    call(p.border, (base, x, p.height, p.width, x_step, pixel, *part))
                    grad = p.grad + image * p.rows * p.columns * grad_step + left * item
                    part = 2 * first, 2 * (last - first), 0, 2 * p.across
                    call(p.border, (copy, grad, p.rows, p.columns, grad_step, grad_pixel, *part))
                    for row in range(last - first):
                        for column in range(0, p.across, terms):
                            x = base + step * row * line + step * column * pixel
                            grad = copy + 2 * row * grad_line + 2 * column * grad_pixel
                            tile = tiles + count * pixel, spread * p.tile_step, p.tile_step
                            square = squares + count * row_of, spread_gradient * p.square_step, p.square_step
                            if in_pairs:
                                transform_square(of_image, (x, line, pixel, step * pixel), tile, 0, depth, real)
                                both = grad, grad_line, grad_pixel, 2 * grad_pixel
                                transform_square(of_gradient, both, square, 0, width, real)
                            else:
                                transform_square(of_image, (x, line, pixel), tile, 0, depth, real)
                                transform_square(of_gradient, (grad, grad_line, grad_pixel), square, 0, width, real)
                            count += terms
                begun = start % p.lane > 0 or band > 0
                # Positions that only the last row needs do without tiles whose last row is outside the image.
                rows, tiles_of_image = last - first, (last - first) * p.across
                inside = rows - p.rows % 2 if last == p.down and rows > 1 else rows
                # What the next band, or the next images, read.
                reads, grads = (
                    step * rows * p.together * p.width * x_step,
                    2 * rows * p.together * p.columns * grad_step,
                )
                reads, grads = reads // positions, grads // positions
                image = start + p.together - 1
                x = p.x + (image * p.height + step * last - p.top) * p.width * x_step
                grad = p.grad + (image * p.rows + 2 * last) * p.columns * grad_step
                # A sum of several products takes the images one by one, or their number would change its order.
                for turn in range(1 + images if joint else 1):
                    place, taken = (turn - 1, 1) if turn > 0 else (0, images)
                    for position in range(positions):
                        # Row and column, as shifts of packed numbers.
                        i, j = 4 * (position // side), 4 * (position % side)
                        if p.fetches != 0 and turn == 0:
                            fetch(x + position * reads, reads, 0)
                            fetch(grad + position * grads, grads, 0)
                        if (joint >> i | joint >> j) & 1 != (turn > 0):
                            continue
                        element = spread * (image_of >> i & 7) + (image_of >> j & 7)
                        factor = spread_gradient * (gradient_of >> i & 7) + (gradient_of >> j & 7)
                        kernel = 4 * (kernel_of >> i & 7) + (kernel_of >> j & 7)
                        target = out + kernel * matrix
                        call(
                            p.product,
                            (
                                target,
                                row_of_sums,
                                target if begun or turn > 1 or (joins >> i | joins >> j) & 1 else 0,
                                row_of_sums,
                                depth,
                                width,
                                tiles + element * p.tile_step + place * tiles_of_image * pixel,
                                cell,
                                pixel * terms,
                                tiles_of_image * pixel,
                                squares + factor * p.square_step + place * tiles_of_image * row_of,
                                row_of * terms,
                                p.panel,
                                tiles_of_image * row_of,
                                (inside if late >> i & 1 else rows) * p.across // terms,
                                taken,
                            ),
                        )

    return add_up


@worker(WEIGHT)
def weight_worker(real, transform):
    """Compute some weights of each tap from their sums."""
    item = real.bitwidth // 8

    def weight(parameters, start, stop, thread):
        p = fields(parameters, WEIGHT)
        size = p.size * item
        transform_square(transform, (p.x, 4 * size, size), (p.out, 3 * size, size), start, stop, real)

    return weight
