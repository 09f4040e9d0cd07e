"""Metrics of numbers: errors of predictions, named as in Keras. Their figures are exact, however data are divided."""

from collections.abc import Mapping
from math import nan, sqrt
from typing import TYPE_CHECKING, Any, Literal

from cnncli.training.metrics.metrics import METRICS, Metric

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy import float64
    from numpy.typing import NDArray

    from cnncli.training.metrics.metrics import Real
    from cnncli.training.metrics.statistics import Counts


class MeanError(Metric):
    """Base class: the mean of an error over all outputs."""

    better = "min"

    def error(self, differences: "NDArray[float64]") -> "NDArray[float64]":
        """The errors of predictions that are so far from their targets."""
        raise NotImplementedError

    def mean(self, counts: "Counts") -> float:
        """The mean error."""
        from cnncli.training.metrics.exact_sums import read_sums  # checking a spec must not import NumPy

        (total,) = read_sums(counts["errors"])
        return nan if total is None else float(total / int(counts["outputs"]))

    def count(self, predictions: "Real", targets: "Real") -> Mapping[str, Any]:
        from cnncli.training.metrics.exact_sums import exact_sums

        errors = self.error(differences(predictions, targets))
        return {"errors": exact_sums(errors.reshape(-1, 1)), "outputs": errors.size}

    def figures(self, counts: "Counts") -> Mapping[str, float]:
        return {name: self.mean(counts) for name in self.names}


@METRICS.register
class MeanAbsoluteError(MeanError):
    """Mean of |prediction − target|, in the unit of the targets."""

    aliases = ("mae", "MAE")

    def error(self, differences: "NDArray[float64]") -> "NDArray[float64]":
        return abs(differences)


@METRICS.register
class MeanSquaredError(MeanError):
    """Mean of (prediction − target)²."""

    aliases = ("mse", "MSE")

    def error(self, differences: "NDArray[float64]") -> "NDArray[float64]":
        return differences * differences


@METRICS.register
class RootMeanSquaredError(MeanError):
    """Square root of the mean of (prediction − target)², in the unit of the targets."""

    def error(self, differences: "NDArray[float64]") -> "NDArray[float64]":
        return differences * differences

    def mean(self, counts: "Counts") -> float:
        return sqrt(super().mean(counts))


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
        errors = differences(predictions, targets).reshape(-1, outputs)
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
        return dict.fromkeys(self.names, mean)

    def by_output(self, counts: "Counts") -> tuple[list[float], list[float]]:
        """The score of each output, and the sum of the squared deviations of its targets from their mean."""
        from cnncli.training.metrics.exact_sums import read_sums

        columns = [read_sums(counts[name]) for name in ("errors", "targets", "squares")]
        rows = int(counts["rows"])
        each = [_score(rows, *sums) for sums in zip(*columns, strict=True)]
        return [score for score, _ in each], [variance for _, variance in each]


def differences(predictions: "Real", targets: "Real") -> "NDArray[float64]":
    """Predictions − targets in float64."""
    from numpy import float64

    return predictions.astype(float64) - targets


def _score(
    rows: int, errors: "Fraction | None", targets: "Fraction | None", squares: "Fraction | None"
) -> tuple[float, float]:
    """R² of an output and its targets' variation. As in Keras: of targets that are all equal 0, and NaN if perfect."""
    if errors is None or targets is None or squares is None:
        return nan, nan
    variation = squares - targets * targets / rows
    if variation:
        return float(1 - errors / variation), float(variation)
    return (0.0 if errors else nan), 0.0
