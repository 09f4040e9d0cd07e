"""Weight initializers, with Keras' formulas and names (keras/src/initializers/random_initializers.py)."""

from math import prod, sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from cnncli import kernels
from cnncli.errors import ShapeError
from cnncli.layers.declarations.declaration import Declaration, Named, NonNegative, Registry
from cnncli.layers.declarations.field_types import Integer, Maybe, Number, Word
from cnncli.layers.declarations.list_types import ListOf
from cnncli.ops import streams
from cnncli.ops.ir import Shape

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

TRUNCATION = 0.87962566103423978
"""The standard deviation of a unit normal truncated at ±2."""


Axes = Annotated[tuple[int, ...] | None, Maybe(ListOf(Integer()))]


class Initializer(Declaration):
    """The initial values of a weight."""

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        """The initial weight, float64 `shape`: a pure function of shape, `seed` and `stream` (one per weight)."""
        raise NotImplementedError

    def check(self, shape: Shape) -> None:
        """Raise ShapeError if there is no such weight of `shape`."""

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in super().plain().items() if value is not None}


INITIALIZERS = Registry("initializer", Initializer)


@INITIALIZERS.register
class Constant(Initializer):
    """Sets all weights to `value`."""

    value: float = 0.0

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return kernels.random.uniform(shape, self.value, self.value, 0, 0)


@INITIALIZERS.register
class Zeros(Initializer):
    """Sets all weights to 0."""

    aliases = ("zero",)

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return Constant(value=0.0).draw(shape, seed, stream)


@INITIALIZERS.register
class Ones(Initializer):
    """Sets all weights to 1."""

    aliases = ("one",)

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return Constant(value=1.0).draw(shape, seed, stream)


