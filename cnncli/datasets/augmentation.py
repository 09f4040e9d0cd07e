"""Augmentations: what is done at random to the images of a training batch (Keras' layers/preprocessing/)."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cnncli.layers.declaration import Declaration, Registry
from cnncli.layers.kinds import Kind, ListOf, Number, RefusedError
from cnncli.ops import streams

if TYPE_CHECKING:
    from cnncli.kernels.draws import Among
    from cnncli.kernels.runtime import Scratch, Step, Tensor


class Factor(Kind):
    """A number, or the [lowest, highest] of what may be drawn."""

    def __init__(self, item: Number) -> None:
        self.item, self.pair = item, ListOf(item, 2, 2)
        self.rule = f"{item.rule}, or [lowest, highest] of such numbers"

    def read(self, value: Any) -> Any:
        try:
            return tuple(sorted(self.pair.read(value))) if isinstance(value, list | tuple) else self.item.read(value)
        except RefusedError:
            raise self.refuse() from None


Bounds = float | tuple[float, float]
Share = Annotated[Bounds, Factor(Number(-1, 1))]
Slant = Annotated[Bounds, Factor(Number(0, 1))]


def bounds(factor: Bounds) -> tuple[float, float]:
    """The lowest and highest: a number stands for both signs of it."""
    return factor if isinstance(factor, tuple) else (-abs(factor), abs(factor))


def upward(factor: Bounds) -> tuple[float, float]:
    """The lowest and highest: a number stands for 0 up to it."""
    return factor if isinstance(factor, tuple) else (0.0, factor)


class Drawing(NamedTuple):
    """What randomness comes from: `clock`, int64 (2,), [seed, step], and its number in the list. Working memory.

    `part`: its number in the augmentation that it is a part of. `among`: which images it is for (kernels/draws.py).
    """

    clock: "Tensor"
    number: int
    scratch: "Scratch"
    part: int | None = None
    among: "Among | None" = None

    @property
    def stream(self) -> int:
        """The stream of what is drawn for an image."""
        return streams.AUGMENTATION + self.number if self.part is None else self.stream_of(self.part)

    def stream_of(self, part: int) -> int:
        """The stream of what is drawn for an image by a part of an augmentation made of others."""
        return streams.PARTS + streams.PARTS_EACH * self.number + part

    @property
    def noise(self) -> int:
        """The stream of what is drawn for each of its numbers."""
        return streams.NOISE + self.number


class Augmentation(Declaration):
    """What is done at random to the images of a training batch, in the order of the list; each image by itself.

    Arguments that are numbers of pixels count as the data do before `rescale`: from 0 to 255 for uint8.
    """

    def misfit(self, shape: tuple[int, ...]) -> str:
        """Why images of `shape`, (H, W, C), can't be treated so, as a sentence; empty where they can."""
        return ""

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        """Steps that change x, real (N, H, W, C), whose numbers are `scale` times those of the data."""
        raise NotImplementedError


AUGMENTATIONS = Registry("augmentation", Augmentation)


def steps(
    augment: Sequence[Augmentation], x: "Tensor", clock: "Tensor", scratch: "Scratch", scale: float
) -> "list[Step]":
    """The steps of all of `augment`, in order, on x; see `Augmentation.steps`."""
    drawings = [Drawing(clock, number, scratch) for number in range(len(augment))]
    return in_turn(zip(augment, drawings, strict=True), x, scale)


def in_turn(parts: Iterable[tuple[Augmentation, Drawing]], x: "Tensor", scale: float) -> "list[Step]":
    """The steps of all `parts`, in order, on x. They use the same working memory, one after the other."""
    found = []
    for augmentation, drawing in parts:
        scratch = drawing.scratch
        own = type(scratch)(private=scratch.private, stride=scratch.stride)
        found += augmentation.steps(x, drawing._replace(scratch=own), scale)
        scratch.used_by_thread = max(scratch.used_by_thread, own.used_by_thread)
    return found
