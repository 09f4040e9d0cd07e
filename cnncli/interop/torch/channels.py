"""Translation of layers that scale or normalize channels, to modules of `torch_peer`: PyTorch has none."""

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

from cnncli.interop.refusal import no_counterpart
from cnncli.interop.torch.spatial import Module
from cnncli.layers.layer import Layer
from cnncli.layers.normalization import LayerNormalization, LayerScale, Normalization, Rescaling
from cnncli.ops.ir import Shape

SMALLEST_ROOT = 1e-7
"""Keras' bound of a standard deviation."""


def _rescaled(layer: Rescaling, shape: Shape) -> list[Module]:
    return _scale(_listed(layer.scale, shape[-1]), _listed(layer.offset, shape[-1]))


def _normalized(layer: Normalization, shape: Shape) -> list[Module]:
    if layer.axis not in (None, -1, len(shape)) or layer.invert:
        raise no_counterpart("torch", f"Normalization with axis={layer.axis}, invert={layer.invert}")
    roots = [max(sqrt(variance), SMALLEST_ROOT) for variance in _listed(layer.variance, shape[-1])]
    means = _listed(layer.mean, shape[-1])
    return _scale([1 / root for root in roots], [-mean / root for mean, root in zip(means, roots, strict=True)])


def _learned(layer: LayerScale, shape: Shape) -> list[Module]:
    return [("Scale", {"factors": [layer.init_values] * shape[-1], "offsets": None, "trained": layer.trainable})]


def _layer(layer: LayerNormalization, shape: Shape) -> list[Module]:
    if layer.axis not in (-1, len(shape), (-1,), (len(shape),)) or layer.center != layer.scale:
        raise no_counterpart(
            "torch", f"LayerNormalization with axis={layer.axis}, center={layer.center}, scale={layer.scale}"
        )
    about = {"normalized_shape": shape[-1], "eps": layer.epsilon, "elementwise_affine": layer.scale}
    return [("ChannelNorm", about)]


def _scale(factors: list[float], offsets: list[float]) -> list[Module]:
    return [("Scale", {"factors": factors, "offsets": offsets, "trained": False})]


def _listed(numbers: float | tuple[float, ...] | None, count: int) -> list[float]:
    return list(numbers) if isinstance(numbers, tuple) else [float(numbers or 0)] * count


TRANSLATORS: Mapping[type[Layer], Callable[[Any, Shape], list[Module]]] = {
    Rescaling: _rescaled,
    Normalization: _normalized,
    LayerScale: _learned,
    LayerNormalization: _layer,
}
