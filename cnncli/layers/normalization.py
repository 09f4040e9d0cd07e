"""Normalization layers."""

from collections.abc import Mapping, Sequence
from math import prod, sqrt
from typing import Annotated, Any, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.constraints import ConstraintField
from cnncli.layers.declarations.declaration import NonNegative, PositiveInt
from cnncli.layers.declarations.field_types import Boolean, Integer, Kind, Maybe, Number, Quotient, Schema
from cnncli.layers.declarations.list_types import ItemOrList
from cnncli.layers.declarations.mapping_types import NumbersBy
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
from cnncli.layers.fields import Axes, normalize_axes, normalize_axis
from cnncli.layers.initializers import Constant, InitializerField, Ones, Zeros
from cnncli.layers.layer import LAYERS, Example, Layer, Weight
from cnncli.layers.regularizers import RegularizerField
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value
from cnncli.ops.window import Window

Numbers = Annotated[float | tuple[float, ...], ItemOrList(Quotient())]


def _example(shape: Shape, **arguments: Any) -> Example:
    return Example(arguments, [shape])


@LAYERS.register
class Rescaling(Layer):
    """Computes scale · x + offset, with one scale and offset or a list of those of the channels (Keras Rescaling)."""

    scale: Numbers
    offset: Numbers = 0.0

    rescales: ClassVar[bool] = True
    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2), scale=0.5),
        _example((5,), scale="1/127.5", offset=-1),
        _example((3, 4, 3), scale=["1/4", 0.5, 2], offset=[0, -1, 0.5]),
        _example((5,), scale=0.5, offset=[1, 2, 3, 4, 5]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        if isinstance(self.scale, float) and isinstance(self.offset, float):
            return build.affine(inputs[0], self.scale, self.offset)
        channels = inputs[0].shape[-1]
        lists = self.affine(channels)
        if any(len(numbers) != channels for numbers in lists):
            raise ShapeError(
                f"scale and offset must have a number for each of the {channels} channels; "
                f"received {', '.join(str(len(numbers)) for numbers in lists)}"
            )
        return build.affine_channels(inputs[0], *lists)

    def affine(self, channels: int) -> tuple[Sequence[float], Sequence[float]]:
        """The scales and the offsets of the channels."""
        scale, offset = self.scale, self.offset
        return (
            (scale,) * channels if isinstance(scale, float) else scale,
            (offset,) * channels if isinstance(offset, float) else offset,
        )


@LAYERS.register
class Normalization(Layer):
    """Computes (x − mean) / √variance, with numbers or lists of those along `axis` (Keras Normalization).

    Mean and variance of the training data are not learned by a layer: `normalize: train` under `data` computes them.
    """

    axis: Annotated[int | tuple[int, ...] | None, Maybe(ItemOrList(Integer()))] = -1
    """Where lists of numbers belong: along the last of several axes."""
    mean: Annotated[float | tuple[float, ...] | None, Maybe(ItemOrList(Quotient()))] = None
    variance: Annotated[float | tuple[float, ...] | None, Maybe(ItemOrList(Quotient()))] = None
    invert: bool = False
    """Compute mean + x · √variance instead."""

    rescales: ClassVar[bool] = True
    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2), mean=0.5, variance=4),
        _example((3, 4, 3), mean=[0, 1, 2], variance=[0.5, 1, 0]),
        _example((3, 4, 2), mean=[1, 2, 3, 4], variance=[1, 2, 3, 4], axis=2),
        _example((5,), mean=[1, 2, 3, 4, 5], variance=[1, 1, 2, 2, 3], invert=True),
    )

    def contradiction(self) -> str:
        if self.mean is None or self.variance is None:
            return "give mean and variance; for those of the training data, write `normalize: train` under `data`"
        if self._count(self.mean) != self._count(self.variance):
            return "mean and variance must be numbers, or lists of one length"
        if self.axis is None and self._count(self.mean):
            return "mean and variance are numbers, not lists, with axis: null"
        return "" if min(self._listed(self.variance, 1)) >= 0 else "variance must be ≥ 0"

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x, order = inputs[0], list(range(len(inputs[0].shape)))
        if self.axis is not None:
            x, order = build.moved_last(x, normalize_axes(self.axis, x.shape)[-1:])
        if self._count(self.mean) not in (0, 1, x.shape[-1]):
            raise ShapeError(f"mean and variance must have {x.shape[-1]} numbers; received {self._count(self.mean)}")
        return build.permute(build.affine_channels(x, *self.affine(x.shape[-1])), order)

    def affine(self, channels: int) -> tuple[Sequence[float], Sequence[float]]:
        """The scales and the offsets along the axis."""
        means, variances = (self._listed(numbers, channels) for numbers in (self.mean, self.variance))
        roots = [max(sqrt(variance), 1e-7) for variance in variances]  # Keras' bound
        if self.invert:
            return roots, means
        return [1 / root for root in roots], [-mean / root for mean, root in zip(means, roots, strict=True)]

    @staticmethod
    def _count(numbers: float | tuple[float, ...] | None) -> int:
        return len(numbers) if isinstance(numbers, tuple) else 0

    @staticmethod
    def _listed(numbers: float | tuple[float, ...] | None, length: int) -> Sequence[float]:
        listed = numbers if isinstance(numbers, tuple) else (numbers or 0.0,)
        return listed * length if len(listed) == 1 else listed


