"""All built-in callbacks: importing this module registers them."""

from cnncli.training.callbacks import early_stopping, keras_loggers, reduce_lr_on_plateau
from cnncli.training.callbacks.callback import CALLBACKS, Callback

BUILT_IN = (early_stopping, keras_loggers, reduce_lr_on_plateau)

__all__ = ["BUILT_IN", "CALLBACKS", "Callback"]
