"""The trials of a search as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cnncli.errors import CnncliError, DivergedError
from cnncli.training.search.section import Search

ENDED = ("complete", "pruned", "failed")
"""States of trials that are over."""


@dataclass(frozen=True)
class TrialFacts:
    """A trial. `values`: of the objectives, of a complete one. `params`: by the names of parameters. `last`: the latest
    value that is known of the first objective, after epoch `epoch`. `known`: a run from before the search. `diverged`:
    its loss, gradients or weights were no longer finite, which counts as pruned.
    """

    number: int
    state: str
    values: tuple[float, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    run: str | None = None
    reason: str = ""
    epoch: int = 0
    last: float | None = None
    known: bool = False
    worker: str = ""
    diverged: bool = False


@dataclass(frozen=True)
class Found:
    """A study as it is. `best`: numbers of the best trial, or of the Pareto front, the best of the first objective
    first. `importance`: shares of the parameters, by name.
    """

    name: str
    search: Search
    trials: Sequence[TrialFacts]
    best: Sequence[int]
    importance: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        """The study as plain data."""
        objectives = zip(self.search.metrics, self.search.directions, strict=True)
        return {
            "study": self.name,
            "objectives": [{"metric": metric, "direction": direction} for metric, direction in objectives],
            "trials": [asdict(trial) for trial in self.trials],
            "best": list(self.best),
            "importance": dict(self.importance),
        }

    @property
    def without_result(self) -> CnncliError:
        """Why no trial is complete: an error of running if one failed, otherwise a DivergedError if one diverged."""
        failed = [trial for trial in self.trials if trial.state == "failed"]
        diverged = [trial for trial in self.trials if trial.diverged]
        counts = {"failed": len(failed), "diverged": len(diverged)}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        last = next(iter([*failed[-1:], *diverged[-1:]]), None)
        why = f": {said}; trial {last.number}: {last.reason}" if last and last.reason else f": {said}" if said else ""
        hint = "" if why else "; `cnncli runs --where 'tags == tune'` shows why they ended"
        kind = DivergedError if diverged and not failed else CnncliError
        return kind(f"no trial is complete{why}{hint}")

    @property
    def front(self) -> list[TrialFacts]:
        """The trials of `best`."""
        trials = {trial.number: trial for trial in self.trials}
        return [trials[number] for number in self.best]

    @property
    def ordered(self) -> list[TrialFacts]:
        """The complete trials, the best of the first objective first."""
        sign = -1 if self.search.directions[0] == "maximize" else 1
        complete = [trial for trial in self.trials if trial.values]
        return sorted(complete, key=lambda trial: (sign * trial.values[0], trial.number))
