"""The weight gradient of `conv2d` for images and gradients stored as bfloat16, with float32 sums.

The terms of a sum are pixels, and products take them in pairs of adjacent ones (`gemm.bfloat16`). Each chunk therefore
packs, band by band, pairs of pixels of the gradient, and of the image: the pair that begins at every pixel, because a
tap may begin anywhere; with a single column of taps, every other pair. The last pixel of a row of odd length has 0 for
a partner. Each element is one chain over (image, row, pair).
"""

from cnncli.kernels.batch.reduce import PARTIALS, in_lanes, partial_sums
from cnncli.kernels.conv.conv2d import COPY, IMAGE, image_fields
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.conv.weight_runs import LONG, NEAR, chunk_of, run_from
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.jit.intrinsics import call
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, computed, fields, worker

WEIGHT = block(
    "product interleave grad out lane tiles panel stack band pairs hop step image_pairs grad_pairs pairs_step "
    f"{IMAGE} {COPY}"
)


def grad_weight(x: Tensor, grad: Tensor, out: Tensor, geometry: Geometry, scratch: Scratch) -> list[Step]:
    """Compute `conv2d_gradient.grad_weight` for x and grad of bfloat16, and out of float32."""
    family = microkernel.family(x.dtype)
    inner, filters = out.shape[2:]
    batch, rows, columns, _ = grad.shape
    (sy, sx), _, (dy, dx), groups = geometry
    pointwise = out.shape[:2] == (1, 1) and geometry == Geometry((1, 1), (0, 0))
    stack = max(1, LONG // (rows * columns)) if pointwise else 1
    hop = 2 * sx if out.shape[1] == 1 else 1
    wide = max(x.shape[2], (columns - 1) * sx + (out.shape[1] - 1) * dx + 1)
    image_row = -(-wide // hop) * inner * 4
    grad_row = -(-columns // 2) * -(-(filters // groups) // family.panel) * family.panel * 4
    band = min(stack * rows, max(1, NEAR // (sy * image_row + grad_row)))
    lines = (band - 1) * sy + (out.shape[0] - 1) * dy + 1
    parts = in_lanes(batch, out.size)
    tiles = max(1, min(out.size // filters // 24, PARTIALS // parts.number))
    target, after = partial_sums(out, parts, scratch)
    image_pairs, pairs_step = scratch.per_thread(lines * image_row)
    grad_pairs, _ = scratch.per_thread(band * grad_row)
    weight = weight_worker.step(
        x.dtype,
        parts.work(tiles),
        product=family.product,
        interleave=family.interleave,
        grad=grad.address,
        out=target,
        lane=parts.images,
        tiles=tiles,
        panel=family.panel,
        stack=stack,
        band=band,
        pairs=-(-columns // 2),
        hop=hop,
        step=1 if hop > 1 else 2 * sx,
        image_pairs=image_pairs,
        grad_pairs=grad_pairs,
        pairs_step=pairs_step,
        **image_fields(x, out.shape[:2], (rows, columns, filters), band, geometry, scratch),
    )
    return [weight, *after]


@worker(WEIGHT)
def weight_worker(real):
    """Accumulate some images of a lane into one tile of (kh, kw, in) rows; each band adds one run over its pixels."""
    item, cell = real.bitwidth // 8, computed(real).bitwidth // 8

    def weight(parameters, start, stop, thread):
        p = fields(parameters, WEIGHT)
        inner, width = p.channels // p.groups, p.filters // p.groups
        start, stop, first, last, lane = chunk_of(p, start, stop)
        copied_columns = (p.columns - 1) * p.sx + (p.kw - 1) * p.dx + 1
        pixel = (inner if p.copied else p.channels) * item
        wide = copied_columns if p.copied else p.width
        image_pairs, grad_pairs = p.image_pairs + thread * p.pairs_step, p.grad_pairs + thread * p.pairs_step
        image_row = (p.pairs if p.hop > 1 else wide) * inner * cell
        pair, panels = p.panel * cell, -(-width // p.panel)
        for image in range(start, stop, p.stack):
            images = min(p.stack, stop - image)
            rows, height = images * p.rows, images * p.height
            for group in range(p.groups):
                whole = p.x + (image * p.height * p.width * p.channels + group * inner) * item
                for top in range(0, rows, p.band):
                    bottom = min(rows, top + p.band)
                    lines = (bottom - 1 - top) * p.sy + (p.kh - 1) * p.dy + 1
                    x = whole + top * p.sy * p.width * pixel
                    if p.copied:
                        x = p.scratch + thread * p.scratch_step
                        image_part = top * p.sy - p.top, lines, -p.left, copied_columns
                        call(p.border, (x, whole, p.height, p.width, p.channels * item, pixel, *image_part))
                    if p.hop == 1:
                        inside, rest = max(0, lines * wide - p.sx) * inner, min(p.sx, lines * wide) * inner
                        call(p.interleave, (image_pairs, 0, x, 0, rest * item, 1, inside))
                        call(p.interleave, (image_pairs + inside * cell, 0, x + inside * item, 0, 0, 1, rest))
                    else:
                        for row in range(lines):
                            out, line, two = image_pairs + row * image_row, x + row * wide * pixel, p.hop * pixel
                            count, next_one = p.columns // 2, p.sx * pixel
                            call(p.interleave, (out, inner * cell, line, two, next_one, count, inner))
                            if p.columns % 2:
                                out, line = out + count * inner * cell, line + count * two
                                call(p.interleave, (out, 0, line, 0, 0, 1, inner))
                    grad = p.grad + ((image * p.rows + top) * p.columns * p.filters + group * width) * item
                    grad_panel = (bottom - top) * p.pairs * pair
                    for panel in range(panels):
                        share = min(p.panel, width - panel * p.panel)
                        out, y, one = grad_pairs + panel * grad_panel, grad + panel * p.panel * item, p.filters * item
                        if p.columns % 2:
                            for _ in range(bottom - top):
                                count = p.columns // 2
                                call(p.interleave, (out, pair, y, 2 * one, one, count, share))
                                call(p.interleave, (out + count * pair, 0, y + 2 * count * one, 0, 0, 1, share))
                                out, y = out + p.pairs * pair, y + p.columns * one
                        else:
                            count = (bottom - top) * p.pairs
                            call(p.interleave, (out, pair, y, 2 * one, one, count, share))
                    begun = image % p.lane > 0 or top > 0
                    unit = first
                    while unit < last:
                        (i, j, c), count, above, below = run_from(p, unit, last, (top, bottom), height, begun)
                        out = p.out + ((lane + unit) * p.filters + group * width) * cell
                        if above < below:
                            call(
                                p.product,
                                (
                                    out,
                                    p.filters * cell,
                                    out if begun else 0,
                                    p.filters * cell,
                                    count,
                                    width,
                                    image_pairs
                                    + ((above - top) * p.sy + i * p.dy) * image_row
                                    + (j * p.dx * inner + c) * cell,
                                    cell,
                                    p.step * inner * cell,
                                    p.sy * image_row,
                                    grad_pairs + (above - top) * p.pairs * pair,
                                    pair,
                                    grad_panel,
                                    p.pairs * pair,
                                    p.pairs,
                                    below - above,
                                ),
                            )
                        unit += count

    return weight
