"""Every callback known by name: importing this module fills the registry."""

from cnncli.training.callbacks import early_stopping, reduce_lr_on_plateau
from cnncli.training.callbacks.callback import CALLBACKS, Callback

BUILT_IN = (early_stopping, reduce_lr_on_plateau)

__all__ = ["BUILT_IN", "CALLBACKS", "Callback"]
