"""3×3 convolutions by Winograd's method (Lavin & Gray 2015), with strides of 1 or 2: fewer products a pixel.

    out = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A    for each tile d of the image and each kernel g

With strides of 1, F(2×2, 3×3) takes 16 instead of 36 products for 4 pixels. Only this form is used: larger ones lose
precision, and exact zeros become nonzero.

With strides of 2, the even pixels of an axis meet two taps, the odd ones a single one. So two outputs are those of
F(2, 2) on the even pixels, 3 products, plus 2 products of odd pixels and the middle tap: 5 instead of 6, and 25 instead
of 36 along both axes. The input gradient is the same backwards: 4×4 pixels from 3×3 gradients. Transformed kernels have
16 different elements, because both odd pixels meet the same tap.

The sums over channels are matrix products, one for each position of a tile's products, with tiles as rows: each element
is one chain of fused multiply-adds over the channels. Transforms (`winograd_tiles`) add in a fixed order, so results
depend neither on the vector width nor on the number of threads.

Images of bfloat16 are transformed in float32, as are kernels; both are rounded then, and multiplied in pairs of
channels with float32 sums (`gemm.bfloat16`). The transforms of sums stay float32 until the epilogue is done.
"""

from typing import NamedTuple

from numba import njit

from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.winograd_tiles import FORMS, Form, gather_pooled, gather_tile, packed, transform_square
from cnncli.kernels.gemm import bfloat16, microkernel
from cnncli.kernels.gemm.dense import ROUNDING, Source, pack, rounding
from cnncli.kernels.gemm.epilogue import EPILOGUE, PLAIN, Epilogue
from cnncli.kernels.jit.dtypes import bytes_of, dtype_of_sums
from cnncli.kernels.jit.intrinsics import call, fetch
from cnncli.kernels.jit.runtime import SPAN, Scratch, Step, Tensor, block, computed, fields, images, worker
from cnncli.kernels.vector.lanes import LINE

KERNELS = 16
"""Elements of a transformed kernel."""
TILES = 64
"""Maximum tiles per chunk: rows of the products."""
LEAST_TILES = 8
"""Minimum tiles per chunk where few images are divided among threads."""
FEW = 4
"""Chunks that few images are divided into."""
NEAR = 640 << 10
"""Maximum bytes of a chunk's transformed tiles and products, so that they stay in the L2 cache."""
USED = 32
"""Tiles per chunk even if they have more bytes: the transformed kernel, which may be larger, is read for each chunk."""
LEAST_FILTERS = 64
"""Minimum filters per chunk where few images are divided among threads by filters: all chunks transform the tiles."""
SLIM = 128
"""Maximum bytes of a pixel, before and after, for which products are so short that memory is fetched during them."""

KERNEL = block("x out tap step size matrix part row")
IMAGE = "x batch height width channels rows columns filters down across bands together top left"
TILE = block(
    "product border out winner parts share b b_part b_row b_panel b_step scratch scratch_step tiles tile_step products "
    f"product_step beyond first first_column odd_row odd_column fetches {IMAGE} {EPILOGUE} {ROUNDING}"
)


def pays(dtype: str) -> bool:
    """Whether fewer products make up for the transforms of images of `dtype`.

    Not where AMX multiplies: the transforms alone take longer than its direct products (an estimate, not measured).
    """
    return dtype != "bfloat16" or bfloat16.way() != "amx_bf16"


class Portions(NamedTuple):
    """Partition of the tiles, `down` × `across` per image: `bands` per image, or several images `together`.

    A portion has at most `capacity` tiles, and `rows` rows of tiles of an image. It has fewer if few images are divided
    further; scratch for a batch therefore suffices for fewer images, too.
    """

    down: int
    across: int
    bands: int
    together: int
    capacity: int
    rows: int

    def pixels(self, form: Form) -> int:
        """Return the number of pixels of an image that a portion reads."""
        return (form.step * self.rows + form.shared) * (form.step * self.across + form.shared)


class Tiling(NamedTuple):
    """How tiles cover images: the name of their form, and what of them is above and left of the image.

    `padding`: rows and columns of pixels that the first tile reads there; `first`: those of the output that it gives.
    """

    form: str
    padding: tuple[int, int]
    first: tuple[int, int] = (0, 0)


