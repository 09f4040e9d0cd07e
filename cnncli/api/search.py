"""`cnncli.tune`: a search for good values of a spec's keys, and what it has found."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.api.data import obtain
from cnncli.api.specs import Changes, data_settings, settings
from cnncli.api.training import PathLike, tell_doubts, warnings_only
from cnncli.api.tuning import Tuning
from cnncli.api.tuning_runs import add_runs
from cnncli.api.tuning_workers import STORAGE, train_trials
from cnncli.errors import UsageError
from cnncli.training.events import OnEvent, notices_to
from cnncli.training.search.trials import ENDED, Found, TrialFacts


@dataclass(frozen=True)
class Study:
    """What a search has found. `objectives`: "minimize" or "maximize" by name. `trials`: all of them.

    `best`: the best trial; with several objectives the Pareto front, the best by the first one first. `specs`: their
    specs, ready to train, in the same order. `importance`: the share of each parameter in the first objective.
    """

    name: str
    objectives: Mapping[str, str]
    trials: Sequence[TrialFacts]
    best: Sequence[TrialFacts]
    specs: Sequence[Path]
    importance: Mapping[str, float]

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each trial: its number, state, the values of objectives and parameters, and its run."""
        return [
            {
                "trial": trial.number,
                "state": trial.state,
                **dict(zip(self.objectives, trial.values, strict=False)),
                **trial.params,
                "run": trial.run,
            }
            for trial in self.trials
        ]


def tune(
    spec: PathLike,
    changes: Changes = None,
    *,
    data: PathLike | None = None,
    trials: int | None = None,
    workers: int = 1,
    storage: str | None = None,
    study: str | None = None,
    from_runs: bool = False,
    threads: int | None = None,
    offline: bool | None = None,
    on_event: OnEvent = warnings_only,
    on_trial: Callable[[TrialFacts], None] | None = None,
) -> Study:
    """Search for good values of keys of a spec, as its section `tune` says. Each trial is a run.

    spec: path of a YAML file; changes, data: as in `train`. trials: their number, with those of earlier calls. workers:
    trials at a time, each in a process of its own; threads are divided. storage: Optuna's URL, for several machines;
    default: CNNCLI_STORAGE, or runs/<name>/study.db. study: its name; default: the spec's. from_runs: begin with what
    finished runs of this spec tell. on_trial: called with each trial that has ended. The rest is as in `train`.

    The same call goes on with a study that was interrupted. Raises UsageError if the spec has no section `tune`, if
    Optuna is not installed; InterruptedRun after Ctrl-C; CnncliError if the machine fails or no trial is complete (a
    DivergedError if they diverged).
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1; received {workers}")
    listed = [*settings(changes), *data_settings(data)]
    listed += [] if trials is None else [f"tune.trials={trials}"]
    tuning = Tuning.of(Path(spec), listed, storage or os.environ.get(STORAGE), study)
    tell_doubts(tuning.spec, on_event)
    with notices_to(on_event):
        obtain(tuning.spec.data, on_event, offline=offline)
        opened = tuning.open()
        if from_runs:
            add_runs(tuning, opened)
        train_trials(
            *(tuning, opened),
            workers=workers,
            threads=threads,
            offline=offline,
            resume="the same call",
            on_change=_each_once(on_trial or (lambda trial: None)),
        )
    found = tuning.found(opened)
    best = tuning.write_best(found)
    if best is None:
        raise found.without_result
    objectives = dict(zip(tuning.search.metrics, tuning.search.directions, strict=True))
    specs = tuning.write_front(found) or [best]
    return Study(found.name, objectives, found.trials, found.front, specs, found.importance)


def _each_once(on_trial: Callable[[TrialFacts], None]) -> Callable[[Found, float], None]:
    """Calls `on_trial` with each trial once, when it has ended."""
    told: set[int] = set()

    def on_change(found: Found, seconds: float) -> None:
        for trial in found.trials:
            if trial.state in ENDED and trial.number not in told:
                told.add(trial.number)
                on_trial(trial)

    return on_change
