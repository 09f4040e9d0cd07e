"""Weights of another network: copying those that fit (see `matching`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnncli.graph.matching import By, Matched, adapts, match
from cnncli.graph.network import Network

Array = np.ndarray[Any, Any]


def transfer(network: Network, tensors: Mapping[str, Array], by: By = "name") -> Matched:
    """Copy the weights of each layer that fits; the kernel of the first convolution is fitted (see `fitted`).

    Raises CnncliError if no layer fits.
    """
    places = network.tensors()
    here, there = ({name: array.shape for name, array in side.items()} for side in (places, tensors))
    found = match(network.model, here, there, by)
    for name, place in places.items():
        layer, _, own = name.rpartition("/")
        if layer in found.loaded:
            place[...] = fitted(tensors[f"{found.loaded[layer]}/{own}"], place.shape)
    return found


def fitted(kernel: Array, shape: tuple[int, ...]) -> Array:
    """A convolution's kernel (rows, columns, channels, filters) for another number of channels, as timm does it.

    For one channel: the sum over the channels. For n: the channels in turn, times channels / n. With one channel or a
    multiple, the response to an image of equal channels stays. The kernel itself is returned if anything else differs.
    """
    if not adapts(kernel.shape, shape):
        return kernel
    old, new = kernel.shape[2], shape[2]
    summed: Array = kernel.sum(axis=2, keepdims=True)
    repeated: Array = kernel[:, :, np.arange(new) % old] * kernel.dtype.type(old / new)
    return summed if new == 1 else repeated
