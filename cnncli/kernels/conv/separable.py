"""A depthwise convolution and the 1×1 convolution that reads its output, which is never stored as a whole.

Each unit filters some rows of an image into thread-local scratch, which stays in the cache, and multiplies them. All
elements are the same chains as in `depthwise` and `pointwise`.
"""

from cnncli.kernels.conv import conv2d
from cnncli.kernels.conv.depthwise import FILTERING, axes, filtering_fields, near_channels
from cnncli.kernels.conv.depthwise_blocks import filter_rows
from cnncli.kernels.conv.geometry import Geometry
from cnncli.kernels.gemm import microkernel
from cnncli.kernels.gemm.dense import GRAIN, shares
from cnncli.kernels.gemm.epilogue import Epilogue
from cnncli.kernels.jit.dtypes import bytes_of
from cnncli.kernels.jit.intrinsics import call
from cnncli.kernels.jit.runtime import Scratch, Step, Tensor, block, fields, images, worker

SEPARABLE = block(
    f"product limited limits x b b_row b_panel filtered_bias bias filters bands block scratch scratch_step {FILTERING}"
)
NEAR = 128 << 10
"""Maximum bytes of the filtered rows of a unit."""


def forward(
    x: Tensor,
    depthwise: tuple[Tensor, Epilogue],
    pointwise: tuple[Tensor, Epilogue],
    out: Tensor,
    geometry: Geometry,
    scratch: Scratch,
) -> list[Step]:
    """out = g(f(x ∗ depthwise kernel + bias) · kernel + bias). x: real (N, H, W, C); out: (N, OH, OW, F).

    Kernels and epilogues of the two: (k, k, …) with C elements per tap, as `geometry.filters_in_place` has it, and
    (1, 1, C, F). Their activations are among `LIMITS`.
    """
    (taps, before), (kernel, after) = depthwise, pointwise
    batch, rows, columns, filters = out.shape
    channels, item, family = x.shape[3], bytes_of(x.dtype), microkernel.family(x.dtype)
    packing, panels = conv2d.packed(kernel, x.dtype, 1, batch * rows * columns, scratch)
    places = axes(taps, geometry)
    work, line = rows * columns * channels * filters, columns * channels * item
    bands = max(shares(rows, work, 2 * GRAIN), min(rows, -(-rows * line // NEAR)))
    place, step = scratch.per_thread(-(-rows // bands) * line)
    own = separable_worker.step(
        x.dtype,
        images(batch, 1 if bands > 1 else max(1, GRAIN // work), bands),
        places[1].stride,
        taps.shape[1],
        product=family.product,
        limited=family.limited,
        limits=after.limits(x.dtype),
        x=x.address,
        b=panels.address,
        b_row=panels.row,
        b_panel=panels.panel,
        filtered_bias=before.bias.address if before.bias else 0,
        bias=after.bias.address if after.bias else 0,
        filters=filters,
        bands=bands,
        block=near_channels(x, taps.shape[0]),
        scratch=place,
        scratch_step=step,
        **filtering_fields(
            x.shape[1:3], taps, out._replace(shape=(batch, rows, columns, channels)), places, before.activation
        ),
    )
    return [*packing, own]


@worker(SEPARABLE)
def separable_worker(real, share, taps):
    """Process bands of rows of images."""
    item = real.bitwidth // 8

    def separable(parameters, start, stop, thread):
        p = fields(parameters, SEPARABLE)
        step, cell = p.channels * item, p.filters * item
        line, low, high = p.width * step, real(p.low), real(p.high)
        bias = p.filtered_bias if p.filtered_bias != 0 else p.kernel  # its address must be valid
        filtered = p.scratch + thread * p.scratch_step
        for unit in range(start, stop):
            image, band = unit // p.bands, unit % p.bands
            first, last = band * p.rows // p.bands, (band + 1) * p.rows // p.bands
            x, rows = p.x + image * p.height * line, filtered - first * p.columns * step
            for channel in range(0, p.channels, p.block):
                width, skip = min(p.block, p.channels - channel), channel * item
                filter_rows(
                    share,
                    taps,
                    (rows + skip, p.columns * step, step),
                    (x + skip, p.height, p.width, line, step),
                    (first, last, p.sy, p.top, p.dy),
                    (p.columns, p.left),
                    (p.kernel + skip, p.kernel_row, p.kernel_step, bias + skip, width if p.filtered_bias != 0 else 0),
                    (low, high),
                    width,
                    real,
                )
            factors = (
                p.out + (image * p.rows + first) * p.columns * cell,
                cell,
                p.bias,
                0,
                (last - first) * p.columns,
                p.filters,
                filtered,
                step,
                item,
                0,
                p.b,
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

    return separable