@LAYERS.register
class LayerScale(Layer):
    """Multiplies channels by learned numbers that begin with `init_values` (LayerScale of Keras' ConvNeXt)."""

    init_values: float
    projection_dim: PositiveInt
    """The number of channels."""
    trainable: bool = True

    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2), init_values=1e-6, projection_dim=2),
        _example((5,), init_values=0.1, projection_dim=5),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        if inputs[0][-1] != self.projection_dim:
            raise ShapeError(f"projection_dim must be the {inputs[0][-1]} channels; received {self.projection_dim}")
        return {"gamma": Weight((self.projection_dim,), Constant(value=self.init_values), trainable=self.trainable)}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.scale(inputs[0], build.weight("gamma"))


@LAYERS.register
class UnitNormalization(Layer):
    """Divides by the norm along `axis`, one or several; 0 is the batch axis (Keras UnitNormalization)."""

    axis: Axes = -1

    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2)),
        _example((5,)),
        _example((3, 4, 2), axis=1),
        _example((3, 4, 2), axis=[1, 2]),
        _example((3, 4, 2), axis=[1, -1]),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x = inputs[0]
        squares = build.reduce("sum", build.multiply(x, x), normalize_axes(self.axis, x.shape))
        return build.multiply(x, build.rsqrt(build.activation(squares, "threshold", 1e-24, 1e-24)))


class _Power(Number):
    usual: ClassVar[float] = 0.75

    def __init__(self) -> None:
        super().__init__()
        self.rule = "0.5, 0.75 or 1"

    def _holds(self, value: float) -> bool:
        return value in (0.5, 0.75, 1)

    def schema(self) -> Schema:
        return {"enum": [0.5, 0.75, 1]}


