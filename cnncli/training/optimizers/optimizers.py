"""Optimizers: declarations with Keras' names, defaults and formulas (keras/src/optimizers/)."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate
from math import inf, sqrt
from operator import mul
from typing import TYPE_CHECKING, Annotated, NamedTuple

from cnncli import kernels
from cnncli.layers.declarations.declaration import Declaration, Fraction, Named, NonNegative, Registry
from cnncli.layers.declarations.field_types import Integer, Maybe, Number, String
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.declarations.mapping_types import Numbers, NumbersBy
from cnncli.training.optimizers.schedules import RateField, Schedule, rate_of

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor
    from cnncli.kernels.optimizers.update_rules import Segments

Limit = Annotated[float | None, Maybe(Number(above=0))]
Share = Annotated[float, Number(0, 1)]
WITHOUT_EFFECT = ("loss_scale_factor", "name")
"""Arguments that are accepted because Keras has them."""
NOTHING_BEFORE = (0.0, inf)
"""The common numbers of a further pass over the weights: no decay, no bound."""


class Group(NamedTuple):
    """What some weights have of their own: a multiple of the learning rate, and whether they decay."""

    multiplier: float
    decays: bool


EVERY = Group(1.0, decays=True)


def is_for(pattern: str, weight: str) -> bool:
    """Whether a pattern matches a weight's path (`stage1/conv/kernel`), its layer's (`stage1/conv`) or its name."""
    layer, _, own = weight.rpartition("/")
    return any(fnmatchcase(name, pattern) for name in (weight, layer, own))


class Optimizer(Declaration):
    """Update rule for the weights.

    Gradients are first clipped: each element to ±`clipvalue`, each tensor to the norm `clipnorm`, or all together to
    the norm `global_clipnorm`. Then w −= w·`weight_decay`·lr. Then follow the optimizer's step, the moving average
    (`use_ema`) and constraints.

    `exclude` and `multipliers` name weights by patterns: of their name (`bias`), their layer's (`stage1/*`) or both
    (`stage1/*/kernel`).
    """

    learning_rate: RateField
    weight_decay: NonNegative | None = None
    exclude: Annotated[tuple[str, ...], ListOf(String(), rule="a list of patterns, like [bias, beta, gamma]")] = ()
    """Weights without weight decay."""
    multipliers: Annotated[Numbers, NumbersBy(Number(0), "patterns", {"stage1/*": 0.1})] = Numbers()
    """Multiples of the learning rate, also in the weight decay; of several patterns for a weight, the first counts."""
    clipnorm: Limit = None
    clipvalue: Limit = None
    global_clipnorm: Limit = None
    use_ema: bool = False
    """Keep a moving average of the weights, which is validated and becomes the final weights."""
    ema_momentum: Share = 0.99
    """Average = momentum · average + (1 − momentum) · weights, after every batch."""
    ema_overwrite_frequency: Annotated[int | None, Maybe(Integer(1))] = None
    """Every so many updates, training goes on from the average."""
    gradient_accumulation_steps: Annotated[int | None, Maybe(Integer(2))] = None
    """The weights are updated every so many batches, with the mean of their gradients."""
    loss_scale_factor: Limit = None
    """Accepted without effect: gradients are float32, where nothing is lost that a factor would save."""
    name: str | None = None
    """Accepted without effect."""

    def contradiction(self) -> str:
        """Allow at most one kind of clipping, as Keras does."""
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            return f"only one of clipnorm, clipvalue and global_clipnorm may be given; received {' and '.join(given)}"
        if self.exclude and self.weight_decay is None:
            return "exclude lists weights without weight_decay, which is missing"
        return ""

    @property
    def slots(self) -> Mapping[str, float]:
        """Optimizer slots (arrays of the weights' size kept between updates) and their initial values."""
        return {}

    @property
    def memories(self) -> int:
        """Number of arrays of the weights' size that it needs: its slots, accumulated gradients, and the average."""
        return len(self.slots) + (self.gradient_accumulation_steps is not None) + self.use_ema

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
        return rate_of(self.learning_rate, step, batches)

    def with_highest(self, rate: float) -> tuple[str, object]:
        """The argument that makes `rate` its learning rate, or the highest of its schedule: key and value for `--set`,
        below `compile.optimizer`.
        """
        key, chosen = f"{type(self).__name__}.learning_rate", self.learning_rate
        if not isinstance(chosen, Schedule):
            return key, rate
        inner, value = chosen.with_highest(rate)
        return f"{key}.{type(chosen).__name__}.{inner}", value

    def group(self, weight: str) -> Group:
        """What a weight has of its own."""
        multiplier = next((by for pattern, by in self.multipliers.items() if is_for(pattern, weight)), 1.0)
        return Group(multiplier, not any(is_for(pattern, weight) for pattern in self.exclude))

    def hyper(self, step: int, rate: float, group: Group = EVERY) -> Sequence[float]:
        """All hyperparameters of update `step` (from 1) at learning rate `rate`; their number is constant.

        The last ones, with `use_ema`, are those of the moving average.
        """
        rate *= group.multiplier
        decay = rate * (self.weight_decay or 0.0) if group.decays else 0.0
        return (decay, self.clipvalue or inf, *self.numbers(step, rate), *(self._ema(step) if self.use_ema else ()))

    def _ema(self, step: int) -> Sequence[float]:
        momentum = self.ema_momentum if step > 1 else 0.0
        frequency = self.ema_overwrite_frequency
        return (*NOTHING_BEFORE, momentum, 1 - momentum, float(frequency is not None and step % frequency == 0))

    def steps(
        self, weights: "Tensor", grads: "Tensor", slots: "Sequence[Tensor]", hyper: "Tensor", segments: "Segments"
    ) -> "list[Step]":
        """Run the kernel for one update, in place. weights, grads, slots: real (n,); hyper: float64 (groups, …)."""
        steps = kernels.update_rules.update(self.rule, weights, grads, slots, hyper, segments)
        if self.limit is None:
            return steps
        together = self.global_clipnorm is not None
        return [*kernels.clipping.factors(grads, segments, self.limit, together=together), *steps]

    def average_steps(
        self, weights: "Tensor", grads: "Tensor", average: "Tensor", hyper: "Tensor", segments: "Segments"
    ) -> "list[Step]":
        """Update the moving average, after every batch. average: real (n,); others as in `steps`."""
        column = hyper.shape[1] - len(self._ema(1))
        return kernels.update_rules.update("average", weights, grads, [average], hyper, segments, column=column)


OPTIMIZERS = Registry("optimizer", Optimizer, spell=str.lower)
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


class OfMoments(Optimizer):
    """An optimizer with moving averages of the gradients and of their squares."""

    learning_rate: RateField = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: NonNegative = 1e-7

    @property
    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}


