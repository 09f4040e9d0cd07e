"""Base class of operations with a kernel: bias, fused activation, and the structure of their gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

from cnncli import kernels
from cnncli.kernels.elementwise.activation_names import of_input
from cnncli.ops.elementwise import Activated, before_activation, titled
from cnncli.ops.ir import Call, Tape, Value
from cnncli.ops.merging import Multiply
from cnncli.ops.reduce import SumRows

if TYPE_CHECKING:
    from cnncli.kernels.gemm.epilogue import Epilogue
    from cnncli.kernels.jit.runtime import Tensor


def in_pairs(terms: int) -> bool:
    """Whether products of bfloat16 support sums over `terms` channels: they multiply in pairs.

    Both batched inputs of a product, or of one of its gradients, must then be bfloat16, or both float32; outputs of
    bfloat16 inputs may be either.
    """
    return terms % 2 == 0


@dataclass(frozen=True)
class Product(Activated):
    """(x, kernel[, bias][, summand]) → f(x · kernel + bias + summand); subclasses define the product.

    With `adds`, the last input is a summand of the output's shape. f is `activation`. If its derivative is not
    computable from its output, training needs `slopes`: a second output, of f′, which is computed where f is.
    """

    inner_axes: ClassVar[int] = 0
    widens: ClassVar[bool] = True

    slopes: bool = field(default=False, kw_only=True)
    adds: bool = field(default=False, kw_only=True)

    @property
    def title(self) -> str:
        return titled(f"{type(self).__name__} + add", self.activation) if self.adds else super().title

    def with_activation(self, kind: str, *, derivable: bool) -> Self | None:
        op = super().with_activation(kind, derivable=derivable)
        return None if op is None else replace(op, slopes=derivable and of_input(kind))

    def results(self, out: Value) -> tuple[Value, ...]:
        """Return the outputs, given the first."""
        return (out, out.like()) if self.slopes else (out,)

    def epilogue(self, more: Sequence[Tensor], outputs: Sequence[Tensor]) -> Epilogue:
        """Return the kernels' epilogue; `more` are the inputs after the kernel."""
        *bias, summand = more if self.adds else (*more, None)
        slopes = outputs[1] if self.slopes else None
        return kernels.epilogue.Epilogue(bias[0] if bias else None, self.activation, slopes, summand)

    def epilogue_flops(self, call: Call) -> int:
        """FLOPs of bias, summand and activation."""
        return call.output.size * (len(call.inputs) - 2 + (self.activation != "linear"))

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, kernel = call.inputs[:2]
        if self.slopes:
            grad = tape.emit(Multiply(), grad, call.outputs[1])
        else:
            grad = before_activation(tape, self.activation, grad, call.output)
        weights = self.grad_weights(tape, call, grad, needed[1:])
        return [self.grad_input(tape, x, grad, kernel) if needed[0] else None, *weights]

    def grad_weights(self, tape: Tape, call: Call, grad: Value, needed: Sequence[bool]) -> Sequence[Value | None]:
        """Return the gradients of the kernel and, if there is one, the bias; None if not needed."""
        x, kernel = call.inputs[:2]
        grads = [self.grad_kernel(tape, x, grad, kernel) if needed[0] else None]
        return [*grads, *(tape.emit(SumRows(), grad) if wanted else None for wanted in needed[1:])]

    def grad_kernel(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        """The gradient of the kernel."""
        raise NotImplementedError

    def grad_input(self, tape: Tape, x: Value, grad: Value, kernel: Value) -> Value:
        """The gradient of x."""
        raise NotImplementedError
