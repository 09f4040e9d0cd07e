"""Augmentations: random changes to the images of a training batch (Keras' layers/preprocessing/)."""

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
    from cnncli.kernels.jit.runtime import Pass, Scratch, Step, Tensor


class Factor(Kind):
    """A number, or the range [lower, upper] to draw from."""

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
SignedFactor = Annotated[Bounds, Factor(Number(-1, 1))]
UnitFactor = Annotated[Bounds, Factor(Number(0, 1))]


def symmetric(factor: Bounds) -> tuple[float, float]:
    """The range of a factor: a single number f means [−f, f]."""
    return factor if isinstance(factor, tuple) else (-abs(factor), abs(factor))


def from_zero(factor: Bounds) -> tuple[float, float]:
    """The range of a factor: a single number f means [0, f]."""
    return factor if isinstance(factor, tuple) else (0.0, factor)


class RandomContext(NamedTuple):
    """The random streams and working memory of an augmentation: `clock`, int64 (2,), [seed, step]; its list index.

    `part`: its index in a composite augmentation. `among`: the images it applies to (augment/draws.py).
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
    """A random change to the images of training batches, applied in the order of the list.

    Pixel values in arguments are on the scale of the data before `rescale`: 0 to 255 for uint8.
    """

    mixes: ClassVar[bool] = False
    """Whether it combines images of a batch."""

    def shape_error(self, shape: tuple[int, ...]) -> str:
        """An error message if images of `shape`, (H, W, C), are not supported, else ""."""
        return ""

    def steps(self, x: "Tensor", context: RandomContext, scale: float) -> "Sequence[Step | Pass]":
        """Steps that change x, real (N, H, W, C), whose values are `scale` times those of the data."""
        raise NotImplementedError

    def target_steps(self, targets: Targets, context: RandomContext) -> "Sequence[Step | Pass]":
        """Steps that change the targets to match the images, with the same random numbers; by default none."""
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
) -> "list[Step | Pass]":
    """The steps of all of `augment`, in order, on x and on the targets, where there are some that don't come from x.

    See `Augmentation.steps`, `Augmentation.target_steps`.
    """
    parts = [(augmentation, RandomContext(clock, number, scratch)) for number, augmentation in enumerate(augment)]
    return all_steps(parts, x, scale) + ([] if targets is None else all_target_steps(parts, targets))


def all_steps(parts: Iterable[tuple[Augmentation, RandomContext]], x: "Tensor", scale: float) -> "list[Step | Pass]":
    """The steps of all `parts`, in order, on x. They use the same working memory, one after the other."""
    return _planned((context, partial(part.steps, x, scale=scale)) for part, context in parts)


def all_target_steps(parts: Iterable[tuple[Augmentation, RandomContext]], targets: Targets) -> "list[Step | Pass]":
    """The steps of all `parts`, in order, on the targets. They use the same working memory, one after the other."""
    return _planned((context, partial(part.target_steps, targets)) for part, context in parts)


def _planned(
    plans: "Iterable[tuple[RandomContext, Callable[..., Sequence[Step | Pass]]]]",
) -> "list[Step | Pass]":
    found: list[Step | Pass] = []
    for context, plan in plans:
        scratch = context.scratch
        own = type(scratch)(scratch.base, scratch.private, scratch.stride)
        found += plan(context=context._replace(scratch=own))
        scratch.used = max(scratch.used, own.used)
        scratch.used_by_thread = max(scratch.used_by_thread, own.used_by_thread)
    return found
