"""What happens in a training, as one stream of records: for terminals, programs, loggers. Readers change nothing.

This module loads neither NumPy nor Numba: a reader may know the events before the number of threads is settled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cnncli.datasets.section import DataSection
    from cnncli.training.metrics.evaluation import Sums


@dataclass(frozen=True)
class Notice:
    """Something a user should know; the training goes on. `located`: the text itself says the level, after a place."""

    text: str
    level: Literal["warning", "notice"] = "notice"
    located: bool = False

    def __str__(self) -> str:
        return self.text if self.located else f"{self.level}: {self.text}"


@dataclass(frozen=True)
class Progress:
    """Work before the first batch: `text` says how far it is; an empty one, that it is done."""

    text: str


@dataclass(frozen=True)
class Download:
    """So many bytes (`received` of `size`) of a dataset's file have come."""

    file: str
    received: int
    size: int


@dataclass(frozen=True)
class TrialBegins:
    """Training `number` of `count` (from 1) begins; `name` says its seed or fold, like "seed 43 fold 2"."""

    number: int
    count: int
    name: str


@dataclass(frozen=True)
class Begun:
    """The data are read, and fit the model.

    `images`: how many each split has. `source`: the data's name or path. `rescaled_by`: the type of the layer by which
    the model scales its images itself, if it does and the spec leaves it to that.
    """

    name: str
    parameters: int
    images: Mapping[str, int]
    source: str
    threads: int
    seed: int
    epochs: int
    rescaled_by: str = ""


@dataclass(frozen=True)
class BatchDone:
    """One batch of an epoch (both from 1) is trained; `sums` are those of the epoch so far, and go on to grow."""

    epoch: int
    batch: int
    batches: int
    sums: "Sums" = field(repr=False)


@dataclass(frozen=True)
class EpochDone:
    """An epoch is trained, validated and saved. `images_per_second`: of training alone, without validation.

    `best`: if the training ended here, the run would hand out this epoch's weights for being the best so far.
    """

    figures: Mapping[str, float]
    seconds: float
    images_per_second: float
    best: bool = False


@dataclass(frozen=True)
class Stopped:
    """A callback ended the training after this epoch (from 1)."""

    epoch: int
    callback: str


@dataclass(frozen=True)
class Ended:
    """A training is over: `run` is its directory, `epoch` the one whose weights it hands out, `digest` theirs.

    `test`: the metrics on the test split; None where there is none.
    """

    run: str
    epoch: int
    digest: str
    test: Mapping[str, float] | None
    data: "DataSection" = field(repr=False)


Event = Notice | Progress | Download | TrialBegins | Begun | BatchDone | EpochDone | Stopped | Ended
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Read nothing."""
