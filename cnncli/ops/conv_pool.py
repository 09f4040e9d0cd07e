"""Convolution, ReLU and 2×2 max pooling as one operation; `graph.fusion` replaces the three by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.kernels.conv.geometry import Geometry, suits_winograd
from cnncli.ops.conv import Conv2D
from cnncli.ops.elementwise import Activation
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.pooling import MaxPool2D
from cnncli.ops.product import in_pairs
from cnncli.ops.window import Window

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

POOL = Window((2, 2), (2, 2))


@dataclass(frozen=True)
class ConvPool2D(Op):
    """(x (H,W,C), kernel (kh,kw,C,F)[, bias (F,)]) → (PH,PW,F) and each pixel's winner (uint8, 4 for none).

    MaxPool2D(POOL) ∘ Activation("relu") ∘ Conv2D(window); the window is not dilated.
    """

    window: Window

    @classmethod
    def instead_of(cls, convolution: Op, activation: Op, pooling: Op) -> ConvPool2D | None:
        """Return the operation that replaces these three in sequence; None if the kernels do not support them."""
        if pooling != MaxPool2D(POOL) or activation != Activation("relu") or not isinstance(convolution, Conv2D):
            return None
        window = convolution.window
        return cls(window) if convolution == Conv2D(window) and window.dilation == (1, 1) else None

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        height, width, _ = inputs[0].shape
        out = inputs[0].like((*POOL.output(*self.window.output(height, width)), inputs[1].shape[3]))
        return out, out.like(dtype="uint8")

    def flops(self, call: Call) -> int:
        convolution = 2 * self.window.cells * call.inputs[1].shape[2] + (len(call.inputs) > 2)
        return call.output.size * POOL.cells * (convolution + 2)

    def narrow(self, call: Call) -> bool:
        image, kernel = call.inputs[0].shape, call.inputs[1].shape
        convolved = self.window.output(*image[:2])
        return in_pairs(kernel[2]) and suits_winograd(kernel, _geometry(self.window, image), convolved)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, kernel, *bias = call.inputs
        winner = call.outputs[1]
        grads: list[Value | None] = [None] * len(call.inputs)
        if any(needed[1:]):
            op = ConvPool2DGradWeight(self.window, kernel.shape, bool(bias))
            grads[1:] = tape.emit_all(op, x, grad, winner)
        if needed[0]:
            grads[0] = tape.emit(ConvPool2DGradInput(self.window, x.shape), grad, winner, kernel)
        return grads

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *bias = inputs
        out, winner = outputs
        geometry = _geometry(self.window, x.shape[1:])
        convolved = self.window.output(x.shape[1], x.shape[2])
        suits = suits_winograd(kernel.shape, geometry, convolved)
        forward = kernels.winograd.forward_pooled if suits else kernels.conv_pool.forward
        return forward(x, kernel, bias[0] if bias else None, out, winner, geometry, scratch)


@dataclass(frozen=True)
class ConvPool2DGradWeight(Op):
    """(x (H,W,C), grad (PH,PW,F), winner) → the gradients of the kernel and, if there is one, the bias."""

    window: Window
    kernel: Shape
    bias: bool

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shapes = [self.kernel, *([self.kernel[3:]] if self.bias else [])]
        return tuple(inputs[0].like(shape, batched=False) for shape in shapes)

    def flops(self, call: Call) -> int:
        return call.inputs[1].size * (2 * self.window.cells * self.kernel[2] + self.bias)

    def narrow(self, call: Call) -> bool:
        return in_pairs(self.kernel[2])  # others are of images of 1 or 3 channels, which stay exact

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, grad, winner = inputs
        kernel, *bias = outputs
        geometry = _geometry(self.window, x.shape[1:])
        return kernels.conv_pool_gradient.grad_weight(
            x, grad, winner, kernel, bias[0] if bias else None, geometry, scratch
        )


@dataclass(frozen=True)
class ConvPool2DGradInput(Op):
    """(grad (PH,PW,F), winner, kernel) → the gradient of the input, (H,W,C)."""

    takes_bfloat16: ClassVar[bool] = True
    window: Window
    image: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.image),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * 2 * self.window.cells * call.inputs[2].shape[2]

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        grad, winner, kernel = inputs
        geometry = _geometry(self.window, self.image)
        return kernels.conv_pool_gradient.grad_input(grad, winner, kernel, outputs[0], geometry, scratch)


def _geometry(window: Window, image: Shape) -> Geometry:
    return Geometry(window.strides, window.padding_before(image[0], image[1]))
