"""TensorBoard (keras/src/callbacks/tensorboard.py), without TensorFlow."""

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar

from cnncli.layers.declarations.field_types import Integer, Kind, Only
from cnncli.training.loggers.logger import LOGGERS, InRun, Log, Logger
from cnncli.training.loggers.update_freq import UpdateFreq


@LOGGERS.register
class TensorBoard(Logger):
    """Event files for TensorBoard, with the tags and folders of Keras' callback.

    They have the metrics and the learning rate of each epoch, counted from 0, the graph, hyperparameters with final
    metrics, and the worst mistakes in validation.
    """

    ignored: ClassVar[Mapping[str, Kind]] = {
        "write_images": Only(False, why="`cnncli plot --what filters` draws kernels as images"),
        "profile_batch": Only(0, why="`cnncli benchmark` measures where the time of a step goes"),
        "embeddings_freq": Only(0, why="inputs are images, which have no embeddings"),
        "embeddings_metadata": Only(None, why="inputs are images, which have no embeddings"),
    }

    log_dir: Annotated[str, InRun()] = "logs"
    histogram_freq: Annotated[int, Integer(0)] = 0
    """Epochs between histograms of weights and of the last batch's gradients; 0 for none."""
    write_graph: bool = True
    write_steps_per_second: bool = False
    update_freq: Annotated[str | int, UpdateFreq()] = "epoch"
    mistakes: Annotated[int, Integer(0)] = 12
    """The most validation images to show that the final weights, and those of epochs with histograms, get wrong."""

    @property
    def place(self) -> str:
        return self.log_dir

    def log(self, warn: Callable[[str], None]) -> Log:
        from cnncli.training.loggers.board import Board

        return Board(**self.settings())
