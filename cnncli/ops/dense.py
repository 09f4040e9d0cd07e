"""The dense (fully connected) product over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.elementwise import before_activation, titled
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.reduce import SumRows

if TYPE_CHECKING:
    from cnncli.kernels.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Dense(Op):
    """(x (…, in), kernel (in, units)[, bias (units,)]) → (…, units).

    `activation` is one whose derivative follows from its output; fusion puts it here.
    """

    activation: str = "linear"

    @property
    def title(self) -> str:
        return titled(super().title, self.activation)

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        x, kernel = inputs[:2]
        if x.shape[-1:] != kernel.shape[:1]:
            raise ShapeError(f"the kernel must have a row for each input; received {kernel.shape} for {x.shape}")
        return (Value((*x.shape[:-1], kernel.shape[1])),)

    def flops(self, call: Call) -> int:
        epilogue = (len(call.inputs) > 2) + (self.activation != "linear")
        return call.output.size * (2 * call.inputs[1].shape[0] + epilogue)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, kernel, *bias = call.inputs
        grads: list[Value | None] = [None] * len(call.inputs)
        grad = before_activation(tape, self.activation, grad, call.output)
        if needed[1]:
            grads[1] = tape.emit(DenseGradWeight(), x, grad)
        if bias and needed[2]:
            grads[2] = tape.emit(SumRows(), grad)
        if needed[0]:
            grads[0] = tape.emit(DenseGradInput(x.shape), grad, kernel)
        return grads

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *bias = inputs
        epilogue = kernels.epilogue.Epilogue(bias[0] if bias else None, self.activation)
        return kernels.dense.forward(x, kernel, epilogue, outputs[0], scratch)


@dataclass(frozen=True)
class DenseGradInput(Op):
    """(grad (…, units), kernel (in, units)) → (…, in)."""

    shape: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (Value(self.shape),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * 2 * self.shape[-1]

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.dense.grad_input(inputs[0], inputs[1], outputs[0], scratch)


@dataclass(frozen=True)
class DenseGradWeight(Op):
    """(x (…, in), grad (…, units)) → (in, units), summed over the batch."""

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        x, grad = inputs
        return (Value((x.shape[-1], grad.shape[-1]), batched=False),)

    def flops(self, call: Call) -> int:
        return call.inputs[1].size * 2 * call.inputs[0].shape[-1]

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.dense.grad_weight(inputs[0], inputs[1], outputs[0], scratch)
