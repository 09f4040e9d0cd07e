"""Max and average pooling over windows of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.ops.conv import image_shape
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.merging import Quotient, broadcast
from cnncli.ops.reach import Reaches, of_window
from cnncli.ops.window import Window

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class MaxPool2D(Op):
    """x (H,W,C) → the maximum of each window (OH,OW,C), and the index of its cell (int32); padding is ignored."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    window: Window

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        out = _pooled(self.window, inputs[0])
        return out, out.like(dtype="int32")

    def reads(self, x: Value, output: Value) -> Reaches:
        return of_window(self.window, image_shape(x)[:2])

    def flops(self, call: Call) -> int:
        return call.output.size * self.window.cells

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(MaxPool2DGrad(self.window, call.inputs[0].shape), grad, call.outputs[1]),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        window = _window(self.window, inputs[0].shape[1:])
        return kernels.pool2d.max_forward(inputs[0], outputs[0], outputs[1], window)


@dataclass(frozen=True)
class MaxPool2DGrad(Op):
    """(grad (OH,OW,C), winner) → (H,W,C): each gradient goes to the cell of the maximum."""

    window: Window
    image: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.image),)

    def narrow(self, call: Call) -> bool:
        return not self.window.overlaps  # where windows overlap, their gradients add up

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.pool2d.max_backward(inputs[0], inputs[1], outputs[0], _window(self.window, self.image))


@dataclass(frozen=True)
class AveragePool2D(Op):
    """x (H,W,C) → the mean of each window, (OH,OW,C); padding is not counted."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    window: Window

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (_pooled(self.window, inputs[0]),)

    def reads(self, x: Value, output: Value) -> Reaches:
        return of_window(self.window, image_shape(x)[:2])

    def flops(self, call: Call) -> int:
        return call.output.size * self.window.cells

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        if self.window.size == call.inputs[0].shape[:2] and grad.shape[:2] == (1, 1):
            return (broadcast(tape, tape.emit(Quotient(self.window.cells), grad), call.inputs[0].shape),)
        return (tape.emit(AveragePool2DGrad(self.window, call.inputs[0].shape), grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.pool2d.average_forward(inputs[0], outputs[0], _window(self.window, inputs[0].shape[1:]))


@dataclass(frozen=True)
class AveragePool2DGrad(Op):
    """grad (OH,OW,C) → (H,W,C): each gradient is distributed evenly over the window's cells inside the image."""

    window: Window
    image: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.image),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * self.window.cells

    def narrow(self, call: Call) -> bool:
        return not self.window.overlaps  # where windows overlap, their gradients add up

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.pool2d.average_backward(inputs[0], outputs[0], _window(self.window, self.image))


@dataclass(frozen=True)
class GlobalMaxPool2D(Op):
    """x (H,W,C) → the maximum of each channel, (C,)."""

    keeps_scale: ClassVar[bool] = True
    takes_bfloat16: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like((image_shape(inputs[0])[2],)),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return (tape.emit(GlobalMaxPool2DGrad(), call.inputs[0], call.output, grad),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.global_max.forward(inputs[0], outputs[0])


@dataclass(frozen=True)
class GlobalMaxPool2DGrad(Op):
    """(x (H,W,C), maxima (C,), grad (C,)) → (H,W,C): equal maxima share the gradient, as in Keras."""

    takes_bfloat16: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, maxima, grad = inputs
        return kernels.global_max.backward(x, maxima, grad, outputs[0])


def _pooled(window: Window, x: Value) -> Value:
    height, width, channels = image_shape(x)
    return x.like((*window.output(height, width), channels))


def _window(window: Window, image: Shape) -> kernels.pool2d.Window:
    return kernels.pool2d.Window(window.size, window.strides, window.padding_before(image[0], image[1]))
