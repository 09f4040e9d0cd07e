"""Batched prediction on a stream of images."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cnncli.datasets.batches import Scaled, channels, scaled
from cnncli.datasets.images.inputs import Image
from cnncli.datasets.rescale import Rescale
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.kernels.jit import runtime
from cnncli.kernels.jit.runtime import Program, Scratch
from cnncli.training.decisions.decision import Decision

Array = np.ndarray[Any, Any]


class Prediction(NamedTuple):
    """An image and its prediction; the arrays are valid until the next prediction is requested.

    `fed`: the model's input, real, of its input shape; `output`: real, of its output shape, logits converted to
    probabilities; `given`: the raw output; `plain`: the input before `normalize` and a list of `rescale`; all None for
    an unusable image. `white`: the plain value of 255, or of the float 1.
    """

    image: Image
    fed: Array | None = None
    output: Array | None = None
    given: Array | None = None
    white: float = 1.0
    plain: Array | None = None


class _Feeder:
    """Feeds images of one dtype: `buffer`, (batch_size, H, W, C), scaled as in training when fed to a network."""

    def __init__(self, network: Network, dtype: str, rescale: Rescale) -> None:
        self.buffer: Array = np.zeros(network.inputs.shape, dtype)
        self.every = np.arange(network.batch_size)
        self.scaled: Scaled = scaled(self.buffer, rescale)
        rows, out = runtime.tensor(self.every), runtime.tensor(network.inputs)
        self.channels = channels(rescale, network.inputs.shape[1:])
        of_channels = [] if self.channels is None else self.channels.steps(out)
        self.program = Program([*self.scaled.steps(rows, out, Scratch()), *of_channels], network.threads)

    def feed(self, images: list[Array]) -> None:
        """Copy the images into the network's first rows."""
        for row, pixels in enumerate(images):
            self.buffer[row] = pixels
        self.program.run()

    def plain(self, row: int, fed: Array) -> Array:
        """A row of what is fed, before something is done to each of its channels."""
        if self.channels is None:
            return fed
        factor, divisor = np.float32(self.scaled.factor), np.float32(self.scaled.divisor)
        made: Array = self.buffer[row].astype(np.float32) * factor / divisor
        return made

    @property
    def white(self) -> float:
        """The input value of white, before something is done to each channel."""
        greatest = 255 if self.buffer.dtype == np.uint8 else 1
        return greatest * self.scaled.factor / self.scaled.divisor


def predict(
    network: Network, images: Iterable[Image], rescale: Rescale, decision: Decision | None = None
) -> Iterator[Prediction]:
    """Predictions for the images, in order. The network's weights are set; `rescale` is that of the training; a
    `decision` corrects the probabilities.
    """
    feeders: dict[str, _Feeder] = {}
    with network.steady_weights():
        for batch in _batches(images, network.batch_size):
            usable = [image.pixels for image in batch if image.pixels is not None]
            if usable:
                dtype = usable[0].dtype.name
                if dtype not in feeders:
                    feeders[dtype] = _Feeder(network, dtype, rescale)
                feeders[dtype].feed(usable)
                n = len(usable)
                network.predict(n)
                outputs, given = only(network.probabilities)[:n], only(network.predictions)[:n]
                if decision is not None:
                    outputs = decision.apply(outputs, logits_of(network, n))
            row = 0
            for image in batch:
                if image.pixels is None:
                    yield Prediction(image)
                    continue
                fed, feeder = network.inputs[row], feeders[dtype]
                yield Prediction(image, fed, outputs[row], given[row], feeder.white, feeder.plain(row, fed))
                row += 1


def logits_of(network: Network, n: int) -> Array | None:
    """The logits of the first `n` rows of the network's last call, (n, outputs); None if it gives probabilities."""
    given, probabilities = only(network.predictions)[:n], only(network.probabilities)[:n]
    return None if np.may_share_memory(given, probabilities) else given


def _batches(images: Iterable[Image], size: int) -> Iterator[list[Image]]:
    """Batches of images of one dtype: at most `size` usable images, and the unusable ones in between."""
    batch: list[Image] = []
    dtype: np.dtype[Any] | None = None
    for image in images:
        mixed = image.pixels is not None and dtype is not None and image.pixels.dtype != dtype
        if mixed or len(batch) == size:
            yield batch
            batch, dtype = [], None
        batch.append(image)
        if image.pixels is not None:
            dtype = image.pixels.dtype
    if batch:
        yield batch
