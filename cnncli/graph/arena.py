"""Arenas: many tensors in one flat array, so that an update takes one pass and a checkpoint one write."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from cnncli.errors import CnncliError
from cnncli.graph.memory import ALIGNMENT
from cnncli.graph.program import aligned
from cnncli.ops.ir import Shape

Array = np.ndarray[Any, Any]


class Segment(NamedTuple):
    """Location of one tensor: index of its first element in the flat array, and its shape."""

    offset: int
    shape: Shape


class Arena:
    """Named tensors in one flat, zero-initialized array; each is aligned to 64 bytes, and the padding stays 0."""

    def __init__(self, shapes: Mapping[str, Shape] | Sequence[tuple[str, Shape]], dtype: str) -> None:
        itemsize = np.dtype(dtype).itemsize
        step, offset = ALIGNMENT // itemsize, 0
        self.segments: dict[str, Segment] = {}
        for name, shape in dict(shapes).items():
            self.segments[name] = Segment(offset, tuple(shape))
            offset += -(-prod(shape) // step) * step
        self.data: Array = aligned(offset * itemsize).view(dtype)

    def __getitem__(self, name: str) -> Array:
        offset, shape = self.segments[name]
        return self.data[offset : offset + prod(shape)].reshape(shape)

    def tensors(self) -> dict[str, Array]:
        """Return every tensor by name, in order, as views."""
        return {name: self[name] for name in self.segments}

    def buckets(self, most: int, least: int) -> list[slice]:
        """Divide the elements into at most `most` ranges between tensors, of at least `least` bytes, the last first."""
        size, bounds = max(least // self.data.itemsize, len(self.data) // most), [len(self.data)]
        for segment in reversed(self.segments.values()):
            if bounds[-1] - segment.offset >= size and len(bounds) < most:
                bounds.append(segment.offset)
        return [slice(first, last) for last, first in pairwise([*bounds, 0]) if first < last]

    def places(self) -> Array:
        """Start and end index (exclusive) of each tensor in `data`: int64 (tensors, 2)."""
        ends = [(offset, offset + prod(shape)) for offset, shape in self.segments.values()]
        return np.array(ends, np.int64).reshape(-1, 2)


def fill(places: Mapping[str, Array], tensors: Mapping[str, Array]) -> None:
    """Copy `tensors` into `places`. Raises CnncliError, before copying anything, if names or shapes differ."""
    for name, place in places.items():
        if name not in tensors:
            raise CnncliError(f"the weights must hold every tensor of the model; {name!r} is missing")
        if tensors[name].shape != place.shape:
            raise CnncliError(
                f"the weights must have the model's shapes; received {tensors[name].shape} for {name!r}, "
                f"which is {place.shape}"
            )
    extra = [name for name in tensors if name not in places]
    if extra:
        raise CnncliError(f"the weights must belong to the model; it has no {', '.join(map(repr, extra))}")
    for name, array in tensors.items():
        places[name][...] = array
