"""Translation of layers that scale or normalize channels, to modules of `torch_peer`: PyTorch has none."""

from collections.abc import Callable, Mapping
from typing import Any

from cnncli.interop.refusal import no_counterpart
from cnncli.interop.torch.spatial import Module
from cnncli.layers.layer import Layer
from cnncli.layers.normalization import LayerNormalization, LayerScale, Normalization, Rescaling
from cnncli.ops.ir import Shape


def _scaled(layer: Rescaling | Normalization, shape: Shape) -> list[Module]:
    factors, offsets = layer.affine(shape[-1])
    return [("Scale", {"factors": list(factors), "offsets": list(offsets), "trained": False})]


def _normalized(layer: Normalization, shape: Shape) -> list[Module]:
    if layer.axis not in (None, -1, len(shape)) or layer.invert:
        raise no_counterpart("torch", f"Normalization with axis={layer.axis}, invert={layer.invert}")
    return _scaled(layer, shape)


def _learned(layer: LayerScale, shape: Shape) -> list[Module]:
    return [("Scale", {"factors": [layer.init_values] * shape[-1], "offsets": None, "trained": layer.trainable})]


def _layer(layer: LayerNormalization, shape: Shape) -> list[Module]:
    if layer.axis not in (-1, len(shape), (-1,), (len(shape),)) or layer.center != layer.scale:
        raise no_counterpart(
            "torch", f"LayerNormalization with axis={layer.axis}, center={layer.center}, scale={layer.scale}"
        )
    about = {"normalized_shape": shape[-1], "eps": layer.epsilon, "elementwise_affine": layer.scale}
    return [("ChannelNorm", about)]


TRANSLATORS: Mapping[type[Layer], Callable[[Any, Shape], list[Module]]] = {
    Rescaling: _scaled,
    Normalization: _normalized,
    LayerScale: _learned,
    LayerNormalization: _layer,
}
