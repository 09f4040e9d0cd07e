"""Keras' callbacks that log: the loggers of `fit.log` under their names."""

from cnncli.training.callbacks.callback import CALLBACKS, Callback, Directions, Hooks
from cnncli.training.loggers import tensorboard
from cnncli.training.loggers.csv_file import CSV


class _Logging(Callback):
    """A logger, which as a callback does nothing."""

    def hooks(self, directions: Directions) -> Hooks:
        return Hooks()


@CALLBACKS.register
class CSVLogger(CSV, _Logging):
    """The logger `csv` of `fit.log`."""


@CALLBACKS.register
class TensorBoard(tensorboard.TensorBoard, _Logging):
    """The logger `tensorboard` of `fit.log`."""