class _Random(Initializer):
    """Random initial values."""

    seed: int | None = None
    """The weight then has these values whatever the seed of the run, like any other of its shape and this seed."""

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return self._drawn(shape, *((seed, stream) if self.seed is None else (self.seed, streams.WEIGHTS)))

    def _drawn(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        raise NotImplementedError


@INITIALIZERS.register
class RandomUniform(_Random):
    """Uniform distribution on [minval, maxval)."""

    aliases = ("uniform",)

    minval: float = -0.05
    maxval: float = 0.05

    def _drawn(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return kernels.random.uniform(shape, self.minval, self.maxval, seed, stream)


@INITIALIZERS.register
class RandomNormal(_Random):
    """Normal distribution with `mean` and `stddev`."""

    aliases = ("normal",)

    mean: float = 0.0
    stddev: NonNegative = 0.05

    def _drawn(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return kernels.random.normal(shape, self.mean, self.stddev, seed, stream)


@INITIALIZERS.register
class TruncatedNormal(_Random):
    """Normal distribution with `mean` and `stddev`; values beyond ±2 `stddev` are redrawn."""

    mean: float = 0.0
    stddev: NonNegative = 0.05

    def _drawn(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return kernels.random.truncated_normal(shape, self.mean, self.stddev, seed, stream)


class Scaling(NamedTuple):
    """A variance scale/fan and its distribution; `mode` selects the fan."""

    scale: float
    mode: str
    distribution: str


class _Scaled(_Random):
    """Mean 0 and variance scale/fan: Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998.

    fan_in = shape[-2]·(kernel area), fan_out = shape[-1]·(kernel area).
    """

    input_axes: Axes = None
    """With `output_axes`: the axes whose product is fan_in."""
    output_axes: Axes = None
    """With `input_axes`: the axes whose product is fan_out."""

    _scaling: ClassVar[Scaling]

    def check(self, shape: Shape) -> None:
        for axis in (*(self.input_axes or ()), *(self.output_axes or ())):
            if not -len(shape) <= axis < len(shape):
                raise ShapeError(
                    f"{type(self).__name__}'s axes must be in range for the weight's shape {shape}; received {axis}"
                )

    def _drawn(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        scale, mode, distribution = self._scaling
        fan_in, fan_out = self._fans(shape)
        variance = scale / {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        if distribution == "untruncated_normal":
            return kernels.random.normal(shape, 0.0, sqrt(variance), seed, stream)
        if distribution == "uniform":
            limit = sqrt(3 * variance)
            return kernels.random.uniform(shape, -limit, limit, seed, stream)
        return kernels.random.truncated_normal(shape, 0.0, sqrt(variance) / TRUNCATION, seed, stream)

    def _fans(self, shape: Shape) -> tuple[int, int]:
        if self.input_axes is not None and self.output_axes is not None:
            return prod(shape[axis] for axis in self.input_axes), prod(shape[axis] for axis in self.output_axes)
        area = prod(shape[:-2])
        return (shape[-2] * area if len(shape) > 1 else shape[0]), shape[-1] * area


@INITIALIZERS.register
class VarianceScaling(_Scaled):
    """Mean 0 and variance scale/fan: a truncated normal, untruncated normal or uniform distribution."""

    scale: Annotated[float, Number(above=0)] = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Annotated[str, Word("truncated_normal", "normal", "untruncated_normal", "uniform")] = (
        "truncated_normal"
    )

    @property
    def _scaling(self) -> Scaling:  # type: ignore[override]  # of the arguments, where others have a constant
        return Scaling(self.scale, self.mode, self.distribution)


@INITIALIZERS.register
class GlorotUniform(_Scaled):
    """Uniform distribution on ±√(6/(fan_in + fan_out))."""

    _scaling = Scaling(1.0, "fan_avg", "uniform")


@INITIALIZERS.register
class GlorotNormal(_Scaled):
    """Truncated normal distribution with variance 2/(fan_in + fan_out)."""

    _scaling = Scaling(1.0, "fan_avg", "truncated_normal")


@INITIALIZERS.register
class HeUniform(_Scaled):
    """Uniform distribution on ±√(6/fan_in)."""

    _scaling = Scaling(2.0, "fan_in", "uniform")


@INITIALIZERS.register
class HeNormal(_Scaled):
    """Truncated normal distribution with variance 2/fan_in."""

    _scaling = Scaling(2.0, "fan_in", "truncated_normal")


@INITIALIZERS.register
class LecunUniform(_Scaled):
    """Uniform distribution on ±√(3/fan_in)."""

    _scaling = Scaling(1.0, "fan_in", "uniform")


@INITIALIZERS.register
class LecunNormal(_Scaled):
    """Truncated normal distribution with variance 1/fan_in."""

    _scaling = Scaling(1.0, "fan_in", "truncated_normal")


@INITIALIZERS.register
class Orthogonal(_Random):
    """`gain` times a random matrix with orthonormal columns or rows: the weight as a matrix (…, last axis)."""

    aliases = ("OrthogonalInitializer",)

    gain: float = 1.0

    def check(self, shape: Shape) -> None:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal takes weights of at least two axes; received shape {shape}")

    def _drawn(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        rows, columns = prod(shape[:-1]), shape[-1]
        drawn = kernels.random.orthogonal(max(rows, columns), min(rows, columns), seed, stream)
        return self.gain * (drawn if rows >= columns else drawn.T).reshape(shape)


@INITIALIZERS.register
class Identity(Initializer):
    """`gain` times the identity matrix, for weights of two axes."""

    aliases = ("IdentityInitializer",)

    gain: float = 1.0

    def check(self, shape: Shape) -> None:
        if len(shape) != 2:
            raise ShapeError(f"Identity takes weights of two axes; received shape {shape}")

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        drawn = Zeros().draw(shape, seed, stream)
        for index in range(min(shape)):
            drawn[index, index] = self.gain
        return drawn


InitializerField = Annotated[Initializer, Named(INITIALIZERS, null=GlorotUniform)]
"""null stands for GlorotUniform, whatever the default of the field, as in Keras."""
