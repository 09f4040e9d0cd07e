"""3×3 convolutions with Winograd's F(2×2, 3×3) (Lavin & Gray 2015): 16 instead of 36 products for 4 pixels.

    out = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A    for each tile d of 4×4 pixels and each kernel g

The sums over channels are matrix products, one for each of the 16 positions of a tile, with tiles as rows: each element
is one chain of fused multiply-adds over the channels. Transforms (`winograd_tiles`) add in a fixed order, so results
depend neither on the vector width nor on the number of threads. Only the 2×2 form is used: larger ones lose precision,
and exact zeros become nonzero.

Images of bfloat16 are transformed in float32, as are kernels; both are rounded then, and multiplied in pairs of
channels with float32 sums (`gemm.bfloat16`). The transforms of sums stay float32 until the epilogue is done.
"""

from typing import NamedTuple

from numba import njit

from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.winograd_tiles import (
    gather_pooled,
    gather_tile,
    spread_kernel,
    spread_kernel_pairs,
    spread_tile,
)
from cnncli.kernels.gemm import bfloat16, microkernel
from cnncli.kernels.gemm.dense import ROUNDING, Source, pack, rounding
from cnncli.kernels.gemm.epilogue import EPILOGUE, PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.intrinsics import call, fetch
from cnncli.kernels.jit.runtime import SPAN, Scratch, Step, Tensor, block, computed, fields, images, worker
from cnncli.kernels.vector.lanes import LINE

POSITIONS = 16
"""Elements of a transformed tile."""
LAST_ROW, LAST_COLUMN = 12, 3
"""The first position in the last row of a tile, and that in the last column: only the last pixels depend on them."""
CENTRE = 5
"""The position whose coefficient is +1 for every output pixel of a tile: adding the bias there adds it everywhere."""
TILES = 64
"""Maximum tiles per chunk: rows of the products."""
LEAST_TILES = 8
"""Minimum tiles per chunk where few images are divided among threads."""
FEW = 4
"""Chunks that few images are divided into."""
NEAR = 640 << 10
"""Maximum bytes of a chunk's transformed tiles and products, so that they stay in the L2 cache."""
SLIM = 128
"""Maximum bytes of a pixel, before and after, for which products are so short that memory is fetched during them."""

KERNEL = block("x out tap step size matrix part row")
IMAGE = "x batch height width channels rows columns filters down across bands together top left"
TILE = block(
    "product border out winner b b_row b_panel b_step scratch scratch_step tiles tile_step products product_step "
    f"beyond odd_row odd_column fetches {IMAGE} {EPILOGUE} {ROUNDING}"
)


def pays(dtype: str) -> bool:
    """Whether fewer products make up for the transforms of images of `dtype`.

    Not where AMX multiplies: the transforms alone take longer than its direct products (an estimate, not measured).
    """
    return dtype != "bfloat16" or bfloat16.way() != "amx_bf16"


class Portions(NamedTuple):
    """Partition of the tiles, `down` × `across` per image: `bands` per image, or several images `together`.

    `capacity`: maximum tiles of a portion; `pixels`: number of pixels of the image part that a band reads.
    """

    down: int
    across: int
    bands: int
    together: int
    capacity: int
    pixels: int


