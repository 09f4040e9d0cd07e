"""All built-in metrics: importing this module registers them."""

from cnncli.training.metrics import class_metrics, metrics, regression, threshold_metrics
from cnncli.training.metrics.metrics import METRICS, Metric

BUILT_IN = (metrics, class_metrics, threshold_metrics, regression)

__all__ = ["BUILT_IN", "METRICS", "Metric"]
