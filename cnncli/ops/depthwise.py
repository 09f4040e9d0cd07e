"""Depthwise convolution, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.conv import geometry, image_shape
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.product import Product
from cnncli.ops.reach import Reaches, of_window
from cnncli.ops.window import Window

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class DepthwiseConv2D(Product):
    """(x (H,W,C), kernel (kh,kw,…)[, bias (C,)]) → (OH,OW,C): one kernel per channel.

    The kernel has C elements per tap.
    """

    widens: ClassVar[bool] = False

    window: Window

    def narrow(self, call: Call) -> bool:
        return self.activation in ("linear", "relu", "relu6") and not self.slopes  # applied to what is rounded

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        height, width, channels = image_shape(inputs[0])
        if prod(inputs[1].shape[2:]) != channels:
            raise ShapeError(f"the kernel must have a number for each of {channels} channels; it is {inputs[1].shape}")
        return self.results(inputs[0].like((*self.window.output(height, width), channels)))

    def reads(self, x: Value, output: Value) -> Reaches:
        return of_window(self.window, image_shape(x)[:2])

    def flops(self, call: Call) -> int:
        return call.output.size * 2 * self.window.cells + self.epilogue_flops(call)

    def grad_weights(self, tape: Tape, call: Call, grad: Value, needed: Sequence[bool]) -> Sequence[Value | None]:
        if list(needed) != [True, True]:
            return super().grad_weights(tape, call, grad, needed)
        x, kernel = call.inputs[:2]
        return tape.emit_all(DepthwiseConv2DGradWeight(self.window, kernel.shape, bias=True), x, grad)

    def grad_kernel(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(DepthwiseConv2DGradWeight(self.window, kernel.shape, bias=False), x, grad)

    def grad_input(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(DepthwiseConv2DGradInput(self.window, x.shape), grad, kernel)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *bias = inputs
        epilogue = self.epilogue(bias, outputs)
        places = geometry(self.window, 1, x.shape[1:])
        return kernels.depthwise.forward(x, kernel, epilogue, outputs[0], places, scratch)


@dataclass(frozen=True)
class DepthwiseConv2DGradInput(Op):
    """(grad (OH,OW,C), kernel) → the gradient of the input, (H,W,C)."""

    takes_bfloat16: ClassVar[bool] = True

    window: Window
    image: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.image),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * 2 * self.window.cells

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.window, 1, self.image)
        return kernels.depthwise.grad_input(inputs[0], inputs[1], outputs[0], places, scratch)


@dataclass(frozen=True)
class DepthwiseConv2DGradWeight(Op):
    """(x (H,W,C), grad (OH,OW,C)) → the gradients of the kernel and, with `bias`, the bias, summed over the batch."""

    takes_bfloat16: ClassVar[bool] = True

    window: Window
    kernel: Shape
    bias: bool

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        shapes = [self.kernel, *([inputs[1].shape[-1:]] if self.bias else [])]
        return tuple(inputs[0].like(shape, batched=False) for shape in shapes)

    def flops(self, call: Call) -> int:
        return call.inputs[1].size * (2 * self.window.cells + self.bias)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.window, 1, inputs[0].shape[1:])
        bias = outputs[1] if self.bias else None
        return kernels.depthwise_weights.grad_weight(inputs[0], inputs[1], outputs[0], bias, places, scratch)
