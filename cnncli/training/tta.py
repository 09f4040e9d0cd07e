"""Test-time augmentation: predictions averaged over views of an image.

Simonyan and Zisserman, Very Deep Convolutional Networks (ICLR 2015), section 3.2, average the softmax outputs of an
image and its horizontal flip. A map of outputs, one per pixel, is turned back before it is averaged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from cnncli.errors import UsageError
from cnncli.graph.model import Model, only
from cnncli.graph.network import Network
from cnncli.graph.precision import FLOAT32
from cnncli.hints import suggestion
from cnncli.kernels.jit import runtime
from cnncli.kernels.jit.runtime import Program, Scratch, Step
from cnncli.layers.loss import Loss
from cnncli.layers.meaning import Meaning
from cnncli.ops.losses import Loss as LossOp
from cnncli.training.metrics import temperature

Array = np.ndarray[Any, Any]
NAMES = ("flip", "vflip", "rot90", "shift")
SHIFT = 16
"""An image is shifted by 1/16 of its size, at least by a pixel."""


@dataclass(frozen=True)
class View:
    """One way to look at an image: quarter turns counter-clockwise, then flips, then shifts by pixels, whose place is
    taken by the repeated edge.
    """

    turns: int = 0
    flip: bool = False
    vflip: bool = False
    down: int = 0
    right: int = 0

    def of(self, images: Array) -> Array:
        """The view of images, (n, H, W, C)."""
        return _shifted(self._flipped(np.rot90(images, self.turns, (1, 2))), self.down, self.right)

    def undo(self, maps: Array) -> Array:
        """The maps (n, H, W, …) of outputs for the view, as they lie on the image; see `seen`."""
        return np.rot90(self._flipped(_shifted(maps, -self.down, -self.right)), -self.turns, (1, 2))

    def seen(self, height: int, width: int) -> Array:
        """Which pixels of a map of this size the view shows: float64 (1, height, width, 1), 0 for those shifted out."""
        if self.turns % 2:
            height, width = width, height
        rows, columns = (
            (np.arange(size) + by >= 0) & (np.arange(size) + by < size)
            for size, by in ((height, self.down), (width, self.right))
        )
        inside = np.outer(rows, columns).astype(np.float64)[None, :, :, None]
        return np.rot90(self._flipped(inside), -self.turns, (1, 2))

    def _flipped(self, images: Array) -> Array:
        images = images[:, ::-1] if self.vflip else images
        return images[:, :, ::-1] if self.flip else images


def _shifted(images: Array, down: int, right: int) -> Array:
    """Images moved by pixels, with the edge repeated."""
    height, width = images.shape[1:3]
    rows, columns = np.arange(height) - down, np.arange(width) - right
    return images[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]


def view_names(names: str | Sequence[str]) -> list[str]:
    """The names, given as a sequence or separated by commas, in the order of NAMES. Raises UsageError for others."""
    found = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    for name in found:
        if name not in NAMES:
            raise UsageError(f"--tta must name {', '.join(NAMES)}; received {name!r}{suggestion(name, NAMES)}")
    return [name for name in NAMES if name in found]


def views(names: str | Sequence[str], means: Meaning, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> list[View]:
    """Every combination of the named views, that of the image itself first; each once.

    Raises UsageError for other names than NAMES, and for a model of which they have no meaning.
    """
    listed = view_names(names)
    if means in (Meaning.IMAGE, Meaning.NUMBERS):
        what = "the image again" if means is Meaning.IMAGE else "numbers"
        raise UsageError(f"--tta averages probabilities; this model's outputs are {what}")
    if len(inputs) != 3:
        raise UsageError(f"--tta needs a model of images; this one's input has the shape {inputs}")
    height, width, _ = inputs
    if "rot90" in listed and height != width:
        raise UsageError(f"--tta rot90 needs square images; the model's are {height} × {width}")
    if "shift" in listed and means is Meaning.MASK and outputs[:2] != (height, width):
        raise UsageError("--tta shift needs masks of the images' size; the model's are smaller")
    down, right = max(1, round(height / SHIFT)), max(1, round(width / SHIFT))
    choices: dict[str, list[dict[str, Any]]] = {
        "rot90": [{"turns": turns} for turns in range(4)],
        "vflip": [{}, {"vflip": True}],
        "flip": [{}, {"flip": True}],
        "shift": [{}, {"down": down}, {"down": -down}, {"right": right}, {"right": -right}],
    }
    found = [View()]
    for name, ways in choices.items():
        if name in listed:
            found = [replace(view, **way) for view, way in product(found, ways)]
    pixels = np.arange(height * width).reshape(1, height, width, 1)
    different: dict[bytes, View] = {}
    for view in found:
        different.setdefault(view.of(pixels).tobytes(), view)
    return list(different.values())


class AveragedNetwork(Network):
    """A network whose probabilities are means over views, in float64 and in a fixed order.

    Predictions are these, or the logits that mean them if the network gives logits; losses are those of the means.
    Penalties are those of the image itself. It can't be trained.
    """

    def __init__(
        self,
        views: Sequence[View],
        model: Model,
        loss: Loss,
        *,
        batch_size: int,
        policy: str = FLOAT32,
        threads: int | None = None,
    ) -> None:
        super().__init__(model, loss, batch_size=batch_size, policy=policy, threads=threads)
        self.views = views
        shape = only(self.targets).shape
        self.mean, self.logits, self.spare = (np.zeros(shape, np.float32) for _ in range(3))
        self.mean_losses = np.zeros(batch_size, np.float32)
        self.loss_programs: dict[int, Program] = {}

    @cached_property
    def operations(self) -> list[LossOp]:
        """The losses that the network's is the sum of."""
        calls = self.runs["evaluate"].objective.calls
        return [call.op for call in calls if isinstance(call.op, LossOp)]

    @cached_property
    def part_losses(self) -> Array:
        """Those of each row's mean: float32 (operations, batch)."""
        return np.zeros((len(self.operations), self.batch_size), np.float32)

    def predict(self, n: int) -> None:
        """Compute the mean predictions of the first `n` rows."""
        self._average(super().predict, n)

    def evaluate(self, n: int) -> None:
        """Compute the mean predictions of the first `n` rows, and their losses."""
        self._average(super().evaluate, n)
        if n not in self.loss_programs:
            self.loss_programs[n] = self._loss_program(n)
        self.loss_programs[n].run()
        self.mean_losses[:n] = self.part_losses[:, :n].sum(0)

    @property
    def predictions(self) -> Mapping[str, Array]:
        """The mean probabilities, or their logits if the network gives logits."""
        given, probabilities = only(super().predictions), only(super().probabilities)
        return dict.fromkeys(self.targets, self.mean if np.may_share_memory(given, probabilities) else self.logits)

    @property
    def probabilities(self) -> Mapping[str, Array]:
        """The mean probabilities."""
        return dict.fromkeys(self.targets, self.mean)

    @property
    def losses(self) -> Array:
        """The loss of each row's mean."""
        return self.mean_losses

    def _average(self, run: Callable[[int], None], n: int) -> None:
        images, maps = self.inputs[:n].copy(), self.mean.ndim == 4
        total, weight = np.zeros(self.mean[:n].shape), np.zeros((1,) * self.mean.ndim)
        for view in reversed(self.views):  # the image itself is last: inputs and penalties are then its own
            self.inputs[:n] = view.of(images)
            run(n)
            found = only(super().probabilities)[:n].astype(np.float64)
            seen = view.seen(*found.shape[1:3]) if maps else np.ones(1)
            total += seen * (view.undo(found) if maps else found)
            weight = weight + seen
        mean = total / weight
        self.mean[:n] = mean
        self.logits[:n] = temperature.log_odds(mean) if self.loss.activation == "sigmoid" else temperature.logits(mean)

    def _loss_program(self, n: int) -> Program:
        """The network's losses of the means; of their logits if it computes them from logits."""
        steps: list[Step] = []
        for operation, losses in zip(self.operations, self.part_losses, strict=True):
            given = self.logits if operation.logits_of else self.mean
            inputs, outputs = (given, only(self.targets), self.sample_weight), (losses, self.spare)
            read, written = ([runtime.tensor(array[:n]) for array in arrays] for arrays in (inputs, outputs))
            steps += operation.steps(read, written[: 1 + bool(operation.logits_of)], Scratch())
        return Program(steps, self.threads)
