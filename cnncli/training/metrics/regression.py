"""Means of formulas, mostly of numbers, named as in Keras. Their figures are exact, however data are divided."""

from collections.abc import Mapping
from math import nan, sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cnncli.layers.declarations.field_types import Number, Only
from cnncli.training.metrics.metrics import METRICS, Metric

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy import float64
    from numpy.typing import NDArray

    from cnncli.training.metrics.metrics import Real
    from cnncli.training.metrics.statistics import Counts


ON_LAST_AXIS = {**Metric.ignored, "axis": Only(-1, why="it is of the last axis")}


class MeanOf(Metric):
    """Base class: the mean of a formula of predictions and targets, of each output or of each row of outputs."""

    better: ClassVar[Literal["min", "max"]] = "min"

    def terms(self, predictions: "NDArray[float64]", targets: "NDArray[float64]") -> "NDArray[float64]":
        """The numbers whose mean it is, of any shape; by default those that FORMULAS has for the class."""
        from cnncli.training.metrics.formulas import FORMULAS  # checking a spec must not import NumPy

        return FORMULAS[type(self).__name__](predictions, targets, **self.options())

    def options(self) -> dict[str, Any]:
        """The arguments of the formula: its fields."""
        return {name: value for name, value in self.settings().items() if name != "name"}

    def mean(self, counts: "Counts") -> float:
        """The mean error."""
        from cnncli.training.metrics.exact_sums import read_sums

        (total,) = read_sums(counts["errors"])
        outputs = int(counts["outputs"])
        return nan if total is None or not outputs else float(total / outputs)

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import float64

        from cnncli.training.metrics.exact_sums import exact_sums

        errors = self.terms(predictions.astype(float64), targets.astype(float64))
        return {"errors": exact_sums(errors.reshape(-1, 1)), "outputs": errors.size}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        return {name: self.mean(counts) for name in self.names()}


@METRICS.register
class MeanAbsoluteError(MeanOf):
    """Mean of |prediction − target|, in the unit of the targets."""

    aliases = ("mae", "MAE")


@METRICS.register
class MeanSquaredError(MeanOf):
    """Mean of (prediction − target)²."""

    aliases = ("mse", "MSE")


@METRICS.register
class RootMeanSquaredError(MeanOf):
    """Square root of the mean of (prediction − target)², in the unit of the targets."""

    def mean(self, counts: "Counts") -> float:
        return sqrt(super().mean(counts))


@METRICS.register
class MeanAbsolutePercentageError(MeanOf):
    """Mean of 100·|prediction − target| / |target|; targets below 1e-7 count as 1e-7."""

    aliases = ("mape", "MAPE")


@METRICS.register
class MeanSquaredLogarithmicError(MeanOf):
    """Mean of (log(1 + prediction) − log(1 + target))²; numbers below 1e-7 count as 1e-7."""

    aliases = ("msle", "MSLE")


@METRICS.register
class LogCoshError(MeanOf):
    """Mean of log(cosh(prediction − target))."""

    aliases = ("logcosh",)
    called = "logcosh"


@METRICS.register
class CosineSimilarity(MeanOf):
    """Mean cosine of the angle between prediction and target, over the last axis: 1 for the same direction."""

    better = "max"
    ignored = ON_LAST_AXIS


@METRICS.register
class PearsonCorrelation(MeanOf):
    """Mean of the correlation of the outputs of a sample (or pixel) with their targets, over the last axis."""

    better = "max"
    ignored = ON_LAST_AXIS


@METRICS.register
class ConcordanceCorrelation(MeanOf):
    """The same with a mean and a variance of their own (Lin 1989), as Keras computes it: of targets less the
    predictions' mean."""

    better = "max"
    ignored = ON_LAST_AXIS


@METRICS.register
class Poisson(MeanOf):
    """Mean of prediction − target·log(prediction)."""


@METRICS.register
class KLDivergence(MeanOf):
    """Mean of Σ target·log(target / prediction) over the classes."""

    @property
    def of_probabilities(self) -> bool:
        return True


@METRICS.register
class Hinge(MeanOf):
    """Mean of max(1 − target·prediction, 0); targets are −1 and 1, as which a batch of only 0 and 1 is taken."""


@METRICS.register
class SquaredHinge(MeanOf):
    """Mean of max(1 − target·prediction, 0)²."""


@METRICS.register
class CategoricalHinge(MeanOf):
    """Mean of max(1 + the greatest score of another class − the score of the target's class, 0)."""


class Entropy(MeanOf):
    """Base class: a cross-entropy, of probabilities or of logits."""

    from_logits: bool = False
    """Whether outputs are logits."""

    @property
    def of_probabilities(self) -> bool:
        return not self.from_logits


@METRICS.register
class BinaryCrossentropy(Entropy):
    """Mean of −(t·log p + (1−t)·log(1−p)): that loss, also of a model trained with another one."""

    aliases = ("bce", "BCE")

    label_smoothing: Annotated[float, Number(0, 1)] = 0.0


@METRICS.register
class CategoricalCrossentropy(Entropy):
    """Mean of −Σ target·log(prediction) over the classes: that loss, also of a model trained with another one."""

    ignored = ON_LAST_AXIS

    label_smoothing: Annotated[float, Number(0, 1)] = 0.0


@METRICS.register
class SparseCategoricalCrossentropy(Entropy):
    """The same as CategoricalCrossentropy; Keras' name for it when the targets are class numbers."""

    ignored = ON_LAST_AXIS


@METRICS.register
class R2Score(Metric):
    """Share of the targets' variance that predictions explain: 1 if perfect, 0 for always predicting the mean.

    Of several outputs it is the mean, or the mean weighted by the variance of their targets.
    """

    class_aggregation: Literal["uniform_average", "variance_weighted_average"] = "uniform_average"

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from numpy import float64

        from cnncli.training.metrics.exact_sums import exact_sums

        outputs = targets.shape[-1]
        wanted = targets.reshape(-1, outputs).astype(float64)
        errors = predictions.reshape(-1, outputs).astype(float64) - wanted
        return {
            "errors": exact_sums(errors * errors),
            "targets": exact_sums(wanted),
            "squares": exact_sums(wanted * wanted),
            "rows": len(wanted),
        }

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        scores, variances = self.by_output(counts)
        weights = variances if self.class_aggregation == "variance_weighted_average" else [1.0] * len(scores)
        total = sum(weights)
        mean = sum(score * weight for score, weight in zip(scores, weights, strict=True)) / total if total else nan
        return dict.fromkeys(self.names(), mean)

    def by_output(self, counts: "Counts") -> tuple[list[float], list[float]]:
        """The score of each output, and the sum of the squared deviations of its targets from their mean."""
        from cnncli.training.metrics.exact_sums import read_sums

        columns = [read_sums(counts[name]) for name in ("errors", "targets", "squares")]
        rows = int(counts["rows"])
        each = [_score(rows, *sums) for sums in zip(*columns, strict=True)]
        return [score for score, _ in each], [variance for _, variance in each]


def _score(
    rows: int, errors: "Fraction | None", targets: "Fraction | None", squares: "Fraction | None"
) -> tuple[float, float]:
    """R² of an output and its targets' variation. As in Keras: of targets that are all equal 0, and NaN if perfect."""
    if errors is None or targets is None or squares is None or not rows:
        return nan, nan
    variation = squares - targets * targets / rows
    if variation:
        return float(1 - errors / variation), float(variation)
    return (0.0 if errors else nan), 0.0
