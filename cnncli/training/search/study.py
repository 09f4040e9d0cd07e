"""A search as a study of Optuna: its storage, samplers and pruners, and its trials as plain data.

Imports Optuna; everything else of the search does without it.
"""

import logging
import os
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from cnncli.errors import UsageError
from cnncli.training.search.section import Search
from cnncli.training.search.space import Changes, Choice, Parameter, changes, grid
from cnncli.training.search.storage import known_url, storage_errors, together
from cnncli.training.search.trials import TrialFacts

HEARTBEAT, GRACE = 10, 60
"""Seconds between two signs of life of a trial, and after which a silent one counts as dead."""
LOOK, SILENCE = 0.1, 10
"""Seconds between two looks at a study that another process creates, and without progress until it counts as dead."""
MOST_RETRIES = 3
ABOUT = "cnncli"
"""The attribute of a study that tells which search it is."""
AGAIN, FIRST, SURPLUS, KNOWN = "again", "first", "surplus", "known"
RUN, REASON, WORKER, EPOCH, DEATHS, DIVERGED = "run", "reason", "worker", "epoch", "deaths", "diverged"
"""Attributes of trials: the number of the trial that this one repeats, and of the first of these; one too many; a run
from before the search; its run directory; why it ended early; the process; the last epoch, with several objectives;
how many processes have died with it; whether it diverged.
"""
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.FAIL: "failed",
}
optuna.logging.set_verbosity(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"optuna\..*")


def open_study(url: str, name: str, search: Search, epochs: int, about: Mapping[str, Any]) -> "optuna.Study":
    """The study of this name, new or with its trials. about: what must be equal for trials to be comparable.

    Raises UsageError if it is of another search, or its storage of no known kind; CnncliError if that can't be used.
    """
    with storage_errors(url):
        storage = together(lambda: _storage(url))
        chosen: dict[str, Any] = {
            "storage": optuna.storages.get_storage(storage),
            "study_name": name,
            "sampler": _Seeded(_SAMPLERS[search.settings.sampler], search.settings.seed),
            "pruner": _pruner(search.pruner, epochs),
        }
        try:
            study = optuna.create_study(directions=list(search.directions), **chosen)
            before = None
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(**chosen)
            before = _begun_for(study)
        if before is None:
            if search.settings.sampler == "grid":
                for point in grid(search.parameters):
                    study.enqueue_trial(point, skip_if_exists=True)
            study.set_user_attr(ABOUT, dict(about))
        study.get_trials(deepcopy=False)  # those of a damaged study can't be read
    changed = [key for key in about if before is not None and before.get(key) != about[key]]
    if changed:
        raise UsageError(
            f"the study '{name}' has trials with other {' and '.join(changed)}: --study NAME begins another study"
        )
    return study


def _begun_for(study: Any) -> Any:
    """The attribute `about` of a study, which another process may be creating just now; None if that one is gone."""
    seen, until = -1, 0.0
    while (before := study.user_attrs.get(ABOUT)) is None:
        count = len(study.get_trials(deepcopy=False))
        if count > seen:
            seen, until = count, monotonic() + SILENCE
        elif monotonic() > until:
            break
        sleep(LOOK)
    return before


def _storage(url: str) -> Any:
    known = known_url(url)
    return optuna.storages.RDBStorage(
        known,
        engine_kwargs={"connect_args": {"timeout": 60}} if known.startswith("sqlite") else {"pool_pre_ping": True},
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
        heartbeat_stale_trial_callback=repeat,
    )


class _Seeded(BaseSampler):  # type: ignore[misc]
    """A new sampler for every trial, seeded by how many trials there are before it: a study that goes on draws what it
    would have drawn without a break, and several workers draw different values.
    """

    def __init__(self, made: Callable[[int], Any], seed: int) -> None:
        self.made, self.seed, self.inner = made, seed, made(seed)

    def before_trial(self, study: Any, trial: FrozenTrial) -> None:
        self.inner = self.made((self.seed * 1_000_003 + _rank(study, trial.number)) % 2**32)
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> Any:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> Any:
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Any, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self.inner.after_trial(study, trial, state, values)


_SAMPLERS: Mapping[str, Callable[[int], Any]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "grid": lambda seed: optuna.samplers.RandomSampler(seed=seed),  # its points are enqueued
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
}


def _pruner(name: str, epochs: int) -> Any:
    if name == "median":
        spared = 1 + max(1, epochs // 10)
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=spared)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=max(1, epochs))
    return optuna.pruners.NopPruner()


def suggested(trial: Any, parameters: Sequence[Parameter]) -> Changes:
    """The changes of the spec that the trial tries."""

    def value_of(parameter: Parameter) -> Any:
        if isinstance(parameter, Choice):
            return trial.suggest_categorical(parameter.name, [option.label for option in parameter.options])
        if parameter.whole:
            low, high, step = int(parameter.low), int(parameter.high), int(parameter.step or 1)
            return trial.suggest_int(parameter.name, low, high, step=step, log=parameter.log)
        return trial.suggest_float(
            parameter.name, parameter.low, parameter.high, step=parameter.step, log=parameter.log
        )

    return changes(parameters, value_of)


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution of a parameter."""
    if isinstance(parameter, Choice):
        return CategoricalDistribution([option.label for option in parameter.options])
    if parameter.whole:
        low, high, step = int(parameter.low), int(parameter.high), int(parameter.step or 1)
        return IntDistribution(low, high, log=parameter.log, step=step)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def add_known(study: Any, params: Mapping[Parameter, Any], values: Sequence[float], run: str) -> None:
    """Add a run from before the search as a complete trial."""
    study.add_trial(
        optuna.create_trial(
            params={parameter.name: value for parameter, value in params.items()},
            distributions={parameter.name: distribution(parameter) for parameter in params},
            values=list(values),
            user_attrs={KNOWN: True, RUN: run},
        )
    )


def fits(parameter: Parameter, value: Any) -> bool:
    """Whether a value is one of the parameter's."""
    if isinstance(parameter, Choice):
        return value in [option.label for option in parameter.options]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(distribution(parameter)._contains(value))


