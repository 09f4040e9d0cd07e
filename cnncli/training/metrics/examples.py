"""Single inputs with their targets and the model's outputs, where outputs are images or masks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.batches import Feed
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.layers.loss import Loss
from cnncli.training.metrics.evaluation import portions
from cnncli.training.metrics.statistics import class_numbers, of_valid

Array = np.ndarray[Any, Any]
LOOKED_AT = 512
"""Inputs of a split whose outputs are compared."""


class Example(NamedTuple):
    """`position`: its row in the split. `fed`, `target`, `output`: real (H, W, C), of a mask a score for each class.

    `error`: the share of wrong pixels of a mask, or the mean squared error.
    """

    position: int
    fed: Array
    target: Array
    output: Array
    error: float


@dataclass(frozen=True)
class Examples:
    """The `worst`, the largest error first, and some from the middle (`typical`), of `looked_at` inputs."""

    worst: Sequence[Example]
    typical: Sequence[Example]
    looked_at: int


def examples(network: Network, feed: Feed, *, masks: bool, each: int = 6) -> Examples:
    """`each` of both kinds, of at most LOOKED_AT inputs spread over the split that `feed` reads.

    The weights of `network` are set; `masks`: its outputs are masks, not images.
    """
    count = len(feed.split)
    rows = np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(np.int64))
    found = (example.error for example in _examples(network, feed, rows, masks=masks))
    ranked = rows[np.argsort(-np.fromiter(found, np.float64), kind="stable")]
    middle = max(each, (len(ranked) - each) // 2)
    chosen = np.concatenate([ranked[:each], ranked[middle : middle + each]])
    kept = [
        example._replace(fed=example.fed.copy(), target=example.target.copy(), output=example.output.copy())
        for example in _examples(network, feed, chosen, masks=masks)
    ]
    return Examples(kept[:each], kept[each:], len(rows))


def _examples(network: Network, feed: Feed, rows: Array, *, masks: bool) -> Iterator[Example]:
    """The examples of some rows of the split; their arrays are valid until the next batch."""
    with network.steady_weights():
        for part in portions(len(rows), network.batch_size):
            n = feed.fill(rows[part])
            network.predict(n)
            arrays = network.inputs, only(network.targets), only(network.probabilities)
            for row, fed, target, output in zip(rows[part].tolist(), *arrays, strict=False):
                yield Example(row, fed, target, output, _error(network.loss, target, output, masks=masks))


def _error(loss: Loss, target: Array, output: Array, *, masks: bool) -> float:
    if masks:
        predicted, true = map(class_numbers, of_valid(loss, output, target))
        return float((true != predicted).sum() / max(1, true.size))
    return float(np.mean((output.astype(np.float64) - target) ** 2))
