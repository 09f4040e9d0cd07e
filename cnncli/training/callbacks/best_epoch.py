"""Which epoch's weights a run hands out."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Best:
    """The epoch with the lowest `monitor`, the first of equals; the last epoch where that figure is not there."""

    monitor: str = "val_loss"

    def value(self, figures: Mapping[str, float]) -> float | None:
        """What an epoch is judged by; None where there is nothing to judge it by."""
        return figures.get(self.monitor)

    def improves(self, figures: Mapping[str, float], best: float | None) -> bool:
        """Whether an epoch takes the place of the best so far, whose value is `best`."""
        value = self.value(figures)
        return value is None or best is None or value < best
