"""The `compile` and `fit` sections of a spec."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from cnncli.graph.precision import FLOAT32
from cnncli.layers.declarations.declaration import Declaration, PositiveInt, list_of
from cnncli.layers.declarations.field_types import Boolean, Integer, Kind, Maybe, Number, Only, Schema
from cnncli.layers.declarations.list_types import ItemOrList, ListOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
from cnncli.layers.loss_sum import LossField, OneOrSeveral
from cnncli.training.callbacks.vocabulary import CALLBACKS, Callback
from cnncli.training.class_weight import ClassWeight, Weights
from cnncli.training.durations import Duration, SaveFreq
from cnncli.training.epochs import Epochs
from cnncli.training.loggers.vocabulary import LOGGERS, Logger
from cnncli.training.metrics.vocabulary import METRICS, Metric
from cnncli.training.optimizers.optimizers import OptimizerField
from cnncli.training.policy import DtypePolicy

COMPILED = "every network is compiled before it runs"


class _LossWeights(Kind):
    """null, a factor of the loss, or a list of factors, one for each loss."""

    rule = "a number ≥ 0, or a list with one for each loss"
    sample = 0.5
    one, several = Number(0), ListOf(Number(0), 1)

    def read(self, value: Any) -> float | tuple[float, ...] | None:
        kind: Kind = self.several if isinstance(value, list | tuple) else self.one
        try:
            return None if value is None else kind.read(value)
        except ValidationError:
            raise self.refuse() from None

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "null"}, self.one.schema(), self.several.schema()]}


class CompileSection(Declaration):
    """Loss, optimizer and metrics. Keras' `loss_weights` multiply the `weight` of the losses."""

    ignored: ClassVar[Mapping[str, Kind]] = {
        "loss_weights": _LossWeights(),
        "jit_compile": Only("auto", True, why=COMPILED),
        "run_eagerly": Only(False, why=COMPILED),
        "steps_per_execution": Integer(1),
        "auto_scale_loss": Boolean(),
        "weighted_metrics": Only(
            None, [], why="metrics count every image alike, as Keras' `metrics` do: list them there"
        ),
    }

    optimizer: OptimizerField
    loss: LossField
    metrics: Annotated[tuple[Metric, ...], list_of(METRICS)] = ()
    dtype_policy: Annotated[str, DtypePolicy()] = FLOAT32
    """With mixed_bfloat16, activations and their gradients are stored in 16 bits; weights stay float32."""

    def __init__(self, /, **values: Any) -> None:
        super().__init__(**values)
        weights = self.ignored["loss_weights"].read(values.get("loss_weights"))
        if weights is None:
            return
        parts = self.loss.parts
        if isinstance(weights, float):
            weights = (weights,) * len(parts)
        if len(weights) != len(parts):
            rule = f"there must be one for each loss, {len(parts)}"
            raise ValidationError([ErrorDetail(("loss_weights",), "sentence", rule, type(self))])
        weighted = [part.replace(weight=part.weight * weight) for part, weight in zip(parts, weights, strict=True)]
        self.__dict__["loss"] = OneOrSeveral().read(weighted)


class FitSection(Declaration):
    """Epochs, batch size and callbacks."""

    ignored: ClassVar[Mapping[str, Kind]] = {
        "verbose": Only("auto", 0, 1, 2, why="without effect: see `cnncli train --quiet`")
    }

    epochs: Annotated[int, Integer(0)] = 1
    batch_size: PositiveInt = 32
    shuffle: bool = True
    class_weight: Annotated[str | Weights | None, Maybe(ClassWeight())] = None
    """Class weights of the training loss: balanced, or weights of classes by name or index."""
    initial_epoch: Annotated[int, Integer(0)] = 0
    """Epochs that count as trained: the first one has the number after."""
    steps_per_epoch: Annotated[int | None, Maybe(Integer(1))] = None
    """Batches of an epoch; the next epoch goes on with the next ones, and ends early where the data end. By default all
    training data."""
    validation_steps: Annotated[int | None, Maybe(Integer(1))] = None
    """Batches of a validation, always the first ones; by default all validation data."""
    validation_batch_size: Annotated[int | None, Maybe(Integer(1))] = None
    """Batch size of validation; by default batch_size."""
    validation_freq: Annotated[int | tuple[int, ...], ItemOrList(Integer(1))] = 1
    """Validate every so many epochs, or after the epochs of a list."""
    max_steps: Annotated[int | None, Maybe(Integer(1))] = None
    """Batches after which training ends, also in the middle of an epoch; a resumed run goes on with the next ones."""
    max_time: Annotated[float | None, Maybe(Duration())] = None
    """Time after which training ends, also in the middle of an epoch; a resumed run has it anew."""
    save_freq: Annotated[str | int, SaveFreq()] = "epoch"
    """How often last.safetensors is saved, from which the run can be resumed; always after epochs."""
    overfit_batches: Annotated[int | None, Maybe(Integer(1))] = None
    """Train on so many batches alone, without augmentation, validation, test and callbacks, until their loss is small.
    """
    shards: Annotated[int | None, Maybe(Integer(1))] = None
    """Train each batch in so many parts, whose gradients are added in a fixed order: the results are then the same for
    1, 2, 4, … processes up to that number, and the memory of activations is that of a part."""
    callbacks: Annotated[tuple[Callback, ...], list_of(CALLBACKS)] = ()
    log: Annotated[tuple[Logger, ...], list_of(LOGGERS)] = ()
    """Loggers, such as csv, tensorboard and mlflow; without effect on the training."""

    def contradiction(self) -> str:
        places = [logger.place for logger in self.loggers if logger.place]
        twice = next((place for place in places if places.count(place) > 1), None)
        return f"two loggers write '{twice}': give one of them another path" if twice else ""

    @property
    def loggers(self) -> tuple[Logger, ...]:
        """Those of `log`, and those that Keras has as callbacks."""
        return *self.log, *(callback for callback in self.callbacks if isinstance(callback, Logger))

    def epochs_of(self, images: int) -> Epochs:
        """The epochs of so many training images."""
        return Epochs(images, self.batch_size, self.steps_per_epoch, self.initial_epoch, self.overfit_batches)

    def validates(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, is validated."""
        often = self.validation_freq
        return epoch in often if isinstance(often, tuple) else epoch % often == 0

    def validations(self, first: int, last: int) -> int:
        """How many of the epochs after `first` up to `last` are validated."""
        often = self.validation_freq
        if isinstance(often, tuple):
            return sum(first < epoch <= last for epoch in set(often))
        return max(0, last // often - first // often)

    @property
    def trained_epochs(self) -> int:
        """How many epochs are trained, if no callback ends the training."""
        return max(0, self.epochs - self.initial_epoch)

    @property
    def largest_batch(self) -> int:
        """The most images that are worked on at once."""
        return max(self.batch_size, self.validation_batch_size or 0)
