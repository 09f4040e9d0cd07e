"""Callbacks of Keras whose work is always done: TerminateOnNaN, SwapEMAWeights."""

from typing import TYPE_CHECKING, ClassVar

from cnncli.training.callbacks.callback import CALLBACKS, Callback, Directions, Hooks

if TYPE_CHECKING:
    from cnncli.training.optimizers.optimizers import Optimizer


@CALLBACKS.register
class TerminateOnNaN(Callback):
    """Stop when the loss is not finite (Keras TerminateOnNaN), as every training does, listed or not.

    It also stops if gradients or weights are not finite, and ends with exit code 3; `last.safetensors` keeps the last
    good weights.
    """

    aliases: ClassVar[tuple[str, ...]] = ("terminate_on_nan",)

    raise_error: bool = False
    """Accepted without effect: it is always an error."""

    def hooks(self, directions: Directions) -> Hooks:
        return Hooks()


@CALLBACKS.register
class SwapEMAWeights(Callback):
    """Validate the moving averages of the weights (Keras SwapEMAWeights), as every training with `use_ema` does."""

    swap_on_epoch: bool = False
    """Accepted without effect: other callbacks always have the averages, too."""

    def contradicts(self, optimizer: "Optimizer") -> str:
        return "" if optimizer.use_ema else "SwapEMAWeights requires `use_ema: true` of the optimizer"

    def hooks(self, directions: Directions) -> Hooks:
        return Hooks()
