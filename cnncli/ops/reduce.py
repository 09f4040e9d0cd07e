"""Reductions over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.ops.ir import Call, Op, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class SumRows(Op):
    """x (…, C) → (C,): the sum over the batch and all axes but the last; the gradient of a bias."""

    takes_bfloat16: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(inputs[0].shape[-1:], batched=False),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.reduce.sum_rows(inputs[0], outputs[0], scratch)
