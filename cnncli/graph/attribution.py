"""Attribution: on which parts of an image the score of a class depends.

The score of a class is the input of the network's last softmax or sigmoid (the output itself if it has neither); for
masks, its mean over the pixels. A single output is the score of class 1, and its negative that of class 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np

from cnncli.graph.model import INPUT, Lowered, lower, only
from cnncli.graph.network import Network
from cnncli.graph.program import Program, aligned
from cnncli.ops.conv import Conv2D
from cnncli.ops.depthwise import DepthwiseConv2D
from cnncli.ops.differentiate import differentiate
from cnncli.ops.ir import Call, Op, Tape, Value
from cnncli.ops.losses import Penalty
from cnncli.ops.transpose import Conv2DTranspose

Array = np.ndarray[Any, Any]
ARRANGED: Mapping[type[Op], Callable[[Array], Array]] = {
    Conv2D: lambda kernel: kernel,
    DepthwiseConv2D: lambda kernel: kernel.reshape(*kernel.shape[:2], 1, -1),
    Conv2DTranspose: lambda kernel: kernel.swapaxes(2, 3),
}
"""By operation: its kernel as (height, width, channels, filters)."""
CONVOLUTIONS = tuple(ARRANGED)
PATCHES, STEPS = 5, 4
"""An occluding patch is a fifth of the image high and wide, and moves by a quarter of itself."""


def image_layers(lowered: Lowered) -> list[str]:
    """The nodes whose output is an image of several pixels, in order."""
    return [name for name, value in lowered.outputs.items() if name != INPUT and _is_image(value)]


def convolutions(lowered: Lowered) -> list[str]:
    """The nodes that convolve, in order."""
    return list(dict.fromkeys(call.owner for call in lowered.builder.calls if isinstance(call.op, CONVOLUTIONS)))


def influential(lowered: Lowered) -> list[str]:
    """The nodes of `image_layers` that the scores depend on, in order: all but a softmax at the end, and the like."""
    before = _ancestors(lowered.builder.calls, score_of(lowered))
    return [name for name in image_layers(lowered) if lowered.outputs[name] in before]


def last_image_layer(lowered: Lowered) -> str | None:
    """The default layer of Grad-CAM: the last convolution, with the normalization, addition and activation after it.

    These are the layers with an output of the same shape; of a network that ends in a convolution, the one before it.
    None if there is no convolution.
    """
    outputs = lowered.outputs
    # From the last; a value that two nodes share, as a dropout does with its input, has the name of the first.
    images = {outputs[name]: name for name in reversed(influential(lowered)) if outputs[name] is not score_of(lowered)}
    shapes = (outputs[name].shape for name in reversed(convolutions(lowered)) if outputs[name] in images)
    shape = next(shapes, None)
    return next((name for value, name in images.items() if value.shape == shape), None)


def filters_of(lowered: Lowered) -> tuple[str, str, Callable[[Array], Array]] | None:
    """The first convolution: its node, its kernel's name, and what arranges that as (height, width, channels, filters).

    None if there is no convolution. The filters of a depthwise convolution have one channel.
    """
    call = next((call for call in lowered.builder.calls if isinstance(call.op, CONVOLUTIONS)), None)
    names = {parameter.value: parameter.name for parameter in lowered.parameters}
    if call is None or call.inputs[1] not in names:
        return None
    return call.owner, names[call.inputs[1]], ARRANGED[type(call.op)]


def score_of(lowered: Lowered) -> Value:
    """The value that holds the scores of the classes in its last axis: the network's output before its activation."""
    logits = lowered.builder.logits.get(lowered.output)
    return lowered.output if logits is None else logits.value


@dataclass(frozen=True)
class Gradients:
    """The scores of n images, (n,), and by node: outputs, (n, *shape), and the gradients with respect to them.

    A node on which the score does not depend has no gradient. The arrays are valid until the next run.
    """

    scores: Array
    outputs: Mapping[str, Array]
    gradients: Mapping[str, Array]


class Attribution:
    """Outputs of chosen nodes, and the gradients of a class's score with respect to them, at inference.

    The weights are those of `network`. `nodes` may contain INPUT. `inputs`, (batch_size, *input_shape), is filled
    before a run.
    """

    def __init__(self, network: Network, nodes: Sequence[str], *, batch_size: int = 1) -> None:
        lowered = lower(network.model, dtype=network.dtype)
        calls = [call for call in lowered.builder.calls if not isinstance(call.op, Penalty)]  # roots of the derivative
        tape, self.score = Tape(calls), score_of(lowered)
        self.outputs = {name: lowered.outputs[name] for name in nodes}
        seed = self.score.like()
        found = differentiate(tape, self.outputs.values(), {self.score: seed})
        self.gradients = {
            name: gradient for name, value in self.outputs.items() if (gradient := found[value]) is not None
        }
        self.inputs: Array = np.zeros((batch_size, *network.model.input_shape), network.dtype)
        self.seed: Array = np.zeros((batch_size, *self.score.shape), network.dtype)
        placed = {
            lowered.input: self.inputs,
            lowered.builder.clock: network.clock,
            seed: self.seed,
            **{parameter.value: network.tensor(parameter.name) for parameter in lowered.parameters},
        }
        kept = dict.fromkeys((self.score, *self.outputs.values(), *self.gradients.values()))
        self.program = Program(tape.calls, placed, list(kept), capacity=batch_size, threads=network.threads)
        self.program.attach(aligned(self.program.size))

    def run(self, n: int, cls: int | None) -> Gradients:
        """Explain class `cls` for the first `n` rows of `inputs`; None: scores and gradients are zeros."""
        self.seed[...] = 0 if cls is None else class_seed(self.score.shape, cls)
        self.program.run(n)
        scores = (self.program.read(self.score)[:n].astype(np.float64) * self.seed[:n]).reshape(n, -1).sum(axis=1)
        outputs, gradients = (
            {name: self.program.read(value)[:n] for name, value in values.items()}
            for values in (self.outputs, self.gradients)
        )
        return Gradients(scores, outputs, gradients)


