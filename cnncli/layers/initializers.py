"""Weight initializers, with Keras' formulas and names (keras/src/initializers/random_initializers.py)."""

from math import prod, sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from cnncli import kernels
from cnncli.layers.declarations.declaration import Declaration, Named, NonNegative, Registry
from cnncli.ops.ir import Shape

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

TRUNCATION = 0.87962566103423978
"""The standard deviation of a unit normal truncated at ±2."""


class Initializer(Declaration):
    """The initial values of a weight."""

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        """The initial weight, float64 `shape`: a pure function of shape, `seed` and `stream` (one per weight)."""
        raise NotImplementedError


INITIALIZERS = Registry("initializer", Initializer)
InitializerField = Annotated[Initializer, Named(INITIALIZERS)]


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


@INITIALIZERS.register
class RandomUniform(Initializer):
    """Uniform distribution on [minval, maxval)."""

    aliases = ("uniform",)

    minval: float = -0.05
    maxval: float = 0.05

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return kernels.random.uniform(shape, self.minval, self.maxval, seed, stream)


@INITIALIZERS.register
class RandomNormal(Initializer):
    """Normal distribution with `mean` and `stddev`."""

    aliases = ("normal",)

    mean: float = 0.0
    stddev: NonNegative = 0.05

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return kernels.random.normal(shape, self.mean, self.stddev, seed, stream)


@INITIALIZERS.register
class TruncatedNormal(Initializer):
    """Normal distribution with `mean` and `stddev`; values beyond ±2 `stddev` are redrawn."""

    mean: float = 0.0
    stddev: NonNegative = 0.05

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        return kernels.random.truncated_normal(shape, self.mean, self.stddev, seed, stream)


class VarianceScaling(Initializer):
    """Mean 0 and variance scale/fan: Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998.

    fan_in = shape[-2]·(kernel area), fan_out = shape[-1]·(kernel area); `_mode` selects the fan.
    """

    _scale: ClassVar[float] = 1.0
    _mode: ClassVar[Literal["in", "average"]] = "in"
    _normal: ClassVar[bool] = False

    def draw(self, shape: Shape, seed: int, stream: int) -> "NDArray[float64]":
        area = prod(shape[:-2])
        fan_in, fan_out = (shape[-2] * area if len(shape) > 1 else shape[0]), shape[-1] * area
        variance = self._scale / (fan_in if self._mode == "in" else (fan_in + fan_out) / 2)
        if self._normal:
            return kernels.random.truncated_normal(shape, 0.0, sqrt(variance) / TRUNCATION, seed, stream)
        limit = sqrt(3 * variance)
        return kernels.random.uniform(shape, -limit, limit, seed, stream)


@INITIALIZERS.register
class GlorotUniform(VarianceScaling):
    """Uniform distribution on ±√(6/(fan_in + fan_out))."""

    _mode = "average"


@INITIALIZERS.register
class GlorotNormal(VarianceScaling):
    """Truncated normal distribution with variance 2/(fan_in + fan_out)."""

    _mode, _normal = "average", True


@INITIALIZERS.register
class HeUniform(VarianceScaling):
    """Uniform distribution on ±√(6/fan_in)."""

    _scale = 2.0


@INITIALIZERS.register
class HeNormal(VarianceScaling):
    """Truncated normal distribution with variance 2/fan_in."""

    _scale, _normal = 2.0, True


@INITIALIZERS.register
class LecunUniform(VarianceScaling):
    """Uniform distribution on ±√(3/fan_in)."""


@INITIALIZERS.register
class LecunNormal(VarianceScaling):
    """Truncated normal distribution with variance 1/fan_in."""

    _normal = True