def portions(batch: int, tiles: tuple[int, int], size: int, least: int = 1) -> Portions:
    """Return cache-sized portions of `tiles` (down, across) per image; `size`: bytes of a position of a tile.

    If the tiles are enough, there are at least `least` portions.
    """
    down, across = tiles
    most = max(14, min(TILES, NEAR // (POSITIONS * size)))
    bands = -(-down // max(1, min(down, most // across)))
    bands = max(bands, min(-(-least // batch), down, down * across // LEAST_TILES))
    band = -(-down // bands)
    together = max(1, min(batch, most // (down * across))) if bands == 1 else 1
    return Portions(down, across, bands, together, band * across * together, (2 * band + 2) * (2 * across + 2))


def image_fields(x: Tensor, out: tuple[int, ...], cut: Portions, padding: tuple[int, int]) -> dict[str, int]:
    """Return the fields of IMAGE: x, (N, H, W, in), the output of an image, (rows, columns, filters), and portions."""
    values = (x.address, *x.shape, *out, cut.down, cut.across, cut.bands, cut.together, *padding)
    return dict(zip(IMAGE.split(), values, strict=True))


def pad_to_odd_cache_lines(size: int) -> int:
    """Return `size` bytes, rounded to an odd number of cache lines to avoid set conflicts between 16 such arrays."""
    return (-(-size // LINE) | 1) * LINE


def is_slim(channels: int, filters: int, item: int) -> bool:
    """Whether pixels of `channels` and of `filters` are so small that a chunk's memory is fetched during products."""
    return max(channels, filters) * item <= SLIM


def forward(
    x: Tensor, kernel: Tensor, epilogue: Epilogue, out: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """Compute the same as `conv2d.forward`, for convolutions that `suits_winograd` accepts."""
    return _correlate(x, _source(kernel), epilogue, out, geometry.padding, scratch)


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """Compute the same as `conv2d_gradient.grad_input`: kernel flipped, channels and filters exchanged."""
    channels, filters = kernel.shape[2:]
    tap = channels * filters
    last = kernel.address + 8 * tap * bytes_of(kernel.dtype)
    source = Source(last, (1, 3, 3, filters, channels), (filters, -3 * tap, -tap, 1, filters))
    top, left = geometry.padding
    return _correlate(grad, source, PLAIN, out, (2 - top, 2 - left), scratch)


def forward_pooled(
    x: Tensor, kernel: Tensor, bias: Tensor | None, out: Tensor, winner: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """Compute the same as `conv_pool.forward`: the pixels of a tile are the pooled square."""
    return _correlate(x, _source(kernel), Epilogue(bias), out, geometry.padding, scratch, winner)


def _source(kernel: Tensor) -> Source:
    """Return the packing source of a kernel (3, 3, in, filters)."""
    channels, filters = kernel.shape[2:]
    return Source(
        kernel.address, (1, 3, 3, channels, filters), (filters, 3 * channels * filters, channels * filters, filters, 1)
    )


def _correlate(
    x: Tensor,
    kernel: Source,
    epilogue: Epilogue,
    out: Tensor,
    padding: tuple[int, int],
    scratch: Scratch,
    winner: Tensor | None = None,
) -> list[Step]:
    """Return the steps for a kernel (3, 3, in, filters) on x, (N, H, W, in); with `winner`, `out` is pooled."""
    batch, channels = x.shape[0], x.shape[3]
    rows, columns, filters = out.shape[1:]
    sums = dtype_of_sums(x.dtype)
    item, cell = bytes_of(x.dtype), bytes_of(sums)
    pack_step, packed = pack(kernel, sums, scratch)
    panel = microkernel.family(x.dtype).panel
    matrix = channels * panel
    size = -(-filters // panel) * matrix
    transformed = scratch.take(POSITIONS * size * item)
    part = max(1, SPAN // 4 // matrix) * matrix
    kernel_step = kernel_worker.step(
        x.dtype,
        -(-size // part),
        x=packed.address,
        out=transformed,
        tap=packed.tap_x,
        step=size * item,
        size=size,
        matrix=matrix,
        part=part,
        row=panel * cell,
    )
    down, across = (rows, columns) if winner else (-(-rows // 2), -(-columns // 2))
    cut = portions(batch, (down, across), channels * item + filters * cell, FEW)
    image = cut.pixels * channels * item
    sizes = channels * item, filters * cell
    tile_step, product_step = (pad_to_odd_cache_lines(cut.capacity * size) for size in sizes)
    tiles, products = image, image + POSITIONS * tile_step
    beyond = products + POSITIONS * product_step
    base, stride = scratch.per_thread(beyond + filters * cell)
    convolution = tile_worker.step(
        x.dtype,
        images(batch, cut.together, cut.bands),
        winner is not None,
        product=microkernel.family(x.dtype).product,
        border=microkernel.family(x.dtype).border,
        out=out.address,
        winner=winner.address if winner else 0,
        b=transformed,
        b_row=panel * cell,
        b_panel=matrix * item,
        b_step=size * item,
        scratch=base,
        scratch_step=stride,
        tiles=tiles,
        tile_step=tile_step,
        products=products,
        product_step=product_step,
        beyond=beyond,
        odd_row=0 if winner else rows % 2,
        odd_column=0 if winner else columns % 2,
        fetches=is_slim(channels, filters, item) and winner is None,
        **image_fields(x, out.shape[1:], cut, padding),
        **epilogue.fields(dtype_of_sums(x.dtype)),
        **rounding(x.dtype, out.dtype, 2 * columns * filters, scratch, slopes=epilogue.slopes is not None),
    )
    return [pack_step, kernel_step, convolution]


@worker(KERNEL)
def kernel_worker(real):
    """Transform kernels: some rows of a panel for all positions."""
    sums = computed(real)
    item, cell = real.bitwidth // 8, sums.bitwidth // 8
    in_pairs = item < cell

    def spread_kernels(parameters, chunk, _, thread):
        p = fields(parameters, KERNEL)
        for start in range(chunk * p.part, min(p.size, (chunk + 1) * p.part), p.matrix):
            # A panel's taps are contiguous, each a matrix (in, panel).
            x, out = p.x + 9 * start * cell, p.out + start * item
            if in_pairs:
                spread_kernel_pairs(x, p.tap, out, p.step, p.row, p.matrix * item // p.row, sums)
            else:
                spread_kernel(x, p.tap, out, p.step, 0, p.matrix, real)

    return spread_kernels


@njit(inline="always")
def places(image, row, rows, columns, begins):
    """Return the places among a chunk's tiles of a row's first tile and, if it reaches beyond the image, its last one.

    Tiles whose last row or column of pixels is outside the image need no positions in the last row or column; so that
    the others are adjacent, the order is: last tiles of `rows`, their other `columns`, lower rows without and with the
    last tile. `begins`: the places of the second to fourth part.
    """
    if row < rows:
        return begins[0] + (image * rows + row) * columns, image * rows + row
    return begins[1] + image * columns, begins[2] + image


@worker(TILE)
def tile_worker(real, with_pooling):
    """Process bands of tiles; if an image is a single band, several images together."""
    sums = computed(real)
    item, cell = real.bitwidth // 8, sums.bitwidth // 8
    terms = cell // item

    def convolve(parameters, begin, end, thread):
        p = fields(parameters, TILE)
        base = p.scratch + thread * p.scratch_step
        pixel, row_of = p.channels * item, p.filters * cell
        line, wide = (2 * p.across + 2) * pixel, 2 * p.across + 2
        for unit in range(begin, end, p.together):
            band = unit % p.bands
            first, last = band * p.down // p.bands, (band + 1) * p.down // p.bands
            start = unit // p.bands
            stop = min(end, start + p.together) if p.bands == 1 else start + 1
            tiles, products = base + p.tiles, base + p.products
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
                copied = 2 * first - p.top, 2 * (last - first) + 2, -p.left, wide
                call(p.border, (base, x, p.height, p.width, pixel, pixel, *copied))
                for row in range(last - first):
                    place, end_of_row = places(image - start, row, rows, columns, begins)
                    for column in range(p.across):
                        corner = base + 2 * row * line + 2 * column * pixel
                        tile = tiles + (place + column if column < columns else end_of_row) * pixel
                        spread_tile(corner, line, pixel, tile, p.tile_step, p.channels, real)
            # What the next chunk reads, and what this one writes.
            lines = 2 * (last - first) * images
            ahead = p.x + ((stop - 1) * p.height + 2 * last - p.top) * p.width * pixel
            behind = p.out + (start * p.rows + 2 * first) * p.columns * p.filters * item
            reads, writes = lines * p.width * pixel // POSITIONS, lines * p.columns * p.filters * item // POSITIONS
            for position in range(POSITIONS):
                last_column = position % 4 == LAST_COLUMN
                begun = begins[0] if last_column else 0
                ended = count if position < LAST_ROW else begins[1]
                ended = min(ended, begins[2]) if last_column else ended
                if p.fetches != 0:
                    fetch(ahead + position * reads, reads, 0)
                    fetch(behind + position * writes, writes, 1)
                if ended > begun:
                    call(
                        p.product,
                        (
                            products + position * p.product_step + begun * row_of,
                            row_of,
                            p.bias if position == CENTRE else 0,
                            0,
                            ended - begun,
                            p.filters,
                            tiles + position * p.tile_step + begun * pixel,
                            pixel,
                            cell,
                            0,
                            p.b + position * p.b_step,
                            p.b_row,
                            p.b_panel,
                            0,
                            p.channels // terms,
                            1,
                        ),
                    )
            for image in range(start, stop):
                for row in range(first, last):
                    if with_pooling:
                        for column in range(p.across):
                            place = ((image * p.rows + row) * p.columns + column) * p.filters
                            gather_pooled(
                                products, p.product_step, p.out + place * item, p.winner + place, p.filters, real
                            )
                            products += row_of
                    else:
                        count = min(2, p.rows - 2 * row) * p.columns * p.filters
                        offset = (image * p.rows + 2 * row) * p.columns * p.filters
                        out = p.sums + thread * p.sums_step if p.narrow != 0 else p.out + offset * cell
                        below = out + p.columns * row_of
                        begun, end_of_row = places(image - start, row - first, rows, columns, begins)
                        for column in range(p.across):
                            tile = products + (begun + column if column < columns else end_of_row) * row_of
                            place = 2 * column * row_of
                            # Pixels outside the image are written to an unused buffer.
                            beyond = base + p.beyond
                            inside, lower = 2 * column + 1 < p.columns, 2 * row + 1 < p.rows
                            targets = (
                                out + place,
                                out + place + row_of if inside else beyond,
                                below + place if lower else beyond,
                                below + place + row_of if inside and lower else beyond,
                            )
                            gather_tile(tile, p.product_step, targets, p.filters, sums)
                        if p.after != 0:
                            slopes = out + p.beside if p.narrow != 0 else p.slopes + offset * cell
                            call(p.after, (out, slopes, count))
                        if p.narrow != 0:
                            call(p.narrow, (p.out + offset * item, 0, out, 0, 1, count))
                            if p.slopes != 0:
                                call(p.narrow, (p.slopes + offset * item, 0, out + p.beside, 0, 1, count))

    return convolve
