"""Batches: the order of an epoch, and the filling of a network's inputs and targets."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnncli import kernels
from cnncli.datasets.load import Split
from cnncli.errors import CnncliError
from cnncli.layers.losses import Loss
from cnncli.ops import streams

Array = np.ndarray[Any, Any]
Rows = slice | Array
Filler = Callable[[Rows, int], None]


def order(count: int, seed: int, epoch: int, *, shuffle: bool) -> Array:
    """The rows of an epoch (counted from 0) in the order they are trained: int64 (count,)."""
    return kernels.random.permutation(count, seed, streams.SHUFFLE, epoch) if shuffle else np.arange(count)


class Feed:
    """Fills arrays with the rows of one split: images scaled, class numbers as one-hot rows.

    `inputs`: real (capacity, H, W, C); `targets`: real (capacity, *outputs).
    Raises CnncliError, naming the row, where the data do not fit them.
    """

    def __init__(self, split: Split, rescale: float | str, loss: Loss, inputs: Array, targets: Array) -> None:
        if split.x.shape[1:] != inputs.shape[1:]:
            raise CnncliError(
                f"{split.source}: {split.key} must hold images of the model's shape {inputs.shape[1:]}; "
                f"received {split.x.shape[1:]}"
            )
        self.split, self.loss, self.inputs, self.targets = split, loss, inputs, targets
        self.scale = scaling(split.x.dtype, rescale)
        self.fill_targets = self._copier() if split.y is None else self._filler(split.y)

    def fill(self, rows: Rows) -> int:
        """Put the rows `rows` of the split first into the arrays; their number."""
        images = self.split.x[rows]
        n = len(images)
        self.scale(images, self.inputs[:n])
        self.fill_targets(rows, n)
        return n

    def _copier(self) -> Filler:
        if self.inputs.shape != self.targets.shape:
            raise CnncliError(
                f"with `targets: input` the model's output must have its input's shape {self.inputs.shape[1:]}; "
                f"received {self.targets.shape[1:]}"
            )
        if self.loss.kind != "mean_squared_error":
            self._check_images()

        def copy(rows: Rows, n: int) -> None:
            self.targets[:n] = self.inputs[:n]

        return copy

    def _check_images(self) -> None:
        """The images as they are scaled must be fit to be the targets of a loss of probabilities."""
        for index in (self.split.x.argmin(), self.split.x.argmax()):
            row, *rest = (int(place) for place in np.unravel_index(index, self.split.x.shape))
            scaled = np.empty((1, *self.split.x.shape[1:]), np.float32)
            self.scale(self.split.x[row : row + 1], scaled)
            value = scaled[(0, *rest)]
            if not 0 <= value <= 1:
                raise CnncliError(
                    f"{self.split.source}: with `targets: input` {type(self.loss).__name__} needs images rescaled to "
                    f"between 0 and 1; {self.split.key}'s row {self.split.start + row} has {value}"
                )

    def _filler(self, y: Array) -> Filler:
        outputs = self.targets.shape[1:]
        if y.dtype.kind == "i" and outputs != (1,):
            return self._one_hot(y)
        dense = y if y.dtype.kind == "f" else y[:, None]
        if dense.shape[1:] != outputs:
            raise CnncliError(
                f"{self.split.place} must hold class numbers (whole numbers) or rows of the model's outputs {outputs}; "
                f"received {dense.dtype} rows {dense.shape[1:]}"
            )
        if self.loss.kind != "mean_squared_error":
            self._check(dense, (dense < 0) | (dense > 1), f"targets between 0 and 1 for {type(self.loss).__name__}")

        def fill(rows: Rows, n: int) -> None:
            self.targets[:n] = dense[rows]

        return fill

    def _one_hot(self, y: Array) -> Filler:
        outputs = self.targets.shape[1:]
        if len(outputs) != 1:
            raise CnncliError(f"{self.split.place} holds class numbers, but the model's outputs are {outputs}")
        self._check(y, y >= outputs[0], f"class numbers below {outputs[0]}, the number of the model's outputs")
        places = np.arange(len(self.targets))

        def fill(rows: Rows, n: int) -> None:
            self.targets[:n] = 0
            self.targets[places[:n], y[rows]] = 1

        return fill

    def _check(self, y: Array, bad: Array, rule: str) -> None:
        if bad.any():
            row, *rest = np.argwhere(bad)[0]
            raise CnncliError(
                f"{self.split.place} must hold {rule}; row {self.split.start + row} has {y[(row, *rest)]}"
            )


def scaling(dtype: "np.dtype[Any]", rescale: float | str) -> Callable[[Array, Array], None]:
    """A function (images, out) that fills out with the scaled images, all arithmetic in float32.

    "auto" divides uint8 by 255 and leaves floats; a number multiplies whatever comes.
    """
    if dtype == np.uint8:
        levels = np.arange(256, dtype=np.float32)
        table = levels / np.float32(255) if rescale == "auto" else levels * np.float32(rescale)

        def scale(images: Array, out: Array) -> None:
            out[...] = table[images]

        return scale
    factor = np.float32(1 if rescale == "auto" else rescale)

    def multiply(images: Array, out: Array) -> None:
        np.multiply(images, factor, out=out)

    return multiply
