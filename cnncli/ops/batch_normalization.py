"""Batch normalization: with batch statistics in training, with moving statistics in inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnncli import kernels
from cnncli.ops.elementwise import Activated, titled
from cnncli.ops.ir import Call, Folding, Op, Tape, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor
    from cnncli.kernels.normalization.batch_normalization import Normalization


@dataclass(frozen=True)
class _Normalization(Activated):
    """Common base: flags for the optional inputs gamma and beta, which come last, and a fused activation.

    The derivative recomputes the activation's input.
    """

    epsilon: float
    scale: bool
    center: bool

    def flops(self, call: Call) -> int:
        return call.output.size * (2 + (self.activation != "linear"))

    def constants(self, saved: Tensor, gamma_and_beta: Sequence[Tensor]) -> Normalization:
        """Return the kernels' arguments."""
        given = list(gamma_and_beta)
        gamma = given.pop(0) if self.scale else None
        beta = given.pop(0) if self.center else None
        return kernels.batch_normalization.Normalization(gamma, beta, saved, self.epsilon, self.activation)


@dataclass(frozen=True)
class BatchNormalization(_Normalization):
    """(x (…,C), running mean and variance (C,)[, gamma (C,)][, beta (C,)]) → y, …: normalized with batch statistics.

    Further outputs: the batch's mean and 1/√(variance + epsilon), (2, C); the new running mean and variance. If several
    processes share the batch, these are of all its rows with `synchronized`, else of those of this process.
    """

    takes_bfloat16: ClassVar[bool] = True

    momentum: float = 0.99
    synchronized: bool = False

    def constants(self, saved: Tensor, gamma_and_beta: Sequence[Tensor]) -> Normalization:
        return super().constants(saved, gamma_and_beta)._replace(synchronized=self.synchronized)

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        x, mean, variance = inputs[:3]
        saved = mean.like((2, *mean.shape))
        return x.like(), saved, mean.like(), variance.like()

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        x, _, _, *gamma_and_beta = call.inputs
        grads = tape.emit_all(BatchNormalizationGrad(self), grad, x, call.outputs[1], *gamma_and_beta)
        return grads[0], None, None, *grads[1:]

    def remade(self, call: Call) -> tuple[Op, tuple[Value, ...]]:
        x, _, _, *gamma_and_beta = call.inputs
        return Renormalization(self), (x, call.outputs[1], *gamma_and_beta)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, mean, variance, *gamma_and_beta = inputs
        out, saved, new_mean, new_variance = outputs
        running = kernels.batch_normalization.Running(mean, variance, new_mean, new_variance, self.momentum)
        return kernels.batch_normalization.training(x, self.constants(saved, gamma_and_beta), running, out, scratch)


@dataclass(frozen=True)
class Renormalization(Op):
    """(x (…,C), saved (2, C)[, gamma][, beta]) → y: recomputes the output of the BatchNormalization `of`."""

    takes_bfloat16: ClassVar[bool] = True

    of: BatchNormalization

    @property
    def title(self) -> str:
        return titled(super().title, self.of.activation)

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def flops(self, call: Call) -> int:
        return call.output.size * 3

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, saved, *gamma_and_beta = inputs
        return kernels.batch_normalization.again(x, self.of.constants(saved, gamma_and_beta), outputs[0], scratch)


@dataclass(frozen=True)
class BatchNormalizationGrad(Op):
    """(grad, x, saved[, gamma][, beta]) → the gradients of x[, gamma][, beta]."""

    takes_bfloat16: ClassVar[bool] = True

    of: BatchNormalization
    overwrites: ClassVar[int | None] = 0

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        grad, _, _, *gamma_and_beta = inputs
        return grad.like(), *(value.like() for value in gamma_and_beta)

    def flops(self, call: Call) -> int:
        return call.output.size * 8

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        grad, x, saved, *gamma_and_beta = inputs
        out, *others = outputs
        grad_gamma = others.pop(0) if self.of.scale else None
        grad_beta = others.pop(0) if self.of.center else None
        normalization = self.of.constants(saved, gamma_and_beta)
        return kernels.batch_normalization_gradient.training(
            x, grad, normalization, out, grad_gamma, grad_beta, scratch
        )


@dataclass(frozen=True)
class FixedNormalization(_Normalization):
    """(x (…,C), mean and variance (C,)[, gamma][, beta]) → y: normalized with the given mean and variance.

    Only x has a gradient: the layer is frozen, or the run is inference.
    """

    takes_bfloat16: ClassVar[bool] = True

    overwrites: ClassVar[int | None] = 0

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def gradient(self, tape: Tape, call: Call, grad: Value | None, needed: Sequence[bool]) -> Sequence[Value | None]:
        assert grad is not None
        return tape.emit(FixedNormalizationGrad(self), grad, *call.inputs), *[None] * (len(call.inputs) - 1)

    def folding(self, inner: int) -> Folding:
        return Folding(FoldNormalization(self, inner), self.activation)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        x, mean, variance, *gamma_and_beta = inputs
        constants = self.constants(mean, gamma_and_beta)
        return kernels.batch_normalization.inference(x, constants, mean, variance, outputs[0], scratch)


@dataclass(frozen=True)
class FixedNormalizationGrad(Op):
    """(grad, x, mean, variance[, gamma][, beta]) → the gradient of x."""

    takes_bfloat16: ClassVar[bool] = True

    of: FixedNormalization
    overwrites: ClassVar[int | None] = 0

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return (inputs[0].like(),)

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        grad, x, mean, variance, *gamma_and_beta = inputs
        constants = self.of.constants(mean, gamma_and_beta)
        return kernels.batch_normalization_gradient.inference(x, grad, constants, mean, variance, outputs[0], scratch)


@dataclass(frozen=True)
class FoldNormalization(Op):
    """(kernel, mean, variance[, gamma][, beta][, bias]) → kernel and bias with the normalization `of` folded in.

    The activation of `of` is not included. Each run of `inner` consecutive kernel elements belongs to one filter.
    Inference only: it has no gradient.
    """

    of: FixedNormalization
    inner: int

    def infer(self, *inputs: Value) -> tuple[Value, ...]:
        return inputs[0].like(), inputs[1].like()

    def flops(self, call: Call) -> int:
        kernel, bias = call.outputs
        return kernel.size + 4 * bias.size

    def steps(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], scratch: Scratch) -> list[Step]:
        kernel, mean, variance, *others = inputs
        given = self.of.scale + self.of.center
        constants, bias = self.of.constants(mean, others[:given]), others[given:]
        weights = kernels.fold.Weights(kernel, bias[0] if bias else None)
        return kernels.fold.fold(
            weights, constants, mean, variance, kernels.fold.Weights(*outputs), self.inner, scratch
        )
