"""Translation of a model to Keras layers, as plain data for `tensorflow_peer`. Does not import Keras.

The vocabulary is Keras' own, so classes and arguments are copied unchanged.
"""

from collections.abc import Collection
from typing import Any

from cnncli.errors import UsageError
from cnncli.graph.model import Model
from cnncli.interop.refusal import no_counterpart
from cnncli.layers.activation_functions import ActivationFunction
from cnncli.layers.declarations.declaration import Declaration
from cnncli.layers.initializers import Initializer
from cnncli.layers.loss import Loss
from cnncli.training.optimizers.optimizers import Optimizer
from cnncli.training.optimizers.schedules import Schedule
from cnncli.training.sections import CompileSection

NAMES = """
    Activation ActivityRegularization AdaptiveAveragePooling2D AdaptiveMaxPooling2D Add AlphaDropout Average
    AveragePooling2D BatchNormalization CenterCrop Concatenate Conv2D Conv2DTranspose Cropping2D Dense DepthwiseConv2D
    Dot Dropout ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization
    LayerNormalization LeakyReLU MaxPooling2D Maximum Minimum Multiply Normalization PReLU Permute RMSNormalization ReLU
    RepeatVector Rescaling Reshape Resizing SeparableConv2D Softmax SpatialDropout2D Subtract UnitNormalization
    UpSampling2D ZeroPadding2D
    BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalHinge
    CosineSimilarity Dice Hinge Huber KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError
    MeanSquaredError MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky
    Adadelta Adagrad Adam AdamW Adamax Ftrl Lamb Lion Nadam RMSprop SGD
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal
    RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay
    L1 L1L2 L2 MaxNorm MinMaxNorm NonNeg OrthogonalRegularizer UnitNorm
"""
KNOWN = frozenset(NAMES.split())
"""Declarations with the same arguments and semantics in Keras; all activations have."""
NOT_IN_KERAS = ("exclude", "multipliers")
"""Arguments of optimizers that Keras does not have."""
ON_ROWS = {"SparseCategoricalCrossentropy": "CategoricalCrossentropy"}
"""Losses on class indices, and their equivalents on rows as long as the output, which the peer generates."""
OF_CNNCLI = ("ignore_class", "weight")
"""Arguments of losses that the peer's have not, or that keep their default."""


def translate(model: Model, compiled: CompileSection | None) -> dict[str, Any]:
    """Return the network as JSON-serializable data, with loss and optimizer if it is trained.

    `nodes`: in order, each with its inputs, class and configuration. `targets`: the kind of targets of the loss. Raises
    UsageError for declarations that Keras does not have, for third-party layers, and for learning-rate schedules.
    """
    return {
        "input_shape": list(model.input_shape),
        "nodes": [
            {"name": node.name, "inputs": list(node.inputs), "layer": configured(node.layer, f"{node.name} (", ")")}
            for node in model.nodes
        ],
        **({} if compiled is None else _training(compiled)),
    }


def _training(compiled: CompileSection) -> dict[str, Any]:
    if isinstance(compiled.optimizer.learning_rate, Schedule):  # its epochs depend on a dataset
        raise _refusal(f"the optimizer {type(compiled.optimizer).__name__} with a schedule")
    described = configured_loss(compiled.loss)
    name = described["class_name"]
    return {
        "loss": {**described, "class_name": ON_ROWS.get(name, name)},
        "targets": compiled.loss.outputs.name.lower(),
        "optimizer": configured_optimizer(compiled.optimizer),
    }


def configured_loss(loss: Loss) -> dict[str, Any]:
    """Return a loss as a Keras configuration, as `configured`. Raises UsageError for several, or for one with more."""
    if loss.void is not None:
        raise _refusal(f"the loss {type(loss).__name__} with ignore_class")
    if len(loss.parts) > 1 or loss.weight != 1:
        raise _refusal(f"the loss {loss.title} with a weight")
    return _without(configured(loss, "the loss "), OF_CNNCLI)


def configured_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer as a Keras configuration, as `configured`; a schedule keeps its epochs."""
    own = [name for name in NOT_IN_KERAS if getattr(optimizer, name)]
    if own:
        raise _refusal(f"the optimizer {type(optimizer).__name__} with {own[0]}")
    return _without(configured(optimizer, "the optimizer "), NOT_IN_KERAS)


def _without(configuration: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a configuration without some arguments."""
    kept = {key: value for key, value in configuration["config"].items() if key not in names}
    return {**configuration, "config": kept}


def configured(declaration: Declaration, before: str, after: str = "") -> dict[str, Any]:
    """Return a declaration as a Keras configuration: class and arguments, with nested declarations likewise.

    Raises UsageError if Keras does not have it, with the name of the class between `before` and `after`.
    """
    kind = type(declaration)
    what = f"{before}{kind.__name__}{after}"
    if kind.__name__ not in KNOWN or not kind.__module__.startswith("cnncli."):
        raise _refusal(what)
    return {
        "class_name": kind.__name__,
        "config": {
            name: _plain(name, value, what)
            for name, value in declaration.settings().items()
            if value is not None or not isinstance(declaration, Initializer)  # some are unknown to older versions
        },
    }


def _plain(name: str, value: Any, what: str) -> Any:
    if isinstance(value, ActivationFunction):
        if not value.is_default:
            raise _refusal(f"{what} with {name} {value}")
        return value.name
    if isinstance(value, Declaration):
        return configured(value, f"{what} with {name} ")
    return [_plain(name, item, what) for item in value] if isinstance(value, tuple) else value


def _refusal(what: str) -> UsageError:
    return no_counterpart("tensorflow", what)
