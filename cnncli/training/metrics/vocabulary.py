"""All built-in metrics: importing this module registers them."""

from cnncli.training.metrics import metrics, regression
from cnncli.training.metrics.metrics import METRICS, Metric

BUILT_IN = (metrics, regression)

__all__ = ["BUILT_IN", "METRICS", "Metric"]
