"""A signal from within a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnncli import kernels
from cnncli.ops.ir import Op, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Ready(Op):
    """(gradients) → nothing of use, (1,): tells that a bucket of gradients is complete, so that it can be sent."""

    bucket: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like((1,)),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.shared.ready(self.bucket)
