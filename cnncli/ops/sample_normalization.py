"""Normalization of each sample by itself: of its last axes, or of groups of its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnncli import kernels
from cnncli.ops.ir import Call, Op, Tape, Value
from cnncli.ops.reach import Reaches

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


@dataclass(frozen=True)
class SampleNormalization(Op):
    """(x[, gamma][, beta]) → y, saved: common base, with flags for the optional inputs.

    `saved` are the means and 1/√(variance + epsilon).
    """

    epsilon: float
    scale: bool
    center: bool

    def saved(self, x: Value) -> Value:
        """Return the second output."""
        raise NotImplementedError

    def module(self) -> Any:
        """Return the module of its kernels."""
        raise NotImplementedError

    def constants(self, saved: Tensor, gamma_and_beta: Sequence[Tensor]) -> Any:
        """Return the kernels' arguments."""
        given = list(gamma_and_beta)
        gamma = given.pop(0) if self.scale else None
        beta = given.pop(0) if self.center else None
        return self.module().Normalization(gamma, beta, saved, self.epsilon)

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return inputs[0].like(), self.saved(inputs[0])

    def flops(self, call: Call) -> int:
        return call.output.size * 8

    def reads(self, x: Value, output: Value) -> Reaches | None:
        return None

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, *gamma_and_beta = call.inputs
        return tape.emit_all(SampleNormalizationGrad(self), grad, x, call.outputs[1], *gamma_and_beta)

    def remade(self, call: Call) -> tuple[Op, tuple[Value, ...]]:
        x, *gamma_and_beta = call.inputs
        return SampleRenormalization(self), (x, call.outputs[1], *gamma_and_beta)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, *gamma_and_beta = inputs
        out, saved = outputs
        steps: list[Step] = self.module().forward(x, self.constants(saved, gamma_and_beta), out, scratch)
        return steps


@dataclass(frozen=True)
class LayerNormalization(SampleNormalization):
    """(x (…, *L)[, gamma (*L)][, beta (*L)]) → y, saved (…, 2): normalized over the last `axes` axes.

    Without `centered` nothing is subtracted: RMSNormalization.
    """

    axes: int
    centered: bool = True

    def saved(self, x: Value) -> Value:
        return x.like((*x.shape[: -self.axes], 2))

    def module(self) -> Any:
        return kernels.layer_normalization

    def constants(self, saved: Tensor, gamma_and_beta: Sequence[Tensor]) -> Any:
        return super().constants(saved, gamma_and_beta)._replace(centered=self.centered)

    def reads(self, x: Value, output: Value) -> Reaches | None:
        return Op.reads(self, x, output) if self.axes <= len(x.shape) - 2 else None


@dataclass(frozen=True)
class GroupNormalization(SampleNormalization):
    """(x (…, C)[, gamma (C,)][, beta (C,)]) → y, saved (2, groups): normalized over groups of channels."""

    groups: int

    def saved(self, x: Value) -> Value:
        return x.like((2, self.groups))

    def module(self) -> Any:
        return kernels.group_normalization


@dataclass(frozen=True)
class SampleRenormalization(Op):
    """(x, saved[, gamma][, beta]) → y: recomputes the output of the normalization `of`."""

    of: SampleNormalization

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def flops(self, call: Call) -> int:
        return call.output.size * 4

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, saved, *gamma_and_beta = inputs
        constants = self.of.constants(saved, gamma_and_beta)
        steps: list[Step] = self.of.module().again(x, constants, outputs[0], scratch)
        return steps


@dataclass(frozen=True)
class SampleNormalizationGrad(Op):
    """(grad, x, saved[, gamma][, beta]) → the gradients of x[, gamma][, beta]."""

    of: SampleNormalization
    overwrites: ClassVar[int | None] = 0

    @property
    def title(self) -> str:
        return f"{self.of.title}Grad"

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
        constants = self.of.constants(saved, gamma_and_beta)
        steps: list[Step] = self.of.module().backward(x, grad, constants, out, grad_gamma, grad_beta, scratch)
        return steps
