"""Evaluation of a model on a split."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.layers.meaning import Meaning
from cnncli.training.metrics.evaluation import evaluate
from cnncli.training.metrics.evaluation_record import Evaluation
from cnncli.training.metrics.metrics import Metric
from cnncli.training.metrics.mistakes import find_mistakes
from cnncli.training.metrics.residuals import Residuals
from cnncli.training.metrics.statistics import (
    Totals,
    class_names,
    class_numbers,
    confusion_matrix,
    valid_rows,
)
from cnncli.training.metrics.worst_masks import MaskMistake, WorstMasks

Array = np.ndarray[Any, Any]


def examine(network: Network, feed: Feed, metrics: Sequence[Metric], split: str, names: Sequence[str]) -> Evaluation:
    """Evaluate `network`, whose weights are set, on the split that `feed` reads; `names` are the class names."""
    outputs = only(network.targets).shape[1:]
    several = _multi_label(network, feed.split)
    count = outputs[0] if several else _class_count(network, feed.split)
    counted = "pixels" if len(outputs) == 3 else "samples"
    if not count and _are_numbers(network, feed.split):
        figures, residuals = _examine_numbers(network, feed, metrics, class_names(names, outputs[0], outputs[0]))
        return Evaluation(split, len(feed.split), figures, [], None, [], counted, data=feed.split, residuals=residuals)
    if not count:
        return Evaluation(split, len(feed.split), evaluate(network, feed, metrics), [], None, [], counted)
    classes = class_names(names, outputs[-1], count)
    if counted == "pixels":
        figures, confusion, masks = _examine_pixels(network, feed, metrics, count)
        count = len(feed.split)
        return Evaluation(split, count, figures, classes, confusion, [], counted, data=feed.split, masks=masks)
    figures, scores, labels, valid = _examine_samples(network, feed, metrics, multi_label=several)
    data = feed.split if valid.all() else replace(feed.split, rows=feed.split.numbers[valid])
    scores, labels = scores[valid], labels[valid]
    matrix = None if several else confusion_matrix(labels, class_numbers(scores), count)
    mistakes = find_mistakes(classes, scores, labels, data)
    return Evaluation(split, len(data), figures, classes, matrix, mistakes, counted, scores, labels, data)


def _examine_pixels(
    network: Network, feed: Feed, metrics: Sequence[Metric], classes: int
) -> tuple[dict[str, float], Array, Sequence[MaskMistake]]:
    """The figures, the confusion matrix, and the images with the most wrong pixels."""
    totals, worst = Totals(), WorstMasks(feed.split)

    def count_batch(rows: slice) -> None:
        scores, targets = _read(network, rows)
        true, predicted, valid = class_numbers(targets), class_numbers(scores), valid_rows(network.loss, targets)
        totals.add({"matrix": confusion_matrix(true[valid], predicted[valid], classes)})
        worst.add(true, predicted, valid, rows.start)

    figures = evaluate(network, feed, metrics, after_batch=count_batch)
    return figures, totals.sums()["matrix"], worst.found


def _examine_samples(
    network: Network, feed: Feed, metrics: Sequence[Metric], *, multi_label: bool
) -> tuple[dict[str, float], Array, Array, Array]:
    """The figures, scores, labels, and which samples are not void."""
    shape = (len(feed.split), only(network.targets).shape[1])
    scores = np.empty(shape, np.float32)
    labels = np.empty(shape, np.uint8) if multi_label else np.empty(shape[0], np.int64)
    valid = np.empty(shape[0], bool)

    def keep_batch(rows: slice) -> None:
        scores[rows], targets = _read(network, rows)
        labels[rows] = targets > 0.5 if multi_label else class_numbers(targets)
        valid[rows] = valid_rows(network.loss, targets)

    return evaluate(network, feed, metrics, after_batch=keep_batch), scores, labels, valid


def _examine_numbers(
    network: Network, feed: Feed, metrics: Sequence[Metric], names: Sequence[str]
) -> tuple[dict[str, float], Residuals]:
    """The figures, and predictions with their targets."""
    predictions, targets = (np.empty((len(feed.split), len(names)), np.float32) for _ in range(2))

    def keep_batch(rows: slice) -> None:
        predictions[rows], targets[rows] = _read(network, rows)

    figures = evaluate(network, feed, metrics, after_batch=keep_batch)
    return figures, Residuals(names, predictions, targets, feed.split)


def _read(network: Network, rows: slice) -> tuple[Array, Array]:
    """The probabilities and targets of a batch."""
    probabilities, targets = (
        only(arrays)[: rows.stop - rows.start] for arrays in (network.probabilities, network.targets)
    )
    return probabilities, targets


def _multi_label(network: Network, split: Split) -> bool:
    """Whether each output is a label of its own."""
    outputs, dense = only(network.targets).shape[1:], split.y is not None and split.y.dtype.kind == "f"
    return dense and len(outputs) == 1 and outputs[0] > 1 and network.loss.outputs is Meaning.LABELS


def _are_numbers(network: Network, split: Split) -> bool:
    """Whether outputs are numbers with targets of their own."""
    vector = len(only(network.targets).shape) == 2
    return vector and split.y is not None and network.loss.outputs is Meaning.NUMBERS


def _class_count(network: Network, split: Split) -> int:
    """The number of classes of outputs and labels; 0 if they are not classes."""
    outputs = only(network.targets).shape[1:]
    if split.y is None or len(outputs) not in (1, 3):
        return 0
    if outputs[-1] == 1:
        return 2 if network.loss.outputs is Meaning.LABELS or split.y.dtype == np.uint8 else 0
    return outputs[-1] if network.loss.outputs is Meaning.CLASSES or split.y.dtype.kind in "iu" else 0
