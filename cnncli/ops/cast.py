"""The conversion of a value to another storage dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnncli import kernels
from cnncli.ops.ir import Op, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Cast(Op):
    """x, stored as `dtype`: float32 or bfloat16. It has no gradient: `graph.precision` adds it last."""

    dtype: str

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(dtype=self.dtype),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.cast.cast(inputs[0], outputs[0])
