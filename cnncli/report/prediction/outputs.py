"""What outputs mean: one of several classes, yes or no, several labels at once, numbers, a mask, the image again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np

from cnncli.graph.model import Model
from cnncli.layers.losses import Loss
from cnncli.training.prediction import Prediction

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answer:
    """What a model says of one image.

    `predicted`: in a word or a few, None where there is no such word. `ranked`: figures by name, the most telling
    first; they are probabilities where `shares`. `document` is for programs; `cells` go below the columns.
    """

    predicted: str | None
    ranked: Sequence[tuple[str, float]]
    document: Mapping[str, Any]
    cells: Sequence[Any]
    shares: bool = True


class Meaning(Protocol):
    """One way to read outputs."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of what there is to tell."""

    @property
    def columns(self) -> Sequence[str]:
        """What `cells` go below, in a table whose first column is the file."""

    def answer(self, prediction: Prediction) -> Answer:
        """What the output, which must be there, says."""


def meaning(model: Model, loss: Loss, outputs: tuple[int, ...], targets: str, names: Sequence[str]) -> Meaning:
    """How the outputs of a trained model, of shape `outputs`, are to be read; `names` are those of its classes."""
    if targets == "input":
        return Reconstruction()
    count, probabilities = outputs[-1], loss.kind == "binary_cross_entropy"
    if count == 1 and (probabilities or targets == "masks"):
        count = 2
        if len(names) == 1:  # the one column of a table of labels
            names = (f"not {names[0]}", names[0])
    classes = [*names[:count], *map(str, range(len(names[:count]), count))]
    if targets == "masks":
        return Mask(classes)
    if probabilities and outputs != (1,):
        return Labels(classes)
    return Classes(classes) if probabilities or loss.classes or _ends_in_softmax(model) else Numbers(classes)


@dataclass(frozen=True)
class Classes:
    """A probability for each class; or one output, the probability of the second of two."""

    classes: Sequence[str]

    @property
    def columns(self) -> Sequence[str]:
        return ["predicted", *self.classes]

    def answer(self, prediction: Prediction) -> Answer:
        assert prediction.output is not None
        output = prediction.output
        shares = output if len(output) > 1 else np.array([1 - output[0], output[0]])
        numbers, ranked = [number(share) for share in shares], _ranked(self.classes, shares)
        name, probability = ranked[0]
        document = {"class": name, "probability": number(probability), "probabilities": numbers}
        return Answer(name, ranked, document, [name, *numbers])


@dataclass(frozen=True)
class Labels:
    """A probability for each of several labels, of which an image may have any number: those above a half."""

    classes: Sequence[str]

    @property
    def columns(self) -> Sequence[str]:
        return ["predicted", *self.classes]

    def answer(self, prediction: Prediction) -> Answer:
        assert prediction.output is not None
        numbers, ranked = [number(share) for share in prediction.output], _ranked(self.classes, prediction.output)
        names = [name for name, share in ranked if share > 0.5]
        return Answer(
            ", ".join(names) or "none",
            ranked,
            {"classes": names, "probabilities": numbers},
            [" ".join(names), *numbers],
        )


@dataclass(frozen=True)
class Numbers:
    """Numbers that are no probabilities, in their order."""

    classes: Sequence[str]

    @property
    def columns(self) -> Sequence[str]:
        return self.classes

    def answer(self, prediction: Prediction) -> Answer:
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

    def answer(self, prediction: Prediction) -> Answer:
        assert prediction.output is not None
        pixels = prediction.output.reshape(-1, prediction.output.shape[-1])
        chosen = pixels.argmax(1) if pixels.shape[1] > 1 else (pixels[:, 0] > 0.5).astype(np.int64)
        shares = (np.bincount(chosen, minlength=len(self.classes)) / len(pixels)).astype(np.float32)
        numbers, ranked = [number(share) for share in shares], _ranked(self.classes, shares)
        most = ranked[0][0]
        return Answer(most, ranked, {"class": most, "shares": numbers}, [most, *numbers])


@dataclass(frozen=True)
class Reconstruction:
    """What was fed, given back: the mean of the squared differences, and the least, mean and greatest number."""

    classes: Sequence[str] = ()
    columns: Sequence[str] = ("error", "minimum", "mean", "maximum")

    def answer(self, prediction: Prediction) -> Answer:
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
    return [(names[place], shares[place]) for place in np.argsort(-shares, kind="stable")]


def _ends_in_softmax(model: Model) -> bool:
    layer = model.nodes[-1].layer
    return type(layer).__name__ == "Softmax" or getattr(layer, "activation", "") == "softmax"
