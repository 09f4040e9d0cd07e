"""From a network to one in int8: ranges of values by images of the training, and the accuracy of both."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnncli.errors import UsageError
from cnncli.interop.exports.exported import Exported
from cnncli.interop.exports.int8_evaluation import COMPUTING
from cnncli.interop.exports.int8_network import Ranges, Scale, quantized
from cnncli.interop.exports.numpy_evaluation import Evaluation
from cnncli.interop.inference import Inference
from cnncli.layers.meaning import Meaning
from cnncli.ops.ir import Value

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Split

Array = np.ndarray[Any, Any]
CALIBRATION, BATCH = 256, 32
"""The number of images of the training that ranges come from, and how many are computed at once."""


class InInt8(NamedTuple):
    """A network in int8. `image`: the scale of its input. `float32`, `int8`: the accuracies, as texts."""

    network: Inference
    image: Scale
    float32: str = ""
    int8: str = ""


def in_int8(exported: Exported, network: Inference) -> InInt8:
    """The network in int8. Raises UsageError without images of the training, and for values that are not finite."""
    dataset = exported.dataset() if exported.dataset is not None else None
    if dataset is None or dataset.train is None:
        raise UsageError("--int8 needs images of the training, and there are none")
    found = ranges(network, (x for x, _ in _batches(exported, dataset.train, CALIBRATION)))
    made = quantized(network, found)
    split, image = dataset.test or dataset.validation, Scale.of(*found[network.input])
    if split is None:
        return InInt8(made, image)
    floats, integers = Evaluation(network), Evaluation(made, COMPUTING)
    right: list[list[Array]] = [[], []]
    for x, y in _batches(exported, split, len(split)):
        for own, outputs in zip(right, (floats.run(x), integers.run(image.int8(x))), strict=True):
            own.append(_right(outputs, y, exported.meaning))
    where = "test" if split is dataset.test else "validation"
    return InInt8(made, image, *(_told(np.concatenate(own), f"{len(split):,} {where} images") for own in right))


def ranges(network: Inference, images: Iterator[Array]) -> Ranges:
    """The least and greatest number of each value for some images. Raises UsageError unless they are finite."""
    found: dict[Value, tuple[float, float]] = {}

    def see(value: Value, array: Array) -> None:
        least, most = found.get(value, (0.0, 0.0))
        found[value] = min(least, float(array.min())), max(most, float(array.max()))

    evaluation = Evaluation(network)
    for x in images:
        evaluation.run(x, see)
    if not np.isfinite(list(found.values())).all():
        raise UsageError("--int8 needs values that are finite: for images of the training, some are not")
    return found


def _batches(exported: Exported, split: "Split", most: int) -> Iterator[tuple[Array, Array | None]]:
    """Images of a split, evenly chosen, as the network sees them, and their targets."""
    rows = split.numbers[:: max(1, len(split) // most)][:most]
    for start in range(0, len(rows), BATCH):
        chosen = rows[start : start + BATCH]
        yield exported.prepared(split.x[chosen]), None if split.y is None else split.y[chosen]


def _right(outputs: Array, y: Array | None, meaning: Meaning) -> Array:
    """Which outputs are right: of images, of their pixels, or of their labels; none where that can't be said."""
    if y is None or not (meaning.probabilities or meaning is Meaning.MASK):
        return np.zeros(0)
    if meaning is Meaning.LABELS or outputs.shape[-1] == 1:
        return np.asarray((outputs > 0.5) == (y.reshape(outputs.shape) > 0.5)).ravel()
    classes = y.argmax(-1) if y.shape == outputs.shape else y.reshape(outputs.shape[:-1])
    return np.asarray(outputs.argmax(-1) == classes).ravel()


def _told(right: Array, where: str) -> str:
    return f", accuracy {right.mean():.2%} on {where}" if len(right) else ""
