"""The training loop: epochs of batches, from the current state to the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np

from cnncli.datasets.augment.augmentation import Augmentation
from cnncli.datasets.batches import Feed, OfClasses, order
from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.rescale import Rescale
from cnncli.errors import ChangedDataError, CnncliError, DivergedError
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.graph.nonfinite import first_weight, is_finite
from cnncli.system.memory import limit
from cnncli.training import class_weight
from cnncli.training.callbacks.best_epoch import Best
from cnncli.training.callbacks.callback import Hooks
from cnncli.training.callbacks.context import Context
from cnncli.training.distributed.batch import BatchTrainer, Parts
from cnncli.training.events import BatchDone, EpochDone, Event, PhaseBegins, Stopped
from cnncli.training.loop.interruption import Interruption
from cnncli.training.loop.limits import Limits
from cnncli.training.metrics.evaluation import Sums, evaluated
from cnncli.training.metrics.metrics import Metric
from cnncli.training.optimizers.optimizers import Optimizer
from cnncli.training.optimizers.schedules import Schedule
from cnncli.training.optimizers.update import Update
from cnncli.training.phases import Phase, phase_of
from cnncli.training.runs import checkpoint
from cnncli.training.runs.checkpoint import ModelFile
from cnncli.training.runs.run_directory import Run
from cnncli.training.sections import FitSection
from cnncli.training.state import State

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Job:
    """What to train, on which data and for how long. `about`: metadata of its model files. `phases`: at least one."""

    dataset: Dataset
    rescale: Rescale
    augment: Sequence[Augmentation]
    optimizer: Optimizer
    metrics: Sequence[Metric]
    fit: FitSection
    seed: int
    about: Mapping[str, str]
    phases: Sequence[Phase]


class Trainer:
    """Trains `network`, whose weights are set, and writes checkpoints and metrics to `run`.

    `network` is that of the first phase of the job; every phase has its own, which takes over the weights.
    Processes of a group train the `parts` of each batch and keep the same weights; only the first one writes. Raises
    CnncliError if the data do not match the network.
    """

    def __init__(
        self,
        network: Network,
        job: Job,
        run: Run,
        report: Callable[[Event], None],
        interruption: Interruption,
        *,
        parts: Parts,
    ) -> None:
        self.job, self.run, self.report, self.interruption = job, run, report, interruption
        self.parts, self.group = parts, parts.group
        train = job.dataset.train
        if train is None:
            raise CnncliError(f"{job.dataset.source}: no training images")
        self.epochs = job.fit.epochs_of(len(train))
        self.told: Phase | None = None
        self._train_in(job.phases[0], network)
        outputs = only(network.targets).shape[-1]
        directions = {name: metric.better for metric in job.metrics for name in metric.names(outputs)}
        self.hooks = [callback.hooks(directions) for callback in job.fit.callbacks]
        self.state = State(job.dataset.digest, epoch=job.fit.initial_epoch)
        self.sums, self.best = Sums(job.metrics), Best()
        self.saved, self.cut, self.limits = self.progress, 0, Limits(job.fit, parts.clock)

    def begin(self) -> None:
        """Save the initial weights: from here on the run can be resumed."""
        self._save()

    def enter(self, phase: Phase) -> None:
        """Go on in `phase`: with its layers and rate, and a new state of the optimizer."""
        if phase is not self.phase:
            network = self.network.of(phase.model)
            network.load(self.network.tensors())
            self._train_in(phase, network)

    def _train_in(self, phase: Phase, network: Network) -> None:
        job, train, validation = self.job, self.job.dataset.train, self.job.dataset.validation
        assert train is not None  # see __init__
        self.phase, self.network = phase, network
        given = job.fit.class_weight
        weights = None if given is None else class_weight.of_training(given, job.dataset, network)
        feed = self._feed(train, job.augment, weights)
        self.batches = BatchTrainer(network, feed, job.seed, self.parts)
        self.validation_feed = None if validation is None else self._feed(validation)
        since = self.epochs.before(phase.first - 1)
        self.update = Update(network, job.optimizer, self.epochs.longest, since=since, factor=phase.rate_factor)

    @property
    def ended(self) -> bool:
        """Whether training is complete; not in the middle of an epoch."""
        state = self.state
        stopped = state.stopped_by or self.limits.reached(state.step) or state.epoch >= self.job.fit.epochs
        return bool(stopped) and not state.batch

    @property
    def stopped_by(self) -> str:
        """The callback or limit that ended the training before its last epoch; empty if none did."""
        state = self.state
        early = self.cut or state.epoch < self.job.fit.epochs
        return state.stopped_by or (self.limits.reached(state.step) if early else "")

    def train(self) -> int:
        """Train to the end, write the final weights to the run's `best` file and return their epoch.

        Raises DivergedError; InterruptedRun after a signal, and ChangedDataError, with everything saved.
        """
        self.limits.begin()
        try:
            self._each(Hooks.training_begins)
            while not self.ended:
                self._epoch()
            if self.stopped_by and not self.state.stopped_by:
                self.report(Stopped(self.state.epoch, self.stopped_by, self.cut))
            self._each(Hooks.training_ends)
        except ChangedDataError:  # no batch with changed data was used
            if self.state.batch and self.group.size == 1:  # else all is saved: a new phase has changed nothing yet
                self._save()
            raise
        return self._hand_out()

    def _begin_phase(self) -> None:
        """Enter the phase of the next epoch, and report it if there are several."""
        phase = phase_of(self.job.phases, self.state.epoch + 1)
        self.enter(phase)
        if len(self.job.phases) > 1 and phase is not self.told:
            self.report(PhaseBegins(**phase.facts()))
            self.told = phase

    def _epoch(self) -> None:
        self._begin_phase()
        if not self.state.batch:
            self._each(Hooks.epoch_begins)
        start, done = perf_counter(), self.sums.samples
        self._train_epoch()
        seconds, trained = perf_counter() - start, self.sums.samples - done
        cut = self._cut_after
        if cut:  # a resumed run goes on from here, as if nothing had ended it
            self._save(cut=True)
        with self.update.averages():
            self._judge_epoch(start, trained / seconds if trained else 0.0, cut=cut)
        if self._interrupted():
            self.interruption.raise_if_interrupted(f"after epoch {self.state.epoch}")

    @property
    def _cut_after(self) -> int:
        """The batch after which a limit ends the epoch; 0 if none does."""
        state = self.state
        whole = state.stopped_by or state.batch == len(self.epochs.portions(state.epoch))
        return state.batch if self.limits.reached(state.step) and not whole else 0

    def _judge_epoch(self, start: float, rate: float, *, cut: int) -> None:
        """Validate the weights, or their averages, and save them. `start`: of the epoch; `rate`: images per second.

        `cut`: the last batch of an epoch that is cut short and already saved, or 0.
        """
        state = self.state
        figures = {"epoch": state.epoch + 1, **self.parts.trained(self.sums).figures(), **self._validate()}
        used = self.update.rate(state.step, state.rate_factor)
        if isinstance(self.job.optimizer.learning_rate, Schedule) or self.phase.rate_factor * state.rate_factor != 1:
            figures["learning_rate"] = used
        self._check_weights()
        state.epoch, state.batch, self.sums = state.epoch + 1, 0, Sums(self.job.metrics)
        state.history.append(figures)
        self._each(Hooks.epoch_done, figures)
        judged = self.best.value(figures)
        if self.best.improves(figures, state.best_value):
            state.best_value, state.best_epoch = judged, state.epoch
            self.save_best(self.network.tensors(), state.epoch)
        measured = {"learning_rate": used, "seconds": round(perf_counter() - start, 3)}
        self.run.append({**figures, **measured})  # before the checkpoint, which knows the figures but not these
        if not cut:
            self._save()
        chooser, epoch = self.chosen()
        best = epoch == state.epoch and (chooser is not None or judged is not None)
        self.report(EpochDone(figures, perf_counter() - start, rate, best, used))
        self.cut = cut
        if state.stopped_by:
            self.report(Stopped(state.epoch, state.stopped_by))

    def _each(self, hook: Callable[..., None], *about: object) -> None:
        """Call a hook of every callback, in the order of the spec."""
        for declared, hooks in zip(self.job.fit.callbacks, self.hooks, strict=True):
            name = type(declared).__name__
            context = Context(name, self.network, self.update, self.state, self.run, about=self.job.about)
            getattr(hooks, hook.__name__)(context, *about)

    def _train_epoch(self) -> None:
        """Train the remaining batches of the epoch; a callback or a limit may end it early."""
        state, epochs = self.state, self.epochs
        rows = order(epochs.count, self.job.seed, epochs.passes(state.epoch), shuffle=self.job.fit.shuffle)
        batches = epochs.portions(state.epoch)
        left = [] if state.stopped_by or self._cut_after else batches[state.batch :]
        for portion, coming in zip(left, [*left[1:], slice(0)], strict=False):
            signal = self.interruption.signal or 0
            loss = self.batches.train(rows[portion], rows[coming], state.step + 1, self.sums, signal)
            if not isfinite(loss):
                raise self._diverged_in_batch(f"the loss is {loss}")
            if not is_finite(self.network.gradients.data):  # before they reach the weights
                raise self._diverged_in_batch("gradients are not finite")
            state.step += 1
            state.batch += 1
            self.update.run(state.step, state.rate_factor)
            event = BatchDone(state.epoch + 1, state.batch, len(batches), self.sums, state.step)
            self._each(Hooks.batch_done, event)
            self.report(event)
            self._raise_if_interrupted()
            if state.stopped_by or self._cut_after:
                break
            if self.limits.save_is_due(state.step):
                self._save()
        self.network.sample_weight[:] = 1  # those of the training images apply to them only

    def _validate(self) -> dict[str, float]:
        fit = self.job.fit
        if self.validation_feed is None or not fit.validates(self.state.epoch + 1):
            return {}
        sums = evaluated(
            *(self.network, self.validation_feed, self.job.metrics),
            batch_size=fit.validation_batch_size or fit.batch_size,
            steps=fit.validation_steps,
            after_batch=lambda rows: None if self.group.size > 1 else self._raise_if_interrupted(),
            share=(self.group.rank, self.group.size),
        )
        figures = self.parts.evaluated(sums, self.interruption.signal or 0).figures()
        self._raise_if_interrupted()
        if not isfinite(figures["loss"]):
            raise self._diverged(f"the validation loss is {figures['loss']} after epoch {self.state.epoch + 1}")
        return {f"val_{name}": value for name, value in figures.items()}

    def _check_weights(self) -> None:
        """Raise DivergedError if weights are not finite: no checkpoint may have them."""
        if weight := first_weight(self.network.tensors()):
            raise self._diverged(f"the weights are no longer finite {self.progress}: {weight}")

    def _diverged_in_batch(self, what: str) -> DivergedError:
        """The error that ends the training in the batch that follows those which are done."""
        state = self.state
        where = f"{what} in epoch {state.epoch + 1}, batch {state.batch + 1}"
        first = self.batches.first_nonfinite(limit() // 4)
        return self._diverged(f"{where}; first, {first}" if first else where)

    def _diverged(self, what: str) -> DivergedError:
        kept = f"those {self.saved}" if self.saved else "the first ones"
        return DivergedError(
            f"{what}; a smaller learning_rate often helps. The last good weights, {kept}, are in {self.run.last}"
        )

    @property
    def progress(self) -> str:
        """How far the training is, for messages; empty before its first batch."""
        state = self.state
        if state.batch:
            return f"in epoch {state.epoch + 1} after batch {state.batch}"
        return f"after epoch {state.epoch}" if state.history else ""

    def _interrupted(self) -> bool:
        """Whether a signal was received; by any process of a group, which all know of it at the same place."""
        if self.group.size == 1:
            return self.interruption.signal is not None
        if self.parts.signal:
            self.interruption.signal = self.parts.signal
        return self.parts.signal != 0

    def _raise_if_interrupted(self) -> None:
        """Between batches: save and stop if a signal was received, by any process of a group."""
        if self._interrupted():
            self._save()
            batches = len(self.epochs.portions(self.state.epoch))
            self.interruption.raise_if_interrupted(f"{self.progress} of {batches}")

    def _hand_out(self) -> int:
        """Ensure that `best` has the final weights; return their epoch."""
        hooks, epoch = self.chosen()
        if hooks is not None:
            self.save_best(hooks.tensors, epoch)
        elif not self.state.history:
            self.save_best(self.network.tensors(), 0)
        return epoch

    def chosen(self) -> tuple[Hooks | None, int]:
        """Current choice of the final weights, from a callback if it keeps some; and their epoch."""
        for hooks in reversed(self.hooks):
            if hooks.chosen_epoch is not None:
                return hooks, hooks.chosen_epoch
        return None, self.state.best_epoch

    def save_best(self, weights: Mapping[str, Array], epoch: int) -> None:
        """Write the model file with the final weights."""
        if not self.group.first:
            return
        ordered = {
            name: weights[name] for name in self.network.tensors()
        }  # the extra tensors of a checkpoint are sorted by name
        checkpoint.save(self.run.best, ModelFile(ordered, {**self.job.about, "epoch": str(epoch)}))

    def _save(self, *, cut: bool = False) -> None:
        """Write the checkpoint. Raises DivergedError, and keeps the last one, if weights are not finite.

        `cut`: the end of the training follows, in the middle of an epoch. The checkpoint then also has the weights of
        the best epoch, because those of this one, which a resumed run completes, may take their place.
        """
        sums = self.parts.trained(self.sums)
        if not self.group.first:
            with self.update.averages(shown=False):
                self._check_weights()
            return
        self.state.callbacks = [hooks.state for hooks in self.hooks]
        extra = {f"sums/{name}": tensor for name, tensor in sums.tensors().items()}
        extra |= {
            f"optimizer/{slot}/{name}": tensor
            for slot, arena in self.update.slots.items()
            for name, tensor in arena.tensors().items()
        }
        for number, hooks in enumerate(self.hooks):
            extra |= {f"callback/{number}/{name}": tensor for name, tensor in hooks.tensors.items()}
        if cut and self.state.history:
            extra |= {f"best/{name}": tensor for name, tensor in checkpoint.load(self.run.best).weights.items()}
        about = {**self.job.about, "epoch": str(self.state.epoch), "state": self.state.dump()}
        with self.update.averages(shown=False):
            self._check_weights()
            checkpoint.save(self.run.last, ModelFile(self.network.tensors(), about, extra))
        self.saved = self.progress
        self.limits.has_saved()

    def _feed(
        self, split: Split, augment: Sequence[Augmentation] = (), weights: Array | OfClasses | None = None
    ) -> Feed:
        job = self.job
        return Feed.of(split, job.rescale, self.network, augment=augment, seed=job.seed, weights=weights)


def prepare(network: Network, n: int, augment: Sequence[Augmentation] = ()) -> None:
    """Run every kernel of a training once on `n` rows, to compile it; set the weights afterwards."""
    outputs = only(network.targets).shape[1:]
    images = np.zeros((n, *network.inputs.shape[1:]), np.uint8)
    targets: list[Array | None] = [np.zeros((n, *outputs), np.float32)]
    if len(outputs) == 1:
        targets = [np.zeros(n, np.int64)]
    elif len(outputs) == 3:
        targets = [np.zeros((n, *outputs[:2]), np.uint8)]
    if outputs == network.inputs.shape[1:]:
        targets.append(None)
    for labels in targets:
        split = Split(images, labels, "", "x_train")
        Feed.of(split, 1.0, network, augment=augment).fill(slice(n))
    network.train_step(n, 0, 0)
    network.evaluate(n)
