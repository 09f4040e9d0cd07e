"""Activation functions by Keras' names, with their arguments: what a layer's `activation` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Declaration, Named, NonNegative, Registry, snake_case
from cnncli.layers.declarations.field_types import Number
from cnncli.layers.fields import normalize_axis

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder
    from cnncli.ops.ir import Value

Positive = Annotated[float, Number(above=0)]


class ActivationFunction(Declaration):
    """An activation of a layer's output: a function of each element, or of the elements along an axis."""

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    """Valid arguments, for tests."""

    def __init_subclass__(cls) -> None:
        cls.__name__ = snake_case(cls.__name__)  # in Keras these are functions
        super().__init_subclass__()

    @property
    def name(self) -> str:
        """Keras' name: leaky_relu."""
        return type(self).__name__

    @property
    def is_default(self) -> bool:
        """Whether all arguments have their defaults."""
        return all(value == self.fields[name].default for name, value in self.settings().items())

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.settings().items())
        return self.name if self.is_default else f"{self.name}({given})"

    def entry(self) -> Any:
        return self.name if self.is_default else super().entry()

    def apply(self, build: Builder, x: Value) -> Value:
        """Emit the operations and return the output. Raises ShapeError if the shape of x does not fit."""
        return build.activation(x, self.name, *([] if self.is_default else self.settings().values()))


ACTIVATIONS = Registry("activation", ActivationFunction)


@ACTIVATIONS.register
class Linear(ActivationFunction):
    """x (no activation)."""


@ACTIVATIONS.register
class Relu(ActivationFunction):
    """max(x, 0); with arguments: min(x, max_value) for x ≥ threshold, else negative_slope · (x − threshold)."""

    negative_slope: NonNegative = 0.0
    max_value: NonNegative | None = None
    threshold: NonNegative = 0.0

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"negative_slope": 0.1, "max_value": 0.7, "threshold": 0.3})

    def apply(self, build: Builder, x: Value) -> Value:
        usual = {(None, 0.0): "relu", (6.0, 0.0): "relu6"}.get((self.max_value, self.negative_slope))
        if usual is not None and not self.threshold:
            return build.activation(x, usual)
        if self.max_value is None and not self.threshold:
            return build.activation(x, "leaky_relu", self.negative_slope)
        most = inf if self.max_value is None else self.max_value
        return build.activation(x, "clipped_relu", most, self.negative_slope, self.threshold)


@ACTIVATIONS.register
class LeakyRelu(ActivationFunction):
    """x for x > 0, else negative_slope · x."""

    negative_slope: NonNegative = 0.2

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"negative_slope": 0.1})


@ACTIVATIONS.register
class Elu(ActivationFunction):
    """x for x > 0, else alpha · (eˣ − 1)."""

    alpha: float = 1.0

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"alpha": 0.5}, {"alpha": -0.5})

    def apply(self, build: Builder, x: Value) -> Value:
        return build.activation(x, "elu_of_input", self.alpha) if self.alpha < 0 else super().apply(build, x)


@ACTIVATIONS.register
class Celu(ActivationFunction):
    """x for x > 0, else alpha · (e^(x/alpha) − 1)."""

    alpha: Positive = 1.0

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"alpha": 0.3})


@ACTIVATIONS.register
class Gelu(ActivationFunction):
    """x · Φ(x), where Φ is the standard normal CDF; `approximate`: its approximation with tanh."""

    approximate: bool = False

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"approximate": True})

    def apply(self, build: Builder, x: Value) -> Value:
        return build.activation(x, "gelu_tanh" if self.approximate else "gelu")


@ACTIVATIONS.register
class HardShrink(ActivationFunction):
    """x for |x| > threshold, else 0."""

    threshold: NonNegative = 0.5

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"threshold": 0.3})


@ACTIVATIONS.register
class SoftShrink(ActivationFunction):
    """x − threshold for x > threshold, x + threshold for x < −threshold, else 0."""

    threshold: NonNegative = 0.5

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"threshold": 0.3})


@ACTIVATIONS.register
class Threshold(ActivationFunction):
    """x for x > threshold, else default_value."""

    threshold: float
    default_value: float

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({"threshold": 0.3, "default_value": -1.0},)


@ACTIVATIONS.register
class Squareplus(ActivationFunction):
    """(x + √(x² + b))/2."""

    b: Positive = 4.0

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"b": 0.2})


class _AlongAxis(ActivationFunction):
    """An activation along `axis`; 0 is the batch axis, -1 the last axis."""

    axis: int = -1

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"axis": 1}, {"axis": -2})

    def apply(self, build: Builder, x: Value) -> Value:
        return build.along(self.name, x, normalize_axis(self.axis, x.shape))


@ACTIVATIONS.register
class Softmax(_AlongAxis):
    """exp(x)/Σexp(x) along `axis`: outputs that sum to 1."""


@ACTIVATIONS.register
class LogSoftmax(_AlongAxis):
    """x − log Σexp(x) along `axis`: the logarithm of softmax."""


@ACTIVATIONS.register
class Sparsemax(_AlongAxis):
    """max(x − τ, 0) with τ such that the outputs along `axis` sum to 1: like softmax, with zeros."""


@ACTIVATIONS.register
class Glu(_AlongAxis):
    """a · sigmoid(b), where a and b are the halves of x along `axis`: the output is half as long."""

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"axis": 2})

    def apply(self, build: Builder, x: Value) -> Value:
        axis = normalize_axis(self.axis, x.shape)
        if x.shape[axis] % 2:
            raise ShapeError(f"glu halves axis {self.axis}, whose length must be even; received shape {x.shape}")
        half = x.shape[axis] // 2
        gate = build.activation(build.slice(x, axis, half, half), "sigmoid")
        return build.multiply(build.slice(x, axis, 0, half), gate)


OTHERS: Mapping[str, str] = {
    "relu6": "min(max(x, 0), 6).",
    "selu": "1.0507 · (x for x > 0, else 1.6733 · (eˣ − 1)).",
    "silu": "x · sigmoid(x).",
    "hard_silu": "x · hard_sigmoid(x).",
    "mish": "x · tanh(softplus(x)).",
    "softplus": "log(1 + eˣ).",
    "sparse_plus": "0 for x ≤ −1, (x + 1)²/4 up to 1, then x.",
    "exponential": "eˣ.",
    "sigmoid": "1/(1 + e⁻ˣ).",
    "hard_sigmoid": "x/6 + 1/2, clipped to [0, 1].",
    "sparse_sigmoid": "(x + 1)/2, clipped to [0, 1].",
    "log_sigmoid": "log(1/(1 + e⁻ˣ)).",
    "tanh": "The hyperbolic tangent.",
    "hard_tanh": "x, clipped to [−1, 1].",
    "tanh_shrink": "x − tanh(x).",
    "softsign": "x/(1 + |x|).",
}
"""Activations without arguments."""
ALIASES = {"silu": ("swish",), "hard_silu": ("hard_swish",)}
for _name, _about in OTHERS.items():
    ACTIVATIONS.register(
        type(
            _name, (ActivationFunction,), {"__doc__": _about, "__module__": __name__, "aliases": ALIASES.get(_name, ())}
        )
    )


ActivationField = Annotated[ActivationFunction, Named(ACTIVATIONS, null=Linear)]
