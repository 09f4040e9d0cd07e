"""Selection of the epoch whose weights become a run's final weights."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Best:
    """The epoch with the lowest `monitor` (the first of ties); the last epoch if none has that metric."""

    monitor: str = "val_loss"

    def value(self, figures: Mapping[str, float]) -> float | None:
        """The monitored value of an epoch; None if the metric is missing."""
        return figures.get(self.monitor)

    def improves(self, figures: Mapping[str, float], best: float | None) -> bool:
        """Whether an epoch is better than the best so far, whose monitored value is `best`."""
        value = self.value(figures)
        return best is None if value is None else best is None or value < best
