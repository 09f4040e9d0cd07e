"""A depthwise convolution and a 1×1 one, in either order, as one operation; `graph.fusion` replaces the two by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cnncli import kernels
from cnncli.kernels.conv.geometry import filters_in_place
from cnncli.ops.conv import Conv2D, geometry
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.ir import Call, Op, Value

if TYPE_CHECKING:
    from cnncli.kernels.gemm.epilogue import Epilogue
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

WIDER = 2
"""How many times the channels of the image before it an image has at most that is better stored than filtered."""
PIXELS, PART, PARTS = 16, 1 << 18, 32
"""Pixels and multiply-adds that a part of an image has at least, and parts that are enough for many threads."""


@dataclass(frozen=True)
class Pair(Op):
    """(x (H,W,C), kernel, bias, kernel, bias) → (OH,OW,F): `second` of the output of `first`; for inference only."""

    first: Conv2D | DepthwiseConv2D
    second: Conv2D | DepthwiseConv2D

    @classmethod
    def instead_of(cls, first: Call, second: Call) -> Self | None:
        """Return the operation that replaces these two in sequence; None if it is not faster, or not supported."""
        a, b = first.op, second.op
        if not isinstance(a, Conv2D | DepthwiseConv2D) or not isinstance(b, Conv2D | DepthwiseConv2D):
            return None
        biased = len(first.inputs) == len(second.inputs) == 3 and not a.adds and not b.adds
        limited = {a.activation, b.activation} <= {"linear", "relu", "relu6"}
        return cls(a, b) if biased and limited and cls.suits(first, second) else None

    @staticmethod
    def suits(first: Call, second: Call) -> bool:
        """Whether these are two operations that are faster as one."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        return f"{self.first.title} + {self.second.title}"

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return self.second.infer(*self.first.infer(*inputs[:3]), *inputs[3:])

    def flops(self, call: Call) -> int:
        between = self.first.infer(*call.inputs[:3])
        second = Call(self.second, (*between, *call.inputs[3:]), call.outputs)
        return Call(self.first, call.inputs[:3], between).flops + second.flops

    def products(self, inputs: Sequence[Tensor]) -> tuple[tuple[Tensor, Epilogue], tuple[Tensor, Epilogue]]:
        """Return the kernel and the epilogue of both."""
        _, kernel, bias, next_kernel, next_bias = inputs
        return (kernel, self.first.epilogue([bias], ())), (next_kernel, self.second.epilogue([next_bias], ()))


class ExpandedDepthwise(Pair):
    """DepthwiseConv2D ∘ 1×1 Conv2D, where the image between has more channels."""

    @staticmethod
    def suits(first: Call, second: Call) -> bool:
        wider = first.output.shape[2] > WIDER * first.inputs[0].shape[2]
        return wider and _of_pixels(first) and _in_place(second)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.second.window, 1, inputs[0].shape[1:])
        return kernels.expanded_depthwise.forward(inputs[0], *self.products(inputs), outputs[0], places, scratch)


class SeparableConv2D(Pair):
    """1×1 Conv2D ∘ DepthwiseConv2D, where images have so many pixels that their rows can be divided among threads."""

    @staticmethod
    def suits(first: Call, second: Call) -> bool:
        height, width, filters = second.output.shape
        parts = min(PARTS, height * width * filters * first.output.shape[2] // PART)
        return parts * PIXELS <= height * width and _in_place(first) and _of_pixels(second)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        places = geometry(self.first.window, 1, inputs[0].shape[1:])
        return kernels.separable.forward(inputs[0], *self.products(inputs), outputs[0], places, scratch)


def _of_pixels(call: Call) -> bool:
    op = call.op
    return isinstance(op, Conv2D) and op.groups == 1 and op.window.size == op.window.strides == (1, 1)


def _in_place(call: Call) -> bool:
    op = call.op
    return isinstance(op, DepthwiseConv2D) and filters_in_place(
        op.window.size, geometry(op.window, 1, call.inputs[0].shape)
    )
