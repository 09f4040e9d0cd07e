"""All loggers: importing this module registers them."""

from cnncli.training.loggers import csv_file, mlflow, tensorboard
from cnncli.training.loggers.logger import LOGGERS, Logger

BUILT_IN = (csv_file, mlflow, tensorboard)

__all__ = ["BUILT_IN", "LOGGERS", "Logger"]
