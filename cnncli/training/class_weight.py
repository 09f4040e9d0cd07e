"""`fit.class_weight`, as in Keras: weights of the classes in the training loss.

It multiplies the loss of each training image, of rows of shares by their greatest, and with masks that of each pixel
(as Keras' sample_weight of pixels does); the mean is still over the number of images or pixels, not over the weights.
Validation and test are unweighted. Mixed images (MixUp, CutMix) keep the weight of their own class.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from cnncli.datasets.sources.unicode_names import composed
from cnncli.errors import CnncliError, DeclarationError
from cnncli.graph.model import only
from cnncli.hints import few
from cnncli.layers.declarations.field_types import Kind, Number, Schema
from cnncli.layers.declarations.mapping_types import Numbers
from cnncli.layers.declarations.validation_errors import ValidationError

if TYPE_CHECKING:
    from cnncli.datasets.batches import OfClasses
    from cnncli.datasets.dataset import Array, Dataset, Split
    from cnncli.graph.network import Network

BALANCED: Literal["balanced"] = "balanced"
KEY = "class_weight"
WITH_OTHERS = (
    f"{KEY} must be omitted where images have a sample_weight, as in Keras: multiply the weights, or set "
    "`sample_weight: null` under `data`"
)


class Weights(Numbers):
    """A weight by the name or the number of a class."""


class ClassWeight(Kind):
    """balanced, or weights by class."""

    rule = f"{BALANCED}, or a mapping of classes to numbers of at least 0, like {{cats: 1, dogs: 2.5}}"
    choices = (BALANCED,)
    sample = BALANCED

    def schema(self) -> Schema:
        weights = {"type": "object", "minProperties": 1, "additionalProperties": Number(0).schema()}
        return {"anyOf": [{"const": BALANCED}, weights]}

    def read(self, value: Any) -> str | Weights:
        if value == BALANCED:
            return BALANCED
        if not isinstance(value, Mapping) or not value:
            raise self.refuse()
        weight = Number(0)
        try:
            return Weights({str(name): weight.read(given) for name, given in value.items()})
        except ValidationError:
            raise self.refuse() from None


def by_number(weights: Weights, names: Sequence[str]) -> dict[int, float]:
    """The weights by class index. A key is a class name, or a class index if no class has that name.

    Raises DeclarationError for an unknown or duplicate class.
    """
    known = {str(number): number for number in range(len(names))}
    known |= {composed(name): number for number, name in enumerate(names)}
    numbered: dict[int, float] = {}
    for given, weight in weights.items():
        key = composed(given)
        if key not in known:
            raise DeclarationError(f"{KEY} must name classes of the data, {few(names, 10)}; received {key!r}", KEY)
        if known[key] in numbered:
            raise DeclarationError(f"{KEY} must name a class once; {names[known[key]]!r} is there twice", KEY)
        numbered[known[key]] = weight
    return numbered


def weighs_pixels(given: str | Weights | None, targets: str, splits: Iterable["Split"] = ()) -> bool:
    """Whether weights of classes, or those of the splits, are those of pixels."""
    weights = [split.weights for split in splits if split.weights is not None]
    return (given is not None and targets == "masks") or any(each.ndim > 1 for each in weights)


def weighs_nothing(given: str | Weights | None, dataset: "Dataset", void: int | None = None) -> bool:
    """Whether the weight of every class that training images, or their pixels, show is 0.

    Raises DeclarationError for an unknown class.
    """
    train = dataset.train
    if not isinstance(given, Weights) or 0 not in given.values() or train is None or train.y is None:
        return False
    weights = by_number(given, dataset.classes or ("0", "1"))
    shown = _shown(train, void)
    return bool(shown) and all(weights.get(number) == 0 for number in shown)


def _shown(split: "Split", void: int | None) -> set[int]:
    """The classes of a split's images, or of their pixels, without `void`; none of rows of several classes."""
    assert split.y is not None
    if split.y.ndim > 2:
        return {int(number) for number in _pixels(split, void).nonzero()[0]}
    numbers = _numbers(split.y)
    return set() if numbers is None else set(numbers[split.numbers].tolist()) - {void}


