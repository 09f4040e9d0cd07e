"""Restoring a training from a checkpoint, after validating that the checkpoint belongs to it."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from cnncli.errors import CnncliError
from cnncli.graph.arena import fill
from cnncli.graph.model import only
from cnncli.training.loop.loop import Trainer
from cnncli.training.metrics.evaluation import under
from cnncli.training.metrics.statistics import Totals
from cnncli.training.phases import phase_of
from cnncli.training.runs import checkpoint
from cnncli.training.runs.checkpoint import ModelFile
from cnncli.training.state import State, is_like

Array = np.ndarray[Any, Any]


def restore(trainer: Trainer, saved: ModelFile) -> None:
    """Restore `trainer` from a checkpoint. Raises CnncliError for one of another model, data or training."""
    run, job = trainer.run, trainer.job
    if "state" not in saved.metadata:
        raise CnncliError(f"{run.last}: is a model file, but no checkpoint to resume from")
    state: State = saved.about.value("state", State)
    if state.data != job.dataset.digest:
        raise CnncliError(
            f"{job.dataset.source}: the data must be those that the run began with; these are others, or have changed "
            "since"
        )
    flaw = state.flaw(trainer.epochs, job.fit.epochs, len(trainer.hooks)) or _flaw(trainer, state)
    if flaw:
        raise CnncliError(f"{run.last}: its state is not one of this training: {flaw}")
    trainer.enter(phase_of(job.phases, state.epoch + (state.batch > 0)))  # that of the last batch trained
    try:
        _fill(trainer, saved, state)
    except CnncliError as error:
        raise CnncliError(f"{run.last}: {error}") from None
    run.rewrite(state.history)
    if run.best.exists():
        best = checkpoint.load(run.best)
        if best.about.epoch > state.epoch and (kept := _under("best/", saved.extra)):
            _check_copy(trainer, kept, state.best_epoch)
            trainer.save_best(kept, state.best_epoch)
            return
        if best.about.epoch > state.epoch and not state.history:
            run.best.unlink()
            return
        if not job.about.items() <= best.metadata.items():  # `epochs` was increased
            try:
                _check_copy(trainer, best.weights, best.about.epoch)
            except CnncliError as error:
                raise CnncliError(f"{run.best}: {error}") from None
            trainer.save_best(best.weights, best.about.epoch)


def _flaw(trainer: Trainer, state: State) -> str:
    """The rule that these metrics violate; empty if none."""
    outputs = only(trainer.network.targets).shape[-1]
    names = {"loss", *(name for metric in trainer.job.metrics for name in metric.names(outputs))}
    validated = {f"val_{name}" for name in names} if trainer.validation_feed else set()
    for epoch, figures in enumerate(state.history, trainer.epochs.first + 1):
        needed = {"epoch", *names, *(validated if trainer.job.fit.validates(epoch) else ())}
        if not needed <= set(figures) or figures["epoch"] != epoch:
            return "history must have all figures of each epoch"
    pairs = zip(state.callbacks, trainer.hooks, strict=True)
    if not all(is_like(remembered, hooks.state) for remembered, hooks in pairs):
        return "callbacks must remember what those of the spec do"
    return ""


def _fill(trainer: Trainer, saved: ModelFile, state: State) -> None:
    """Restore the tensors and the state of a checkpoint. Raises CnncliError for tensors of another model."""
    trainer.network.load(saved.weights)
    for name, arena in trainer.update.slots.items():
        fill(arena.tensors(), _under(f"optimizer/{name}/", saved.extra))
    for number, (hooks, remembered) in enumerate(zip(trainer.hooks, state.callbacks, strict=True)):
        hooks.state, hooks.tensors = remembered, _under(f"callback/{number}/", saved.extra)
    _add_up(trainer, saved, state)
    trainer.state = state
    trainer.saved = trainer.progress
    chooser, epoch = trainer.chosen()
    if chooser is not None:
        _check_copy(trainer, chooser.tensors, epoch)


def _add_up(trainer: Trainer, saved: ModelFile, state: State) -> None:
    """Restore the sums of the completed batches. Raises CnncliError if they do not match them."""
    sums, portions = trainer.sums, trainer.epochs.portions(state.epoch)
    done = sum(portion.stop - portion.start for portion in portions[: state.batch])
    try:
        sums.restore(under("sums/", saved.extra))
        whole = (sums.samples, len(sums.losses)) == (done, state.batch)
        whole = whole and (not done or all(map(isfinite, sums.figures().values())))
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError):
        whole = False
    if not whole:
        raise CnncliError("the sums must be those of the batches that are done")
    if not trainer.group.first:  # which has the counts of all, to which those of others will be added
        sums.totals = [Totals() for _ in sums.metrics]


def _check_copy(trainer: Trainer, weights: Mapping[str, Array], epoch: int) -> None:
    """Raise CnncliError if the stored best weights are of another model or not of a completed epoch."""
    fill({name: np.empty_like(tensor) for name, tensor in trainer.network.tensors().items()}, weights)
    if not 0 <= epoch <= trainer.state.epoch:
        raise CnncliError(f"the best epoch must be one of the first {trainer.state.epoch:,}; received {epoch:,}")


def _under(prefix: str, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors whose names begin with `prefix`, without it. Raises CnncliError if one is not float32."""
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    for name, tensor in found.items():
        if tensor.dtype != np.float32:
            raise CnncliError(f"the tensor {prefix + name!a} must be float32; it is {tensor.dtype}")
    return found
