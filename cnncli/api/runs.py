"""The result of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnncli.report.tables.expectations import judge
from cnncli.spec.spec import Spec
from cnncli.training.runs import past_runs


@dataclass(frozen=True)
class Run:
    """A finished training.

    `path`: the run directory. `epoch`: epoch (from 1) of the final weights, in best.safetensors; `digest`: theirs.
    `figures`: metrics of that epoch, such as `loss`, `val_loss`, `val_accuracy`; `test`: metrics on the test split,
    without prefix; None without a test split. `unjudged`: why `expect` can't be evaluated; empty if it can.
    `resources`: what `expect` names besides metrics, such as `epoch_seconds`.
    """

    path: Path
    spec: Spec = field(repr=False)
    epoch: int
    digest: str
    figures: Mapping[str, float]
    test: Mapping[str, float] | None
    unjudged: str = ""
    resources: Mapping[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """`figures`, the test metrics with the prefix `test_`, and `resources`: the names that `expect` uses."""
        own = {**self.figures, **{f"test_{name}": value for name, value in (self.test or {}).items()}}
        return {**own, **{name: value for name, value in self.resources.items() if name not in own}}

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """The metrics of every epoch, with learning rate and seconds."""
        return past_runs.history(self.path)

    def judge(self) -> None:
        """Raise ExpectationError if the metrics do not satisfy the spec's `expect`, unless `unjudged`."""
        if not self.unjudged:
            judge("train", self.spec.expect, self.metrics)