def of_training(given: str | Weights, dataset: "Dataset", network: "Network") -> "Array | OfClasses":
    """The weights of the rows of the training split, or of the classes of pixels that the network weighs; see below."""
    if network.weigh_positions:
        return of_pixels(given, dataset, only(network.targets).shape[-1], network.loss.void)
    return of_rows(given, dataset, network.loss.void)


def of_pixels(given: str | Weights, dataset: "Dataset", outputs: int, void: int | None = None) -> "OfClasses":
    """The weight of each class of pixels, which classes that are not listed have too: 1.

    "balanced" gives a class n / (classes · its pixels) of the training masks, whose `void` pixels do not count. Raises
    CnncliError where images have weights of their own, DeclarationError for an unknown class.
    """
    import numpy as np

    from cnncli.datasets.batches import OfClasses

    train = dataset.train
    assert train is not None and train.y is not None
    for split in dataset.splits.values():
        if split.weights is not None:
            raise CnncliError(f"{split.source}: {WITH_OTHERS}")
    table = np.ones(max(2, outputs))
    if isinstance(given, Weights):
        for number, weight in by_number(given, dataset.classes or ("0", "1")).items():
            if number < len(table):
                table[number] = weight
        return OfClasses(table.astype(np.float32))
    table[:] = _balanced(_pixels(train, void)[: len(table)])
    return OfClasses(table.astype(np.float32))


def _pixels(split: "Split", void: int | None) -> "Array":
    """How many pixels of a split's masks are of each class, int64 (256,), without `void` ones."""
    import numpy as np

    from cnncli.datasets.masks import byte_of

    assert split.y is not None
    counts = np.zeros(256, np.int64)
    for row in split.numbers:  # one after another, because they may be larger than memory
        mask = split.y[row]
        numbers = mask if mask.dtype == np.uint8 else mask[..., 0] > 0.5 if mask.shape[-1] == 1 else mask.argmax(-1)
        counts += np.bincount(numbers.ravel().astype(np.int64), minlength=256)[:256]
    if (ignored := byte_of(void)) is not None:
        counts[ignored] = 0
    return counts


def _balanced(counts: "Array") -> "Array":
    """Weights with which all classes that there are count alike, float64 (classes,); 1 for the others."""
    import numpy as np

    table, shown = np.ones(len(counts)), counts > 0
    table[shown] = counts.sum() / (shown.sum() * counts[shown])
    return table


def of_rows(given: str | Weights, dataset: "Dataset", void: int | None = None) -> "Array":
    """The weight of each row of the training split's arrays: float32 (N,). Classes not listed have weight 1.

    "balanced" gives a class n / (classes · its images), which scikit-learn and Keras' examples do, counted in the
    training split; images of the class number `void` do not count. Raises CnncliError unless each image has exactly one
    class, DeclarationError for an unknown class.
    """
    import numpy as np  # local: reading a spec must not import NumPy

    split = dataset.train
    assert split is not None
    if split.weights is not None:
        raise CnncliError(f"{split.source}: {WITH_OTHERS}")
    numbers = None if split.y is None else _numbers(split.y)
    if numbers is None:
        raise CnncliError(f"{split.place} must say one class for each image, because fit has a {KEY}")
    table = np.ones(int(numbers.max()) + 1)
    if isinstance(given, Weights):
        for number, weight in by_number(given, dataset.classes or ("0", "1")).items():
            if number < len(table):
                table[number] = weight
    else:
        held = numbers[split.numbers]
        table = _balanced(np.bincount(held[held != void], minlength=len(table)))
    rows: Array = table.astype(np.float32)[numbers]
    return rows


def _numbers(y: "Array") -> "Array | None":
    """The class of each row, int64 (N,), of shares of classes that of the greatest; None of rows of several classes."""
    from cnncli.datasets.batches import ROUNDING
    from cnncli.datasets.class_numbers import class_numbers

    found = class_numbers(y)
    if found is None and y.ndim == 2 and y.shape[1] > 1 and (abs(y.sum(axis=1) - 1) <= ROUNDING).all():
        found = y.argmax(axis=1)
    return found
