"""Events of a training, for progress bars, programs and loggers. Listeners do not affect the training.

This module imports neither NumPy nor Numba, so it can be imported before the number of threads is set.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from cnncli.notices import heard_by

if TYPE_CHECKING:
    import numpy as np

    from cnncli.datasets.section import DataSection
    from cnncli.graph.matching import Matched
    from cnncli.graph.model import Model
    from cnncli.training.metrics.evaluation import Sums

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Notice:
    """A warning; training continues. `located`: the text already includes a location and the level."""

    text: str
    level: Literal["warning", "notice"] = "notice"
    located: bool = False

    def __str__(self) -> str:
        return self.text if self.located else f"{self.level}: {self.text}"


@dataclass(frozen=True)
class Progress:
    """Progress before the first batch, as `text`; an empty text means it has finished."""

    text: str


@dataclass(frozen=True)
class Download:
    """Download progress of a dataset file: `received` of `size` bytes."""

    file: str
    received: int
    size: int


@dataclass(frozen=True)
class TrialBegins:
    """Training `number` of `count` (from 1) starts; `name` gives its seed and fold, such as "seed 43 fold 2"."""

    number: int
    count: int
    name: str


@dataclass(frozen=True)
class Begun:
    """The data are loaded and match the model; training is about to start.

    `images`: number per split. `source`: name or path of the data. `rescaled_by`: type of the layer with which the
    model rescales images itself, if the spec relies on it. `threads`: of each of the `processes`.
    """

    name: str
    parameters: int
    images: Mapping[str, int]
    source: str
    threads: int
    seed: int
    epochs: int
    rescaled_by: str = ""
    processes: int = 1


@dataclass(frozen=True)
class WeightsLoaded:
    """The layers that fit were loaded from the model file `file`, which `model.weights` names."""

    file: str
    layers: "Matched"

    def __str__(self) -> str:
        return f"notice: weights of {self.file}: {self.layers}"


class WrongImage(NamedTuple):
    """A misclassified validation image, as the data hold it: (H, W, C); `title` says what was true and predicted."""

    image: "Array"
    title: str


class Inside(Protocol):
    """What listeners may read of a training while they handle an event."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next update."""

    @property
    def weights(self) -> "dict[str, Array]":
        """All weights and statistics by name; read-only, and changed by the next update."""

    @property
    def gradients(self) -> "dict[str, Array]":
        """The gradients of the last batch by the names of their weights; read-only."""

    @property
    def between_epochs(self) -> bool:
        """Whether the weights are those of the end of an epoch: no batch of the next one has been trained."""

    def mistakes(self, most: int) -> list[WrongImage]:
        """The `most` misclassified validation images with the most probable wrong answers; without classes, none."""


@dataclass(frozen=True)
class RunBegins:
    """The directory `run` of a spec's `name` is ready, new or to be resumed after `step` batches.

    `hyperparameters`: settings that are not as by default, by dotted keys of the spec. `history`: the metrics of each
    completed epoch. `inside`: weights and gradients to read. `rate`: the learning rate of epochs whose metrics have
    none, because nothing had changed it.
    """

    name: str
    run: Path
    hyperparameters: Mapping[str, float | str | bool] = field(repr=False)
    model: "Model" = field(repr=False)
    step: int
    history: Sequence[Mapping[str, float]] = field(repr=False)
    inside: Inside = field(repr=False)
    rate: float | None = None

    @property
    def history_with_rates(self) -> list[Mapping[str, float]]:
        """The history with the last learning rate of each epoch."""
        same = {} if self.rate is None else {"learning_rate": self.rate}
        return [{**same, **figures} for figures in self.history]


@dataclass(frozen=True)
class PhaseBegins:
    """Epochs `first` to `last` (from 1) train `trainable_parameters` of all `parameters`, at the learning rate times
    `rate_factor`; reported if a training has several phases, before the first of these epochs that is trained.
    """

    first: int
    last: int
    trainable_parameters: int
    parameters: int
    rate_factor: float


@dataclass(frozen=True)
class BatchDone:
    """A batch has been trained (both numbers from 1); `sums` are the running sums of the epoch, updated in place.

    `step`: the batches trained since the training began.
    """

    epoch: int
    batch: int
    batches: int
    sums: "Sums" = field(repr=False)
    step: int = 0


@dataclass(frozen=True)
class EpochDone:
    """An epoch has been trained, validated and saved. `images_per_second`: training only, without validation.

    `best`: this epoch is the best so far; its weights would be the final ones if training stopped here.
    `learning_rate`: as in metrics.jsonl.
    """

    figures: Mapping[str, float]
    seconds: float
    images_per_second: float
    best: bool = False
    learning_rate: float | None = None


@dataclass(frozen=True)
class Stopped:
    """A callback, or a limit such as max_time, stopped training after this epoch (from 1). `batch`: the batch of it
    (from 1) after which a limit did; 0 for the last one.
    """

    epoch: int
    callback: str
    batch: int = 0

    def __str__(self) -> str:
        place = f"in epoch {self.epoch} after batch {self.batch}" if self.batch else f"after epoch {self.epoch}"
        return f"{self.callback} stopped the training {place}"


@dataclass(frozen=True)
class Ended:
    """Training has finished: `run` is its directory, `epoch` the epoch of the final weights, `digest` their digest.

    `test`: the metrics on the test split; None without a test split. `pictures`: draws the curves, as SVG by file name.
    """

    run: str
    epoch: int
    digest: str
    test: Mapping[str, float] | None
    data: "DataSection" = field(repr=False)
    pictures: Callable[[], Mapping[str, bytes]] = field(default=dict, repr=False, compare=False)


Beginning = Notice | Progress | Download | TrialBegins | Begun | WeightsLoaded
Event = Beginning | RunBegins | PhaseBegins | BatchDone | EpochDone | Stopped | Ended
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore the event."""


def notices_to(on_event: OnEvent) -> AbstractContextManager[None]:
    """Context manager that passes the notices of every package to `on_event`, as warnings."""
    return heard_by(lambda text: on_event(Notice(text, "warning")))
