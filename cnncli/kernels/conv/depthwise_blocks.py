"""The register blocks of `depthwise`: loops over pixels and taps that keep their sums in registers.

Images are stored in planes: all pixels of one vector of channels are contiguous. The offsets of the pixels in a block
are therefore compile-time constants, and if adjacent taps read adjacent pixels, a loaded vector is used for all sums
that need it. The number of pixels or taps per block depends on the number of registers and does not affect results:
each element is a separate chain. Where images are bfloat16, kernels and sums are float32. Related arguments are passed
as tuples of addresses, strides in bytes and counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from cnncli.kernels.jit.target import machine
from cnncli.kernels.vector.emit import Code, Variable, emitted
from cnncli.kernels.vector.lanes import LINE, Vector

PIXELS = {LINE: (8, 4, 2, 1), LINE // 2: (4, 2, 1)}.get(machine().width, (2, 1))
"""Pixels per block of a row, largest first."""
PAIRS = (4, 1) if machine().width == LINE else (1,)
"""`spread_rows`: pairs of pixels per block of a row, largest first."""
RUNS = 3, 2
"""`correlate_row`: numbers of adjacent taps in a row that share loads."""
HIGH = 3 if machine().width == LINE else 1
"""`gradient_rows`, `weigh_rows`: rows of three taps in a block."""
AHEAD = 4
"""`gradient_rows`, `weigh_rows`: pixels in a block."""
FETCHED = 32
"""`filter_rows`: pixels from a store to the stores whose lines are fetched then, in whole rows."""
SHARED = (0, 1, 2)
"""Pixel distance of adjacent sums if taps are adjacent; 0 for arbitrary distances, where no load is shared.

