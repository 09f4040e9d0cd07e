"""Weights of another network: what fits, layer by layer, by name and shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.errors import CnncliError
from cnncli.graph.network import Network
from cnncli.layers.convolution import Conv2D

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Transferred:
    """Names of layers. `loaded`: all their weights were copied. `adapted`: those among them whose kernel was fitted to
    another number of channels, with both numbers. `unlike`: left as initialized because a weight differs in shape, with
    that weight and both shapes. `missing`: left as initialized because the file lacks them. `unused`: only in the file.
    """

    loaded: list[str]
    adapted: dict[str, tuple[int, int]]
    unlike: dict[str, str]
    missing: list[str]
    unused: list[str]

    def __str__(self) -> str:
        count = len(self.loaded) + len(self.unlike) + len(self.missing)
        parts = [f"{len(self.loaded)} of {count} layers with weights loaded"]
        parts += [f"{name} adapted from {old} to {new} channels" for name, (old, new) in self.adapted.items()]
        unlike = [f"{name} ({why})" for name, why in self.unlike.items()]
        for what, names in (
            ("initialized, because shapes differ", unlike),
            ("initialized, because the file has none", self.missing),
            ("only in the file", self.unused),
        ):
            if names:
                parts.append(f"{what}: {', '.join(names[:5])}{f' and {len(names) - 5} more' * (len(names) > 5)}")
        return "; ".join(parts)


def transfer(network: Network, tensors: Mapping[str, Array]) -> Transferred:
    """Copy the weights of each layer that has all of them in `tensors`, by name and with equal shapes.

    The kernel of the model's first convolution is fitted to the number of channels (see `fitted`). Raises CnncliError
    if no layer fits.
    """
    wanted, given = _by_layer(network.tensors()), _by_layer(tensors)
    result = Transferred([], {}, {}, [], [name for name in given if name not in wanted])
    first = _first_convolution(network)
    for layer, places in wanted.items():
        found = dict(given.get(layer, {}))
        if layer == first and (kernel := found.get("kernel")) is not None:
            found["kernel"] = fitted(kernel, places["kernel"].shape)
            if found["kernel"] is not kernel:
                result.adapted[layer] = kernel.shape[2], places["kernel"].shape[2]
        if not found:
            result.missing.append(layer)
        elif why := _difference(places, found):
            result.unlike[layer] = why
            result.adapted.pop(layer, None)
        else:
            result.loaded.append(layer)
            for name, place in places.items():
                place[...] = found[name]
    if not result.loaded:
        raise CnncliError(f"no layer's weights fit: {result}")
    return result


def fitted(kernel: Array, shape: tuple[int, ...]) -> Array:
    """A convolution's kernel (rows, columns, channels, filters) for another number of channels, as timm does it.

    For one channel: the sum over the channels. For n: the channels in turn, times channels / n. With one channel or a
    multiple, the response to an image of equal channels stays. The kernel itself is returned if anything else differs.
    """
    if kernel.ndim != 4 or kernel.shape == shape or (*kernel.shape[:2], kernel.shape[3]) != (*shape[:2], shape[3]):
        return kernel
    old, new = kernel.shape[2], shape[2]
    summed: Array = kernel.sum(axis=2, keepdims=True)
    repeated: Array = kernel[:, :, np.arange(new) % old] * kernel.dtype.type(old / new)
    return summed if new == 1 else repeated


def _by_layer(tensors: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    found: dict[str, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        layer, _, own = name.rpartition("/")
        found.setdefault(layer, {})[own] = tensor
    return found


def _first_convolution(network: Network) -> str | None:
    """The name of the model's first convolution, if it reads the channels of the images."""
    model = network.model
    first = next((node for node in model.nodes if isinstance(node.layer, Conv2D)), None)
    if first is None or network.tensor(f"{first.name}/kernel").shape[2] != model.input_shape[-1]:
        return None
    return first.name


def _difference(places: Mapping[str, Array], found: Mapping[str, Array]) -> str:
    """The first weight that differs, and how."""
    for name in {**places, **found}:
        here, there = (side[name].shape if name in side else "none" for side in (places, found))
        if here != there:
            return f"{name}: {here} here, {there} in the file"
    return ""
