"""Augmentations: what is done at random to the images of a training batch (Keras' layers/preprocessing/)."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from cnncli.layers.declarations.declaration import Declaration, Registry
from cnncli.layers.declarations.field_types import Kind, Number, Schema
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.ops import streams

if TYPE_CHECKING:
    from cnncli.kernels.augment.draws import Among
    from cnncli.kernels.jit.runtime import Scratch, Step, Tensor


class Factor(Kind):
    """A number, or the [lowest, highest] of what may be drawn."""

    def __init__(self, item: Number) -> None:
        self.item, self.pair = item, ListOf(item, 2, 2)
        self.rule = f"{item.rule}, or a range [lower, upper] of such numbers"

    def read(self, value: Any) -> Any:
        try:
            return tuple(sorted(self.pair.read(value))) if isinstance(value, list | tuple) else self.item.read(value)
        except ValidationError:
            raise self.refuse() from None

    @property
    def sample(self) -> Any:
        return self.item.sample

    def schema(self) -> Schema:
        return {"anyOf": [self.item.schema(), self.pair.schema()]}


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

    `part`: its number in the augmentation that it is a part of. `among`: which images it is for (augment/draws.py).
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


class Targets(NamedTuple):
    """What a batch's images are to give: real (N, …).

    `pixels`: whether they are images as well, (N, H, W, K), that show what the batch's show in the same places.
    `background`: the first number of a pixel of which nothing is known; its others are 0.
    """

    values: "Tensor"
    pixels: bool = False
    background: float = 0.0


class Augmentation(Declaration):
    """What is done at random to the images of a training batch, in the order of the list.

    Arguments that are numbers of pixels count as the data do before `rescale`: from 0 to 255 for uint8.
    """

    mixes: ClassVar[bool] = False
    """Whether what becomes of an image takes another one of its batch."""

    def misfit(self, shape: tuple[int, ...]) -> str:
        """Why images of `shape`, (H, W, C), can't be treated so, as a sentence; empty where they can."""
        return ""

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        """Steps that change x, real (N, H, W, C), whose numbers are `scale` times those of the data."""
        raise NotImplementedError

    def follow(self, targets: Targets, drawing: Drawing) -> "list[Step]":
        """Steps that let the targets go on fitting the images, drawn from the same places; by default none."""
        return []


AUGMENTATIONS = Registry("augmentation", Augmentation)


def steps(
    augment: Sequence[Augmentation],
    x: "Tensor",
    targets: Targets | None,
    *,
    clock: "Tensor",
    scratch: "Scratch",
    scale: float,
) -> "list[Step]":
    """The steps of all of `augment`, in order, on x and on the targets, where there are some that don't come from x.

    See `Augmentation.steps`, `Augmentation.follow`.
    """
    parts = [(augmentation, Drawing(clock, number, scratch)) for number, augmentation in enumerate(augment)]
    return in_turn(parts, x, scale) + ([] if targets is None else followed(parts, targets))


def in_turn(parts: Iterable[tuple[Augmentation, Drawing]], x: "Tensor", scale: float) -> "list[Step]":
    """The steps of all `parts`, in order, on x. They use the same working memory, one after the other."""
    return _planned((drawing, partial(part.steps, x, scale=scale)) for part, drawing in parts)


def followed(parts: Iterable[tuple[Augmentation, Drawing]], targets: Targets) -> "list[Step]":
    """The steps of all `parts`, in order, on the targets. They use the same working memory, one after the other."""
    return _planned((drawing, partial(part.follow, targets)) for part, drawing in parts)


def _planned(plans: "Iterable[tuple[Drawing, Callable[..., list[Step]]]]") -> "list[Step]":
    found = []
    for drawing, plan in plans:
        scratch = drawing.scratch
        own = type(scratch)(scratch.base, scratch.private, scratch.stride)
        found += plan(drawing=drawing._replace(scratch=own))
        scratch.used = max(scratch.used, own.used)
        scratch.used_by_thread = max(scratch.used_by_thread, own.used_by_thread)
    return found
