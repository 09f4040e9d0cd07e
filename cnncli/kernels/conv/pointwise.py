"""1×1 convolutions: a matrix product of all pixels, in tiles of pixels and, where these are few, of filters."""

from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.dense import GRAIN, Panels, shares
from cnncli.kernels.gemm.epilogue import EPILOGUE, Epilogue
from cnncli.kernels.jit.intrinsics import call
from cnncli.kernels.jit.runtime import Step, Tensor, Work, block, fields, worker

POINTWISE = block(
    "product limited limits x out b b_row b_panel pixels channels filters tile row_tiles column_tile column_tiles "
    f"panel {EPILOGUE}"
)
LEAST_PIXELS = 24
"""Minimum pixels of a part of an image: the panels of the kernel are read for each."""
PIXELS = 64
"""Pixels per tile that images smaller than that are joined to."""


def correlate(x: Tensor, kernel: Panels, filters: int, out: int, epilogue: Epilogue) -> Step:
    """out = f(x · kernel + bias). x: real (N, H, W, C); kernel: (C, filters); out: address of (N, H, W, filters).

    Units are parts of an image. Where a thread has whole images, it computes tiles of all their pixels instead.
    """
    batch, height, width, channels = x.shape
    pixels, panel = height * width, microkernel.family(x.dtype).panel
    work = pixels * channels * filters
    parts = max(1, work // (2 * GRAIN))
    row_tiles = shares(max(1, pixels // LEAST_PIXELS), work, 2 * GRAIN)
    column_tile = -(-filters // max(1, parts // row_tiles) // panel) * panel
    column_tiles = -(-filters // column_tile)
    together = max(1, GRAIN // work, min(batch // 8, PIXELS // pixels))
    parts = row_tiles * column_tiles
    limits = epilogue.limits(x.dtype)
    if limits:
        epilogue = epilogue._replace(activation="linear")
    return pointwise_worker.step(
        x.dtype,
        Work(batch * parts, together * parts if together > 1 else 1, batch),
        product=microkernel.family(x.dtype).product,
        limited=microkernel.family(x.dtype).limited,
        limits=limits,
        x=x.address,
        out=out,
        b=kernel.address,
        b_row=kernel.row,
        b_panel=kernel.panel,
        pixels=pixels,
        channels=channels,
        filters=filters,
        tile=max(PIXELS, -(-pixels // row_tiles)),
        row_tiles=row_tiles,
        column_tile=column_tile,
        column_tiles=column_tiles,
        panel=panel,
        **epilogue.fields(x.dtype),
    )


@worker(POINTWISE)
def pointwise_worker(real):
    """Process parts of images."""
    item = real.bitwidth // 8

    def multiply(parameters, start, stop, thread):
        p = fields(parameters, POINTWISE)
        parts, row, cell = p.row_tiles * p.column_tiles, p.channels * item, p.filters * item
        unit = start
        while unit < stop:
            first, part = unit // parts * p.pixels, unit % parts
            if part == 0 and stop - unit >= parts:
                taken = (stop - unit) // parts * parts
                count, left, width = taken // parts * p.pixels, 0, p.filters
                tiles = -(-count // p.tile)
            else:
                above = part // p.column_tiles * p.pixels // p.row_tiles
                below = (part // p.column_tiles + 1) * p.pixels // p.row_tiles
                taken, first, count, tiles = 1, first + above, below - above, 1
                left = part % p.column_tiles * p.column_tile
                width = min(p.column_tile, p.filters - left)
            for tile in range(tiles):
                top = first + tile * count // tiles
                rows = first + (tile + 1) * count // tiles - top
                out = p.out + top * cell + left * item
                factors = (
                    out,
                    cell,
                    p.bias + left * item if p.bias != 0 else 0,
                    0,
                    rows,
                    width,
                    p.x + top * row,
                    row,
                    item,
                    0,
                    p.b + left // p.panel * p.b_panel,
                    p.b_row,
                    p.b_panel,
                    0,
                    p.channels,
                    1,
                )
                if p.limits != 0:
                    call(p.limited, (*factors, p.limits))
                else:
                    call(p.product, factors)
                if p.after != 0:
                    lines, length = (1, rows * width) if width == p.filters else (rows, width)
                    for line in range(lines):
                        written = out + line * cell
                        call(p.after, (written, p.slopes + written - p.out, length))
            unit += taken

    return multiply