def portions(batch: int, tiles: tuple[int, int], size: int, least: int = 1, *, alone: bool = False) -> Portions:
    """Return cache-sized portions of `tiles` (down, across) per image; `size`: bytes of all products of a tile.

    If the tiles are enough, there are at least `least` portions; none has several images if each is to be `alone`.
    """
    down, across = tiles
    most = max(USED, min(TILES, NEAR // size))
    near = -(-down // max(1, min(down, most // across)))
    bands = max(near, min(-(-least // batch), down, down * across // LEAST_TILES))
    together = max(1, min(batch, most // (down * across))) if bands == 1 and not alone else 1
    rows = -(-down // near)
    return Portions(down, across, bands, together, rows * across * together, rows)


def image_fields(x: Tensor, out: tuple[int, ...], cut: Portions, padding: tuple[int, int]) -> dict[str, int]:
    """Return the fields of IMAGE: x, (N, H, W, in), the output of an image, (rows, columns, filters), and portions."""
    values = (x.address, *x.shape, *out, cut.down, cut.across, cut.bands, cut.together, *padding)
    return dict(zip(IMAGE.split(), values, strict=True))


def pad_to_odd_cache_lines(size: int) -> int:
    """Return `size` bytes, rounded to an odd number of cache lines to avoid set conflicts between such arrays."""
    return (-(-size // LINE) | 1) * LINE


def is_slim(channels: int, filters: int, item: int) -> bool:
    """Whether pixels of `channels` and of `filters` are so small that a chunk's memory is fetched during products."""
    return max(channels, filters) * item <= SLIM


def form_of(geometry: Geometry) -> str:
    """Return the name of the form of a convolution."""
    return "plain" if geometry.strides == (1, 1) else "strided"


def forward(
    x: Tensor, kernel: Tensor, epilogue: Epilogue, out: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """Compute the same as `conv2d.forward`, where `suits_winograd` or `suits_strided_winograd`."""
    return _correlate(x, _source(kernel), epilogue, out, Tiling(form_of(geometry), geometry.padding), scratch)


def grad_input(grad: Tensor, kernel: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """Compute the same as `conv2d_gradient.grad_input`: channels and filters exchanged, a plain kernel flipped."""
    channels, filters = kernel.shape[2:]
    tap, sizes = channels * filters, (1, 3, 3, filters, channels)
    if form_of(geometry) == "plain":
        last = kernel.address + 8 * tap * bytes_of(kernel.dtype)
        source = Source(last, sizes, (filters, -3 * tap, -tap, 1, filters))
        top, left = geometry.padding
        tiling = Tiling("plain", (2 - top, 2 - left))
    else:
        source = Source(kernel.address, sizes, (filters, 3 * tap, tap, 1, filters))
        tiling = Tiling("transposed", (1, 1), geometry.padding)
    return _correlate(grad, source, PLAIN, out, tiling, scratch)


def forward_pooled(
    x: Tensor, kernel: Tensor, bias: Tensor | None, out: Tensor, winner: Tensor, geometry: Geometry, scratch: Scratch
) -> list[Step]:
    """Compute the same as `conv_pool.forward`: the pixels of a tile are the pooled square."""
    return _correlate(x, _source(kernel), Epilogue(bias), out, Tiling("plain", geometry.padding), scratch, winner)


def _source(kernel: Tensor) -> Source:
    """Return the packing source of a kernel (3, 3, in, filters)."""
    channels, filters = kernel.shape[2:]
    tap = channels * filters
    return Source(kernel.address, (1, 3, 3, channels, filters), (filters, 3 * tap, tap, filters, 1))


def _correlate(
    x: Tensor,
    kernel: Source,
    epilogue: Epilogue,
    out: Tensor,
    tiling: Tiling,
    scratch: Scratch,
    winner: Tensor | None = None,
) -> list[Step]:
    """Return the steps for a kernel (3, 3, in, filters) on x, (N, H, W, in); with `winner`, `out` is pooled."""
    batch, channels = x.shape[0], x.shape[3]
    columns, filters = out.shape[2:]
    form, family = FORMS[tiling.form], microkernel.family(x.dtype)
    sums = dtype_of_sums(x.dtype)
    item, cell = bytes_of(x.dtype), bytes_of(sums)
    pack_step, packed = pack(kernel, sums, scratch)
    matrix = channels * family.panel
    size = -(-filters // family.panel) * matrix
    transformed = scratch.take(KERNELS * size * item)
    part = max(1, SPAN // 4 // matrix) * matrix
    row = family.panel * cell
    kernel_step = kernel_worker.step(
        x.dtype,
        -(-size // part),
        form.kernel,
        x=packed.address,
        out=transformed,
        tap=packed.tap_x,
        step=size * item,
        size=size,
        matrix=matrix,
        part=part,
        row=row,
    )
    # Pixels of the output that tiles give; a pooled one is a tile.
    ends = [n * (2 if winner else 1) + before for n, before in zip(out.shape[1:3], tiling.first, strict=True)]
    odd_row, odd_column = (int(0 < end % form.size <= form.size // 2) for end in ends)
    grid = -(-ends[0] // form.size), -(-ends[1] // form.size)
    tile = (channels * item + filters * cell) * form.positions
    cut, parts = portions(batch, grid, tile, FEW), 1
    if batch * cut.bands < FEW:  # So few tiles are divided by filters: a thread reads a part of the kernel only.
        parts = max(1, min(FEW // batch, filters // LEAST_FILTERS))
        if parts > 1:
            cut = portions(batch, grid, tile, -(-FEW // parts), alone=True)
    share = -(-filters // parts // family.panel) * family.panel if parts > 1 else filters
    parts = -(-filters // share)  # Fewer if their whole panels hold all.
    sizes = channels * item, share * cell
    tile_step, product_step = (pad_to_odd_cache_lines(cut.capacity * size) for size in sizes)
    tiles = cut.pixels(form) * channels * item
    products = tiles + form.spread**2 * tile_step
    beyond = products + form.positions * product_step
    base, stride = scratch.per_thread(beyond + share * cell)
    convolution = tile_worker.step(
        x.dtype,
        images(batch, cut.together, cut.bands * parts),
        tiling.form,
        winner is not None,
        product=family.product,
        border=family.border,
        out=out.address,
        winner=winner.address if winner else 0,
        parts=parts,
        share=share,
        b=transformed,
        b_part=share // family.panel * matrix * item,
        b_row=row,
        b_panel=matrix * item,
        b_step=size * item,
        scratch=base,
        scratch_step=stride,
        tiles=tiles,
        tile_step=tile_step,
        products=products,
        product_step=product_step,
        beyond=beyond,
        first=tiling.first[0],
        first_column=tiling.first[1],
        odd_row=odd_row,
        odd_column=odd_column,
        fetches=is_slim(channels, filters, item) and winner is None,
        **image_fields(x, out.shape[1:], cut, tiling.padding),
        **epilogue.fields(sums),
        **rounding(x.dtype, out.dtype, form.size * columns * filters, scratch, slopes=epilogue.slopes is not None),
    )
    return [pack_step, kernel_step, convolution]


@worker(KERNEL)
def kernel_worker(real, transform):
    """Transform kernels: some panels for all positions."""
    sums = computed(real)
    item, cell = real.bitwidth // 8, sums.bitwidth // 8
    in_pairs = item < cell

    def transform_kernels(parameters, chunk, _, thread):
        p = fields(parameters, KERNEL)
        for start in range(chunk * p.part, min(p.size, (chunk + 1) * p.part), p.matrix):
            # A panel's taps are contiguous, each a matrix (in, panel).
            x, out = p.x + 9 * start * cell, p.out + start * item
            if in_pairs:
                for row in range(0, p.matrix * item, p.row):
                    pairs, target = (x + 2 * row, 3 * p.tap, p.tap, p.row), (out + row, 4 * p.step, p.step)
                    transform_square(transform, pairs, target, 0, p.row // cell, sums)
            else:
                taps, target = (x, 3 * p.tap, p.tap), (out, 4 * p.step, p.step)
                transform_square(transform, taps, target, 0, p.matrix, real)

    return transform_kernels


@njit(inline="always")
def places(image, row, rows, columns, begins):
    """Return the places among a chunk's tiles of a row's first tile and, if it reaches beyond the image, its last one.

    Tiles whose second half is outside the image need no positions that only that depends on; so that the others are
    adjacent, the order is: last tiles of `rows`, their other `columns`, lower rows without and with the last tile.
    `begins`: the places of the second to fourth part.
    """
    if row < rows:
        return begins[0] + (image * rows + row) * columns, image * rows + row
    return begins[1] + image * columns, begins[2] + image


@worker(TILE)
def tile_worker(real, name, with_pooling):
    """Process bands of tiles, or parts of their filters; if an image is a single chunk, several images together."""
    sums = computed(real)
    item, cell = real.bitwidth // 8, sums.bitwidth // 8
    terms = cell // item
    form = FORMS[name]
    step, size, of_image, _, of_products, *_ = form
    side, spread, shared, positions = len(form.late), form.spread, form.shared, form.positions
    image_of, kernel_of, late = packed(form.image_of), packed(form.kernel_of), packed(form.late)

    def convolve(parameters, begin, end, thread):
        p = fields(parameters, TILE)
        base = p.scratch + thread * p.scratch_step
        pixel, row_of = p.channels * item, p.share * cell
        # Sums that are rounded lie in scratch, without the filters of other parts.
        pixel_of = row_of if p.narrow != 0 else p.filters * cell
        wide = step * p.across + shared
        line = wide * pixel
        for unit in range(begin, end, p.together):
            part, band, start = unit % p.parts, unit // p.parts % p.bands, unit // p.parts // p.bands
            first, last = band * p.down // p.bands, (band + 1) * p.down // p.bands
            stop = min(end, start + p.together) if p.parts * p.bands == 1 else start + 1
            left = part * p.share
            filters = min(p.share, p.filters - left)
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
                copied = step * first - p.top, step * (last - first) + shared, -p.left, wide
                call(p.border, (base, x, p.height, p.width, pixel, pixel, *copied))
                for row in range(last - first):
                    place, end_of_row = places(image - start, row, rows, columns, begins)
                    for column in range(p.across):
                        corner = base + step * row * line + step * column * pixel, line, pixel
                        tile = tiles + (place + column if column < columns else end_of_row) * pixel
                        out = tile, spread * p.tile_step, p.tile_step
                        transform_square(of_image, corner, out, 0, p.channels, real)
            # What the next chunk reads, and what this one writes.
            reads, writes = step * (last - first) * images, size * (last - first) * images
            reads, writes = reads * p.width * pixel // positions, writes * p.columns * p.filters * item // positions
            ahead = p.x + ((stop - 1) * p.height + step * last - p.top) * p.width * pixel
            behind = p.out + (start * p.rows + size * first) * p.columns * p.filters * item
            for position in range(positions):
                # Row and column, as shifts of packed numbers.
                i, j = 4 * (position // side), 4 * (position % side)
                begun, ended = 0, begins[1] if late >> i & 1 else count
                if late >> j & 1:
                    begun, ended = begins[0], min(ended, begins[2])
                element = spread * (image_of >> i & 7) + (image_of >> j & 7)
                kernel = 4 * (kernel_of >> i & 7) + (kernel_of >> j & 7)
                if p.fetches != 0:
                    fetch(ahead + position * reads, reads, 0)
                    fetch(behind + position * writes, writes, 1)
                if ended > begun:
                    call(
                        p.product,
                        (
                            products + position * p.product_step + begun * row_of,
                            row_of,
                            # Every pixel of the tile is the product at (1, 1) plus others.
                            p.bias + left * cell if p.bias != 0 and position == side + 1 else 0,
                            0,
                            ended - begun,
                            filters,
                            tiles + element * p.tile_step + begun * pixel,
                            pixel,
                            cell,
                            0,
                            p.b + part * p.b_part + kernel * p.b_step,
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
                            place = ((image * p.rows + row) * p.columns + column) * p.filters + left
                            tile = products, side * p.product_step, p.product_step
                            gather_pooled(of_products, tile, p.out + place * item, p.winner + place, filters, real)
                            products += row_of
                    else:
                        y = size * row - p.first
                        top, bottom = max(0, y), min(p.rows, y + size)
                        offset = (image * p.rows + top) * p.columns * p.filters + left
                        pixels = (bottom - top) * p.columns
                        out = p.sums + thread * p.sums_step if p.narrow != 0 else p.out + offset * cell
                        corner = out + (y - top) * p.columns * pixel_of
                        begun, end_of_row = places(image - start, row - first, rows, columns, begins)
                        for column in range(p.across):
                            tile = products + (begun + column if column < columns else end_of_row) * row_of
                            x = size * column - p.first_column
                            gather_tile(
                                of_products,
                                size,
                                (tile, side * p.product_step, p.product_step),
                                (corner + x * pixel_of, p.columns * pixel_of, pixel_of, base + p.beyond),
                                (y, p.rows, x, p.columns),
                                filters,
                                sums,
                            )
                        # Pixels are adjacent unless other parts have filters between them.
                        lines, length = (1, pixels * filters) if p.parts == 1 else (pixels, filters)
                        if p.after != 0:
                            slopes = out + p.beside if p.narrow != 0 else p.slopes + offset * cell
                            for line_of in range(0, lines * pixel_of, pixel_of):
                                call(p.after, (out + line_of, slopes + line_of, length))
                        if p.narrow != 0:
                            rows_of = pixel_of, lines, length
                            call(p.narrow, (p.out + offset * item, p.filters * item, out, *rows_of))
                            if p.slopes != 0:
                                call(p.narrow, (p.slopes + offset * item, p.filters * item, out + p.beside, *rows_of))

    return convolve
