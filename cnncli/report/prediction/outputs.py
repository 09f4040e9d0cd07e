"""Interpretation of model outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cnncli.graph.model import Model
from cnncli.layers.activations import ends_in_softmax
from cnncli.layers.loss import Loss
from cnncli.layers.meaning import Meaning
from cnncli.training.decisions.decision import NONE, UNKNOWN, Decision
from cnncli.training.metrics.statistics import class_names, class_numbers

if TYPE_CHECKING:
    from cnncli.training.prediction import Prediction

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answer:
    """The interpreted prediction for one image.

    `predicted`: a short label, or None. `ranked`: values by name, most relevant first; probabilities if `shares`.
    `document` is for programs; `cells` go below the columns.
    """

    predicted: str | None
    ranked: Sequence[tuple[str, float]]
    document: Mapping[str, Any]
    cells: Sequence[Any]
    shares: bool = True


class Reader(Protocol):
    """Interpreter of one kind of output."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of the reported values."""

    @property
    def columns(self) -> Sequence[str]:
        """What `cells` go below, in a table whose first column is the file."""

    def answer(self, prediction: "Prediction") -> Answer:
        """Interpret the output, which must not be None."""


def meaning(model: Model, loss: Loss, outputs: tuple[int, ...], targets: str) -> Meaning:
    """What outputs of shape `outputs` mean: also those of a softmax that another loss trained are classes."""
    means = loss.meaning(outputs, targets)
    return Meaning.CLASSES if means is Meaning.NUMBERS and ends_in_softmax(model.nodes[-1].layer) else means


def reader(
    model: Model,
    loss: Loss,
    outputs: tuple[int, ...],
    targets: str,
    names: Sequence[str],
    *,
    decision: Decision | None = None,
) -> Reader:
    """Select the interpreter for outputs of shape `outputs`; `names` are the class names. Answers are those of the
    `decision`, if there is one.
    """
    means, count = meaning(model, loss, outputs, targets), outputs[-1]
    if means is Meaning.IMAGE:
        return Reconstruction()
    classes = class_names(names, count, 2 if count == 1 and means in (Meaning.CHOICE, Meaning.MASK) else count)
    if means is Meaning.LABELS:
        return Labels(classes, decision)
    return READERS[means](classes) if means in READERS else Classes(classes, decision)


@dataclass(frozen=True)
class Classes:
    """A probability for each class; or one output, the probability of the second of two."""

    classes: Sequence[str]
    decision: Decision | None = None

    @property
    def columns(self) -> Sequence[str]:
        return ["predicted", *self.classes]

    def answer(self, prediction: "Prediction") -> Answer:
        assert prediction.output is not None
        output = prediction.output
        shares = output if len(output) > 1 else np.array([1 - output[0], output[0]])
        numbers, ranked = [number(share) for share in shares], _ranked(self.classes, shares)
        name, probability = ranked[0]
        if self.decision is not None:
            chosen = int(self.decision.decide(output[None])[0])
            name, probability = (UNKNOWN, probability) if chosen == NONE else (self.classes[chosen], shares[chosen])
        document = {"class": name, "probability": number(probability), "probabilities": numbers}
        return Answer(name, ranked, document, [name, *numbers])


@dataclass(frozen=True)
class Labels:
    """Multi-label probabilities: predicts every label above 0.5, or that reaches its threshold."""

    classes: Sequence[str]
    decision: Decision | None = None

    @property
    def columns(self) -> Sequence[str]:
        return ["predicted", *self.classes]

    def answer(self, prediction: "Prediction") -> Answer:
        assert prediction.output is not None
        output = prediction.output
        numbers, ranked = [number(share) for share in output], _ranked(self.classes, output)
        taken = output > 0.5 if self.decision is None else self.decision.decide(output[None])[0]
        names = [self.classes[place] for place in _order(output) if taken[place]]
        return Answer(
            ", ".join(names) or "none",
            ranked,
            {"classes": names, "probabilities": numbers},
            [" ".join(names), *numbers],
        )


@dataclass(frozen=True)
class Numbers:
    """Regression outputs, in order."""

    classes: Sequence[str]

    @property
    def columns(self) -> Sequence[str]:
        return self.classes

    def answer(self, prediction: "Prediction") -> Answer:
        assert prediction.output is not None
        values = [number(value) for value in prediction.output]
        pairs = list(zip(self.classes, map(float, prediction.output), strict=True))
        return Answer(None, pairs, {"values": values}, values, shares=False)


@dataclass(frozen=True)
class Mask:
    """Scores of each pixel: the share of pixels whose greatest is a class's; a single one tells the second of two."""

    classes: Sequence[str]

    @property
    def columns(self) -> Sequence[str]:
        return ["predicted", *self.classes]

    def answer(self, prediction: "Prediction") -> Answer:
        assert prediction.output is not None
        pixels = prediction.output.reshape(-1, prediction.output.shape[-1])
        shares = (np.bincount(class_numbers(pixels), minlength=len(self.classes)) / len(pixels)).astype(np.float32)
        numbers, ranked = [number(share) for share in shares], _ranked(self.classes, shares)
        most = ranked[0][0]
        return Answer(most, ranked, {"class": most, "shares": numbers}, [most, *numbers])


@dataclass(frozen=True)
class Reconstruction:
    """Autoencoder outputs: mean squared reconstruction error, and minimum, mean and maximum."""

    classes: Sequence[str] = ()
    columns: Sequence[str] = ("error", "minimum", "mean", "maximum")

    def answer(self, prediction: "Prediction") -> Answer:
        fed, output = prediction.fed, prediction.output
        assert fed is not None
        assert output is not None
        error = np.mean((output.astype(np.float64) - fed) ** 2)
        figures = [np.float32(figure) for figure in (error, output.min(), output.mean(dtype=np.float64), output.max())]
        numbers = [number(figure) for figure in figures]
        document = {**dict(zip(self.columns, numbers, strict=True)), "output_shape": list(output.shape)}
        return Answer(None, list(zip(self.columns, map(float, figures), strict=True)), document, numbers, shares=False)


def number(value: Any) -> float | None:
    """A float32 in as few digits as tell it from all others; None, for which JSON has a word, if it is not finite."""
    return float(str(value)) if isfinite(value) else None


def _ranked(names: Sequence[str], shares: Array) -> list[tuple[str, float]]:
    return [(names[place], shares[place]) for place in _order(shares)]


def _order(shares: Array) -> Array:
    """Places of the shares, greatest first."""
    return np.argsort(-shares, kind="stable")


READERS: Mapping[Meaning, Callable[[Sequence[str]], Reader]] = {
    Meaning.NUMBERS: Numbers,
    Meaning.MASK: Mask,
}
"""Factory of an interpreter from class names, of outputs that no decision is fitted to."""
