"""Metrics: names as in Keras; each is a mean over samples."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from cnncli.layers.declaration import Declaration, Registry


class Metric(Declaration):
    """A figure to report beside the loss."""


METRICS = Registry("metric", Metric)
MetricField = Annotated[Metric, BeforeValidator(METRICS.parse), PlainSerializer(METRICS.dump)]


@METRICS.register
class Accuracy(Metric):
    """The share of right answers: the greatest score's class, or for one output a score on the right side of a half."""

    aliases = ("acc",)


@METRICS.register
class BinaryAccuracy(Metric):
    """The share of outputs on the right side of `threshold`."""

    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
