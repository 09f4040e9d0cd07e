"""What the probabilities of a model are worth: reliability, ROC and precision–recall."""

from cnncli.report.pictures.figures import Bar, BarChart, LineChart, Series
from cnncli.report.terminal.figures import figure
from cnncli.training.metrics.calibration import Calibration
from cnncli.training.metrics.threshold_curves import PrecisionRecall, Roc

UNIT = (0.0, 1.0)


def reliability(calibration: Calibration) -> BarChart:
    """The accuracy of the answers of each probability; on the diagonal they are as good as they claim."""
    bars = [
        Bar(
            *(each.lower, each.upper, each.accuracy),
            f"{each.count:,} answers with {each.confidence:.3f} on average: {each.accuracy:.3f} right",
        )
        for each in calibration.bins
        if each.accuracy is not None
    ]
    note = f"expected calibration error (ECE) {figure(calibration.ece)}, in {len(calibration.bins)} bins"
    return BarChart("Reliability", "probability", "accuracy", bars, UNIT, UNIT, diagonal=True, note=note)


def roc(curve: Roc, name: str) -> LineChart:
    """The ROC curve of a class."""
    line = Series("", curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist())
    note = f"area under the curve {figure(curve.auc)}"
    title = f"ROC of {name}"
    return LineChart(
        *(title, "false positive rate", "true positive rate", [line], (), UNIT, UNIT), diagonal=True, note=note
    )


def precision_recall(curve: PrecisionRecall, name: str) -> LineChart:
    """The precision–recall curve of a class."""
    line = Series("", curve.recall.tolist(), curve.precision.tolist())
    note = f"average precision {figure(curve.average_precision)}"
    return LineChart(f"Precision and recall of {name}", "recall", "precision", [line], (), UNIT, UNIT, note=note)
