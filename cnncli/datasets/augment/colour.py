"""Augmentations that change colours (Keras' layers/preprocessing/): images must be of 3 channels, red, green, blue."""

from math import inf
from typing import TYPE_CHECKING, Annotated

from cnncli import kernels
from cnncli.datasets.augment.augmentation import AUGMENTATIONS, Augmentation, Drawing, Share, Slant, bounds, upward
from cnncli.datasets.augment.photometric import Tone
from cnncli.layers.declarations.field_types import Number

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Step, Tensor


def colourless(name: str, shape: tuple[int, ...]) -> str:
    """Why `name` can't treat images of `shape`, (H, W, C), as a sentence; empty where they are of 3 channels."""
    if shape[2] == 3:
        return ""
    return f"{name} changes colours: images must be of 3 channels (red, green, blue); received {shape[2]}"


class Coloured(Tone):
    """A change of colours."""

    def misfit(self, shape: tuple[int, ...]) -> str:
        return colourless(type(self).__name__, shape)


@AUGMENTATIONS.register
class RandomHue(Coloured):
    """Turn the hues by half of `factor`, one way or the other; 1 is all the way round (Keras RandomHue).

    It lies between 0 and `factor`, or within [lowest, highest].
    """

    factor: Slant

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        ends = self._ends(scale)
        return kernels.colour.turn_hue(x, drawing.clock, drawing.stream, upward(self.factor), ends, drawing.among)


@AUGMENTATIONS.register
class RandomSaturation(Coloured):
    """Multiply the saturation by factor / (1 - factor): grey at 0, as it is at 0.5 (Keras RandomSaturation).

    One number stands for both signs of it, as in Keras, and makes half of the images grey. A saturation ends at 1,
    where Keras lets it go on up to the end of `value_range`.
    """

    factor: Share

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        ends = 0.0, scale
        return kernels.colour.saturate(x, drawing.clock, drawing.stream, bounds(self.factor), ends, drawing.among)


@AUGMENTATIONS.register
class RandomColorDegeneration(Coloured):
    """Bring an image nearer to grey: 0 leaves it, 1 makes it grey (Keras RandomColorDegeneration).

    One number stands for both signs of it, as in Keras; a negative one makes the colours stronger.
    """

    factor: Share

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        return kernels.colour.degenerate(
            *(x, drawing.clock, drawing.stream, (1.0, 1.0), bounds(self.factor), self._limits(scale)),
            among=drawing.among,
        )


@AUGMENTATIONS.register
class RandomGrayscale(Augmentation):
    """Make images grey, with odds of `factor` (Keras RandomGrayscale)."""

    factor: Annotated[float, Number(0, 1)] = 0.5

    def misfit(self, shape: tuple[int, ...]) -> str:
        return colourless(type(self).__name__, shape)

    def steps(self, x: "Tensor", drawing: Drawing, scale: float) -> "list[Step]":
        odds, unlimited = (self.factor, self.factor), (-inf, inf)
        return kernels.colour.degenerate(x, drawing.clock, drawing.stream, odds, (1.0, 1.0), unlimited, drawing.among)
