"""Decisions: how a model's probabilities become answers. Fitted by `calibrate`, kept in the model file.

A temperature corrects the probabilities. The answer is then the most probable class; with thresholds, only if its
probability reaches that class's; with `unknown`, only if it reaches that; or, with costs, the class of the least
expected cost. Otherwise it is "unknown". A single output, and each of several labels, is a yes if its probability
reaches its threshold, by default above 0.5.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cnncli.training.metrics import temperature
from cnncli.training.metrics.thresholds import Threshold

Array = np.ndarray[Any, Any]
UNKNOWN = "unknown"
NONE = -1
"""The class number of no answer."""
KEY = "decision"
"""Its key in a model file's metadata."""
GREATEST_COST = 1e100
"""Sums of more could overflow."""
KINDS = ("classes", "choice", "labels")
"""Softmax over classes; one sigmoid for two classes; a sigmoid per label."""


@dataclass(frozen=True)
class Fitted:
    """What a decision was fitted on: a split, its number of samples, their source, the digest of the weights, and the
    names of the views that were averaged (see `tta`).
    """

    split: str
    samples: int
    source: str
    weights: str
    views: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Decision:
    """How probabilities become answers.

    `kind`: one of KINDS. `classes`: the number of classes or labels. `thresholds`: one per class or label, a single one
    for two classes. `unknown`: the probability below which the answer is "unknown". `costs`: rows of true classes,
    columns of answers, a last one of "unknown" if there is one more. `wanted`: the options it was fitted with.
    `before`, `after`: figures of the samples it was fitted on, without and with it.
    """

    kind: str
    classes: int
    temperature: float
    fitted: Fitted
    before: dict[str, float]
    after: dict[str, float]
    thresholds: list[Threshold] | None = None
    unknown: float | None = None
    costs: list[list[float]] | None = None
    wanted: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError with the rule that is violated."""
        if self.kind not in KINDS:
            raise ValueError(f"must have a kind of {', '.join(KINDS)}")
        if self.classes < (1 if self.kind == "labels" else 2) or (self.kind == "choice" and self.classes != 2):
            raise ValueError("must have the number of classes of its kind")
        if not temperature.LEAST <= self.temperature <= temperature.GREATEST:
            raise ValueError(f"must have a temperature between {temperature.LEAST:g} and {temperature.GREATEST:g}")
        if self.thresholds is not None and len(self.thresholds) != (1 if self.kind == "choice" else self.classes):
            raise ValueError("must have a threshold for each class")
        if self.unknown is not None and not (0 <= self.unknown <= 1 and self.kind != "labels"):
            raise ValueError("must have an unknown between 0 and 1, and none for labels")
        if self.costs is not None:
            self._check_costs(self.costs)

    def _check_costs(self, costs: list[list[float]]) -> None:
        widths = {len(row) for row in costs}
        square = len(costs) == self.classes and widths in ({self.classes}, {self.classes + 1})
        if not square or self.kind == "labels" or self.thresholds is not None or self.unknown is not None:
            raise ValueError("must have costs alone, a row for each class and as many columns or one more")
        if not all(abs(cost) <= GREATEST_COST for row in costs for cost in row):
            raise ValueError(f"must have finite costs of at most {GREATEST_COST:g}")

    @property
    def may_abstain(self) -> bool:
        """Whether the answer may be "unknown"."""
        wide = self.costs is not None and len(self.costs[0]) > self.classes
        return self.unknown is not None or wide or (self.thresholds is not None and self.kind == "classes")

    def apply(self, probabilities: Array, logits: Array | None = None) -> Array:
        """The probabilities at the temperature: float32, of the same shape (n, outputs); equal to those given at 1.

        logits: the network's, where it gives some; otherwise they are computed from the probabilities (see
        `temperature`). Every row is computed by itself.
        """
        if self.temperature == 1:
            return probabilities
        found = scores(self.kind, probabilities, logits) / self.temperature
        with np.errstate(invalid="ignore"):  # outputs that are not finite stay so
            shares = temperature.softmax(found) if self.kind == "classes" else temperature.sigmoid(found)
        return shares.astype(np.float32)

    def decide(self, probabilities: Array) -> Array:
        """The answers, from probabilities that `apply` returned, (n, outputs).

        int64 (n,): class numbers, NONE for "unknown"; for labels bool (n, labels).
        """
        if self.kind == "labels":
            return self._reached(probabilities)
        shares = pairs(probabilities) if self.kind == "choice" else probabilities
        if self.costs is not None:
            return self._cheapest(shares)
        numbers = self._reached(probabilities)[:, 0].astype(np.int64) if self.kind == "choice" else shares.argmax(-1)
        if not self.may_abstain:
            return numbers
        sure = np.take_along_axis(shares, numbers[:, None], -1)[:, 0]
        needed = np.full(len(numbers), self.unknown or 0.0)
        if self.thresholds is not None and self.kind == "classes":
            needed = np.maximum(needed, self._levels[numbers])
        return np.where(sure >= needed, numbers, NONE)

    @property
    def _levels(self) -> Array:
        return np.array([one.threshold for one in self.thresholds or ()])

    def _reached(self, probabilities: Array) -> Array:
        """Which outputs of a sigmoid are a yes: bool, of the same shape."""
        found: Array = probabilities > 0.5 if self.thresholds is None else probabilities >= self._levels
        return found

    def _cheapest(self, shares: Array) -> Array:
        """The answers of the least expected cost, the first of equals; each row is summed by itself."""
        assert self.costs is not None
        expected = [(shares * np.array(column)).sum(-1) for column in zip(*self.costs, strict=True)]
        numbers: Array = np.argmin(expected, 0)
        return np.where(numbers < self.classes, numbers, NONE)

    def text(self) -> str:
        """As JSON, for a model file."""
        return json.dumps(self.document(), ensure_ascii=False)

    def document(self) -> dict[str, Any]:
        """As plain data, without what it lacks."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def scores(kind: str, probabilities: Array, logits: Array | None = None) -> Array:
    """The network's logits, or those computed from its probabilities: float64, of the same shape."""
    if logits is not None:
        return logits.astype(np.float64)
    return temperature.logits(probabilities) if kind == "classes" else temperature.log_odds(probabilities)


def pairs(probabilities: Array) -> Array:
    """The probabilities of no and yes, (…, 2), from those of yes, (…) or (…, 1)."""
    yes = probabilities[..., 0] if probabilities.shape[-1] == 1 else probabilities
    return np.stack([1 - yes, yes], -1)
