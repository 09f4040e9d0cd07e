"""Convolution, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar, Self

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.kernels.conv.geometry import Geometry, suits_strided_winograd, suits_winograd
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.product import Product, in_pairs
from cnncli.ops.reach import Reaches, of_window
from cnncli.ops.window import Window

LARGE = 1 << 18
"""Elements of a kernel from which on its gradient is computed on the whole batch at once: 1 MiB of float32."""

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Conv2D(Product):
    """(x (H,W,C), kernel (kh,kw,C/groups,F)[, bias (F,)]) → (OH,OW,F): cross-correlation, as Keras' Conv2D."""

    window: Window
    groups: int = 1

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        image, kernel = image_shape(inputs[0]), inputs[1].shape
        if image[2] != kernel[2] * self.groups or kernel[3] % self.groups:
            raise ShapeError(
                f"input channels and filters must be divisible by groups; "
                f"received {image[2]} channels and {kernel[3]} filters for groups={self.groups}"
            )
        return self.results(inputs[0].like((*self.window.output(image[0], image[1]), kernel[3])))

    def with_summand(self) -> Self | None:
        return None if self.adds or self.activation != "linear" else replace(self, adds=True)

    def reads(self, x: Value, output: Value) -> Reaches:
        return of_window(self.window, image_shape(x)[:2])

    def flops(self, call: Call) -> int:
        return call.output.size * 2 * self.window.cells * call.inputs[1].shape[2] + self.epilogue_flops(call)

    def narrow(self, call: Call) -> bool:
        return in_pairs(call.inputs[1].shape[2]) and not self.adds

    def grad_kernel(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(Conv2DGradWeight(self.window, self.groups, kernel.shape), x, grad)

    def grad_input(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(Conv2DGradInput(self.window, self.groups, x.shape), grad, kernel)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *more = inputs
        places = geometry(self.window, self.groups, x.shape[1:])
        epilogue = self.epilogue(more, outputs)
        by_winograd = _by_winograd(kernel.shape, places, outputs[0].shape[1:], x.dtype)
        forward = kernels.winograd.forward if by_winograd else kernels.conv2d.forward
        return forward(x, kernel, epilogue, outputs[0], places, scratch)


@dataclass(frozen=True)
class Conv2DGradInput(Op):
    """(grad (OH,OW,F), kernel) → the gradient of the input, (H,W,C): the adjoint of Conv2D."""

    widens: ClassVar[bool] = True

    window: Window
    groups: int
    image: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.image),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * 2 * self.window.cells * call.inputs[1].shape[2]

    def narrow(self, call: Call) -> bool:
        return in_pairs(call.inputs[1].shape[3] // self.groups)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.window, self.groups, self.image)
        grad, kernel = inputs
        by_winograd = _by_winograd(kernel.shape, places, grad.shape[1:], grad.dtype)
        grad_input = kernels.winograd.grad_input if by_winograd else kernels.conv2d_gradient.grad_input
        return grad_input(grad, kernel, outputs[0], places, scratch)


@dataclass(frozen=True)
class Conv2DGradWeight(Op):
    """(x (H,W,C), grad (OH,OW,F)) → the gradient of the kernel, summed over the batch."""

    window: Window
    groups: int
    kernel: Shape

    @property
    def as_whole(self) -> bool:  # type: ignore[override]  # other operations know it without an instance
        """Whether the sums are too large to be loaded and stored for each portion of the batch."""
        return prod(self.kernel) > LARGE

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.kernel, batched=False),)

    def flops(self, call: Call) -> int:
        return call.inputs[1].size * 2 * self.window.cells * self.kernel[2]

    def narrow(self, call: Call) -> bool:
        return in_pairs(self.kernel[2])

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.window, self.groups, inputs[0].shape[1:])
        x, grad = inputs
        by_winograd = _by_winograd(self.kernel, places, grad.shape[1:], x.dtype, pays=True)
        grad_weight = kernels.winograd_gradient.grad_weight if by_winograd else kernels.conv2d_gradient.grad_weight
        return grad_weight(x, grad, outputs[0], places, scratch)


def _by_winograd(kernel: Shape, places: Geometry, out: Shape, dtype: str, *, pays: bool | None = None) -> bool:
    """Whether Winograd's method computes a convolution of images of `dtype`; pays: `winograd.pays` unless given."""
    if suits_strided_winograd(kernel, places, out, dtype):
        return True
    return suits_winograd(kernel, places, out) and (kernels.winograd.pays(dtype) if pays is None else pays)


def image_shape(x: Value) -> tuple[int, int, int]:
    """The (height, width, channels) of an image value; raises ShapeError for anything else."""
    return checked_image(x.shape)


def checked_image(shape: Shape) -> tuple[int, int, int]:
    """The shape of an image, (height, width, channels); raises ShapeError for any other."""
    if len(shape) != 3:
        way = ": it must stand before Flatten" if len(shape) == 1 else ""
        raise ShapeError(f"the input must be an image (height, width, channels); received shape {shape}{way}")
    return shape[0], shape[1], shape[2]


def geometry(window: Window, groups: int, image: Shape) -> Geometry:
    """Return the kernels' geometry of a window on an image; `image` begins with (height, width)."""
    padding = window.padding_before(image[0], image[1])
    return Geometry(window.strides, padding, window.dilation, groups)
