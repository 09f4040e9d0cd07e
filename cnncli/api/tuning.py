"""`cnncli tune`: a study of a spec, its trials, and what they found."""

import json
import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import quote

from cnncli.api.specs import settings
from cnncli.api.training import Surroundings, resumed_spec, train_spec
from cnncli.errors import CnncliError, DivergedError, InterruptedRun, PrunedRun, UsageError, is_of_machine, reason
from cnncli.escaping import one_line
from cnncli.extras import require
from cnncli.graph.model import lower
from cnncli.spec.spec import Spec, load
from cnncli.system import atomic
from cnncli.system.folders import RUNS
from cnncli.training.distributed.launch import refuse_launcher
from cnncli.training.events import ignore
from cnncli.training.metrics.expectations import Expectation, more_figures
from cnncli.training.runs import notes, past_runs
from cnncli.training.search.section import Search
from cnncli.training.search.space import Values, changes, described, short_names, shown
from cnncli.training.search.storage import is_of_storage, storage_errors
from cnncli.training.search.trials import Found, TrialFacts

DATABASE = "study.db"
"""The file of all studies of a spec, in the folder of its runs."""
LONGEST_NAME = 200
"""Of a study, which names files."""
MOST_FAILURES = 3
"""Trials that may fail one after another: then something is wrong that does not depend on their values."""
PAUSE = 1.0
"""Seconds between two looks at trials of other workers."""


