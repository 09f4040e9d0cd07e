"""When a training ends before its last epoch, and when it is saved between two epochs."""

from collections.abc import Callable

from cnncli.training.durations import seconds
from cnncli.training.sections import FitSection


class Limits:
    """`max_steps`, `max_time` (from the beginning of this process' training on) and `save_freq` of a training.

    `clock` returns seconds.
    """

    def __init__(self, fit: FitSection, clock: Callable[[], float]) -> None:
        self.fit, self.clock = fit, clock
        self.began = self.saved = clock()

    def begin(self) -> None:
        """The time begins."""
        self.began = self.saved = self.clock()

    def reached(self, step: int) -> str:
        """The limit that ends the training after so many batches; empty if none does."""
        if self.fit.max_steps is not None and step >= self.fit.max_steps:
            return "max_steps"
        if self.fit.max_time is not None and self.clock() - self.began >= self.fit.max_time:
            return "max_time"
        return ""

    def save_is_due(self, step: int) -> bool:
        """Whether to save after so many batches, before the epoch has ended."""
        often = self.fit.save_freq
        if isinstance(often, int):
            return step % often == 0
        return often != "epoch" and self.clock() - self.saved >= seconds(often)

    def has_saved(self) -> None:
        """A checkpoint was written."""
        self.saved = self.clock()
