"""Depthwise convolution, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.conv import geometry, image_shape
from cnncli.ops.elementwise import before_activation, titled
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.reduce import SumRows
from cnncli.ops.window import Window

if TYPE_CHECKING:
    from cnncli.kernels.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class DepthwiseConv2D(Op):
    """(x (H,W,C), kernel (kh,kw,…)[, bias (C,)]) → (OH,OW,C): every channel with a kernel of its own.

    The kernel has C numbers a tap. `activation` is one whose derivative follows from its output; fusion puts it here.
    """

    window: Window
    activation: str = "linear"

    @property
    def title(self) -> str:
        return titled(super().title, self.activation)

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        height, width, channels = image_shape(inputs[0])
        if prod(inputs[1].shape[2:]) != channels:
            raise ShapeError(f"the kernel must have a number for each of {channels} channels; it is {inputs[1].shape}")
        return (Value((*self.window.output(height, width), channels)),)

    def flops(self, call: Call) -> int:
        epilogue = (len(call.inputs) > 2) + (self.activation != "linear")
        return call.output.size * (2 * self.window.cells + epilogue)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, kernel, *bias = call.inputs
        grads: list[Value | None] = [None] * len(call.inputs)
        grad = before_activation(tape, self.activation, grad, call.output)
        if needed[1]:
            both = DepthwiseConv2DGradWeight(self.window, kernel.shape, bool(bias) and needed[2])
            grads[1:] = tape.emit_all(both, x, grad) + (None,) * (bool(bias) and not needed[2])
        elif bias and needed[2]:
            grads[2] = tape.emit(SumRows(), grad)
        if needed[0]:
            grads[0] = tape.emit(DepthwiseConv2DGradInput(self.window, x.shape), grad, kernel)
        return grads

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *bias = inputs
        epilogue = kernels.epilogue.Epilogue(bias[0] if bias else None, self.activation)
        places = geometry(self.window, 1, x.shape[1:])
        return kernels.depthwise.forward(x, kernel, epilogue, outputs[0], places, scratch)


@dataclass(frozen=True)
class DepthwiseConv2DGradInput(Op):
    """(grad (OH,OW,C), kernel) → the gradient of the input, (H,W,C)."""

    window: Window
    image: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (Value(self.image),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * 2 * self.window.cells

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.window, 1, self.image)
        return kernels.depthwise.grad_input(inputs[0], inputs[1], outputs[0], places, scratch)


@dataclass(frozen=True)
class DepthwiseConv2DGradWeight(Op):
    """(x (H,W,C), grad (OH,OW,C)) → the gradients of the kernel and, if wanted, the bias, summed over the batch."""

    window: Window
    kernel: Shape
    bias: bool

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        kernel, bias = Value(self.kernel, batched=False), Value(inputs[1].shape[-1:], batched=False)
        return (kernel, bias) if self.bias else (kernel,)

    def flops(self, call: Call) -> int:
        return call.inputs[1].size * (2 * self.window.cells + self.bias)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.window, 1, inputs[0].shape[1:])
        bias = outputs[1] if self.bias else None
        return kernels.depthwise.grad_weight(inputs[0], inputs[1], outputs[0], bias, places, scratch)
