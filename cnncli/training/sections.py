"""The `compile` and `fit` sections of a spec."""

from typing import Annotated

from cnncli.layers.declarations.declaration import Declaration, PositiveInt, list_of
from cnncli.layers.declarations.field_types import Integer, Maybe
from cnncli.layers.losses import LossField
from cnncli.training.callbacks.vocabulary import CALLBACKS, Callback
from cnncli.training.class_weight import ClassWeight, Weights
from cnncli.training.metrics.vocabulary import METRICS, Metric
from cnncli.training.optimizers.optimizers import OptimizerField


class CompileSection(Declaration):
    """Loss, optimizer and metrics."""

    optimizer: OptimizerField
    loss: LossField
    metrics: Annotated[tuple[Metric, ...], list_of(METRICS)] = ()


class FitSection(Declaration):
    """Epochs, batch size and callbacks."""

    epochs: Annotated[int, Integer(0)] = 1
    batch_size: PositiveInt = 32
    shuffle: bool = True
    class_weight: Annotated[str | Weights | None, Maybe(ClassWeight())] = None
    """Class weights of the training loss: balanced, or weights of classes by name or index."""
    callbacks: Annotated[tuple[Callback, ...], list_of(CALLBACKS)] = ()