@dataclass(frozen=True)
class Tuning:
    """A search for values of a spec. `source`: its file, `overrides`: changes of it, `storage`: Optuna's URL (None: a
    file beside the runs), `study`: the name of the study (None: that of the spec).
    """

    source: Path
    overrides: Sequence[str]
    spec: Spec
    search: Search
    storage: str | None = None
    study: str | None = None

    @classmethod
    def of(
        cls, source: Path, overrides: Sequence[str], storage: str | None = None, study: str | None = None
    ) -> "Tuning":
        """The search that a spec asks for. Raises UsageError if it has none, or if Optuna is not installed."""
        refuse_launcher("tune has workers of its own (--workers), and machines share a study (--storage)")
        spec = load(source, overrides)
        if spec.search is None:
            raise UsageError(
                f"{source} has no section `tune`; add one, like "
                "`tune: {compile.optimizer.learning_rate: {log_uniform: [1e-4, 1e-1]}}`"
            )
        if study and (one_line(study) != study or len(quote(study)) > LONGEST_NAME):
            raise UsageError(
                f"a study's name must be one line of at most {LONGEST_NAME} characters; received '{study}'"
            )
        optional = ("cmaes",) if spec.search.settings.sampler == "cmaes" else ()
        require("tune", "Optuna", ("optuna", *optional), "tune")
        return cls(source, overrides, spec, spec.search, storage, study)

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.study or self.spec.name

    @property
    def folder(self) -> Path:
        """The folder of the runs, and of the study's own files."""
        return RUNS / self.spec.name

    @property
    def best(self) -> Path:
        """The file of the best spec."""
        return self._own("best", ".yaml")

    @property
    def front(self) -> Path:
        """The folder of the specs of a Pareto front."""
        return self._own("front", "")

    @property
    def picture(self) -> Path:
        """The file of the picture."""
        return self._own("study", ".svg")

    def _own(self, stem: str, suffix: str) -> Path:
        """A file of this study alone: named by it, unless it is that of the spec."""
        if self.name != self.spec.name:
            stem += "-" + re.sub(r"[^\w. -]", lambda odd: quote(odd[0], safe=""), self.name)
        return self.folder / f"{stem}{suffix}"

    @property
    def url(self) -> str:
        """Optuna's URL of the storage."""
        return self.storage or f"sqlite:///{(self.folder / DATABASE).absolute()}"

    def open(self) -> Any:
        """The study of Optuna."""
        from cnncli.training.search.study import open_study

        if not self.storage:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CnncliError(f"{self.folder}: can't be made: {reason(error)}") from None
        return open_study(self.url, self.name, self.search, self.spec.fit.epochs, self._about())

    def _about(self) -> dict[str, str]:
        """Digests of what trials must have in common: all but the data's place."""
        resolved = {**self.spec.resolved(), "expect": None}
        resolved["data"] = {key: value for key, value in resolved["data"].items() if key != "dataset"}
        parts = {
            "objectives": [self.search.metrics, self.search.directions],
            "parameters": described(self.search.parameters),
            "values of the spec": resolved,
        }
        return {
            name: sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16] for name, part in parts.items()
        }

    def trial_spec(self, values: Values) -> Spec:
        """The spec of a trial. Raises SpecError if these values do not go together."""
        return load(self.source, [*self.overrides, *settings(self.changes(values))])

    def changes(self, values: Values) -> dict[str, Any]:
        """The changes of the spec for the values of parameters, by name."""
        return changes(self.search.parameters, lambda parameter: values[parameter.name])

    def found(self, study: Any, *, whole: bool = True) -> Found:
        """The study as it is; `whole`: with importances."""
        from cnncli.training.search.study import best, facts, importance

        with storage_errors(self.url):
            shares = importance(study) if whole else {}
            return Found(self.name, self.search, facts(study, self.search), best(study), shares)

    def work(self, study: Any, *, threads: int | None, offline: bool | None) -> None:
        """Train trials until the study has all; wait for those of other workers, which may have to be repeated.

        Raises InterruptedRun, CnncliError if trial after trial fails, and the first error of the machine: its trial is
        repeated by another worker, or by the next command.
        """
        from cnncli.training.search.study import bury_silent, open_trials

        worker = _Worker(self, study, threads, offline)
        with storage_errors(self.url):
            while worker.is_wanted:
                some, running = open_trials(study, self.search)
                if some:
                    worker.trial()
                elif running:
                    sleep(PAUSE)
                    bury_silent(study)
                else:
                    return

    def write_best(self, found: Found) -> Path | None:
        """Write the spec of the best trial, ready to train; None if there is none."""
        if not found.best:
            return None
        return self._write(found.front[0], f"The best of {len(found.trials)} trials", self.best)

    def write_front(self, found: Found) -> list[Path]:
        """Write the specs of all trials of the Pareto front, in place of those of an earlier one; none with a single
        objective.
        """
        if len(self.search.metrics) == 1:
            return []
        folder = self.front
        paths = {folder / f"trial-{trial.number}.yaml": trial for trial in found.front}
        for old in set(folder.glob("trial-*.yaml")) - set(paths):
            old.unlink(missing_ok=True)
        title = f"One of {len(paths)} trials on the Pareto front"
        return [self._write(trial, title, path) for path, trial in paths.items()]

    def _write(self, trial: TrialFacts, title: str, path: Path) -> Path:
        """Write the spec of a trial, with comments that tell where it comes from."""
        values = ", ".join(f"{name} {value:.6g}" for name, value in zip(self.search.metrics, trial.values, strict=True))
        names = short_names(self.search.parameters)
        head = [
            f"{title} of the study {self.name}: {values}",
            f"trial {trial.number}, trained in {trial.run}",
            *(f"  {names[name]}: {shown(value)}" for name, value in trial.params.items()),
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, ("".join(f"# {line}\n" for line in head) + self.trial_spec(trial.params).to_yaml()).encode())
        return path


class _Surplus(Exception):
    """A trial that several workers began at once, though there was one left."""


class _Failed(Exception):
    """A trial without a result."""