`share` of each function is one of these."""


def _places(sums: int, taps: int, share: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield each position in an image row with the (sum, tap) pairs that read it; each sum's taps are in order."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for r in range(sums):
        for j in range(taps):
            wanted.setdefault(r * share + j, []).append((r, j))
    yield from sorted(wanted.items())


def _lines(code: Code, image: Sequence[Vector], rows: Iterable[Vector], index: Vector) -> list[tuple[Vector, Vector]]:
    """Return for each of these rows of an image the address of vector `index` of channels of its first pixel, and the
    distance of pixels; for a row beyond the image those of zeros.
    """
    x, high, _, line, step = image
    zeros, found = code.zeros(), []
    for y in rows:
        beyond = y.outside(high)
        found.append((zeros.where(beyond, x + y * line + index * code.item), code.word(0).where(beyond, step)))
    return found


def _pixels(
    code: Code,
    line: tuple[Vector, Vector],
    column: Vector,
    inside: tuple[Vector, int],
    places: Sequence[tuple[int, list[tuple[int, int]]]],
    mask: Vector | None,
) -> Iterator[tuple[Vector, list[tuple[int, int]]]]:
    """Yield the vectors of one of `_lines` that begin at `column`, each with its pairs of `places`.

    inside: (pixels of a row, how many of the first and of the last places may be beyond them, where zeros are).
    """
    (start, step), (wide, outer), zeros = line, inside, code.zeros()
    there = (start + column * step).opaque()
    for number, those in places:
        out = min(number, places[-1][0] - number) < outer
        yield code.load(zeros.where((column + number).outside(wide), there) if out else there, 0, mask), those
        there = (there + step).opaque()


@emitted()
def correlate_row(
    code: Code,
    share: int,
    target: list[Vector],
    source: list[Vector],
    rows: list[Vector],
    columns: list[Vector],
    weights: list[Vector],
    count: Vector,
    width: Vector,
) -> None:
    """out[q] = bias + Σ x[q + tap] · kernel[tap] over rows and columns of taps, for `count` pixels.

    target: (out, distance of pixels). source: (x, distance of pixels). rows, columns: (how many taps, their distance in
    x, their distance in the kernel). weights, of the real that is computed in: (kernel, bias, `width` or 0 for no
    bias). `width` channels.
    """
    (out, out_step), (x, x_step), (kernel, bias, given) = target, source, weights
    (kh, down, kernel_row), (kw, right, kernel_step) = rows, columns

    def pixels(size: int, run: int, read: Vector, write: Vector) -> None:
        """Process a block of pixels, all channels. A row has `run` taps; 0 for any number, one by one."""

        def channels(index: Vector, mask: Vector | None) -> None:
            start = code.wide.load(bias, index, code.first(given - index))
            totals = [Variable(start) for _ in range(size)]
            with code.loop(kh) as i:
                place, weight = read + down * i, kernel + kernel_row * i
                if run:
                    factors = [code.wide.load(weight + kernel_step * j, index, mask) for j in range(run)]
                    for number, those in _places(size, run, share):
                        vector = code.load(place + right * number, index, mask)
                        for r, j in those:
                            totals[r].set(vector.fma(factors[j], totals[r].get()))
                else:
                    with code.loop(kw) as tap:
                        factor = code.wide.load(weight + kernel_step * tap, index, mask)
                        for r, total in enumerate(totals):
                            vector = code.load(place + right * tap + x_step * r, index, mask)
                            total.set(vector.fma(factor, total.get()))
            for r, total in enumerate(totals):
                code.store(total.get(), write + out_step * r, index, mask)

        code.sweep(code.word(0), width, channels)

    def line(run: int) -> None:
        write, read, left = out, x, count
        for size in PIXELS:
            blocks = left // size
            with code.loop(blocks) as b:
                pixels(size, run, read + x_step * (b * size), write + out_step * (b * size))
            done = blocks * size
            write, read, left = write + out_step * done, read + x_step * done, left - done

    code.choose(kw, {run: partial(line, run) for run in RUNS if share}, partial(line, 0))


@emitted()
def filter_rows(
    code: Code,
    share: int,
    taps: int,
    target: list[Vector],
    image: list[Vector],
    rows: list[Vector],
    columns: list[Vector],
    weights: list[Vector],
    limits: list[Vector],
    width: Vector,
) -> None:
    """The same as `correlate_row` for rows of pixels with `taps` × `taps` taps, adjacent in a row.

    target: (out, distance of rows, of pixels). image: (x, height, width, distance of rows, of pixels), without zeros
    around it. rows: (first, end, distance in the image, place of the first one's first tap, distance of taps). columns:
    (how many, place of the first tap); each has a tap in the image. weights: (kernel, distance of rows of taps, of
    taps, bias, `width` or 0 for no bias). limits: the least and the largest result.
    """
    (out, out_row, out_step), wide = target, image[2]
    (first_row, last_row, row_step, top, down), (count, left) = rows, columns
    (kernel, kernel_row, kernel_step, bias, given), (low, most) = weights, limits
    ahead = (code.word(FETCHED - 1) // count + 1) * out_row

    def channels(index: Vector, mask: Vector | None) -> None:
        start = code.wide.load(bias, index, code.first(given - index))
        least, greatest = code.full(low), code.full(most)
        factors = [
            [code.wide.load(kernel + kernel_row * i + kernel_step * j, index, mask) for j in range(taps)]
            for i in range(taps)
        ]

        def pixels(size: int, q: Vector, lines: list[tuple[Vector, Vector]], target: Vector) -> None:
            """Process a block of pixels, the outer taps of which may be beyond the image."""
            totals, places = [Variable(start) for _ in range(size)], list(_places(size, taps, share))
            for line, weight in zip(lines, factors, strict=True):
                for vector, those in _pixels(code, line, q * share + left, (wide, taps - 1), places, mask):
                    for r, j in those:
                        totals[r].set(vector.fma(weight[j], totals[r].get()))
            cell = (target + out_step * q).opaque()
            for total in totals:
                value = total.get()
                value = least.where(least > value, value)
                value = greatest.where(greatest < value, value) + 0.0
                code.store(value, cell, index, mask)
                code.fetch(cell + index * code.item + ahead)
                cell = (cell + out_step).opaque()

        with code.steps(first_row, last_row, code.word(1)) as row:
            lines = _lines(code, image, [row * row_step + top + down * i for i in range(taps)], index)
            written, q = out + out_row * row, code.word(0)
            for size in PIXELS:
                blocks = (count - q) // size
                with code.loop(blocks) as b:
                    pixels(size, q + b * size, lines, written)
                q = q + blocks * size

    code.sweep(code.word(0), width, channels)


@emitted()
def spread_rows(
    code: Code,
    taps: int,
    target: list[Vector],
    gradient: list[Vector],
    rows: list[Vector],
    columns: list[Vector],
    weights: list[Vector],
    width: Vector,
) -> None:
    """The input gradient of `taps` × `taps` taps with strides of 2: pairs of rows of pairs of pixels.

    The first pixel of a pair has the even taps, the last one first, and the second has the odd ones; tap j of pair q
    reads pixel q − j // 2 of the gradient. target: (out, height, width, distance of rows, of pixels). gradient: (grad,
    height, width, distance of rows, of pixels), without zeros around it. rows: (first pair, end, rows of pair 0 before
    the image, its row of the gradient). columns: (how many pairs, pixels of pair 0 before the image, its pixel of the
    gradient, first pair with all taps and pixels in the images, end of such pairs). weights: (kernel, distance of rows
    of taps, of taps).
    """
    (out, out_high, out_wide, out_row, out_step), (grad, high, wide, line, step) = target, gradient
    (first_row, last_row, above, top), (count, before, left, first, end) = rows, columns
    kernel, kernel_row, kernel_step = weights
    zeros, nothing = code.zeros(), code.full(0.0)

    def channels(index: Vector, mask: Vector | None) -> None:
        factors = [
            [code.wide.load(kernel + kernel_row * i + kernel_step * j, index, mask) for j in range(taps)]
            for i in range(taps)
        ]
        every = code.lanes if mask is None else width - index

        def pairs(size: int, q: Vector, sources: list[tuple[Vector, Vector, list[Vector]]], line: Vector) -> None:
            """Process a block of pairs; those of block size 0 are one, which has taps or pixels beyond the images."""
            totals = [[Variable(nothing) for _ in range(2)] for _ in range(size or 1)]
            column = q + left - (taps - 1) // 2
            for place, forth, weight in sources:
                there = (place + column * forth).opaque()
                for number in range((size or 1) + (taps - 1) // 2):
                    here = there if size else zeros.where((column + number).outside(wide), there)
                    vector = code.load(here, 0, mask)
                    for j in reversed(range(taps)):
                        pair = number - (taps - 1) // 2 + j // 2
                        if 0 <= pair < (size or 1):
                            total = totals[pair][j % 2]
                            total.set(vector.fma(weight[j], total.get()))
                    there = (there + forth).opaque()
            x = q * 2 - before
            cell = (line + out_step * x).opaque()
            for total in [total for pair in totals for total in pair]:
                inside = mask if size else code.first(code.word(0).where(x.outside(out_wide), every))
                code.store(total.get(), cell, index, inside)
                cell, x = (cell + out_step).opaque(), x + 1

        with code.steps(first_row, last_row, code.word(1)) as pair:
            for second in range(2):
                y = pair * 2 - above + second
                with code.loop(code.word(0).where(y.outside(out_high), code.word(1))):
                    sources = []
                    for i in reversed(range(second, taps, 2)):
                        row = pair + top - i // 2
                        beyond = row.outside(high)
                        place = zeros.where(beyond, grad + row * line + index * code.item)
                        sources.append((place, code.word(0).where(beyond, step), factors[i]))
                    written, q = out + out_row * y, first
                    with code.loop(count - (end - first)) as k:
                        pairs(0, k.where(k < first, k - first + end), sources, written)
                    for size in PAIRS:
                        blocks = (end - q) // size
                        with code.loop(blocks) as b:
                            pairs(size, q + b * size, sources, written)
                        q = q + blocks * size

    code.sweep(code.word(0), width, channels)


@emitted()
def gradient_rows(
    code: Code,
    share: int,
    target: list[Vector],
    source: list[Vector],
    gradient: list[Vector],
    pixels: list[Vector],
    taps: list[Vector],
    width: Vector,
) -> None:
    """out[i, j] += Σ x[pixel + tap] · grad[pixel] over rows and columns of pixels, for `width` channels.

    target: (out, distance of rows of taps, of taps). source: (x, distance of planes, of rows, of pixels, of rows of
    taps, of taps). gradient: (grad, distance of rows, of pixels). pixels, taps: (rows, columns).
    """
    (out, out_row, out_step), (x, plane, x_row, x_step, tap_row, tap_step) = target, source
    (grad, grad_row, grad_step), (rows, columns), (kh, kw) = gradient, pixels, taps
    step, right = (code.word(share * LINE), code.word(LINE)) if share else (x_step, tap_step)
    kept = code.wide

    def channels(index: Vector, mask: Vector | None) -> None:
        def add(x: Vector, grad: Vector, size: int, totals: Sequence[Sequence[Variable]]) -> None:
            """Add the contribution of `size` adjacent pixels to rows of totals."""
            shares = [code.load(grad + grad_step * q, index, mask) for q in range(size)]
            for i, row in enumerate(totals):
                meetings: Iterable[tuple[int, list[tuple[int, int]]]]
                meetings = _places(size, len(row), share) if share else [(j, [(0, j)]) for j in range(len(row))]
                for number, those in meetings:
                    vector = kept.load(x + tap_row * i + right * number)
                    for q, j in those:
                        row[j].set(vector.fma(shares[q], row[j].get()))

        def block(high: int, wide: int, i: Vector, j: Vector) -> None:
            """A block of taps, the first of which is (i, j)."""
            cells = [
                [out + out_row * (i + down) + out_step * (j + across) for across in range(wide)] for down in range(high)
            ]
            totals = [[Variable(kept.load(cell, index, mask)) for cell in row] for row in cells]
            image = x + index // code.lanes * plane + tap_row * i + right * j
            with code.loop(rows) as row:
                read, given, left = image + x_row * row, grad + grad_row * row, columns
                for size in (AHEAD, 1) if share else (1,):
                    blocks = left // size
                    with code.loop(blocks) as b:
                        add(read + step * (b * size), given + grad_step * (b * size), size, totals)
                    done = blocks * size
                    read, given, left = read + step * done, given + grad_step * done, left - done
            for places, line in zip(cells, totals, strict=True):
                for cell, total in zip(places, line, strict=True):
                    kept.store(total.get(), cell, index, mask)

        bands = (kh // HIGH).where(kw.same(3), 0)
        with code.loop(bands) as b:
            block(HIGH, 3, b * HIGH, code.word(0))
        with code.steps(bands * HIGH, kh, code.word(1)) as i:
            triples = kw // 3
            with code.loop(triples) as k:
                block(1, 3, i, k * 3)
            with code.steps(triples * 3, kw, code.word(1)) as j:
                block(1, 1, i, j)

    code.sweep(code.word(0), width, channels)


@emitted()
def weigh_rows(
    code: Code,
    share: int,
    taps: int,
    target: list[Vector],
    image: list[Vector],
    gradient: list[Vector],
    rows: list[Vector],
    columns: list[Vector],
    width: Vector,
) -> None:
    """The same as `gradient_rows` for `taps` × `taps` taps, adjacent in a row, and an image without zeros around it.

    target: (out, distance of rows of taps, of taps). image: (x, height, width, distance of rows, of pixels). gradient:
    (grad, distance of rows, of pixels). rows: (how many, distance in the image, place of the first one's first tap).
    columns: (how many, place of the first tap); no more than half of the taps are beyond the image.
    """
    (out, out_row, out_step), (grad, grad_row, grad_step) = target, gradient
    (high, row_step, top), (count, left) = rows, columns
    kept, band = code.wide, HIGH if taps == 3 else 1

    def channels(index: Vector, mask: Vector | None) -> None:
        def add(size: int, q: Vector, lines: list[tuple[Vector, Vector]], given: Vector) -> None:
            """Add the contribution of `size` adjacent pixels to rows of totals."""
            shares = [code.load(given + grad_step * (q + r), index, mask) for r in range(size)]
            places = list(_places(size, taps, share))
            for line, row in zip(lines, totals, strict=True):
                for vector, those in _pixels(code, line, q * share + left, (image[2], taps // 2), places, mask):
                    for r, j in those:
                        row[j].set(vector.fma(shares[r], row[j].get()))

        for first in range(0, taps, band):
            cells = [[out + out_row * i + out_step * j for j in range(taps)] for i in range(first, first + band)]
            totals = [[Variable(kept.load(cell, index, mask)) for cell in row] for row in cells]
            with code.loop(high) as row:
                lines = _lines(code, image, [row * row_step + top + i for i in range(first, first + band)], index)
                given, q = grad + grad_row * row, code.word(0)
                for size in (AHEAD, 1):
                    blocks = (count - q) // size
                    with code.loop(blocks) as b:
                        add(size, q + b * size, lines, given)
                    q = q + blocks * size
            for places, line in zip(cells, totals, strict=True):
                for cell, total in zip(places, line, strict=True):
                    kept.store(total.get(), cell, index, mask)

    code.sweep(code.word(0), width, channels)


@emitted()
def sum_pixels(code: Code, out: Vector, grad: Vector, step: Vector, count: Vector, width: Vector) -> None:
    """out += Σ grad over `count` pixels with stride `step` (bytes), for `width` channels."""

    def channels(index: Vector, mask: Vector | None) -> None:
        total = Variable(code.wide.load(out, index, mask))
        with code.loop(count) as q:
            total.set(total.get() + code.load(grad + step * q, index, mask))
        code.wide.store(total.get(), out, index, mask)

    code.sweep(code.word(0), width, channels)