def repeat(study: Any, trial: FrozenTrial, *, died: bool = True) -> None:
    """Let another trial go on with the run of one that has ended without a result. `died`: its process has, which may
    be the trial's fault.
    """
    deaths = int(trial.user_attrs.get(DEATHS, 0)) + died
    repeated = {one.user_attrs.get(AGAIN) for one in study.get_trials(deepcopy=False)}
    if deaths > MOST_RETRIES or trial.number in repeated:
        return
    kept = {key: value for key, value in trial.user_attrs.items() if key not in (WORKER, REASON)}
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={FIRST: trial.number, **kept, AGAIN: trial.number, DEATHS: deaths},
        )
    )


def bury(study: Any, worker: str) -> list[int]:
    """Fail the trials of a process that has died, and repeat them; their numbers."""
    dead = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if trial.user_attrs.get(WORKER) == worker
    ]
    for trial in dead:
        with suppress(ValueError):  # another process has noticed, too
            study.tell(trial.number, state=TrialState.FAIL)
            repeat(study, trial)
    return [trial.number for trial in dead]


def bury_silent(study: Any) -> None:
    """Fail and repeat the trials of processes on any machine that have given no sign of life for a while."""
    optuna.storages.fail_stale_trials(study)


def counted(study: Any) -> list[FrozenTrial]:
    """The trials that count for the number of trials: each once, however often it was repeated."""
    return _counted(study.get_trials(deepcopy=False))


def _counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    repeated = {trial.user_attrs.get(AGAIN) for trial in trials}
    return [
        trial
        for trial in trials
        if trial.number not in repeated and not trial.user_attrs.get(SURPLUS) and not trial.user_attrs.get(KNOWN)
    ]


def _rank(study: Any, number: int) -> int:
    return sum(trial.number < number for trial in counted(study))


def is_surplus(study: Any, number: int, most: int) -> bool:
    """Whether a trial is beyond the number of trials, because several workers began one at once."""
    before = [trial for trial in counted(study) if trial.number < number and trial.state != TrialState.WAITING]
    return len(before) >= most


def open_trials(study: Any, search: Search) -> tuple[bool, bool]:
    """Whether there is a trial to begin, and whether one is running."""
    trials, most = counted(study), search.settings.trials
    waiting = any(trial.state == TrialState.WAITING for trial in trials)
    begun = sum(trial.state != TrialState.WAITING for trial in trials)
    more = search.settings.sampler != "grid" and len(trials) < most  # the points of a grid wait from the beginning
    return begun < most and (waiting or more), any(trial.state == TrialState.RUNNING for trial in trials)


def facts(study: Any, search: Search) -> list[TrialFacts]:
    """The trials as plain data, without those that were repeated or are one too many."""
    trials = study.get_trials(deepcopy=False)
    numbers = {trial.number for trial in _counted(trials)}
    found = []
    for trial in trials:
        known = bool(trial.user_attrs.get(KNOWN))
        if trial.number not in numbers and not known:
            continue
        epoch = trial.last_step or int(trial.user_attrs.get(EPOCH, 0))
        found.append(
            TrialFacts(
                trial.number,
                STATES[trial.state],
                tuple(trial.values) if trial.state == TrialState.COMPLETE else (),
                dict(trial.params),
                trial.user_attrs.get(RUN),
                str(trial.user_attrs.get(REASON, "")),
                epoch,
                trial.intermediate_values.get(epoch),
                known,
                str(trial.user_attrs.get(WORKER, "")),
                bool(trial.user_attrs.get(DIVERGED)),
            )
        )
    return found


def best(study: Any) -> list[int]:
    """The numbers of the best trial, or of the Pareto front, by the first objective."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return []
    front = study.best_trials
    sign = -1 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1
    ordered = sorted(front, key=lambda trial: (sign * trial.values[0], trial.number))
    return [trial.number for trial in (ordered if len(study.directions) > 1 else ordered[:1])]


def importance(study: Any) -> dict[str, float]:
    """The share of each parameter in what makes trials good (PED-ANOVA), of the first objective; empty if unknown."""
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    target = (lambda trial: trial.values[0]) if len(study.directions) > 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(ValueError, RuntimeError):
            return {
                name: float(share)
                for name, share in optuna.importance.get_param_importances(
                    study, evaluator=evaluator, target=target
                ).items()
            }
    return {}


def this_worker() -> str:
    """What names this process in a study that many machines share."""
    return f"{socket.gethostname()}:{os.getpid()}"


def worker_of(pid: int) -> str:
    """The name of a process of this machine."""
    return f"{socket.gethostname()}:{pid}"
