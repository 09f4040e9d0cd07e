"""What a training ends with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnncli.report.tables.expectations import judge
from cnncli.spec.spec import Spec
from cnncli.training.runs import past_runs


@dataclass(frozen=True)
class Run:
    """A training that is over.

    `path`: its directory. `epoch`: the one (from 1) whose weights it hands out, in best.safetensors; `digest`: theirs.
    `figures`: that epoch's, as `loss`, `val_loss`, `val_accuracy`; `test`: the test split's, under their plain names,
    None where there is no such split. `unjudged`: why `expect` can't be judged; empty where it can.
    """

    path: Path
    spec: Spec = field(repr=False)
    epoch: int
    digest: str
    figures: Mapping[str, float]
    test: Mapping[str, float] | None
    unjudged: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """`figures`, and those of the test with `test_` before their names: what `expect` speaks of."""
        return {**self.figures, **{f"test_{name}": value for name, value in (self.test or {}).items()}}

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """The figures of every epoch, with its learning rate and seconds."""
        return past_runs.history(self.path)

    def judge(self) -> None:
        """Raise ExpectationError where the figures are not what the spec's `expect` asks for, unless `unjudged`."""
        if not self.unjudged:
            judge("train", self.spec.expect, self.metrics)
