"""Thresholds for a wanted precision or recall, chosen among the scores of held-out samples."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnncli.errors import UsageError
from cnncli.hints import suggestion

Array = np.ndarray[Any, Any]
MEASURES = ("precision", "recall")


@dataclass(frozen=True)
class Want:
    """A wanted precision or recall, between 0 (exclusive) and 1."""

    measure: Literal["precision", "recall"]
    share: float

    @classmethod
    def parse(cls, text: str, option: str, measures: tuple[str, ...] = MEASURES) -> "Want":
        """Parse `precision=0.95`. Raises UsageError that names the option."""
        name, _, number = text.partition("=")
        ways = " or ".join(f"{measure}=SHARE" for measure in measures)
        if name.strip() not in measures:
            near = suggestion(name.strip(), measures)
            raise UsageError(f"{option} must be {ways}, such as {measures[0]}=0.95; received {text!r}{near}")
        try:
            share = float(number)
        except ValueError:
            share = 0
        if not 0 < share <= 1:
            raise UsageError(f"{option} must be {ways} with a SHARE above 0 and at most 1; received {text!r}")
        return cls("precision" if name.strip() == "precision" else "recall", share)

    def __str__(self) -> str:
        return f"{self.measure}={self.share:g}"


@dataclass(frozen=True)
class Threshold:
    """A threshold, with the precision and recall of the samples whose score is at least as great."""

    threshold: float
    precision: float
    recall: float

    def __post_init__(self) -> None:
        if not all(0 <= value <= 1 for value in (self.threshold, self.precision, self.recall)):
            raise ValueError("must have a threshold, a precision and a recall between 0 and 1")

    def of(self, measure: str) -> float:
        """Its precision or recall."""
        return self.precision if measure == "precision" else self.recall


def candidates(scores: Array, right: Array, total: int) -> list[Threshold]:
    """Every threshold that makes a difference, highest first.

    scores: real (n,); right: bool (n,), which of them a positive answer is right for; total: of how many samples it
    would be right, those among them included (> 0).
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], np.cumsum(right[order])
    ends = np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], bool(len(scores))))
    return [
        Threshold(float(sorted_scores[end]), float(hits[end] / (end + 1)), float(hits[end] / total)) for end in ends
    ]


def best(found: list[Threshold], want: Want) -> Threshold | None:
    """The threshold that has the wanted measure and the most of the other; the highest of equals. None if none has."""
    other = MEASURES[1 - MEASURES.index(want.measure)]
    enough = [one for one in found if one.of(want.measure) >= want.share]
    return max(enough, key=lambda one: (one.of(other), one.of(want.measure)), default=None)


def nearest(found: list[Threshold], want: Want) -> Threshold | None:
    """The one with the most of the wanted measure; None without any."""
    other = MEASURES[1 - MEASURES.index(want.measure)]
    return max(found, key=lambda one: (one.of(want.measure), one.of(other)), default=None)
