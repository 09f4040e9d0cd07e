"""What the logger TensorBoard writes of a training."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cnncli.protobuf import put_bytes
from cnncli.training.events import BatchDone, Ended, EpochDone, RunBegins
from cnncli.training.loggers import summaries
from cnncli.training.loggers.event_file import GRAPH, SUMMARY, EventFile, message
from cnncli.training.loggers.logger import Log
from cnncli.training.loggers.update_freq import BATCH, is_due
from cnncli.training.runs.past_runs import Ending

EPOCH, FINAL, VALIDATION = "epoch_", "final/", "val_"
MISTAKES = "validation images that the weights get wrong, the surest answers first"


class Board(Log):
    """The folders train and validation, as Keras has them, and above them one for what is of the run as a whole."""

    def __init__(
        self,
        *,
        log_dir: str,
        histogram_freq: int,
        write_graph: bool,
        write_steps_per_second: bool,
        update_freq: str | int,
        mistakes: int,
    ) -> None:
        self.log_dir, self.histogram_freq, self.update_freq = log_dir, histogram_freq, update_freq
        self.write_graph, self.write_steps_per_second, self.mistakes = write_graph, write_steps_per_second, mistakes
        self.reads_batches = update_freq != "epoch" or write_steps_per_second or histogram_freq > 0
        self.batches = 0
        self.files: list[EventFile] = []
        self.history: dict[int, Mapping[str, float]] = {}

    def begin(self, event: RunBegins) -> None:
        self.inside, folder = event.inside, event.run / self.log_dir
        epochs = int(event.history[-1]["epoch"]) if event.history else 0

        def before(step: int, tag: str) -> bool:
            """Whether a point is of what the checkpoint has trained."""
            return step <= event.step if tag.startswith(BATCH) else step < epochs

        self.run = self._file(folder, lambda step, tag: False)  # all of it is written anew
        self.train, self.validation = self._file(folder / "train", before), self._file(folder / "validation", before)
        _write(self.run, 0, summaries.session_start(event.run.name, event.hyperparameters, time.time()))
        if self.write_graph:
            self.train.write(message(GRAPH, summaries.graph(event.model)))
        for figures in event.history_with_rates:
            self._points(figures)
        if epochs and self.inside.between_epochs:
            self._of_weights(epochs - 1)

    def batch(self, event: BatchDone) -> None:
        self.batches = event.batches
        if is_due(self.update_freq, event.step):
            figures = {**event.sums.figures(), "learning_rate": self.inside.learning_rate}
            _write(self.train, event.step, *_scalars(BATCH, figures))

    def epoch(self, event: EpochDone) -> None:
        figures = dict(event.figures)
        if event.learning_rate is not None:
            figures["learning_rate"] = event.learning_rate
        if self.write_steps_per_second and event.seconds:
            figures["steps_per_second"] = self.batches / event.seconds
        self._points(figures)
        self._of_weights(int(figures["epoch"]) - 1)

    def end(self, event: Ended) -> None:
        test = {f"test_{name}": value for name, value in (event.test or {}).items()}
        step = max(0, event.epoch - 1)
        _write(self.run, step, *_scalars(FINAL, {**self.history.get(event.epoch, {}), **test}))
        self._show_mistakes(self.run, step)

    def close(self, ending: Ending) -> None:
        try:
            if self.files:
                _write(self.run, 0, summaries.session_end(time.time(), success=ending == "finished"))
        finally:
            for file in self.files:
                file.close()

    def _file(self, folder: Path, keeps: Callable[[int, str], bool]) -> EventFile:
        file = EventFile(folder, keeps)
        self.files.append(file)
        return file

    def _points(self, figures: Mapping[str, float]) -> None:
        """Write the figures of an epoch to the files that do not have them: those of a resumed run may, unless it was
        killed between the checkpoint and the log. Those of validation have the tags of training, so that one chart has
        both.
        """
        self.history[int(figures["epoch"])] = figures
        step = int(figures["epoch"]) - 1
        of_validation = {name: value for name, value in figures.items() if name.startswith(VALIDATION)}
        of_training = {name: value for name, value in figures.items() if name not in of_validation}
        for file, found in ((self.train, of_training), (self.validation, of_validation)):
            if found and step > file.last.get(f"{EPOCH}loss", -1):
                tags = {name.removeprefix(VALIDATION): value for name, value in found.items()}
                _write(file, step, *_scalars(EPOCH, tags))

    def _of_weights(self, step: int) -> None:
        """Write the histograms and mistakes of an epoch that is to have some, where the files, as above, lack them."""
        if not self.histogram_freq or step % self.histogram_freq:
            return
        if step > self.train.last.get(f"{next(iter(self.inside.weights), '')}/histogram", -1):
            _write(self.train, step, *self._histograms())
        if step > self.validation.last.get("mistakes", -1):
            self._show_mistakes(self.validation, step)

    def _histograms(self) -> Iterator[bytes]:
        """Of all weights, and of their gradients, unless the run was resumed after the last batch of the epoch."""
        for name, weight in self.inside.weights.items():
            yield summaries.histogram(f"{name}/histogram", weight)
        for name, gradient in self.inside.gradients.items() if self.batches else ():
            yield summaries.histogram(f"{name}/gradient", gradient)

    def _show_mistakes(self, file: EventFile, step: int) -> None:
        found = self.inside.mistakes(self.mistakes)
        if found:
            _write(file, step, summaries.images("mistakes", found, MISTAKES))


def _scalars(prefix: str, figures: Mapping[str, float]) -> Iterator[bytes]:
    return (summaries.scalar(prefix + name, value) for name, value in figures.items() if name != "epoch")


def _write(file: EventFile, step: int, *values: bytes) -> None:
    """Write a Summary."""
    file.write(message(SUMMARY, b"".join(put_bytes(1, value) for value in values), step))
