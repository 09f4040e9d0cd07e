"""Metrics: names as in Keras; each is a mean over samples, counted as a sum that batches add to."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from cnncli.layers.declaration import Declaration, Registry, snake_case
from cnncli.layers.kinds import Number

if TYPE_CHECKING:
    from numpy import bool_, float32, float64
    from numpy.typing import NDArray

    Real = NDArray[float32] | NDArray[float64]


class Metric(Declaration):
    """A figure to report beside the loss."""

    better: ClassVar[Literal["min", "max"]] = "max"
    """Which way is better: what EarlyStopping's `mode: auto` goes by."""
    counts_answers: ClassVar[bool] = False
    """True where it counts right answers, so that there must be some: not with the input as the target."""

    @property
    def figure(self) -> str:
        """The name it is reported under."""
        return snake_case(type(self).__name__)

    def total(self, predictions: "Real", targets: "Real") -> float:
        """The sum over the samples, in float64. predictions, targets: real (n, …) of one shape."""
        raise NotImplementedError


METRICS = Registry("metric", Metric)


@METRICS.register
class Accuracy(Metric):
    """The share of right answers: the greatest score's class, or for one output a score on the right side of a half.

    Where an image may have several classes there is binary_accuracy.
    """

    aliases = ("acc",)
    counts_answers = True

    def total(self, predictions: "Real", targets: "Real") -> float:
        if predictions.shape[-1] == 1:
            return BinaryAccuracy().total(predictions, targets)
        return _samples(predictions.argmax(-1) == targets.argmax(-1))


@METRICS.register
class BinaryAccuracy(Metric):
    """The share of outputs on the right side of `threshold`.

    As in Keras, outputs are what the model gives: of logits, 0 is what 0.5 is of probabilities.
    """

    counts_answers = True

    threshold: Annotated[float, Number(0, 1)] = 0.5

    def total(self, predictions: "Real", targets: "Real") -> float:
        return _samples((predictions > self.threshold) == targets)


def _samples(right: "NDArray[bool_]") -> float:
    """How many samples are right; one of several answers counts as the share of those that are. right: bool (n, …)."""
    from numpy import count_nonzero  # a spec is checked without NumPy

    return count_nonzero(right) / (right.size // len(right))
