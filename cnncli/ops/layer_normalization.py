"""Normalization of each sample by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.ops.ir import Call, Op, Tape, Value
from cnncli.ops.reach import Reaches

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor
    from cnncli.kernels.normalization.layer_normalization import Normalization


@dataclass(frozen=True)
class LayerNormalization(Op):
    """(x (…, *L)[, gamma (*L)][, beta (*L)]) → y, saved (…, 2): the last `axes` axes normalized.

    Without `centered` nothing is subtracted: RMSNormalization. `saved` is each row's mean and 1/√(variance + epsilon).
    """

    axes: int
    epsilon: float
    scale: bool
    center: bool
    centered: bool = True

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        x = inputs[0]
        return x.like(), x.like((*x.shape[: -self.axes], 2))

    def flops(self, call: Call) -> int:
        return call.output.size * (5 + 3 * self.centered)

    def reads(self, x: Value, output: Value) -> Reaches | None:
        return super().reads(x, output) if self.axes <= len(x.shape) - 2 else None

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, *gamma_and_beta = call.inputs
        return tape.emit_all(LayerNormalizationGrad(self), grad, x, call.outputs[1], *gamma_and_beta)

    def remade(self, call: Call) -> tuple[Op, tuple[Value, ...]]:
        x, *gamma_and_beta = call.inputs
        return LayerRenormalization(self), (x, call.outputs[1], *gamma_and_beta)

    def constants(self, saved: Tensor, gamma_and_beta: Sequence[Tensor]) -> Normalization:
        """Return the kernels' arguments."""
        given = list(gamma_and_beta)
        gamma = given.pop(0) if self.scale else None
        beta = given.pop(0) if self.center else None
        return kernels.layer_normalization.Normalization(gamma, beta, saved, self.epsilon, self.centered)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, *gamma_and_beta = inputs
        out, saved = outputs
        return kernels.layer_normalization.forward(x, self.constants(saved, gamma_and_beta), out, scratch)


@dataclass(frozen=True)
class LayerRenormalization(Op):
    """(x, saved[, gamma][, beta]) → y: recomputes the output of the LayerNormalization `of`."""

    of: LayerNormalization

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def flops(self, call: Call) -> int:
        return call.output.size * 4

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, saved, *gamma_and_beta = inputs
        return kernels.layer_normalization.again(x, self.of.constants(saved, gamma_and_beta), outputs[0], scratch)


@dataclass(frozen=True)
class LayerNormalizationGrad(Op):
    """(grad, x, saved[, gamma][, beta]) → the gradients of x[, gamma][, beta]."""

    of: LayerNormalization
    overwrites: ClassVar[int | None] = 0

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        grad, _, _, *gamma_and_beta = inputs
        return grad.like(), *(value.like() for value in gamma_and_beta)

    def flops(self, call: Call) -> int:
        return call.output.size * 12

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        grad, x, saved, *gamma_and_beta = inputs
        out, *others = outputs
        grad_gamma = others.pop(0) if self.of.scale else None
        grad_beta = others.pop(0) if self.of.center else None
        normalization = self.of.constants(saved, gamma_and_beta)
        return kernels.layer_normalization.backward(x, grad, normalization, out, grad_gamma, grad_beta, scratch)
