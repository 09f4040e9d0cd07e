"""Sliding windows over images, shared by convolution and pooling."""

from dataclasses import dataclass

from cnncli.errors import ShapeError

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window of `size` cells with spacing `dilation`, moved by `strides`, with padding "valid" or "same".

    The formulas are Keras' (keras/src/ops/operation_utils.py, compute_conv_output_shape) and TensorFlow's SAME: the
    output size is ⌈in/stride⌉, and the odd cell of padding is on the right and at the bottom.
    """

    size: Pair
    strides: Pair = (1, 1)
    padding: str = "valid"
    dilation: Pair = (1, 1)

    @property
    def extent(self) -> Pair:
        """The effective size of the window, dilation included."""
        (kh, kw), (dh, dw) = self.size, self.dilation
        return (kh - 1) * dh + 1, (kw - 1) * dw + 1

    @property
    def cells(self) -> int:
        """The number of cells read at one position."""
        return self.size[0] * self.size[1]

    @property
    def overlaps(self) -> bool:
        """Whether a cell may lie in several windows."""
        return any(extent > stride for extent, stride in zip(self.extent, self.strides, strict=True))

    def output(self, height: int, width: int) -> Pair:
        """Return the number of vertical and horizontal positions. Raises ShapeError if there is none."""
        if self.padding == "same":
            return -(-height // self.strides[0]), -(-width // self.strides[1])
        out = tuple((i - e) // s + 1 for i, e, s in zip((height, width), self.extent, self.strides, strict=True))
        if min(out) < 1:
            (eh, ew), dilated = self.extent, " (with its dilation)" if self.dilation != (1, 1) else ""
            raise ShapeError(
                f"with padding 'valid' a window must not be larger than its image; "
                f"received a window of {eh}×{ew}{dilated} for an image of {height}×{width}: "
                "padding 'same' or fewer poolings before it may help"
            )
        return out[0], out[1]

    def padding_before(self, height: int, width: int) -> Pair:
        """Cells of padding above and left of the image."""
        return self.padding_cells(height, width)[0]

    def padding_cells(self, height: int, width: int) -> tuple[Pair, Pair]:
        """Cells of padding above and left of the image, and those below and right."""
        if self.padding == "valid":
            return (0, 0), (0, 0)
        out = self.output(height, width)
        rows, columns = (
            max(0, (o - 1) * s + e - i)
            for o, s, e, i in zip(out, self.strides, self.extent, (height, width), strict=True)
        )
        before = rows // 2, columns // 2
        return before, (rows - before[0], columns - before[1])
