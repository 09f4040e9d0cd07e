"""What images are multiplied by before a model sees them."""

from dataclasses import dataclass
from math import sqrt

from cnncli.datasets.section import DataSection, Normalize
from cnncli.graph.model import INPUT, Model, Node, lower
from cnncli.ops.losses import Penalty

OF_BYTES = 1 / 50
"""Below it lie the scales that bring bytes to the size of 1: 1/255, 1/127.5, 1/128."""


LEAST_DEVIATION = 1e-7
"""Keras' epsilon: what channels are divided by at least."""


@dataclass(frozen=True)
class PerChannel:
    """What is done to each channel of images once they are scaled by `rescale` and augmented: it is multiplied by a
    factor, less a mean, and divided by a deviation.
    """

    rescale: float | str
    factor: tuple[float, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


Rescale = float | str | PerChannel
"""What is done to images: a factor, "auto", or something for each channel."""


def image_scale(model: Model, data: DataSection) -> Rescale:
    """What a spec's `data` do to a model's images. Its `normalize` is none, or has numbers."""
    listed = isinstance(data.rescale, tuple)
    of_all = 1.0 if isinstance(data.rescale, tuple) else rescale_for(model, data.rescale)
    if not listed and data.normalize is None:
        return of_all
    channels = model.input_shape[-1]
    factor = data.rescale if isinstance(data.rescale, tuple) else (1.0,) * channels
    normalize = data.normalize or Normalize(mean=(0.0,) * channels, variance=(1.0,) * channels)
    assert isinstance(normalize, Normalize)
    deviation = tuple(max(sqrt(variance), LEAST_DEVIATION) for variance in normalize["variance"])
    return PerChannel(of_all, factor, normalize["mean"], deviation)


def rescaling_layer(model: Model) -> str:
    """The type of the layer by which a model scales its images itself; empty where not all of it begins with one.

    What leaves pixels on their scale, as padding and pooling do, may come before it.
    """
    layers = {node.name: node.layer for node in model.nodes}
    if not any(layer.rescales for layer in layers.values()):
        return ""
    lowered = lower(model)
    unscaled, found = {lowered.outputs[INPUT]}, ""
    for call in lowered.builder.calls:
        if not unscaled.intersection(call.inputs) or isinstance(call.op, Penalty):
            continue
        layer = layers[call.owner]
        if layer.rescales:
            found = type(layer).__name__
        elif call.op.keeps_scale and unscaled.issuperset(call.inputs):
            unscaled.update(call.outputs)
        else:
            return ""
    return found


def rescale_for(model: Model, rescale: float | str) -> float | str:
    """The spec's `rescale`, but 1 for "auto" where the model scales its images itself."""
    return 1.0 if rescale == "auto" and rescaling_layer(model) else rescale


def scaling(rescale: Rescale, dtype: str) -> tuple[float, float]:
    """What images of a dtype are multiplied by and then divided by, both in float32; all channels alike.

    "auto" divides uint8 by 255 and leaves floats; a number multiplies both.
    """
    if isinstance(rescale, PerChannel):
        return scaling(rescale.rescale, dtype)
    if rescale == "auto":
        return 1.0, 255.0 if dtype == "uint8" else 1.0
    return float(rescale), 1.0


def rescaled_again(model: Model) -> Node | None:
    """The layer that looks as if it scaled bytes where "auto" has scaled them already; None where there is none."""
    if rescaling_layer(model):
        return None
    scales = ((node, getattr(node.layer, "scale", None)) for node in model.nodes if node.layer.rescales)
    return next((node for node, scale in scales if isinstance(scale, float) and abs(scale) < OF_BYTES), None)
