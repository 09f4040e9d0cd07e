"""Optimizers: declarations with Keras' names, defaults and formulas (keras/src/optimizers/)."""

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.layers.declaration import Declaration, Fraction, Named, NonNegative, Registry
from cnncli.layers.kinds import Number

if TYPE_CHECKING:
    from cnncli.kernels.runtime import Step, Tensor


class Optimizer(Declaration):
    """How weights follow their gradients. Works on the flat arenas of all weights and all gradients at once."""

    learning_rate: NonNegative

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays, as large as the weights, that it remembers from update to update."""
        return ()

    def hyper(self, step: int) -> Sequence[float]:
        """The numbers that the update number `step` (from 1) reads at run time; always equally many."""
        raise NotImplementedError

    def steps(self, weights: "Tensor", grads: "Tensor", slots: "Sequence[Tensor]", hyper: "Tensor") -> "list[Step]":
        """The kernel's steps of one update in place. weights, grads, slots: real (n,); hyper: float64."""
        raise NotImplementedError


OPTIMIZERS = Registry("optimizer", Optimizer)
OptimizerField = Annotated[Optimizer, Named(OPTIMIZERS)]


@OPTIMIZERS.register
class SGD(Optimizer):
    """Gradient descent: m = momentum·m − lr·g; w += m, or with Nesterov w += momentum·m − lr·g."""

    learning_rate: NonNegative = 0.01
    momentum: Annotated[float, Number(0, 1)] = 0.0
    nesterov: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def hyper(self, step: int) -> Sequence[float]:
        return (self.learning_rate, self.momentum)

    def steps(self, weights: "Tensor", grads: "Tensor", slots: "Sequence[Tensor]", hyper: "Tensor") -> "list[Step]":
        return kernels.optimizers.sgd(weights, grads, slots[0] if slots else None, hyper, self.nesterov)


@OPTIMIZERS.register
class Adam(Optimizer):
    """Kingma & Ba 2014 in Keras' form: w −= α·m/(√v + ε), α = lr·√(1−β₂ᵗ)/(1−β₁ᵗ); ε is outside the root."""

    learning_rate: NonNegative = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: NonNegative = 1e-7

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    def hyper(self, step: int) -> Sequence[float]:
        alpha = self.learning_rate * sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return (alpha, self.beta_1, self.beta_2, self.epsilon)

    def steps(self, weights: "Tensor", grads: "Tensor", slots: "Sequence[Tensor]", hyper: "Tensor") -> "list[Step]":
        return kernels.optimizers.adam(weights, grads, slots[0], slots[1], hyper)
