"""The dense (fully connected) product over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.ops.ir import Call, Op, Shape, Tape, Value
from cnncli.ops.product import Product, in_pairs

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class Dense(Product):
    """(x (…, in), kernel (in, units)[, bias (units,)]) → (…, units)."""

    as_whole: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        x, kernel = inputs[:2]
        if x.shape[-1:] != kernel.shape[:1]:
            raise ShapeError(f"the kernel must have a row for each input; received {kernel.shape} for {x.shape}")
        return self.results(x.like((*x.shape[:-1], kernel.shape[1])))

    def flops(self, call: Call) -> int:
        return call.output.size * 2 * call.inputs[1].shape[0] + self.epilogue_flops(call)

    def narrow(self, call: Call) -> bool:
        return in_pairs(call.inputs[1].shape[0])

    def grad_kernel(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(DenseGradWeight(), x, grad)

    def grad_input(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        return tape.emit(DenseGradInput(x.shape), grad, kernel)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, kernel, *bias = inputs
        epilogue = self.epilogue(bias, outputs)
        return kernels.dense.forward(x, kernel, epilogue, outputs[0], scratch)


@dataclass(frozen=True)
class DenseGradInput(Op):
    """(grad (…, units), kernel (in, units)) → (…, in)."""

    as_whole: ClassVar[bool] = True
    widens: ClassVar[bool] = True

    shape: Shape

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(self.shape),)

    def flops(self, call: Call) -> int:
        return call.inputs[0].size * 2 * self.shape[-1]

    def narrow(self, call: Call) -> bool:
        return in_pairs(call.inputs[1].shape[1])

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.dense.grad_input(inputs[0], inputs[1], outputs[0], scratch)


@dataclass(frozen=True)
class DenseGradWeight(Op):
    """(x (…, in), grad (…, units)) → (in, units), summed over the batch."""

    as_whole: ClassVar[bool] = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        x, grad = inputs
        return (x.like((x.shape[-1], grad.shape[-1]), batched=False),)

    def flops(self, call: Call) -> int:
        return call.inputs[1].size * 2 * call.inputs[0].shape[-1]

    def narrow(self, call: Call) -> bool:
        return True

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        return kernels.dense.grad_weight(inputs[0], inputs[1], outputs[0], scratch)
