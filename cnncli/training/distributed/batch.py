"""Training of batches in parts: those of several processes, or several of one process, one after the other.

The gradients of the parts are averaged, weighted by their rows, in a binary tree whose shape depends only on the number
of parts. So 8 parts give the same bits whether 1, 2, 4 or 8 processes train them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from time import perf_counter
from typing import Any

import numpy as np

from cnncli.datasets.batches import Feed
from cnncli.errors import UsageError
from cnncli.graph.model import only
from cnncli.graph.network import Network
from cnncli.graph.nonfinite import first_of_step
from cnncli.kernels.batch import shared
from cnncli.training.distributed.group import Group, TreeSum, add_pairs, shares
from cnncli.training.metrics.evaluation import Sums
from cnncli.training.metrics.statistics import valid_rows

Array = np.ndarray[Any, Any]


class Parts:
    """The parts that batches are trained in. `count`: of all processes; None for one in each process.

    With one part in each process, batch normalization may use the statistics of the whole batch; of further parts, each
    is normalized alone. A loss of the whole batch is that of all parts. Programs planned from now on are for these
    parts. Raises UsageError if the processes can't have equally many parts, in a tree of one shape.
    """

    def __init__(self, group: Group, count: int | None = None) -> None:
        self.group, self.count = group, group.size if count is None else count
        self.own = self.count // group.size
        if count is not None and (self.count % group.size or (group.size > 1 and not _is_power_of_2(self.own))):
            ways = ", ".join(str(n) for n in range(1, count + 1) if count % n == 0 and _is_power_of_2(count // n))
            raise UsageError(f"fit.shards: {count} can be trained by {ways} processes; there are {group.size}")
        self.share = shared.Share(group.total if count is None else _of_part, joint=count is None)
        shared.share(None if self.whole else self.share)
        self.signal = 0
        """The number of a signal that one of the processes has received, known to all since the last batch."""
        self.began, self.seconds = perf_counter(), 0.0
        """`seconds`: since `began`, as the first process told all of them after the last batch."""

    @property
    def whole(self) -> bool:
        """Whether a batch is in one part."""
        return self.count == 1

    def clock(self) -> float:
        """Seconds that decide on the course of a training: the same in all processes."""
        return perf_counter() if self.group.size == 1 else self.seconds

    def of(self, rows: int) -> list[slice]:
        """The parts of a batch that this process trains; some may be empty."""
        first = self.group.rank * self.own
        return shares(rows, self.count)[first : first + self.own]

    def trained(self, sums: Sums) -> Sums:
        """The sums of a training with the counts of all processes."""
        if self.group.size == 1:
            return sums
        found = Sums(sums.metrics)
        found.samples, found.losses = sums.samples, list(sums.losses)
        found.add_counts(self.group.gather([totals.tensors() for totals in sums.totals]))
        return found

    def evaluated(self, sums: Sums, signal: int = 0) -> Sums:
        """The sums of an evaluation whose batches are shared out among the processes."""
        if self.group.size == 1:
            return sums
        counts = [totals.tensors() for totals in sums.totals]
        told = self.group.gather((sums.samples, sums.losses, counts, signal))
        samples, losses, everyone, signals = zip(*told, strict=True)
        self.signal = max(signals)
        found = Sums(sums.metrics)
        found.samples, found.losses = sum(samples), [loss for part in losses for loss in part]
        found.add_counts(everyone)
        return found


def _of_part(numbers: Array) -> Array:
    """The sums of a batch that has no other parts."""
    return numbers


def _is_power_of_2(number: int) -> bool:
    return number & (number - 1) == 0


@dataclass(frozen=True)
class _Trained:
    """A part that was trained: the sum of the losses of its rows, and their mean without penalties."""

    rows: int
    loss: float
    data_loss: float


class _Told:
    """Numbers of a whole batch, told one after another to a program that asks with those of a part."""

    def __init__(self, numbers: Array) -> None:
        self.numbers, self.at = numbers, 0

    def __call__(self, own: Array) -> Array:
        start, self.at = self.at, self.at + len(own)
        return self.numbers[start : self.at]


class BatchTrainer:
    """Trains the batches of `feed`, in parts; `network.gradients` are then those of the whole batch.

    A batch in one part is trained as it is.
    """

    def __init__(self, network: Network, feed: Feed, seed: int, parts: Parts) -> None:
        self.network, self.feed, self.seed, self.parts = network, feed, seed, parts
        self.statistics = [network.tensor(name) for name in network.updated]
        self.size, self.buckets = network.gradients.data.size, network.buckets
        self.surveys = True
        """Whether the loss may take sums over the whole batch."""
        self.mixed: list[Array] = []
        """What the feed has filled in for the whole batch, where the images of all parts are mixed."""
        self.trained, self.step = np.zeros(0, np.int64), 0
        """The rows of the last batch, and its step."""
        self.sent: dict[int, Array] = {}
        """By bucket, the memory that weighted gradients are sent from: new pages for each batch would take longer."""

    def train(self, rows: Array, coming: Array, step: int, sums: Sums, signal: int = 0) -> float:
        """Forward and backward pass over the rows `rows` of the split, added to `sums`; return the batch's loss.

        `coming`: the rows after these. `signal`: one that this process has received, or 0. Losses and numbers of
        samples in `sums` are those of all processes, counts of metrics those of this one.
        """
        self.trained, self.step = rows, step
        if self.parts.whole:
            self.parts.signal = signal
            n = self.feed.fill(rows, step)
            self.feed.expect(coming)
            self.network.train_step(n, self.seed, step)
            return sums.add(self.network, n)
        if self.feed.mixes:  # with images that may be in other parts: all parts have whole batches
            self.feed.fill(rows, step)
            self.mixed = [array[: len(rows)].copy() for array in self.feed.filled]
        train = self._shared if self.parts.share.joint else self._in_turn
        return train(rows, coming, step, sums, signal)

    def _in_turn(self, rows: Array, coming: Array, step: int, sums: Sums, signal: int) -> float:
        """Train the parts of this process one after the other."""
        share, own = self.parts.share, self.parts.of(len(rows))
        begun = [tensor.copy() for tensor in self.statistics]
        everyone = self._survey(rows, own, step)
        made, numbers = [], []
        for part in own:
            for tensor, start in zip(self.statistics, begun, strict=True):
                tensor[...] = start
            valid = self._fill(rows, part, step)
            self._weigh(part, len(rows), valid, everyone[0])
            with share.telling(_Told(everyone[1:])):
                made.append(self._step(part, step, sums))
            numbers.append(self._weighted(made[-1].rows / len(rows)))
        self._expect(coming)
        data = add_pairs(numbers)
        self.parts.group.begin_tree(data, 0).finish()
        self.network.gradients.data[:] = data[: self.size]
        self._take(data[self.size :])
        return self._told(made, len(rows), sums, signal)

    def _weighted(self, fraction: float) -> Array:
        """The gradients and statistics of a part times its fraction of the batch; those of an idle part need not be
        finite.
        """
        numbers = np.concatenate([self.network.gradients.data, *self._statistics()])
        return numbers * numbers.dtype.type(fraction) if fraction else np.zeros_like(numbers)

    def _survey(self, rows: Array, own: Sequence[slice], step: int) -> Array:
        """What is asked of a batch before its parts are trained: the number of valid targets, and the sums that its
        loss takes, for which the parts are run up to there.
        """
        if self.network.loss.void is None and not self.surveys:
            return np.zeros(1)
        found = add_pairs([self._surveyed(rows, part, step) for part in own])
        return self.parts.group.begin_tree(found, 1).finish()

    def _surveyed(self, rows: Array, part: slice, step: int) -> Array:
        """A part's numbers of a survey."""
        asked, n = [np.array([self._fill(rows, part, step)])], part.stop - part.start

        def keep(numbers: Array) -> Array:
            asked.append(numbers.copy())
            return numbers

        with self.parts.share.telling(keep):
            self.surveys = self.surveys and self.network.survey(n or 1, self.seed, step, part.start)
        return np.concatenate(asked)

    def _shared(self, rows: Array, coming: Array, step: int, sums: Sums, signal: int) -> float:
        """Train this process' part, and send each bucket of gradients while the backward pass goes on."""
        share, gradients, sent = self.parts.share, self.network.gradients.data, dict[int, TreeSum]()
        part = self.parts.of(len(rows))[0]
        valid = self._fill(rows, part, step)
        if self.network.loss.void is not None:
            self._weigh(part, len(rows), valid, self.parts.group.total(np.array([valid]))[0])

        def send(number: int) -> None:
            sent[number] = self._begin(gradients[self.buckets[number]], share.fraction, number)
            for each in sent.values():
                each.advance()

        share.ready = send
        trained = self._step(part, step, sums)
        share.check()
        self._expect(coming)
        for number, bucket in enumerate(self.buckets):
            if number not in sent:
                sent[number] = self._begin(gradients[bucket], share.fraction, number)
        statistics = np.concatenate([np.zeros(0, gradients.dtype), *self._statistics()])
        rest = self._begin(statistics, share.fraction, len(self.buckets))
        for number, bucket in enumerate(self.buckets):
            gradients[bucket] = sent[number].finish()
        self._take(rest.finish())
        return self._told([trained], len(rows), sums, signal)

    def _begin(self, data: Array, fraction: float, number: int) -> TreeSum:
        """Begin to add up weighted numbers of all processes; those of an idle one need not be finite."""
        if number not in self.sent:
            self.sent[number] = np.ones_like(data)
        own = self.sent[number]
        if fraction:
            np.multiply(data, data.dtype.type(fraction), out=own)
        else:
            own[:] = 0
        return self.parts.group.begin_tree(own, number)

    def _fill(self, rows: Array, part: slice, step: int) -> float:
        """Fill in the rows of a part, or one of the batch for an empty part; return how many targets are valid, if the
        loss has void ones.
        """
        loss, n = self.network.loss, part.stop - part.start
        self.parts.share.fraction = n / len(rows)
        if self.feed.mixes:
            for array, whole in zip(self.feed.filled, self.mixed, strict=True):
                array[: n or 1] = whole[part] if n else whole[:1]
        else:
            self.feed.fill(rows[part] if n else rows[:1], step, part.start)
        return 0.0 if loss.void is None else float(valid_rows(loss, only(self.network.targets)[:n]).sum())

    def _expect(self, coming: Array) -> None:
        """Let the feed read ahead what this process has of the next batch."""
        for part in [slice(None)] if self.feed.mixes else self.parts.of(len(coming)):
            self.feed.expect(coming[part])

    def first_nonfinite(self, memory: int) -> str:
        """What was the first not to be finite in the last batch (see `first_of_step`), and in which process, unless it
        is in all; "" if nothing is found. All processes call it.
        """
        if self.parts.whole:
            return first_of_step(self.network, len(self.trained), memory)
        shared.share(None)  # each process for itself: one may stop before the others
        found = next(filter(None, (self._first_of(part, memory) for part in self.parts.of(len(self.trained)))), "")
        shared.share(self.parts.share)
        everyone = self.parts.group.gather(found)
        rank = next((rank for rank, text in enumerate(everyone) if text), 0)
        return everyone[0] if len(set(everyone)) == 1 else f"in process {rank}, {everyone[rank]}"

    def _first_of(self, part: slice, memory: int) -> str:
        """What was the first not to be finite in a part of the last batch."""
        if part.stop == part.start:
            return ""
        self._fill(self.trained, part, self.step)
        self.network.clock[1:] = self.step, part.start
        return first_of_step(self.network, part.stop - part.start, memory)

    def _weigh(self, part: slice, rows: int, valid: float, everyone: float) -> None:
        """Make the weights of a part's samples, raised by the share of its targets that are valid, those of the batch
        of `rows`, of which `everyone` are. The mean of its losses then counts as much as its rows. Mixed images have
        those of the batch.
        """
        if everyone and valid and not self.feed.mixes:
            n = part.stop - part.start
            self.network.sample_weight[:n] *= rows * valid / (n * everyone)

    def _step(self, part: slice, step: int, sums: Sums) -> "_Trained":
        """Train the rows that were filled in; the counts of metrics are added to `sums`."""
        network, n = self.network, part.stop - part.start
        network.train_step(n or 1, self.seed, step, part.start)
        return _Trained(n, sums.count(network, n), sums.data_loss) if n else _Trained(0, 0.0, 0.0)

    def _statistics(self) -> list[Array]:
        """Those that a step changes, each in one row."""
        return [tensor.ravel() for tensor in self.statistics]

    def _take(self, numbers: Array) -> None:
        """Set the statistics to numbers that stand one after another."""
        at = 0
        for tensor in self.statistics:
            tensor[...] = numbers[at : at + tensor.size].reshape(tensor.shape)
            at += tensor.size

    def _told(self, made: Sequence["_Trained"], rows: int, sums: Sums, signal: int) -> float:
        """Tell the losses of this process' parts and a signal that it has received; return the loss of the batch."""
        parts = self.parts
        losses = [part.loss for part in made]
        data_loss = sum(part.data_loss * part.rows / rows for part in made)
        told = parts.group.gather_numbers(np.array([*losses, data_loss, signal, perf_counter() - parts.began]))
        parts.signal, parts.seconds = int(told[:, -2].max()), told[0, -1]
        loss, sums.data_loss = fsum(told[:, :-3].ravel()), fsum(told[:, -3])
        sums.record(loss, rows)
        return loss
