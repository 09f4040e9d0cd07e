"""Contrast-limited adaptive histogram equalization, in-place: a map of the 256 levels for each tile of an image, and
between the middles of tiles a blend of the maps of the four around (Zuiderveld 1994).
"""

import numpy as np
from numba import njit, types

from cnncli.kernels.augment.draws import DRAWS, Among, Range, chosen, each_image
from cnncli.kernels.augment.levels import NEARLY
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, view, worker

TILES = block(DRAWS + "height width channels rows columns scratch stride limit:f start:f unit:f")
LEVELS = 256
PORTION = 1 << 13
"""Elements per chunk."""


def equalize_tiles(
    x: Tensor,
    clock: Tensor,
    scratch: Scratch,
    tiles: tuple[int, int],
    limit: float,
    *,
    ends: Range,
    among: Among | None = None,
) -> list[Step]:
    """Equalize each channel of x, real (N, H, W, C), in `tiles`: rows and columns of them.

    Images that are no whole tiles are continued by their mirror images, H or W pixels at most. `limit`: of a level's
    count, as a multiple of the mean; none if ≤ 0. `ends`: the values of levels 0 and 255. `among`: see draws.py;
    clock: int64 (3,), see draws.py, read at run time.
    """
    _, height, width, channels = x.shape
    place, stride = scratch.per_thread(4 * LEVELS * tiles[0] * tiles[1] + 16 * width + height * width)
    return [
        each_image(
            *(tiles_worker, x, clock, 0, among, PORTION),
            height=height,
            width=width,
            channels=channels,
            rows=tiles[0],
            columns=tiles[1],
            scratch=place,
            stride=stride,
            limit=limit,
            start=ends[0],
            unit=(ends[1] - ends[0]) / 255,
        )
    ]


@njit
def _count(maps, levels, height, width, rows, columns):
    """Count the levels of each tile, pixels of the mirror image included."""
    tall, wide = -(-height // rows), -(-width // columns)
    for k in range(maps.size):
        maps[k] = 0
    for y in range(tall * rows):
        line, above = min(y, 2 * height - 1 - y) * width, y // tall * columns
        for x in range(wide * columns):
            level = np.int64(levels[line + min(x, 2 * width - 1 - x)])
            maps[(above + x // wide) * LEVELS + level] += 1


@njit
def _equalize(counts, pixels, limit):
    """Replace the counts of a tile by the new levels, 0 to 255."""
    most, excess = limit * pixels / LEVELS, 0.0
    if limit > 0:
        for level in range(LEVELS):
            excess += max(counts[level] - most, 0.0)
    total = lowest = 0.0
    for level in range(LEVELS):
        total += (min(counts[level], most) if limit > 0 else counts[level]) + excess / LEVELS
        lowest = total if level == 0 else lowest
        rest = pixels - lowest
        counts[level] = min(max((total - lowest) * 255 / (rest if rest != 0 else 1.0), 0.0), 255.0)


@njit
def _between_tiles(pixel, side, tiles):
    """Return the two tiles whose middles are around a pixel, and the weight of the second."""
    place = (pixel - side / 2) / side + 1
    second = np.int64(np.floor(place))
    return max(second - 1, 0), min(second, tiles - 1), place - second


@worker(TILES)
def tiles_worker(real):
    """Process some images."""
    item = real.bitwidth // 8

    def tiles(parameters, start, stop, thread):
        p = fields(parameters, TILES)
        pixels, cells, place = p.height * p.width, LEVELS * p.rows * p.columns, p.scratch + thread * p.stride
        maps, place = view(place, cells, types.float32), place + 4 * cells
        weights, place = view(place, p.width, types.float64), place + 8 * p.width
        lefts, rights = view(place, p.width, types.uint32), view(place + 4 * p.width, p.width, types.uint32)
        levels = view(place + 8 * p.width, pixels, types.uint8)
        tall, wide = -(-p.height // p.rows), -(-p.width // p.columns)
        for x in range(p.width):
            left, right, weights[x] = _between_tiles(x, wide, p.columns)
            lefts[x], rights[x] = left * LEVELS, right * LEVELS
        for unit in range((stop - start) * p.channels):
            i, channel = start + unit // p.channels, unit % p.channels
            if not chosen(p, i):
                continue
            image = view(p.x + i * pixels * p.channels * item, pixels * p.channels, real)
            for k in range(pixels):
                level = (image[k * p.channels + channel] - p.start) / p.unit + NEARLY
                levels[k] = np.int64(min(max(level, 0.0), 255.0))
            _count(maps, levels, p.height, p.width, p.rows, p.columns)
            for tile in range(p.rows * p.columns):
                _equalize(maps[tile * LEVELS : (tile + 1) * LEVELS], tall * wide, p.limit)
            for y in range(p.height):
                top, bottom, down = _between_tiles(y, tall, p.rows)
                above, below = maps[top * p.columns * LEVELS :], maps[bottom * p.columns * LEVELS :]
                for x in range(p.width):
                    level, across = np.uint32(levels[y * p.width + x]), weights[x]
                    left, right = lefts[x] + level, rights[x] + level
                    first = above[left] * (1 - across) + above[right] * across
                    second = below[left] * (1 - across) + below[right] * across
                    new = first * (1 - down) + second * down
                    image[(y * p.width + x) * p.channels + channel] = real(new * p.unit + p.start)

    return tiles
