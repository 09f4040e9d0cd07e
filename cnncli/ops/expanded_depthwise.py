"""A 1×1 convolution and a depthwise one of its output as one operation; `graph.fusion` replaces the two by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnncli import kernels
from cnncli.kernels.conv.geometry import filters_in_place
from cnncli.ops.conv import Conv2D, geometry
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.ir import Call, Op, Value
from cnncli.ops.window import Window

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor

POINT = Window((1, 1), (1, 1))


@dataclass(frozen=True)
class ExpandedDepthwise(Op):
    """(x (H,W,C), kernel (1,1,C,D), bias (D,), depthwise kernel (k,k,…), its bias (D,)) → (OH,OW,D).

    `depthwise` of the output of `expansion`; for inference only.
    """

    expansion: Conv2D
    depthwise: DepthwiseConv2D

    @classmethod
    def instead_of(cls, expansion: Call, depthwise: Call) -> ExpandedDepthwise | None:
        """Return the operation that replaces these two in sequence; None if the kernels do not support them."""
        first, second = expansion.op, depthwise.op
        if not isinstance(first, Conv2D) or not isinstance(second, DepthwiseConv2D):
            return None
        plain = first.groups == 1 and first.window.size == (1, 1) and first.window.strides == (1, 1)
        biased = len(expansion.inputs) == len(depthwise.inputs) == 3 and not first.adds
        limited = {first.activation, second.activation} <= {"linear", "relu", "relu6"}
        suits = filters_in_place(second.window.size, geometry(second.window, 1, expansion.output.shape))
        return cls(first, second) if plain and biased and limited and suits else None

    @property
    def title(self) -> str:
        return f"{self.expansion.title} + {self.depthwise.title}"

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return self.depthwise.infer(*self.expansion.infer(*inputs[:3]), *inputs[3:])

    def flops(self, call: Call) -> int:
        expanded = self.expansion.infer(*call.inputs[:3])
        calls = (
            Call(self.expansion, call.inputs[:3], expanded),
            Call(self.depthwise, (*expanded, *call.inputs[3:]), call.outputs),
        )
        return sum(each.flops for each in calls)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, bias, taps, taps_bias = inputs
        expansion = kernel, self.expansion.epilogue([bias], outputs)
        depthwise = taps, self.depthwise.epilogue([taps_bias], outputs)
        places = geometry(self.depthwise.window, 1, x.shape[1:])
        return kernels.expanded_depthwise.forward(x, expansion, depthwise, outputs[0], places, scratch)
