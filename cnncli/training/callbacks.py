"""Callbacks: what watches the epochs (keras/src/callbacks/)."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from cnncli.layers.declaration import Declaration, NonNegative, Registry


class Callback(Declaration):
    """What watches the epochs."""


CALLBACKS = Registry("callback", Callback)
CallbackField = Annotated[Callback, BeforeValidator(CALLBACKS.parse), PlainSerializer(CALLBACKS.dump)]


@CALLBACKS.register
class EarlyStopping(Callback):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs (Keras EarlyStopping)."""

    monitor: str = "val_loss"
    min_delta: NonNegative = 0.0
    patience: Annotated[int, Field(ge=0)] = 0
    mode: Literal["auto", "min", "max"] = "auto"
    baseline: float | None = None
    restore_best_weights: bool = False
    start_from_epoch: Annotated[int, Field(ge=0)] = 0
