"""Optimizers: declarations with Keras' names, defaults and formulas (keras/src/optimizers/)."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import inf, sqrt
from operator import mul
from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.layers.declarations.declaration import Declaration, Fraction, Named, NonNegative, Registry
from cnncli.layers.declarations.field_types import Integer, Maybe, Number
from cnncli.training.optimizers.schedules import RateField, Schedule

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor
    from cnncli.kernels.optimizers.update_rules import Segments

Limit = Annotated[float | None, Maybe(Number(above=0))]
Share = Annotated[float, Number(0, 1)]


class Optimizer(Declaration):
    """Update rule for the weights.

    Gradients are first clipped: each element to ±`clipvalue`, each tensor to the norm `clipnorm`, or all together to
    the norm `global_clipnorm`. Then w −= w·`weight_decay`·lr. Then follow the optimizer's step and constraints.

    With `gradient_accumulation_steps`, the weights are updated every N batches, with the mean of their gradients.
    """

    learning_rate: RateField
    weight_decay: NonNegative | None = None
    clipnorm: Limit = None
    clipvalue: Limit = None
    global_clipnorm: Limit = None
    gradient_accumulation_steps: Annotated[int | None, Maybe(Integer(2))] = None

    def contradiction(self) -> str:
        """Allow at most one kind of clipping, as Keras does."""
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) < 2:
            return ""
        return f"only one of clipnorm, clipvalue and global_clipnorm may be given; received {' and '.join(given)}"

    @property
    def slots(self) -> Mapping[str, float]:
        """Optimizer slots (arrays of the weights' size kept between updates) and their initial values."""
        return {}

    @property
    def memories(self) -> int:
        """Number of arrays of the weights' size that it needs: its slots, and accumulated gradients."""
        return len(self.slots) + (self.gradient_accumulation_steps is not None)

    @property
    def limit(self) -> float | None:
        """Maximum gradient norm, per tensor or global."""
        return self.clipnorm or self.global_clipnorm

    @property
    def rule(self) -> str:
        """Name of its update rule in `kernels.update_rules.RULES`."""
        return type(self).__name__.lower()

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        """Hyperparameters of its update rule at update `step` (from 1) and learning rate `rate`."""
        raise NotImplementedError

    def rate(self, step: int, batches: int) -> float:
        """The learning rate after `step` updates, with `batches` batches per epoch."""
        rate = self.learning_rate
        return rate.rate(step, batches) if isinstance(rate, Schedule) else rate

    def hyper(self, step: int, rate: float) -> Sequence[float]:
        """All hyperparameters of update `step` (from 1) at learning rate `rate`; their number is constant."""
        return (rate * (self.weight_decay or 0.0), self.clipvalue or inf, *self.numbers(step, rate))

    def steps(
        self, weights: "Tensor", grads: "Tensor", slots: "Sequence[Tensor]", hyper: "Tensor", segments: "Segments"
    ) -> "list[Step]":
        """Run the kernel for one update, in place. weights, grads, slots: real (n,); hyper: float64."""
        steps = kernels.update_rules.update(self.rule, weights, grads, slots, hyper, segments)
        if self.limit is None:
            return steps
        together = self.global_clipnorm is not None
        return [*kernels.clipping.factors(grads, segments, self.limit, together=together), *steps]


OPTIMIZERS = Registry("optimizer", Optimizer)
OptimizerField = Annotated[Optimizer, Named(OPTIMIZERS)]


@OPTIMIZERS.register
class SGD(Optimizer):
    """Gradient descent: m = momentum·m − lr·g; w += m, or with Nesterov w += momentum·m − lr·g."""

    learning_rate: RateField = 0.01
    momentum: Share = 0.0
    nesterov: bool = False

    @property
    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    @property
    def rule(self) -> str:
        return ("nesterov" if self.nesterov else "momentum") if self.momentum else "sgd"

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        return (rate, self.momentum) if self.momentum else (rate,)


@OPTIMIZERS.register
class Adam(Optimizer):
    """Kingma & Ba 2014 in Keras' form: w −= α·m/(√v + ε), α = lr·√(1−β₂ᵗ)/(1−β₁ᵗ); ε is outside the root."""

    learning_rate: RateField = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: NonNegative = 1e-7

    @property
    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    @property
    def rule(self) -> str:
        return "adam"

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        alpha = rate * sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return (alpha, self.epsilon, 1 - self.beta_1, 1 - self.beta_2)


@OPTIMIZERS.register
class AdamW(Adam):
    """Adam with weight decay (Loshchilov & Hutter 2017)."""

    aliases = ("adamw",)

    learning_rate: RateField = 0.001
    weight_decay: NonNegative | None = 0.004


@OPTIMIZERS.register
class Nadam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016), whose μₜ = β₁·(1 − ½·0.96ᵗ)."""

    learning_rate: RateField = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: NonNegative = 1e-7

    @property
    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        now, following = (self.beta_1 * (1 - 0.5 * 0.96**t) for t in (step, step + 1))
        product = self.beta_1**step * _WARMTH[min(step, len(_WARMTH)) - 1]  # product of all μ so far
        of_m, of_g = rate * following / (1 - product * following), rate * (1 - now) / (1 - product)
        return (of_m, of_g, 1 / (1 - self.beta_2**step), self.epsilon, 1 - self.beta_1, 1 - self.beta_2)


_WARMTH = tuple(accumulate((1 - 0.5 * 0.96**t for t in range(1, 1000)), mul))
"""Π (1 − ½·0.96ᵗ) up to each t; from t = 884 on, the factors are 1 in float64."""


@OPTIMIZERS.register
class RMSprop(Optimizer):
    """Tieleman & Hinton 2012: v = ρv + (1−ρ)g²; w −= lr·g/√(v + ε), or with momentum.

    `centered`: the squared moving mean of the gradients is subtracted from v.
    """

    aliases = ("rmsprop",)

    learning_rate: RateField = 0.001
    rho: Share = 0.9
    momentum: Share = 0.0
    epsilon: NonNegative = 1e-7
    centered: bool = False

    @property
    def slots(self) -> Mapping[str, float]:
        used = {"velocity": True, "average_gradient": self.centered, "momentum": bool(self.momentum)}
        return {name: 0.0 for name, needed in used.items() if needed}

    @property
    def rule(self) -> str:
        return "rmsprop" + "_centered" * self.centered + "_momentum" * bool(self.momentum)

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        return (rate, self.epsilon, self.rho, 1 - self.rho, self.momentum)


@OPTIMIZERS.register
class Adagrad(Optimizer):
    """Duchi, Hazan & Singer 2011: s += g²; w −= lr·g/√(s + ε)."""

    learning_rate: RateField = 0.001
    initial_accumulator_value: NonNegative = 0.1
    epsilon: NonNegative = 1e-7

    @property
    def slots(self) -> Mapping[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        return (rate, self.epsilon)
