"""Training on the first batches alone until their loss is small: the first thing to try with a new network."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cnncli.datasets.dataset import Dataset
from cnncli.layers.declarations.declaration import PositiveInt
from cnncli.training.callbacks.callback import Callback, Directions, Hooks
from cnncli.training.sections import FitSection

if TYPE_CHECKING:
    from cnncli.training.callbacks.context import Context
    from cnncli.training.events import BatchDone

SMALL = 0.01
"""The share of the first loss that counts as small."""
FEW = 300
"""Steps that may be too few."""
WITHOUT = "without augmentation, validation, test and callbacks, until their loss is small"
CAUSES = (
    "A network that can't learn so few images learns no more: look for labels that don't belong to their images, a "
    "last activation that doesn't match the loss, a learning_rate that is far too high or too low, inputs that are not "
    "rescaled, too few units, or dropout and regularization that are too strong."
)


class Verdict(NamedTuple):
    """Whether the loss became small, and what that means."""

    succeeded: bool
    text: str


class OverfitBatches(Callback):
    """Stops when the loss of the batches, without regularization, is small."""

    batches: PositiveInt

    def hooks(self, directions: Directions) -> "Overfitting":
        return Overfitting(self.batches)


class Overfitting(Hooks):
    """`state`: the losses of the batches since the last pass through them, and the mean loss of the first pass and of
    the last one.
    """

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches
        self.state = {"losses": [], "first": None, "last": None, "steps": 0}

    def batch_done(self, context: "Context", event: "BatchDone") -> None:
        state = self.state
        state["losses"].append(event.sums.data_loss)
        state["steps"] = context.step
        if len(state["losses"]) < self.batches:
            return
        state["last"] = sum(state["losses"]) / self.batches
        state["losses"] = []
        if state["first"] is None:
            state["first"] = state["last"]
        if self.succeeded:
            context.stop()

    @property
    def succeeded(self) -> bool:
        """Whether the loss is small."""
        first, last = self.state["first"], self.state["last"]
        return first is not None and last <= SMALL * first

    def verdict(self, images: int) -> Verdict:
        """What the training of so many images says of the network."""
        first, last, steps = (self.state[name] for name in ("first", "last", "steps"))
        of = f"overfit_batches: the loss of the {images:,} images"
        if first is None:
            return Verdict(False, f"{of} is not known: the training ended before it had seen them all")
        fell = f"{of} went from {first:.3g} to {last:.3g} in {steps:,} steps"
        if self.succeeded:
            learnt = "data, network, loss and optimizer work together. Now train without overfit_batches"
            return Verdict(True, f"{fell}: {learnt}")
        more = " More --epochs may be all that it needs." if steps < FEW else ""
        return Verdict(False, f"{fell}, not to {SMALL:.0%} of it. {CAUSES}{more}")


def verdict(hooks: Iterable[Hooks], images: int) -> Verdict | None:
    """What the training of so many images says of the network."""
    return next((each.verdict(images) for each in hooks if isinstance(each, Overfitting)), None)


def limited(fit: FitSection, dataset: Dataset) -> tuple[FitSection, Dataset]:
    """The training on the first batches of the first epoch alone: without validation, test and callbacks."""
    assert fit.overfit_batches is not None
    assert dataset.train is not None
    batches = min(fit.overfit_batches, fit.epochs_of(len(dataset.train)).batches)
    fit = fit.replace(callbacks=(OverfitBatches(batches=batches),), overfit_batches=batches)
    return fit, replace(dataset, validation=None, test=None)
