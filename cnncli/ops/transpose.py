"""Transposed convolution: the adjoint of a convolution as an operation (Dumoulin & Visin 2016, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.conv import Conv2D, Conv2DGradWeight, geometry, image_shape
from cnncli.ops.ir import Call, Tape, Value
from cnncli.ops.product import Product, in_pairs
from cnncli.ops.reach import Reaches, of_adjoint
from cnncli.ops.window import Pair, Window

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Conv2DTranspose(Product):
    """(x (H,W,C), kernel (kh,kw,F,C)[, bias (F,)]) → (OH,OW,F), `size` being (OH,OW).

    Equals the input gradient of Conv2D on an image (OH,OW,F) with this window and kernel.
    """

    window: Window
    size: Pair
    inner_axes: ClassVar[int] = 1

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        image, kernel = image_shape(inputs[0]), inputs[1].shape
        if image[2] != kernel[3] or self.window.output(*self.size) != image[:2]:
            raise ShapeError(f"no convolution with {kernel} makes {image} of an image of {self.size}")
        return self.results(inputs[0].like((*self.size, kernel[2])))

    def reads(self, x: Value, output: Value) -> Reaches:
        return of_adjoint(self.window, self.size)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * 2 * self.window.cells * call.output.shape[2] + self.epilogue_flops(call)

    def narrow(self, call: Call) -> bool:
        reached = all(size >= stride for size, stride in zip(self.window.size, self.window.strides, strict=True))
        return in_pairs(call.inputs[1].shape[3]) and reached and self.window.dilation == (1, 1)

    def grad_kernel(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(Conv2DGradWeight(self.window, 1, kernel.shape), grad, x)

    def grad_input(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(Conv2D(self.window), grad, kernel)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *bias = inputs
        epilogue = self.epilogue(bias, outputs)
        places = geometry(self.window, 1, self.size)
        return kernels.conv2d_gradient.grad_input(x, kernel, outputs[0], places, scratch, epilogue)