def class_seed(shape: tuple[int, ...], cls: int) -> Array:
    """The derivative of the score of class `cls` with respect to the scores of `shape`, whose last axis is classes."""
    seed = np.zeros(shape)
    share = 1 / prod(shape[:-1])
    if shape[-1] == 1:
        seed[...] = share if cls else -share
    else:
        seed[..., cls] = share
    return seed


def class_probability(probabilities: Array, cls: int) -> Array:
    """The probability of class `cls`, (n,), given those of n images, (n, …, classes); for masks, the mean of pixels."""
    if probabilities.shape[-1] == 1:
        of_class = probabilities[..., 0] if cls else 1 - probabilities[..., 0]
    else:
        of_class = probabilities[..., cls]
    means: Array = of_class.reshape(len(probabilities), -1).mean(axis=1, dtype=np.float64)
    return means


def grad_cam(maps: Array, gradients: Array, height: int, width: int) -> Array:
    """Grad-CAM (Selvaraju et al. 2017): float32 (height, width), between 0 and 1.

    maps, gradients: a layer's output and the gradient of the score with respect to it, (h, w, c). The result is the
    ReLU of the sum of the maps, each weighted by the mean of its gradient, resized bilinearly and divided by its
    maximum (if that is not 0).
    """
    weights = gradients.mean(axis=(0, 1), dtype=np.float64)
    cam = resized(np.maximum(maps.astype(np.float64) @ weights, 0), height, width)
    return (cam / (cam.max() or 1)).astype(np.float32)


def saliency(gradient: Array) -> Array:
    """Saliency (Simonyan et al. 2013): the greatest absolute gradient of a pixel's channels; (H, W, C) → (H, W)."""
    greatest: Array = np.abs(gradient).max(axis=-1)
    return greatest


def occlusion(network: Network, image: Array, cls: int) -> Array:
    """Occlusion (Zeiler & Fergus 2014): how much a gray patch over a pixel lowers the class's probability.

    image: the network's input, (H, W, C). The patch has the mean color of the image. Float32 (H, W): the mean over the
    patches that cover the pixel; negative where the probability rises.
    """
    height, width, _ = image.shape
    whole = _probabilities(network, [image], cls)[0]
    patches = patches_of(height, width)
    gray = image.mean(axis=(0, 1), dtype=np.float64)
    drops, count = np.zeros((height, width)), np.zeros((height, width))
    with network.steady_weights():
        for start in range(0, len(patches), network.batch_size):
            portion = patches[start : start + network.batch_size]
            hidden = np.repeat(image[np.newaxis], len(portion), axis=0)
            for row, patch in zip(hidden, portion, strict=True):
                row[patch] = gray
            for patch, probability in zip(portion, _probabilities(network, hidden, cls), strict=True):
                drops[patch] += whole - probability
                count[patch] += 1
    return (drops / count).astype(np.float32)


def patches_of(height: int, width: int) -> list[tuple[slice, slice]]:
    """The rows and columns that each patch covers; together they cover every pixel."""
    return list(product(_spans(height), _spans(width)))


def resized(values: Array, height: int, width: int) -> Array:
    """(h, w) to (height, width), bilinear, as Keras' `image.resize`."""
    found: Array = _weights(values.shape[0], height) @ values @ _weights(values.shape[1], width).T
    return found


def _is_image(value: Value) -> bool:
    return len(value.shape) == 3 and value.shape[0] * value.shape[1] > 1


def _ancestors(calls: Sequence[Call], value: Value) -> set[Value]:
    """The value and everything that it is computed from."""
    found = {value}
    for call in reversed(calls):
        if not found.isdisjoint(call.outputs):
            found.update(call.inputs)
    return found


def _probabilities(network: Network, images: Array | Sequence[Array], cls: int) -> Array:
    n = len(images)
    network.inputs[:n] = images
    network.predict(n)
    return class_probability(only(network.probabilities)[:n], cls)


def _spans(length: int) -> list[slice]:
    """The positions of a patch along an axis; the last one ends with the image."""
    side = ceil(length / PATCHES)
    starts = list(range(0, length - side, ceil(side / STEPS)))
    return [slice(start, start + side) for start in [*starts, length - side]]


def _weights(old: int, new: int) -> Array:
    """Matrix of a linear interpolation between the centers of `old` pixels, (new, old)."""
    centers = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
    left = np.floor(centers).astype(np.int64).clip(0, max(0, old - 2))
    matrix = np.zeros((new, old))
    rows = np.arange(new)
    matrix[rows, left] = 1 - (centers - left)
    matrix[rows, np.minimum(left + 1, old - 1)] += centers - left
    return matrix
