"""Fitting a decision on samples that the model was not trained on: temperature, thresholds, "unknown"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnncli.errors import CnncliError
from cnncli.training.decisions.decision import NONE, Decision, Fitted, pairs
from cnncli.training.decisions.outputs import Outputs
from cnncli.training.metrics import temperature
from cnncli.training.metrics.calibration import calibration
from cnncli.training.metrics.thresholds import Threshold, Want, best, candidates, nearest

Array = np.ndarray[Any, Any]
MOST_PROBLEMS = 20
"""Classes that an error lists."""


@dataclass(frozen=True)
class Wishes:
    """What the answers are to reach: a precision or recall per class, a precision of all answers, or least costs."""

    thresholds: Want | None = None
    unknown: Want | None = None
    costs: list[list[float]] | None = None
    costs_file: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """As options by name."""
        given = {"thresholds": self.thresholds, "unknown": self.unknown, "costs": self.costs_file}
        return {name: str(value) for name, value in given.items() if value}


def fit(outputs: Outputs, names: Sequence[str], wishes: Wishes, fitted: Fitted) -> Decision:
    """Fit the temperature, then the rest on the probabilities at that temperature.

    Raises CnncliError for outputs that are not finite and, a line per class, for what no threshold reaches.
    """
    if not np.isfinite(outputs.probabilities).all():
        raise CnncliError("a model whose outputs are not finite can't be calibrated")
    found = temperature.fit(*outputs.as_classes()) or 1.0
    classes = 2 if outputs.kind == "choice" else outputs.targets.shape[-1]
    decision = Decision(outputs.kind, classes, found, fitted, {}, {}, costs=wishes.costs, wanted=wishes.texts)
    shares = decision.apply(outputs.probabilities, outputs.logits)
    if wishes.thresholds is not None:
        decision = replace(decision, thresholds=_thresholds(outputs, shares, names, wishes.thresholds))
    if wishes.unknown is not None:
        decision = replace(decision, unknown=_unknown(decision, outputs, shares, wishes.unknown))
    before, after = compare(decision, outputs)
    return replace(decision, before=before, after=after)


def compare(decision: Decision, outputs: Outputs) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of the outputs without and with a decision.

    nll: mean negative log-likelihood; ece: expected calibration error; accuracy: share of right answers. With an
    "unknown" answer instead coverage, the share that is answered, and precision, that of right ones among these; with
    costs the mean cost.
    """
    plain = replace(decision, temperature=1.0, thresholds=None, unknown=None, costs=None)
    return _figures(plain, outputs, decision.costs), _figures(decision, outputs, decision.costs)


def _figures(decision: Decision, outputs: Outputs, costs: list[list[float]] | None) -> dict[str, float]:
    shares = decision.apply(outputs.probabilities, outputs.logits)
    answers, truth = decision.decide(shares), outputs.truth
    right, answered = answers == truth, answers != NONE
    logits, targets = outputs.as_classes()
    figures = {
        "nll": temperature.negative_log_likelihood(logits / decision.temperature, targets),
        "ece": _calibration_error(outputs.kind, shares, truth),
    }
    if not decision.may_abstain:
        figures["accuracy"] = float(right.mean())
    else:
        figures["coverage"] = float(answered.mean())
        if answered.any():
            figures["precision"] = float(right[answered].mean())
    if costs is not None:
        figures["cost"] = float(np.array(costs)[truth, answers].mean())
    return figures


def _calibration_error(kind: str, shares: Array, truth: Array) -> float:
    """Of the most probable class; of labels, of each one's probability: what `Evaluation.calibration` measures."""
    if kind == "labels":
        return calibration(shares.ravel(), truth.ravel()).ece
    every = pairs(shares) if kind == "choice" else shares
    return calibration(every.max(-1), every.argmax(-1) == truth).ece


def _thresholds(outputs: Outputs, shares: Array, names: Sequence[str], want: Want) -> list[Threshold]:
    """The threshold of each class. Raises CnncliError for those that no threshold gives what is wanted."""
    chosen, problems = [], []
    for number, (taken, right, total) in enumerate(_questions(outputs, shares)):
        name = names[-1] if outputs.kind == "choice" else names[number]
        found = candidates(taken, right, total) if total else []
        one = best(found, want)
        if one is None:
            problems.append(_unreached(f"class '{name}'", found, want, total, most_probable=outputs.kind == "classes"))
        elif outputs.kind == "classes" and one.threshold == found[-1].threshold:
            chosen.append(replace(one, threshold=0.0))  # it needs none
        else:
            chosen.append(one)
    if problems:
        more = len(problems) - MOST_PROBLEMS
        shown = problems if more <= 0 else [*problems[:MOST_PROBLEMS], f"and {more:,} more classes"]
        raise CnncliError(*shown)
    return chosen


def _questions(outputs: Outputs, shares: Array) -> list[tuple[Array, Array, int]]:
    """For each class: the scores of the samples that may get it as the answer, whether it is right for each, and for
    how many of all samples it is. Of several classes it may be the answer where it is the most probable.
    """
    if outputs.kind != "classes":
        truth = outputs.targets > 0.5
        return [(shares[:, k], truth[:, k], int(truth[:, k].sum())) for k in range(shares.shape[-1])]
    truth, predicted = outputs.truth, shares.argmax(-1)
    return [
        (shares[predicted == k, k], truth[predicted == k] == k, int((truth == k).sum()))
        for k in range(shares.shape[-1])
    ]


def _unknown(decision: Decision, outputs: Outputs, shares: Array, want: Want) -> float:
    """The probability that answers need, so that the wanted share of them is right. Raises CnncliError."""
    answers = decision.decide(shares)
    answered = answers != NONE
    every = pairs(shares) if outputs.kind == "choice" else shares
    sure = np.take_along_axis(every, answers[:, None], -1)[answered, 0]
    right = (answers == outputs.truth)[answered]
    found = candidates(sure, right, max(1, int(right.sum())))
    one = best(found, want)
    if one is None:
        raise CnncliError(_unreached("the answers", found, want, len(sure), most_probable=False))
    return 0.0 if one.threshold == found[-1].threshold else one.threshold


def _unreached(what: str, found: Sequence[Threshold], want: Want, total: int, *, most_probable: bool) -> str:
    """Message that no threshold gives what is wanted, with the nearest. `most_probable`: a class is an answer only
    where it is that.
    """
    if not total:
        return f"{what} has no sample in the split: no threshold can be fitted"
    near = nearest(list(found), want)
    if near is None:
        return f"{want} for {what} is reached by no threshold: it is never the most probable"
    most = f"{near.of(want.measure):.4f} at {near.threshold:.4f}"
    where = " where it is the most probable" if most_probable and want.measure == "recall" else ""
    return f"{want} for {what} is reached by no threshold: the highest {want.measure} is {most}{where}"
