"""A 1×1 convolution and the depthwise one that reads its output, which is never stored as a whole.

Each unit computes a few channels of some rows of the expanded image into thread-local scratch, which stays in the L2
cache, and filters them. All elements are the same chains as in `pointwise` and `depthwise`. Rows between two units are
computed by both.
"""

from cnncli.kernels.conv import conv2d
from cnncli.kernels.conv.depthwise import FILTERING, PLANES, axes, filtering_fields
from cnncli.kernels.conv.depthwise_blocks import filter_rows
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.dense import GRAIN, shares
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import call
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, images, worker
from cnncli.kernels.jit.target import machine
from cnncli.kernels.vector.lanes import LINE

EXPAND = block(
    "product limited limits x b b_row b_panel panel expanded_bias bias inputs group bands parts scratch scratch_step "
    f"{FILTERING}"
)
NEAR = 256 << 10
"""Maximum bytes of a group of channels of the rows of a unit."""


def forward(
    x: Tensor,
    expansion: tuple[Tensor, Epilogue],
    depthwise: tuple[Tensor, Epilogue],
    out: Tensor,
    geometry: Geometry,
    scratch: Scratch,
) -> list[Step]:
    """out = g(f(x · kernel + bias) ∗ depthwise kernel + bias). x: real (N, H, W, C); out: (N, OH, OW, D).

    Kernels and epilogues of the two: (1, 1, C, D), and (k, k, …) with D elements per tap, k and the strides in a row
    being among `FILTERED` and `SHARED` of the depthwise blocks. Their activations are among `LIMITS`.
    """
    (kernel, before), (taps, after) = expansion, depthwise
    batch, height, width, inputs = x.shape
    rows, channels = out.shape[1], out.shape[3]
    item, family = bytes_of(x.dtype), microkernel.family(x.dtype)
    packing, panels = conv2d.packed(kernel, x.dtype, 1, batch * height * width, scratch)
    # One vector is faster where its products are, except on images so small that weights are read most.
    whole = not machine().halves or height * width * family.panel * item <= PLANES
    group = family.panel if whole else min(family.panel, LINE // item)
    groups = -(-channels // group)
    places = axes(taps, geometry)
    bands = max(1, min(rows, -(-height * width * group * item // NEAR)))
    work = height * width * inputs * channels
    parts = shares(groups, work, 2 * GRAIN * bands)
    if bands == 1 and parts > 1:  # an even number of units
        bands = min(rows, 1 + parts % 2)
    lines = (-(-rows // bands) - 1) * places[0].stride + (taps.shape[0] - 1) * places[0].phases[0].distance + 1
    place, step = scratch.per_thread(min(height, lines) * width * group * item)
    units = bands * parts
    own = expand_worker.step(
        x.dtype,
        images(batch, 1 if units > 1 else max(1, GRAIN // work), units),
        places[1].stride,
        taps.shape[1],
        product=family.product,
        limited=family.limited,
        limits=before.limits(x.dtype),
        x=x.address,
        b=panels.address,
        b_row=panels.row,
        b_panel=panels.panel,
        panel=family.panel,
        expanded_bias=before.bias.address if before.bias else 0,
        bias=after.bias.address if after.bias else 0,
        inputs=inputs,
        group=group,
        bands=bands,
        parts=parts,
        scratch=place,
        scratch_step=step,
        **filtering_fields((height, width), taps, out, places, after.activation),
    )
    return [*packing, own]


@worker(EXPAND)
def expand_worker(real, share, taps):
    """Process groups of channels of bands of rows of images."""
    item = real.bitwidth // 8

    def expand(parameters, start, stop, thread):
        p = fields(parameters, EXPAND)
        step, pixel, row = p.channels * item, p.group * item, p.inputs * item
        line, groups = p.width * pixel, -(-p.channels // p.group)
        low, high = real(p.low), real(p.high)
        bias = p.bias if p.bias != 0 else p.kernel  # no lane of it is read then, but its address must be valid
        expanded = p.scratch + thread * p.scratch_step
        for unit in range(start, stop):
            part, band, image = unit % p.parts, unit // p.parts % p.bands, unit // p.parts // p.bands
            first, last = band * p.rows // p.bands, (band + 1) * p.rows // p.bands
            top = max(0, first * p.sy + p.top)
            count = (min(p.height, (last - 1) * p.sy + p.top + (taps - 1) * p.dy + 1) - top) * p.width
            x, out = p.x + (image * p.height + top) * p.width * row, p.out + image * p.rows * p.columns * step
            for number in range(part * groups // p.parts, (part + 1) * groups // p.parts):
                left = number * p.group
                width, skip = min(p.group, p.channels - left), left * item
                factors = (
                    expanded,
                    pixel,
                    p.expanded_bias + skip if p.expanded_bias != 0 else 0,
                    0,
                    count,
                    width,
                    x,
                    row,
                    item,
                    0,
                    p.b + left // p.panel * p.b_panel + left % p.panel * item,
                    p.b_row,
                    p.b_panel,
                    0,
                    p.inputs,
                    1,
                )
                if p.limits != 0:
                    call(p.limited, (*factors, p.limits))
                else:
                    call(p.product, factors)
                filter_rows(
                    share,
                    taps,
                    (out + skip, p.columns * step, step),
                    (expanded - top * line, p.height, p.width, line, pixel),
                    (first, last, p.sy, p.top, p.dy),
                    (p.columns, p.left),
                    (p.kernel + skip, p.kernel_row, p.kernel_step, bias + skip, width if p.bias != 0 else 0),
                    (low, high),
                    width,
                    real,
                )

    return expand
