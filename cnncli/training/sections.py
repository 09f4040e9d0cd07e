"""The `compile` and `fit` sections of a spec."""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from cnncli.layers.declaration import Declaration, PositiveInt
from cnncli.layers.losses import LossField
from cnncli.training.callbacks import CallbackField
from cnncli.training.metrics import MetricField
from cnncli.training.optimizers import OptimizerField

T = TypeVar("T")
Several = Annotated[tuple[T, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


class CompileSection(Declaration):
    """What training makes small, how, and what it reports."""

    optimizer: OptimizerField
    loss: LossField
    metrics: Several[MetricField] = ()


class FitSection(Declaration):
    """How long, in what portions."""

    epochs: Annotated[int, Field(ge=0)] = 1
    batch_size: PositiveInt = 32
    shuffle: bool = True
    callbacks: Several[CallbackField] = ()
