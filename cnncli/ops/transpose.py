"""Transposed convolution: the adjoint of a convolution as an operation (Dumoulin & Visin 2016, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.conv import Conv2D, Conv2DGradWeight, geometry, image_shape
from cnncli.ops.elementwise import before_activation, titled
from cnncli.ops.ir import Call, Op, Tape, Value
from cnncli.ops.reduce import SumRows
from cnncli.ops.window import Pair, Window

if TYPE_CHECKING:
    from cnncli.kernels.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Conv2DTranspose(Op):
    """(x (H,W,C), kernel (kh,kw,F,C)[, bias (F,)]) → (OH,OW,F), `size` being (OH,OW).

    It is what Conv2D of an image (OH,OW,F) with this window and kernel has as its input's gradient. `activation` is one
    whose derivative follows from its output; fusion puts it here.
    """

    window: Window
    size: Pair
    activation: str = "linear"

    @property
    def title(self) -> str:
        return titled(super().title, self.activation)

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        image, kernel = image_shape(inputs[0]), inputs[1].shape
        if image[2] != kernel[3] or self.window.output(*self.size) != image[:2]:
            raise ShapeError(f"no convolution with {kernel} makes {image} of an image of {self.size}")
        return (Value((*self.size, kernel[2])),)

    def flops(self, call: Call) -> int:
        epilogue = (len(call.inputs) > 2) + (self.activation != "linear")
        return call.inputs[0].size * 2 * self.window.cells * call.output.shape[2] + call.output.size * epilogue

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, kernel, *bias = call.inputs
        grads: list[Value | None] = [None] * len(call.inputs)
        grad = before_activation(tape, self.activation, grad, call.output)
        if needed[1]:
            grads[1] = tape.emit(Conv2DGradWeight(self.window, 1, kernel.shape), grad, x)
        if bias and needed[2]:
            grads[2] = tape.emit(SumRows(), grad)
        if needed[0]:
            grads[0] = tape.emit(Conv2D(self.window), grad, kernel)
        return grads

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *bias = inputs
        epilogue = kernels.epilogue.Epilogue(bias[0] if bias else None, self.activation)
        places = geometry(self.window, 1, self.size)
        return kernels.conv2d_gradient.grad_input(x, kernel, outputs[0], places, scratch, epilogue)