@LAYERS.register
class LocalResponseNormalization(Layer):
    """Divides by (bias + alpha · m) ** beta; m is the mean of the squares of `size` neighbouring channels.

    That of AlexNet and of the first Inception, as in PyTorch (LocalResponseNorm) and ONNX (LRN); Keras has none.
    Channels beyond the first and the last count as 0.
    """

    size: PositiveInt
    alpha: NonNegative = 0.0001
    beta: Annotated[float, _Power()] = 0.75
    bias: Annotated[float, Number(above=0)] = 1.0

    examples: ClassVar[Sequence[Example]] = (
        _example((2, 3, 6), size=5, alpha=2.0),
        _example((2, 3, 4), size=2, alpha=2.0, beta=0.5),
        _example((5,), size=3, alpha=0.5, beta=1.0, bias=2.0),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x = inputs[0]
        channels = x.shape[-1]
        rows = build.reshape(build.multiply(x, x), (prod(x.shape[:-1]), channels, 1))
        framed = build.frame(rows, (0, 0), ((self.size - 1) // 2, self.size // 2))
        means = build.reshape(build.average_pool2d(framed, Window((1, self.size))), x.shape)
        base = build.affine(means, self.alpha, self.bias)
        return build.multiply(x, self._inverse_power(build, base))

    def _inverse_power(self, build: Builder, base: Value) -> Value:
        """base ** −beta, from 1 / √: that of base · base ** −½, which is √base, is base ** −¼."""
        root = build.rsqrt(base)
        if self.beta == 0.5:
            return root
        return build.multiply(root, root if self.beta == 1 else build.rsqrt(build.multiply(base, root)))


class _Normalization(Layer):
    axis: int = -1
    epsilon: NonNegative = 0.001
    center: bool = True
    scale: bool = True
    trainable: bool = True
    beta_initializer: InitializerField = Zeros()
    gamma_initializer: InitializerField = Ones()
    beta_regularizer: RegularizerField = None
    gamma_regularizer: RegularizerField = None
    beta_constraint: ConstraintField = None
    gamma_constraint: ConstraintField = None

    def gamma_and_beta(self, shape: Shape) -> dict[str, Weight]:
        """Those of the two that `scale` and `center` ask for."""
        gamma = Weight(shape, self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint, self.trainable)
        beta = Weight(shape, self.beta_initializer, self.beta_regularizer, self.beta_constraint, self.trainable)
        return {**({"gamma": gamma} if self.scale else {}), **({"beta": beta} if self.center else {})}


@LAYERS.register
class LayerNormalization(_Normalization):
    """Normalizes each sample along `axis`, one or several, then scales and shifts (Keras LayerNormalization).

    Weights have the input's lengths along these axes, in its order. Keras sorts axes as written: of [2, -1] its weights
    are the same numbers in the shape of [-1, 2].
    """

    axis: Axes = -1  # type: ignore[assignment]  # others have one axis

    examples: ClassVar[Sequence[Example]] = (
        _example((4, 3, 5)),
        _example((7,), center=False, epsilon=0.1),
        _example((3, 4, 2), axis=[1, 2, 3]),
        _example((3, 4, 2), axis=1, scale=False),
        _example((3, 2, 4), axis=[1, 3], gamma_regularizer={"l2": {"l2": 0.1}}, beta_regularizer="l1"),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        return self.gamma_and_beta(tuple(inputs[0][axis] for axis in normalize_axes(self.axis, inputs[0])))

    def lower(self, build: Builder, *inputs: Value) -> Value:
        axes = normalize_axes(self.axis, inputs[0].shape)
        x, order = build.moved_last(inputs[0], axes)
        gamma, beta = build.optional_weight("gamma"), build.optional_weight("beta")
        return build.permute(build.layer_normalization(x, len(axes), self.epsilon, gamma, beta), order)


@LAYERS.register
class GroupNormalization(_Normalization):
    """Normalizes each sample's groups of channels, then scales and shifts channels (Keras GroupNormalization)."""

    groups: Annotated[int, Integer(-1)] = 32
    """Number of groups; -1 normalizes each channel by itself."""

    examples: ClassVar[Sequence[Example]] = (
        _example((4, 3, 6), groups=3),
        _example((2, 3, 32), epsilon=0.1),
        _example((3, 4, 2), groups=-1, center=False),
        _example((8,), groups=2, scale=False),
        _example((4, 3, 2), groups=2, axis=1, gamma_regularizer="l2", beta_regularizer={"l1": {"l1": 0.1}}),
    )

    def contradiction(self) -> str:
        return "" if self.groups else "groups must be -1 or an integer ≥ 1; received 0"

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        return self.gamma_and_beta((inputs[0][normalize_axis(self.axis, inputs[0])],))

    def lower(self, build: Builder, *inputs: Value) -> Value:
        x, order = build.moved_last(inputs[0], [normalize_axis(self.axis, inputs[0].shape)])
        groups = x.shape[-1] if self.groups == -1 else self.groups
        gamma, beta = build.optional_weight("gamma"), build.optional_weight("beta")
        return build.permute(build.group_normalization(x, groups, self.epsilon, gamma, beta), order)


@LAYERS.register
class RMSNormalization(Layer):
    """Divides by the root mean square along the last axes, then scales (Keras RMSNormalization)."""

    axis: Axes = -1
    epsilon: NonNegative = 0.000001
    trainable: bool = True

    examples: ClassVar[Sequence[Example]] = (
        _example((4, 3, 5)),
        _example((7,), epsilon=0.1),
        _example((3, 4, 2), axis=[2, 3]),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        axes = normalize_axes(self.axis, inputs[0])
        if axes != tuple(range(axes[0], len(inputs[0]))):  # Keras takes others, but scales the last axes
            raise ShapeError(f"axis must be the last axis, or the last few; received axis={self.axis}")
        return {"scale": Weight(inputs[0][axes[0] :], Ones(), trainable=self.trainable)}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        axes = len(normalize_axes(self.axis, inputs[0].shape))
        return build.layer_normalization(inputs[0], axes, self.epsilon, build.weight("scale"), None, centered=False)


class _Renorm(Boolean):
    def read(self, value: Any) -> bool:
        if value is True:
            message = "batch renormalization is not supported; for small batches use GroupNormalization"
            raise ValidationError([ErrorDetail((), "sentence", message)])
        return super().read(value)


@LAYERS.register
class BatchNormalization(_Normalization):
    """Normalizes each channel to mean 0 and variance 1, then scales by gamma and adds beta (Keras BatchNormalization).

    Training uses the mean and variance of the batch and updates the moving averages: momentum · old +
    (1 − momentum) · new. Inference, and `trainable: false`, use the moving averages. The variance is the biased one.
    """

    ignored: ClassVar[Mapping[str, Kind]] = {
        **Layer.ignored,
        "renorm": _Renorm(),
        "renorm_momentum": Number(),
        "renorm_clipping": Maybe(NumbersBy(Number(0), "rmax, rmin and dmax", {"rmax": 3.0, "rmin": 0.3, "dmax": 5.0})),
    }

    momentum: Annotated[float, Number(0, 1)] = 0.99
    moving_mean_initializer: InitializerField = Zeros()
    moving_variance_initializer: InitializerField = Ones()
    synchronized: bool = True
    """If several processes share a batch (`mpiexec`), use the mean and variance of the whole batch, so that results do
    not depend on their number; with false, those of the rows of each process. Keras' default is false."""
    activity_regularizer: RegularizerField = None

    examples: ClassVar[Sequence[Example]] = (
        _example((4, 3, 5)),
        _example((3, 4, 2), scale=False, epsilon=0.1),
        _example((7,), center=False, momentum=0.5),
        _example((2, 2, 17), scale=False, center=False),
        _example((3, 2, 4), trainable=False),
        _example((3, 2, 4), axis=1, synchronized=False),
        _example((3, 2, 4), gamma_regularizer={"l2": {"l2": 0.1}}, beta_regularizer="l1"),
        _example((3, 2, 4), activity_regularizer={"l2": {"l2": 0.1}}),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        shape = (inputs[0][normalize_axis(self.axis, inputs[0])],)
        return {
            **self.gamma_and_beta(shape),
            "moving_mean": Weight(shape, self.moving_mean_initializer, trainable=False),
            "moving_variance": Weight(shape, self.moving_variance_initializer, trainable=False),
        }

    def lower(self, build: Builder, *inputs: Value) -> Value:
        momentum = self.momentum if self.trainable else None
        x, order = build.moved_last(inputs[0], [normalize_axis(self.axis, inputs[0].shape)])
        y = build.permute(build.batch_normalization(x, self.epsilon, momentum, synchronized=self.synchronized), order)
        if self.activity_regularizer is not None:
            self.activity_regularizer.penalize(build, y)
        return y