class _Worker:
    """Trains trials, one after another, in this process."""

    def __init__(self, tuning: Tuning, study: Any, threads: int | None, offline: bool | None) -> None:
        self.tuning, self.study, self.threads, self.offline = tuning, study, threads, offline
        self.failures = 0
        self.parent = os.getppid()

    @property
    def is_wanted(self) -> bool:
        """Whether the process that began it is still there."""
        return os.getppid() == self.parent

    def trial(self) -> None:
        """Train the next trial."""
        self.study.optimize(self._objective, n_trials=1, catch=(_Surplus, _Failed))

    def _objective(self, trial: Any) -> Any:
        from optuna import TrialPruned

        from cnncli.training.search.study import (
            DIVERGED,
            REASON,
            RUN,
            SURPLUS,
            WORKER,
            is_surplus,
            repeat,
            suggested,
            this_worker,
        )

        if is_surplus(self.study, trial.number, self.tuning.search.settings.trials):
            trial.set_user_attr(SURPLUS, True)
            raise _Surplus
        trial.set_user_attr(WORKER, this_worker())
        made = suggested(trial, self.tuning.search.parameters)
        try:
            values = self._train(trial, settings(made), trial.user_attrs.get(RUN))
        except InterruptedRun:
            repeat(self.study, self._frozen(trial), died=False)
            raise
        except (PrunedRun, DivergedError) as error:
            trial.set_user_attr(REASON, str(error))
            trial.set_user_attr(DIVERGED, isinstance(error, DivergedError))
            raise TrialPruned from None
        except Exception as error:
            if is_of_machine(error) or is_of_storage(error):
                with suppress(Exception):  # what the system refuses may be the study
                    repeat(self.study, self._frozen(trial), died=isinstance(error, MemoryError))
            if not isinstance(error, CnncliError) or is_of_machine(error):
                raise
            trial.set_user_attr(REASON, str(error))
            self.failures += 1
            if self.failures >= MOST_FAILURES:
                raise
            raise _Failed from error
        self.failures = 0
        return values

    def _frozen(self, trial: Any) -> Any:
        """The trial as the study has it."""
        return self.study.get_trials(deepcopy=False)[trial.number]

    def _train(self, trial: Any, made: list[str], before: str | None) -> list[float]:
        """Train a trial, or go on with its run, and return the values of the objectives."""
        from cnncli.training.loop.plan import Supervision
        from cnncli.training.search.study import EPOCH, FIRST

        tuning = self.tuning
        metrics = tuning.search.metrics
        pruned = len(metrics) == 1
        first = trial.user_attrs.get(FIRST, trial.number)
        path = self._left(first, before)

        def begins(run: Path) -> None:
            self._describe(trial, run)
            for figures in past_runs.history(run):
                report(figures)

        def report(figures: Mapping[str, Any]) -> bool:
            value, epoch = figures.get(metrics[0]), figures.get("epoch")
            if not pruned:
                trial.set_user_attr(EPOCH, epoch)
            if not pruned or not isinstance(value, int | float) or not isinstance(epoch, int) or not isfinite(value):
                return False
            trial.report(value, epoch)
            return bool(trial.should_prune())

        def gives_up(figures: Mapping[str, float]) -> str:
            if not self.is_wanted:
                os.kill(os.getpid(), signal.SIGINT)
            if not report(figures):
                return ""
            return f"pruned after epoch {figures['epoch']}: other trials were better by then"

        spec = load(tuning.source, [*tuning.overrides, *made]) if path is None else resumed_spec(path, {}, None)
        origin = {"study": tuning.name, "trial": first, "spec_epochs": spec.fit.epochs}
        around = Surroundings(self.threads, self.offline, ignore, origin)
        run = train_spec(spec, around, run=path, supervision=Supervision(begins, gives_up))
        return values_of(metrics, run.figures, run.history, spec)

    def _left(self, first: int, before: str | None) -> Path | None:
        """The run that an earlier process began for the trial, if it is here and can be resumed."""
        if before is None or not (Path(before) / past_runs.MODEL_FILES[1]).is_file():
            return None
        known = past_runs.environment(Path(before))  # on another machine, another trial's run may have its path
        return Path(before) if (known.get("study"), known.get("trial")) == (self.tuning.name, first) else None

    def _describe(self, trial: Any, run: Path) -> None:
        """Tell the study of the run, and the run of the study."""
        from cnncli.training.search.study import RUN

        trial.set_user_attr(RUN, str(run))
        names = short_names(self.tuning.search.parameters)
        values = ", ".join(f"{names[name]} {shown(value)}" for name, value in trial.params.items())
        text = f"trial {trial.number} of study {self.tuning.name}: {values}"
        notes.change(run, lambda before: before.noted(text[: notes.LONGEST_NOTE]).tagged(["tune"], []))


def values_of(
    metrics: Sequence[str], figures: Mapping[str, float], history: Sequence[Mapping[str, Any]], spec: Spec
) -> list[float]:
    """The values of objectives, from the figures of a run's final weights. Raises CnncliError if one has none."""
    parameters = sum(parameter.size for parameter in lower(spec.model).parameters)
    asked = [Expectation(metric, ">=", 0.0) for metric in metrics]
    known = {**more_figures(asked, history, images=None, parameters=parameters), **figures}
    missing = [metric for metric in metrics if metric not in known]
    if missing:
        raise CnncliError(f"the run has no {missing[0]}: the epoch of its final weights was not validated")
    return [float(known[metric]) for metric in metrics]