@OPTIMIZERS.register
class Adam(OfMoments):
    """Kingma & Ba 2014 in Keras' form: w −= α·m/(√v + ε), α = lr·√(1−β₂ᵗ)/(1−β₁ᵗ); ε is outside the root.

    `amsgrad`: with the largest v so far in place of v (Reddi, Kale & Kumar 2018).
    """

    learning_rate: RateField = 0.001
    amsgrad: bool = False

    @property
    def slots(self) -> Mapping[str, float]:
        return {**super().slots, **({"velocity_hat": 0.0} if self.amsgrad else {})}

    @property
    def rule(self) -> str:
        return "amsgrad" if self.amsgrad else "adam"

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        alpha = rate * sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return (alpha, self.epsilon, 1 - self.beta_1, 1 - self.beta_2)


@OPTIMIZERS.register
class AdamW(Adam):
    """Adam with weight decay (Loshchilov & Hutter 2017)."""

    learning_rate: RateField = 0.001
    weight_decay: NonNegative | None = 0.004


@OPTIMIZERS.register
class Nadam(OfMoments):
    """Adam with Nesterov momentum (Dozat 2016), whose μₜ = β₁·(1 − ½·0.96ᵗ)."""

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        now, following = (self.beta_1 * (1 - 0.5 * 0.96**t) for t in (step, step + 1))
        product = self.product(step)
        of_m, of_g = rate * following / (1 - product * following), rate * (1 - now) / (1 - product)
        return (of_m, of_g, 1 / (1 - self.beta_2**step), self.epsilon, 1 - self.beta_1, 1 - self.beta_2)

    def product(self, step: int) -> float:
        """μ₁ · … · μₜ at update t = `step`."""
        return self.beta_1**step * _WARMTH[min(step, len(_WARMTH)) - 1] if step else 1.0


