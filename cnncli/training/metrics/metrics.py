"""Metrics: names as in Keras. A metric is an additive statistic, and the figures that are read off its sums.

`count` sees one batch, `figures` the sums of what was counted over all batches of an epoch or a split: see
`training.statistics` for what may be counted and how it is summed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cnncli.layers.declarations.declaration import Declaration, Registry, snake_case
from cnncli.layers.declarations.field_types import Number

if TYPE_CHECKING:
    from numpy import bool_, float32, float64
    from numpy.typing import NDArray

    from cnncli.training.metrics.statistics import Counts

    Real = NDArray[float32] | NDArray[float64]


class Metric(Declaration):
    """Figures reported next to the loss."""

    better: ClassVar[Literal["min", "max"]] = "max"
    """Which way is better: what EarlyStopping's `mode: auto` goes by."""
    counts_answers: ClassVar[bool] = False
    """True where it counts right answers, so that there must be some: not with the input as the target."""

    @property
    def names(self) -> Sequence[str]:
        """The names of its figures, known before there are any: callbacks and `expect` may use them."""
        return (snake_case(type(self).__name__),)

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        """One batch's arrays or numbers. predictions, targets: real (n, …) of one shape."""
        raise NotImplementedError

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        """The figures, by `names`, of summed counts."""
        raise NotImplementedError


METRICS = Registry("metric", Metric)


class ShareOfRight(Metric):
    """Right answers as a share of all."""

    counts_answers = True

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        """Which answers are right: bool (n, …)."""
        raise NotImplementedError

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import count_nonzero  # a spec is checked without NumPy

        right = self.right(predictions, targets)
        return {"right": count_nonzero(right), "answers": right.size}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        return {name: int(counts["right"]) / int(counts["answers"]) for name in self.names}


@METRICS.register
class Accuracy(ShareOfRight):
    """The share of right answers: the class with the highest score, or for one output a score above 0.5.

    Where an image may have several classes there is binary_accuracy.
    """

    aliases = ("acc",)

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        if predictions.shape[-1] == 1:
            return BinaryAccuracy().right(predictions, targets)
        right: NDArray[bool_] = predictions.argmax(-1) == targets.argmax(-1)
        return right


@METRICS.register
class BinaryAccuracy(ShareOfRight):
    """The share of outputs on the right side of `threshold`.

    As in Keras, outputs are what the model gives: of logits, 0 is what 0.5 is of probabilities.
    """

    threshold: Annotated[float, Number(0, 1)] = 0.5

    def right(self, predictions: "Real", targets: "Real") -> "NDArray[bool_]":
        right: NDArray[bool_] = (predictions > self.threshold) == targets
        return right
