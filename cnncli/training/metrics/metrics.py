"""Metrics, named as in Keras. A metric is an additive statistic and the values computed from its sums.

`count` processes one batch; `figures` computes the values from the sums over all batches of an epoch or a split. See
`training.metrics.statistics` for the counts and how they are summed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cnncli.layers.declarations.declaration import Declaration, PositiveInt, Registry, snake_case
from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Number, Only, String

if TYPE_CHECKING:
    from numpy import bool_, float32, float64
    from numpy.typing import NDArray

    from cnncli.training.metrics.statistics import Counts

    Real = NDArray[float32] | NDArray[float64]


class ClassNumber(Integer):
    """The number of a class, or of an output."""

    usual = 1

    def __init__(self) -> None:
        super().__init__(0)


class Name(String):
    """A name of a value, as `expect` can have it."""

    rule = "a name of letters, digits and _"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not value.isidentifier():
            raise self.refuse()
        return value


class Metric(Declaration):
    """Values reported next to the loss, of the whole epoch: not means of batches."""

    better: ClassVar[Literal["min", "max"]] = "max"
    """Direction of improvement, used by callbacks with `mode: auto`."""
    counts_answers: ClassVar[bool] = False
    """True if it counts correct predictions, which requires labels: not allowed when the target is the input."""
    of_one_class: ClassVar[bool] = False
    """True if each sample (or pixel) must have one class: not allowed for multi-label data."""
    called: ClassVar[str] = ""
    """Keras' name of its value, if that is not the class name in snake case."""
    ignored: ClassVar[Mapping[str, Kind]] = {"dtype": Only(None, "float32", "int", why="counts and sums are exact")}

    name: Annotated[str | None, Maybe(Name())] = None
    """The name of its value; by default that of the metric."""

    @property
    def title(self) -> str:
        """The name of its value; of several, what their names begin with."""
        return self.name or self.called or snake_case(type(self).__name__)

    @property
    def of_probabilities(self) -> bool:
        """Whether it takes outputs for probabilities, so that those of logits mean nothing."""
        return False

    def several(self, outputs: int) -> int | None:
        """How many values it has of so many outputs; None if it is one value without a number."""
        return None

    def names(self, outputs: int = 0) -> Sequence[str]:
        """Names of its values, for validating callbacks and `expect` before training. `outputs`: of the last axis."""
        count = self.several(outputs)
        return (self.title,) if count is None else [f"{self.title}_{number}" for number in range(count)]

    def named(self, values: "NDArray[float64]") -> Mapping[str, float]:
        """One value, float64 (), or several, float64 (k,), by their names."""
        if values.ndim == 0:
            return {self.title: float(values)}
        return {f"{self.title}_{number}": value for number, value in enumerate(values.tolist())}

    def misfit(self, outputs: int) -> str:
        """Why it can't be computed of so many outputs; "" if it can."""
        return ""

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        """The counts of one batch. predictions, targets: real (n, …) of one shape."""
        raise NotImplementedError

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        """The values, in the order of `names`, from summed counts."""
        raise NotImplementedError


METRICS = Registry("metric", Metric)


class ShareOfRight(Metric):
    """Base class: the fraction of correct predictions."""

    counts_answers = True

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        """Which predictions are correct: bool (n, …)."""
        raise NotImplementedError

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import count_nonzero  # checking a spec must not import NumPy

        right = self.right(predictions, targets)
        return {"right": count_nonzero(right), "answers": right.size}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        right, answers = int(counts["right"]), int(counts["answers"])
        if not 0 <= right <= answers:
            raise ValueError(f"there can't be {right} right ones of {answers} answers")
        return dict.fromkeys(self.names(), right / answers if answers else 0.0)  # as Keras, where all targets are void


class ByHighest(ShareOfRight):
    """Base class: correct if the class with the highest score, the first of equal ones, is the target's."""

    of_one_class = True

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        right: NDArray[bool_] = predictions.argmax(-1) == targets.argmax(-1)
        return right


@METRICS.register
class Accuracy(ByHighest):
    """Fraction of correct predictions: the class with the highest score or, for a single output, a score above 0.5.

    For images with several classes, use binary_accuracy.
    """

    aliases = ("acc",)

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        if predictions.shape[-1] == 1:
            return BinaryAccuracy().right(predictions, targets)
        return super().right(predictions, targets)


@METRICS.register
class CategoricalAccuracy(ByHighest):
    """Fraction of predictions whose class with the highest score is right."""


@METRICS.register
class SparseCategoricalAccuracy(ByHighest):
    """The same as CategoricalAccuracy; Keras' name for it when the targets are class numbers."""


class AmongHighest(ShareOfRight):
    """Base class: correct if fewer than k classes have a higher score than the target's."""

    of_one_class = True

    k: PositiveInt = 5

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        from numpy import count_nonzero, isfinite, take_along_axis

        own: Any = take_along_axis(predictions, targets.argmax(-1)[..., None], -1)
        right: NDArray[bool_] = (count_nonzero(predictions > own, axis=-1) < self.k) & isfinite(own[..., 0])
        return right


@METRICS.register
class TopKCategoricalAccuracy(AmongHighest):
    """Fraction of predictions with the right class among the k highest scores; of equal scores all are among them."""


@METRICS.register
class SparseTopKCategoricalAccuracy(AmongHighest):
    """The same as TopKCategoricalAccuracy; Keras' name for it when the targets are class numbers."""

    ignored: ClassVar[Mapping[str, Kind]] = {
        **Metric.ignored,
        "from_sorted_ids": Only(False, why="predictions are scores"),
    }


@METRICS.register
class BinaryAccuracy(ShareOfRight):
    """Fraction of outputs on the correct side of `threshold`.

    As in Keras, it applies to the raw outputs: for logits, a threshold of 0 corresponds to a probability of 0.5.
    """

    threshold: Annotated[float, Number(0, 1)] = 0.5

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        right: NDArray[bool_] = (predictions > self.threshold) == targets
        return right