_WARMTH = tuple(accumulate((1 - 0.5 * 0.96**t for t in range(1, 1000)), mul))
"""Π (1 − ½·0.96ᵗ) up to each t; from t = 884 on, the factors are 1 in float64."""


@OPTIMIZERS.register
class Adamax(OfMoments):
    """Adam with a maximum (Kingma & Ba 2014, section 7): u = max(β₂u, |g|); w −= lr/(1−β₁ᵗ)·m/(u + ε)."""

    @property
    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0, "norm": 0.0}

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        return (rate / (1 - self.beta_1**step), self.epsilon, 1 - self.beta_1, self.beta_2)


@OPTIMIZERS.register
class Lamb(OfMoments):
    """LAMB (You et al. 2020): Adam's step d = m̂/(√v̂ + ε), scaled by tensor: w −= lr·‖w‖/‖d‖·d."""

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        moves = (1 / (1 - self.beta_1**step), 1 / (1 - self.beta_2**step), self.epsilon)
        return (*moves, 1 - self.beta_1, 1 - self.beta_2, *NOTHING_BEFORE, rate)

    def steps(
        self, weights: "Tensor", grads: "Tensor", slots: "Sequence[Tensor]", hyper: "Tensor", segments: "Segments"
    ) -> "list[Step]":
        """The step takes the place of the gradients, until its norm is known."""
        rules, found = kernels.update_rules, super().steps(weights, grads, [*slots, grads], hyper, segments)
        ratios, column = (
            kernels.clipping.ratios(weights, grads, segments),
            rules.COMMON + rules.RULES[self.rule].numbers,
        )
        scaled = segments._replace(factors=segments.ratios)
        return [*found, *ratios, *rules.update("sgd", weights, grads, [], hyper, scaled, column=column)]


@OPTIMIZERS.register
class RMSprop(Optimizer):
    """Tieleman & Hinton 2012: v = ρv + (1−ρ)g²; w −= lr·g/√(v + ε), or with momentum.

    `centered`: the squared moving mean of the gradients is subtracted from v.
    """

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


@OPTIMIZERS.register
class Adadelta(Optimizer):
    """Zeiler 2012: s = ρs + (1−ρ)g²; δ = g·√(d + ε)/√(s + ε); d = ρd + (1−ρ)δ²; w −= lr·δ."""

    learning_rate: RateField = 0.001
    rho: Share = 0.95
    epsilon: NonNegative = 1e-7

    @property
    def slots(self) -> Mapping[str, float]:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        return (rate, self.epsilon, self.rho, 1 - self.rho)


@OPTIMIZERS.register
class Lion(Optimizer):
    """Chen et al. 2023: w −= lr·sign(β₁m + (1−β₁)g); m = β₂m + (1−β₂)g."""

    learning_rate: RateField = 0.001
    beta_1: Annotated[float, Number(above=0, most=1)] = 0.9
    beta_2: Share = 0.99

    @property
    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0}

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        return (rate, self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2)


@OPTIMIZERS.register
class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al. 2013), whose l1 makes weights exactly 0."""

    learning_rate: RateField = 0.001
    learning_rate_power: Annotated[float, Number(most=0)] = -0.5
    initial_accumulator_value: NonNegative = 0.1
    l1_regularization_strength: NonNegative = 0.0
    l2_regularization_strength: NonNegative = 0.0
    l2_shrinkage_regularization_strength: NonNegative = 0.0
    beta: NonNegative = 0.0

    @property
    def slots(self) -> Mapping[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def numbers(self, step: int, rate: float) -> Sequence[float]:
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength
        return (rate, -self.learning_rate_power, l1, 2 * l2, 2 * self.l2_shrinkage_regularization_strength, self.beta)
