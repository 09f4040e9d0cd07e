"""Comparing runs: reading them, and evaluating their models on the same images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.api.targets import find_model, find_run, find_spec
from cnncli.errors import CnncliError, UsageError
from cnncli.graph.model import lower
from cnncli.training.comparison import Comparison, Pair, Trial, grouped, paired_trials
from cnncli.training.events import OnEvent, Progress, notices_to
from cnncli.training.metrics.mcnemar import McNemar
from cnncli.training.runs import past_runs
from cnncli.training.runs.facts import digest, facts

if TYPE_CHECKING:
    import numpy as np

    from cnncli.training.metrics.evaluation_record import Evaluation

    Array = np.ndarray[Any, Any]


def compared(paths: Sequence[Path]) -> Comparison:
    """The comparison of runs with the first. Raises UsageError for fewer than two, or if there is no such run."""
    runs = list(dict.fromkeys(find_run(path, "compare") for path in paths))
    if len(runs) < 2:
        raise UsageError(f"compare needs at least two different runs; received {len(runs)}")
    return Comparison(grouped([_trial(run) for run in runs]))


def _trial(run: Path) -> Trial:
    resolved: dict[str, Any] = {}
    parameters, directions = None, {"loss": "min"}
    try:
        spec = find_spec(run)
        lowered = lower(spec.model)
        resolved, parameters = spec.resolved(), sum(parameter.size for parameter in lowered.parameters)
        outputs = lowered.output.shape[-1]
        directions |= {name: metric.better for metric in spec.compile.metrics for name in metric.names(outputs)}
    except CnncliError:
        pass  # of a newer version, or damaged: what is known of it is compared
    history = past_runs.history(run)
    digests = digest(run), past_runs.data_digest(run)
    return Trial(facts(run), history, resolved, *digests, parameters, directions, past_runs.environment(run))


def with_pairs(
    comparison: Comparison, data: str | None, threads: int | None, on_event: OnEvent, *, offline: bool | None
) -> Comparison:
    """With a paired test of the first group against each other. What can't be tested is told in `unpaired`."""
    first, *others = comparison.groups
    evaluate = _Evaluations(data, threads, on_event, offline=offline)
    pairs, unpaired = [], []
    for other in others:
        for one, two in paired_trials(first, other):
            try:
                pairs.append(_pair(one, two, evaluate))
            except CnncliError as error:
                unpaired.append(f"{one.path} and {two.path}: {error}")
    on_event(Progress(""))
    return replace(comparison, pairs=pairs, unpaired=unpaired)


class _Evaluations:
    """The evaluation of each run, and the digest of its data, computed once."""

    def __init__(self, data: str | None, threads: int | None, on_event: OnEvent, *, offline: bool | None) -> None:
        self.data, self.threads, self.on_event, self.offline = data, threads, on_event, offline
        self.known: dict[str, tuple[Evaluation, str]] = {}

    def __call__(self, run: str) -> "tuple[Evaluation, str]":
        if run not in self.known:
            from cnncli.api.model import Model

            self.on_event(Progress(f"evaluating {run} …"))
            model = Model(find_model(Path(run)), threads=self.threads)
            with notices_to(self.on_event):
                spec, dataset = model.read(self.data, offline=self.offline, on_event=self.on_event)
                self.known[run] = model.examine(spec, dataset), dataset.digest
        return self.known[run]


def _pair(one: Trial, two: Trial, evaluate: _Evaluations) -> Pair:
    """The paired test of two runs. Raises CnncliError if they have not the same images, or no classes."""
    (first, first_data), (second, second_data) = evaluate(one.path), evaluate(two.path)
    if not (first.judged and second.judged):
        raise CnncliError("a paired test needs one class, or labels, for each image")
    assert first.data is not None and second.data is not None
    same = first.data.document() == second.data.document() and (first.data.files or first_data == second_data)
    if not same or list(first.classes) != list(second.classes):
        raise CnncliError(f"a paired test needs the same images; those of the {first.split} split are not")
    right = _right(first), _right(second)
    both, only_first = int((right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())
    only_second = int((~right[0] & right[1]).sum())
    counts = McNemar(both, only_first, only_second, first.samples - both - only_first - only_second)
    return Pair(one.path, two.path, first.split, counts)


def _right(evaluation: "Evaluation") -> "Array":
    """Whether each sample is right, bool (N,): of several labels, all of them."""
    import numpy as np

    assert evaluation.predicted is not None and evaluation.labels is not None
    wrong: Array = np.not_equal(evaluation.predicted, evaluation.labels).reshape(evaluation.samples, -1)
    right: Array = np.logical_not(wrong.max(1))
    return right
