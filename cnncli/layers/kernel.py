"""Base classes of layers with a kernel and a bias."""

from collections.abc import Mapping

from cnncli.layers.activation_functions import ActivationField, Linear
from cnncli.layers.constraints import ConstraintField
from cnncli.layers.initializers import GlorotUniform, InitializerField, Zeros
from cnncli.layers.layer import Layer, Weight
from cnncli.layers.regularizers import RegularizerField
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Shape, Value


class BiasedLayer(Layer):
    """A layer with kernels, an optional bias and an activation."""

    activation: ActivationField = Linear()
    use_bias: bool = True
    trainable: bool = True
    bias_initializer: InitializerField = Zeros()
    bias_regularizer: RegularizerField = None
    activity_regularizer: RegularizerField = None
    bias_constraint: ConstraintField = None

    def bias_weight(self, outputs: int) -> Mapping[str, Weight]:
        """The bias for `outputs` outputs; empty without `use_bias`."""
        options = self.bias_regularizer, self.bias_constraint
        bias = Weight((outputs,), self.bias_initializer, *options, self.trainable)
        return {"bias": bias} if self.use_bias else {}

    def activated(self, build: Builder, y: Value) -> Value:
        """Apply the activation to y and add its activity regularization, if any, to the objective."""
        y = self.activation.apply(build, y)
        if self.activity_regularizer is not None:
            self.activity_regularizer.penalize(build, y)
        return y


class KernelLayer(BiasedLayer):
    """A layer with one kernel, an optional bias and an activation."""

    kernel_initializer: InitializerField = GlorotUniform()
    kernel_regularizer: RegularizerField = None
    kernel_constraint: ConstraintField = None

    def kernel_and_bias(self, kernel: Shape) -> Mapping[str, Weight]:
        """The weights for a kernel of this shape, whose last axis is the outputs; no bias without `use_bias`."""
        return {"kernel": self.kernel_weight(kernel), **self.bias_weight(kernel[-1])}

    def kernel_weight(self, shape: Shape) -> Weight:
        """A kernel of this shape."""
        options = self.kernel_regularizer, self.kernel_constraint
        return Weight(shape, self.kernel_initializer, *options, self.trainable)
