"""Fitting a model's decisions, reading them from its file, and comparing an evaluation without and with them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncli.api.evaluation_data import EvaluationData
from cnncli.api.trained import Trained
from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Dataset
from cnncli.errors import CnncliError, UsageError
from cnncli.notices import warn
from cnncli.training.decisions.costs import read_costs
from cnncli.training.decisions.decision import KEY, UNKNOWN, Decision, Fitted
from cnncli.training.decisions.fit import Wishes, compare, fit
from cnncli.training.decisions.outputs import Outputs, collect
from cnncli.training.events import Notice, OnEvent, notices_to
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.thresholds import Want
from cnncli.training.tta import view_names


def wished(model: Trained, thresholds: str | None, unknown: str | None, costs: str | os.PathLike[str] | None) -> Wishes:
    """The wishes, if they fit the model. Raises UsageError for others, CnncliError if `costs` can't be read."""
    kind, names = model.kind, model.reader(raw=True).classes
    if not kind:
        raise UsageError("calibrate needs a model whose outputs are the probabilities of classes or labels of an image")
    if costs is not None and (thresholds or unknown):
        raise UsageError("--costs decides alone: it takes neither --thresholds nor --unknown")
    if kind == "labels" and (unknown or costs is not None):
        raise UsageError("--unknown and --costs need one class per image; for labels, give --thresholds")
    if UNKNOWN in names and (unknown or (thresholds and kind == "classes")):
        raise UsageError("the model has a class named 'unknown': an unknown answer can't be told from it")
    return Wishes(
        None if thresholds is None else Want.parse(thresholds, "--thresholds"),
        None if unknown is None else Want.parse(unknown, "--unknown", ("precision",)),
        None if costs is None else read_costs(Path(costs), names),
        "" if costs is None else os.fspath(costs),
    )


def fit_decision(
    model: Trained,
    data: str | None,
    wishes: Wishes,
    *,
    tta: str | Sequence[str] | None,
    offline: bool | None,
    on_event: OnEvent,
) -> Decision:
    """Fit a decision for the model on its validation images or on other `data`. Raises CnncliError."""
    with notices_to(on_event):
        place = model.target, model.spec, model.classes
        _, dataset = EvaluationData(*place, on_event, offline=offline, command="calibrate").read(data)
        split, network = _held_out(dataset, given=data is not None), model.network_of(tta)
        feed = Feed.of(dataset.splits[split], model.rescale, network)
        outputs = collect(network, feed, model.kind)
    fitted = Fitted(split, len(outputs), dataset.source, model.file.digest, view_names(tta or []))
    decision = fit(outputs, model.reader(raw=True).classes, wishes, fitted)
    if decision.temperature == 1:
        on_event(Notice(f"no temperature fits these {len(outputs):,} samples best: it stays 1"))
    return decision


def read_decision(model: Trained) -> Decision | None:
    """The decision in the model's file. Raises CnncliError for one that is damaged or of another model."""
    if KEY not in model.file.metadata:
        return None
    found: Decision = model.file.about.value(KEY, Decision)
    if found.fitted.weights != model.file.digest:
        raise CnncliError(f"{model.path}: its decision is that of other weights: run calibrate again")
    if (found.kind, found.classes) != (model.kind, len(model.reader(raw=True).classes)):
        raise CnncliError(f"{model.path}: its decision is that of a model with other outputs")
    return found


def decision_for(model: Trained, tta: str | Sequence[str] | None) -> Decision | None:
    """The decision; with a warning if it was fitted to an average over other views."""
    decision = model.decision
    if decision is not None and decision.fitted.views != view_names(tta or []):
        fitted = f"with --tta {','.join(decision.fitted.views)}" if decision.fitted.views else "without --tta"
        warn(f"the decisions of {model.path} were fitted {fitted}: calibrate with the views that you predict with")
    return decision


def compared(evaluation: Evaluation, decision: Decision | None) -> Evaluation:
    """The evaluation with the figures without and with the decision, if there is one."""
    scores, labels = evaluation.scores, evaluation.labels
    if decision is None or scores is None or labels is None or not np.isfinite(scores).all():
        return evaluation
    return replace(evaluation, decided=compare(decision, Outputs.of_labels(decision.kind, scores, labels)))


def _held_out(dataset: Dataset, *, given: bool) -> str:
    """The split to calibrate on: never one of training or test; data that were `given` may be without named splits,
    and are then used as a whole. Raises CnncliError if there is none.
    """
    if dataset.validation is not None:
        return "validation"
    if given and dataset.train is None and dataset.test is not None:
        return "test"
    raise CnncliError(
        f"{dataset.source}: no validation images to calibrate on; name others with --data, images that the model was "
        "not trained on, or train with data.validation_split"
    )
