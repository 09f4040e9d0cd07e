"""Weights of PyTorch modules → layers: each weight is used once, and turned to Keras' layout."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnncli.graph.model import INPUT
from cnncli.interop.incoming.draft import Array, Entry, Names, UnsupportedError

EPSILON, MOMENTUM = 1e-5, 0.9
"""BatchNorm2d's defaults; PyTorch's momentum is the share of the new value, 0.1."""
UNUSED = "num_batches_tracked"


class State:
    """Layers in the making, from the weights of a state dict. Methods add a layer and return its name; they raise
    UnsupportedError for a weight that is missing or has another number of axes.
    """

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.weights = {name: array for name, array in weights.items() if not name.endswith(UNUSED)}
        self.names, self.entries = Names(), list[Entry]()

    def take(self, name: str, rank: int) -> Array:
        """A weight, which is not used again."""
        array = self.weights.pop(name, None)
        if array is None or array.ndim != rank:
            raise UnsupportedError(f"the weight {name} is missing, or has not {rank} axes")
        return array

    def layer(
        self, kind: str, name: str, *inputs: str, weights: Mapping[str, Array] | None = None, **arguments: Any
    ) -> str:
        """Add a layer; a dot in its name becomes /."""
        entry = Entry(self.names.unique(name.replace(".", "/")), kind, inputs or (self.last,), arguments, weights or {})
        self.entries.append(entry)
        return entry.name

    @property
    def last(self) -> str:
        """The layer above."""
        return self.entries[-1].name if self.entries else INPUT

    def conv(self, name: str, x: str = "", *, strides: int = 1, padding: int | None = None, groups: int = 1) -> str:
        """Conv2d, by default with the padding of half a window; with it and strides 1 that is "same"."""
        kernel = self.take(f"{name}.weight", 4)
        bias = {"bias": self.take(f"{name}.bias", 1)} if f"{name}.bias" in self.weights else {}
        outputs, per_group, height, width = kernel.shape
        half, x = (height - 1) // 2, x or self.last
        padding = half if padding is None else padding
        same = padding == half and strides == 1 and height % 2 == 1
        if padding and not same:
            x = self.layer("ZeroPadding2D", f"{name}.pad", x, padding=padding)
        given: dict[str, Any] = {"kernel_size": [height, width], "strides": strides, "use_bias": bool(bias)}
        given |= {"padding": "same"} if same and padding else {}
        if per_group == 1 and groups == outputs > 1:
            weights = {"kernel": kernel.transpose(2, 3, 0, 1), **bias}
            return self.layer("DepthwiseConv2D", name, x, weights=weights, **given)
        weights = {"kernel": kernel.transpose(2, 3, 1, 0), **bias}
        return self.layer("Conv2D", name, x, weights=weights, filters=outputs, groups=groups, **given)

    def norm(self, name: str, x: str = "") -> str:
        """BatchNorm2d."""
        known = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        weights = {own: self.take(f"{name}.{theirs}", 1) for own, theirs in known.items()}
        return self.layer(
            *("BatchNormalization", name, x or self.last), weights=weights, epsilon=EPSILON, momentum=MOMENTUM
        )

    def dense(self, name: str, *, image: tuple[int, int] | None = None) -> str:
        """Linear; `image`: height and width of what was flattened before it, whose channels come first in PyTorch."""
        kernel = self.take(f"{name}.weight", 2)
        units, rows = kernel.shape
        if image is not None:
            pixels = image[0] * image[1]
            kernel = kernel.reshape(units, rows // pixels, *image).transpose(0, 2, 3, 1).reshape(units, rows)
        weights = {"kernel": kernel.T, "bias": self.take(f"{name}.bias", 1)}
        return self.layer("Dense", name, weights=weights, units=units)

    def pool(self, name: str, size: int, strides: int, padding: int = 0) -> str:
        """MaxPool2d of numbers ≥ 0, for which padding with 0 changes no maximum."""
        if padding:
            self.layer("ZeroPadding2D", f"{name}.pad", padding=padding)
        return self.layer("MaxPooling2D", name, pool_size=size, strides=strides)

    def numbers(self, prefix: str) -> Sequence[int]:
        """The numbers that follow a prefix in the names of the weights, in order."""
        rest = [name[len(prefix) :].partition(".")[0] for name in self.weights if name.startswith(prefix)]
        return sorted({int(number) for number in rest if number.isdecimal() and len(number) < 5})


def floats(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Weights as float32; integers, which count batches, are left out."""
    return {name: np.asarray(array, np.float32) for name, array in arrays.items() if array.dtype.kind == "f"}
