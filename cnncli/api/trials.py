"""Repeated trainings of one spec, with several seeds or folds, and the mean and deviation of their metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.api.runs import Run
from cnncli.api.specs import Changes, Source, open_spec, settings
from cnncli.api.targets import find_model
from cnncli.api.training import PathLike, Surroundings, asked_epochs, tell_doubts, train_spec, warnings_only
from cnncli.errors import UsageError
from cnncli.spec.spec import Spec
from cnncli.training.events import OnEvent, TrialBegins
from cnncli.training.metrics.spread import Spread


@dataclass(frozen=True)
class Trials:
    """The results of several trainings."""

    runs: Sequence[Run]

    @property
    def figures(self) -> dict[str, Spread]:
        """Statistics of every metric that all trainings have; test metrics as `test_…`."""
        found = [run.metrics for run in self.runs]
        values = {name: [one[name] for one in found] for name in found[0] if all(name in one for one in found)}
        return {name: Spread.of(of) for name, of in values.items()}


@dataclass(frozen=True)
class Trial:
    """One of the trainings: name, number and total count, spec, and run directory, if given."""

    name: str
    number: int
    count: int
    spec: Spec
    output: Path | None


def trials(
    spec: Source,
    changes: Changes = None,
    *,
    seeds: int | None = None,
    folds: int | None = None,
    weights: PathLike | None = None,
    output: PathLike | None = None,
    threads: int | None = None,
    offline: bool | None = None,
    on_event: OnEvent = warnings_only,
) -> Trials:
    """Train a spec several times: with `seeds` consecutive random seeds, with K-fold cross-validation on `folds` folds,
    or each seed with each fold.

    The rest is as in `train`; run directories are created in `output`.
    """
    for name, number in (("seeds", seeds), ("folds", folds)):
        if number is not None and number < 2:
            raise UsageError(f"{name} must be at least 2; received {number}")
    if seeds is None and folds is None:
        raise UsageError("trials needs seeds, folds or both")
    listed = settings(changes)
    opened = open_spec(spec, listed)
    tell_doubts(opened, on_event)
    origin = {"spec_epochs": asked_epochs(spec, listed, opened)}
    around = Surroundings(threads, offline, on_event, origin)
    start = None if weights is None else find_model(Path(weights)).file
    place = None if output is None else Path(output)
    runs = []
    for trial in each_trial(spec, listed, seeds, folds, place):
        on_event(TrialBegins(trial.number, trial.count, trial.name))
        runs.append(train_spec(trial.spec, around, weights=start, output=trial.output))
    return Trials(runs)


def each_trial(
    source: Source, changes: Sequence[str], seeds: int | None, folds: int | None, output: Path | None
) -> Iterator[Trial]:
    """All combinations of seeds, starting with the spec's, and folds; just the spec if neither is requested."""
    if seeds is None and folds is None:
        yield Trial("", 1, 1, open_spec(source, changes), output)
        return
    seed = open_spec(source, changes).seed
    parts = [("", [])] if folds is None else [_fold(number, folds) for number in range(1, folds + 1)]
    names = {
        " ".join(filter(None, [f"seed {number}" if seeds else "", name])): [f"seed={number}", *more]
        for number in range(seed, seed + (seeds or 1))
        for name, more in parts
    }
    for number, (name, more) in enumerate(names.items(), 1):
        place = output and output / name.replace(" ", "-")
        yield Trial(name, number, len(names), open_spec(source, [*changes, *more]), place)


def _fold(number: int, folds: int) -> tuple[str, list[str]]:
    return f"fold {number}", ["data.validation_split=0", f"data.folds={folds}", f"data.fold={number}"]
