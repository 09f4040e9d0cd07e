"""Normalization layers."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from cnncli.errors import ShapeError
from cnncli.layers.constraints import ConstraintField
from cnncli.layers.declarations.declaration import NonNegative
from cnncli.layers.declarations.field_types import Number, Quotient
from cnncli.layers.initializers import InitializerField, Ones, Zeros
from cnncli.layers.layer import LAYERS, Example, Layer, Weight
from cnncli.layers.regularizers import RegularizerField
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value


def _example(shape: Shape, **arguments: Any) -> Example:
    return Example(arguments, [shape])


@LAYERS.register
class Rescaling(Layer):
    """Computes scale · x + offset (Keras Rescaling)."""

    scale: Annotated[float, Quotient()]
    offset: Annotated[float, Quotient()] = 0.0

    rescales: ClassVar[bool] = True
    examples: ClassVar[Sequence[Example]] = (
        _example((3, 4, 2), scale=0.5),
        _example((5,), scale="1/127.5", offset=-1),
    )

    def lower(self, build: Builder, *inputs: Value) -> Value:
        return build.affine(inputs[0], self.scale, self.offset)


@LAYERS.register
class BatchNormalization(Layer):
    """Normalizes each channel to mean 0 and variance 1, then scales by gamma and adds beta (Keras BatchNormalization).

    Training uses the mean and variance of the batch and updates the moving averages: momentum · old +
    (1 − momentum) · new. Inference, and `trainable: false`, use the moving averages. The variance is the biased one.
    """

    axis: int = -1
    momentum: Annotated[float, Number(0, 1)] = 0.99
    epsilon: NonNegative = 0.001
    center: bool = True
    scale: bool = True
    trainable: bool = True
    beta_initializer: InitializerField = Zeros()
    gamma_initializer: InitializerField = Ones()
    moving_mean_initializer: InitializerField = Zeros()
    moving_variance_initializer: InitializerField = Ones()
    beta_regularizer: RegularizerField = None
    gamma_regularizer: RegularizerField = None
    beta_constraint: ConstraintField = None
    gamma_constraint: ConstraintField = None

    examples: ClassVar[Sequence[Example]] = (
        _example((4, 3, 5)),
        _example((3, 4, 2), scale=False, epsilon=0.1),
        _example((7,), center=False, momentum=0.5),
        _example((2, 2, 17), scale=False, center=False),
        _example((3, 2, 4), trainable=False),
        _example((3, 2, 4), gamma_regularizer={"l2": {"l2": 0.1}}, beta_regularizer="l1"),
    )

    def weights(self, *inputs: Shape) -> Mapping[str, Weight]:
        shape, rank = inputs[0][-1:], len(inputs[0]) + 1
        if self.axis not in (-1, rank - 1):
            raise ShapeError(f"axis must be the last axis, -1 or {rank - 1}; received axis={self.axis}")
        weights = {
            "gamma": Weight(
                shape, self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint, self.trainable
            ),
            "beta": Weight(shape, self.beta_initializer, self.beta_regularizer, self.beta_constraint, self.trainable),
            "moving_mean": Weight(shape, self.moving_mean_initializer, trainable=False),
            "moving_variance": Weight(shape, self.moving_variance_initializer, trainable=False),
        }
        absent = {"gamma": not self.scale, "beta": not self.center}
        return {name: weight for name, weight in weights.items() if not absent.get(name)}

    def lower(self, build: Builder, *inputs: Value) -> Value:
        momentum = self.momentum if self.trainable else None
        return build.batch_normalization(inputs[0], self.epsilon, momentum)
