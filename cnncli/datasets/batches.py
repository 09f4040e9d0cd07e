"""Batches: the order of an epoch, and filling a network's inputs and targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cnncli import kernels
from cnncli.datasets.augment import augmentation
from cnncli.datasets.augment.augmentation import Augmentation, Targets
from cnncli.datasets.dataset import Split
from cnncli.datasets.masks import byte_of
from cnncli.datasets.rescale import PerChannel, Rescale, scaling
from cnncli.datasets.section import MOST_MASKED, STILL_WEIGHTS
from cnncli.datasets.sources.memmap import Mapped
from cnncli.errors import CnncliError
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.kernels.jit import runtime
from cnncli.kernels.jit.runtime import Pass, Program, Scratch, Step, Tensor
from cnncli.layers.losses import Loss
from cnncli.ops import streams

Array = np.ndarray[Any, Any]
Rows = slice | Array
VOID = (
    f": where {MOST_MASKED} marks what no class is known of, write `loss: {{sparse_categorical_crossentropy: "
    f"{{ignore_class: {MOST_MASKED}}}}}` (and give each class an output)"
)
"""What may be meant by a class number that many datasets have for void."""
ROUNDING = 0.01
"""What the sum of a row of shares may be off 1: they may be rounded."""


def order(count: int, seed: int, epoch: int, *, shuffle: bool) -> Array:
    """The rows of an epoch (counted from 0) in the order they are trained: int64 (count,)."""
    return kernels.random.permutation(count, seed, streams.SHUFFLE, epoch) if shuffle else np.arange(count)


class Filler(Protocol):
    """What is done to each row of some array on its way into a batch."""

    def steps(self, rows: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
        """Steps that fill `out`, real (n, …), with the rows whose numbers `rows`, int64 (n,), holds when they run."""


class Runnable(Protocol):
    """A program, or several in a row."""

    def run(self) -> None:
        """Run it."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """Rows of `source`, uint8 or float32 (N, …), times `factor` and divided by `divisor`, all in float32."""

    source: Array
    factor: float = 1.0
    divisor: float = 1.0

    def steps(self, rows: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
        """One step: rows of `out` are as large as those of the source."""
        return kernels.gather.scaled(runtime.tensor(self.source), rows, out, self.factor, self.divisor)

    def extremes(self, images: Array) -> list[np.float32]:
        """What the least and the greatest element of some images become."""
        return [
            np.float32(value) * np.float32(self.factor) / np.float32(self.divisor)
            for value in (images.min(), images.max())
        ]


class Channels:
    """Changes each channel of images of a shape, (…, C), as `PerChannel` says; `tables` holds the numbers of a row of
    pixels: float32 (3, W · C).
    """

    def __init__(self, change: PerChannel, shape: tuple[int, ...]) -> None:
        numbers = np.array([change.factor, change.mean, change.deviation], np.float32)
        self.tables = np.tile(numbers, shape[-2] if len(shape) > 1 else 1)

    def steps(self, images: Tensor) -> list[Step]:
        """One step, which changes images, real (n, …, C), in place."""
        return kernels.gather.normalized(images, *map(runtime.tensor, self.tables))


@dataclass(frozen=True, eq=False)
class OneHot:
    """Rows with a 1 at a class number of `source`, int64 (N,), or with such a row for each pixel: uint8 (N, H, W).

    The row of the class number `void` has no 1.
    """

    source: Array
    void: int | None = None

    def steps(self, rows: Tensor, out: Tensor, scratch: Scratch) -> list[Step]:
        """One step: rows of `out` have an element for each class."""
        return kernels.gather.one_hot(runtime.tensor(self.source), rows, out, self.void)


@dataclass(frozen=True, eq=False)
class OfClasses:
    """The weights of pixels by their classes: float32 (classes,)."""

    table: Array


class Feed:
    """Fills arrays with the rows of one split: images scaled, class numbers as one-hot rows.

    `inputs`: real (capacity, H, W, C); `targets`: real (capacity, *output) by the output's name, of which there is one
    today. `augment`: what is then done to them at random, keyed by `seed` and each batch's step. `weights`: each row's,
    float32 (N,), and the array that they go to, real (capacity,); or those of pixels, float32 (N, H, W), or of their
    classes, and an array of each pixel's, real (capacity, H, W). With a loss that has void targets they are raised by
    the share of valid ones. The steps for a number of rows are planned once; after that nothing is allocated but the
    row numbers.
    Raises CnncliError, naming the row, where the data do not fit them.
    """

    def __init__(
        self,
        split: Split,
        rescale: Rescale,
        loss: Loss,
        inputs: Array,
        targets: Mapping[str, Array],
        *,
        augment: Sequence[Augmentation] = (),
        seed: int = 0,
        weights: tuple[Array | OfClasses, Array] | None = None,
    ) -> None:
        if split.x.shape[1:] != inputs.shape[1:]:
            raise CnncliError(
                f"{split.source}: {split.key} must hold images of the model's shape {inputs.shape[1:]}; "
                f"received {split.x.shape[1:]}"
            )
        self.split, self.loss, self.inputs, self.target = split, loss, inputs, only(targets)
        self.clock = np.array([seed, 0, 0], np.uint64).view(np.int64)
        self.augment, self.images = augment, scaled(np.ascontiguousarray(split.x), rescale)
        self.channels = channels(rescale, inputs.shape[1:])
        self.labels = None if split.y is None else self._labels(split.y)
        if self.labels is None:
            self._check_same()
        self.weights = weights
        self.threads, self.scratch = runtime.threads(), np.zeros(0, np.uint8)
        self.shared = self.stride = 0
        self.every, self.chosen = split.numbers, np.zeros(len(inputs), np.int64)
        self.programs: dict[int, Runnable] = {}
        self.mapped, self.read = Mapped(split.x), [Mapped(array) for array in (split.x, split.y) if array is not None]

    @classmethod
    def of(
        cls,
        split: Split,
        rescale: Rescale,
        network: Network,
        *,
        augment: Sequence[Augmentation] = (),
        seed: int = 0,
        weights: Array | OfClasses | None = None,
    ) -> "Feed":
        """A feed that fills the arrays of a network. `weights`: by default the split's, or 1. Those of pixels are for a
        network that weighs positions, which is trained; others count them alike.
        """
        if weights is None and split.weights is not None and (split.weights.ndim == 1 or network.weigh_positions):
            weights = split.weights
        if isinstance(weights, np.ndarray) and weights.ndim > 1 and augment:
            raise CnncliError(f"{split.source}: {STILL_WEIGHTS}")
        if weights is None and network.weigh_positions:
            weights = OfClasses(np.ones(max(2, only(network.targets).shape[-1]), np.float32))
        if weights is None and network.loss.void is not None:
            weights = np.ones(len(split.x), np.float32)
        return cls(
            *(split, rescale, network.loss, network.inputs, network.targets),
            augment=augment,
            seed=seed,
            weights=None if weights is None else (weights, network.sample_weight),
        )

    def fill(self, rows: Rows, step: int = 0, first: int = 0) -> int:
        """Put the rows `rows` of the split first into the arrays; their number. Raises IndexError for one beyond, and
        ChangedDataError where a file that they are in was written to since it was opened.

        `step` keys what is done at random, with the number that the first row has in its batch.
        """
        numbers = self.every[rows]
        n = len(numbers)
        self.chosen[:n], self.clock[1:] = numbers, (step, first)
        if n not in self.programs:
            self.programs[n] = self._program(n)
        self._check_files()
        self.programs[n].run()
        self._check_files()
        self.mapped.used(n)
        return n

    @property
    def mixes(self) -> bool:
        """Whether an image depends on others of its batch."""
        return any(augmentation.mixes for augmentation in self.augment)

    @property
    def filled(self) -> list[Array]:
        """The arrays that `fill` fills, a row for each image."""
        return [self.inputs, self.target, *([] if self.weights is None else [self.weights[1]])]

    def _check_files(self) -> None:
        for array in self.read:
            array.check()

    def expect(self, rows: Rows) -> None:
        """These rows come next: what of them is on a disk can be read while the last ones are worked on."""
        self.mapped.expect(self.every[rows])

    def _program(self, n: int) -> Program:
        """What fills the first `n` rows."""
        return Program([step for steps in self._measured_parts(n).values() for step in steps], self.threads)

    def programs_of_parts(self, n: int) -> Mapping[str, Program]:
        """What fills the first `n` rows, in parts that are run in this order: "images", "targets", "augmentation"."""
        return {name: Program(steps, self.threads) for name, steps in self._measured_parts(n).items() if steps}

    def _measured_parts(self, n: int) -> Mapping[str, list[Step | Pass]]:
        """The parts for the first `n` rows. Their scratch is as large for any number of rows."""
        if not self.scratch.size:
            measured = Scratch()
            self._parts(len(self.inputs), measured)
            self.shared, self.stride = measured.used, measured.used_by_thread
            self.scratch = np.zeros(self.shared + self.threads * self.stride + 64, np.uint8)
        base = -(-self.scratch.ctypes.data // 64) * 64
        return self._parts(n, Scratch(base, base + self.shared, self.stride))

    def _parts(self, n: int, scratch: Scratch) -> Mapping[str, list[Step | Pass]]:
        """Images and labels, then what is done to both; or to images alone, of which the targets are then copies."""
        rows, inputs, targets = (runtime.tensor(array[:n]) for array in (self.chosen, self.inputs, self.target))
        images: list[Step | Pass] = [*self.images.steps(rows, inputs, scratch)]
        labels: list[Step | Pass] = [] if self.labels is None else [*self.labels.steps(rows, targets, scratch)]
        augmented: list[Step | Pass] = augmentation.steps(
            self.augment,
            inputs,
            None if self.labels is None else self._followers(targets),
            clock=runtime.tensor(self.clock),
            scratch=scratch,
            scale=self.images.factor / self.images.divisor,
        )
        if self.channels is not None:
            augmented += self.channels.steps(inputs)
        if self.labels is None:
            augmented += kernels.gather.copied(inputs, targets)
        return {
            "images": images,
            "targets": labels,
            "augmentation": augmented + self._weighted(n, rows, targets, scratch),
        }

    def _weighted(self, n: int, rows: Tensor, targets: Tensor, scratch: Scratch) -> list[Step]:
        """What weighs the samples, by their targets as these are after augmentation."""
        if self.weights is None:
            return []
        of_rows, out = self.weights
        weight = runtime.tensor(out[:n])
        steps = (
            kernels.gather.weights_of_classes(targets, runtime.tensor(of_rows.table), weight)
            if isinstance(of_rows, OfClasses)
            else Scaled(of_rows).steps(rows, weight, scratch)
        )
        return steps if self.loss.void is None else steps + kernels.valid.of_valid(targets, weight, scratch)

    def _followers(self, targets: Tensor) -> Targets:
        pixels = targets.shape[1:3] == self.inputs.shape[1:3] and len(targets.shape) == len(self.inputs.shape)
        return Targets(targets, pixels, background=float(self._knows_background()))

    def _knows_background(self) -> bool:
        """Whether what comes from outside of a mask is of its first class, rather than void."""
        return isinstance(self.labels, OneHot) and self.labels.void is None

    def _check_same(self) -> None:
        """The target is the input."""
        if self.inputs.shape != self.target.shape:
            raise CnncliError(
                f"with `targets: input` the model's output must have the input's shape {self.inputs.shape[1:]}; "
                f"received {self.target.shape[1:]}"
            )
        if self.loss.outputs.probabilities:
            self._check_images(self.images)

    def _check_images(self, images: Scaled) -> None:
        """The images as they are scaled must be fit to be the targets of a loss of probabilities."""
        if self.channels is not None:
            raise CnncliError(
                f"with `targets: input` {type(self.loss).__name__} requires images between 0 and 1: remove `normalize` "
                "and a list of `rescale` under `data`, or set `loss: mse`"
            )
        if all(0 <= value <= 1 for value in images.extremes(images.source)):
            return
        for row in self.split.numbers.tolist():  # so slow only where another split may have what is wrong
            for value in images.extremes(images.source[row]):
                if not 0 <= value <= 1:
                    raise CnncliError(
                        f"{self.split.source}: with `targets: input` {self.loss.title} requires images "
                        f"between 0 and 1 after rescaling; {self.split.name(row)} has {value}"
                    )

    def _labels(self, y: Array) -> Filler:
        outputs = self.target.shape[1:]
        if y.ndim == 3 and y.dtype == np.uint8:
            return self._masks(y)
        if y.dtype.kind == "i" and outputs != (1,):
            return self._one_hot(y)
        dense = y if y.dtype.kind == "f" else y[:, None]
        if dense.shape[1:] != outputs:
            raise CnncliError(
                f"{self.split.place} must hold integer class numbers or rows of the model's output shape {outputs}; "
                f"received {dense.dtype} rows of shape {dense.shape[1:]}"
            )
        if self.loss.outputs.probabilities:
            self._check(dense, (dense < 0) | (dense > 1), f"targets between 0 and 1 for {self.loss.title}")
        if self.loss.classes:
            self._check_sums(dense)
        return Scaled(np.ascontiguousarray(dense, np.float32))

    def _one_hot(self, y: Array) -> Filler:
        outputs = self.target.shape[1:]
        if len(outputs) != 1:
            raise CnncliError(f"{self.split.place} holds class numbers, but the model's outputs are {outputs}")
        bad = ((y < 0) | (y >= outputs[0])) & (y != self.loss.void)
        shifted = " (they begin at 1: save them less 1)" if y.min() == 1 and y.max() == outputs[0] else ""
        self._check(y, bad, f"class numbers below {outputs[0]}, the number of the model's outputs{shifted}")
        return OneHot(np.ascontiguousarray(y, np.int64), self.loss.void)

    def _masks(self, y: Array) -> Filler:
        """Class numbers of pixels: rows of scores, or themselves where the model gives one number a pixel."""
        outputs = self.target.shape[1:]
        if len(outputs) != 3 or outputs[:2] != y.shape[1:]:
            raise CnncliError(
                f"{self.split.place} hold a class number for each of {y.shape[1]} × {y.shape[2]} pixels, "
                f"but the model's outputs are {outputs}"
            )
        classes = max(2, outputs[2])
        void = byte_of(self.loss.void)
        if y.max() >= classes:  # so that only a fault costs an array as large as all masks
            bad = (y >= classes) & (y != void)
            self._check(y, bad, f"class numbers below {classes}, the number of classes of the model's outputs")
        source = np.ascontiguousarray(y)
        return OneHot(source, void) if outputs[2] > 1 else Scaled(source)

    def _check_sums(self, y: Array) -> None:
        """Rows must be shares of one: of others Keras, whose gradient takes them for that, trains on another loss."""
        sums, several = y.sum(-1), "multi-label data requires sigmoid and binary_crossentropy"
        rule = f"rows that sum to 1 for {self.loss.title} ({several})"
        self._check(sums, np.abs(sums - 1) > ROUNDING, rule)

    def _check(self, y: Array, bad: Array, rule: str) -> None:
        """The split's rows of y must not be bad: of the others another split may tell."""
        bad = bad if self.split.rows is None else bad[self.split.rows]
        if bad.any():
            number, *rest = np.argwhere(bad)[0]
            row = self.split.numbers[number]
            found = y[(row, *rest)]
            way = VOID if y.dtype.kind in "iu" and found == MOST_MASKED and self.loss.void is None else ""
            raise CnncliError(f"{self.split.place} must hold {rule}; {self.split.label_name(row)} has {found}{way}")


def scaled(images: Array, rescale: Rescale) -> Scaled:
    """The images, uint8 or float32, with what scales them, all channels alike."""
    return Scaled(images, *scaling(rescale, images.dtype.name))


def channels(rescale: Rescale, shape: tuple[int, ...]) -> Channels | None:
    """What is then done to each channel of images of a shape, if anything."""
    return Channels(rescale, shape) if isinstance(rescale, PerChannel) else None
