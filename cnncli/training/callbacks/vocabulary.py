"""All built-in callbacks: importing this module registers them."""

from cnncli.training.callbacks import (
    always_done,
    early_stopping,
    keras_loggers,
    learning_rate_scheduler,
    model_checkpoint,
    reduce_lr_on_plateau,
)
from cnncli.training.callbacks.callback import CALLBACKS, Callback

BUILT_IN = (
    early_stopping,
    reduce_lr_on_plateau,
    model_checkpoint,
    learning_rate_scheduler,
    keras_loggers,
    always_done,
)

__all__ = ["BUILT_IN", "CALLBACKS", "Callback"]
