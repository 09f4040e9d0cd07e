"""What happens in a training, as one stream of records: for terminals, programs, loggers. Readers change nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from cnncli.training.metrics.evaluation import Sums


@dataclass(frozen=True)
class BatchDone:
    """One batch of an epoch (both from 1) is trained; `sums` are those of the epoch so far, and go on to grow."""

    epoch: int
    batch: int
    batches: int
    sums: Sums


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
class Remark:
    """Something is not as it should be; the training goes on."""

    text: str


Event = BatchDone | EpochDone | Stopped | Remark
