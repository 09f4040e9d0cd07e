"""The schedule: which steps each portion of a batch goes through while it is in the cache, and where threads must meet.

Operations done one after the other would send the whole batch through memory each time. But most need, for a row of
their output, only the same row of what others make. A *segment* is a run of calls of that kind: threads take lanes of
the batch and carry them through all of its steps, portion by portion, without meeting. A sum over the batch is ready
only after that, and who reads it begins the next segment. The steps do the same to each element, whatever the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cnncli.ops.ir import Call, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Pass, Step

NEAR = 512 << 10
"""Bytes of a portion's arrays: half of a usual L2 cache."""
WIDE = 2 * NEAR
"""Bytes of a row's arrays in a segment: more of them would not stay in the cache anyhow, and all need their memory."""
FULL = 0.75
"""The least share of their time that lanes of sums must keep the threads at work."""


class Span(NamedTuple):
    """The first and the last segment in which a call has a part."""

    first: int
    last: int


def spans(calls: Sequence[Call]) -> list[Span]:
    """Where each call stands, for the planning of memory: no kernel is needed for that.

    An operation that makes a sum and something else, as batch normalization does, reaches into the next segment.
    """
    found: list[Span] = []
    segment, together, sums = 0, set[Value](), set[Value]()
    for call in calls:
        batched = {value for value in (*call.inputs, *call.outputs) if value.batched}
        fits = not batched or (sum(value.bytes for value in together | batched) <= WIDE and not call.op.as_whole)
        if together and not (fits and sums.isdisjoint(call.inputs)):
            segment, together, sums = segment + 1, set(), set()
        made = {value for value in call.outputs if not value.batched}
        first = segment
        if batched and made and call.output.batched:
            segment, together, sums = segment + 1, batched, set()
        elif batched and not call.op.as_whole:
            together, sums = together | batched, sums | made
        found.append(Span(first, segment))
    return found


@dataclass
class Segment:
    """Steps in groups: to be done `before`, on rows that may be done `apart`, and `after` all of those.

    Before all of them are those that are made of `weights` alone.
    """

    weights: list[Step] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    apart: list[Step] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)
    values: set[Value] = field(default_factory=set)
    """The batched values of calls whose steps are apart."""

    @property
    def lane(self) -> int:
        """Rows of a lane of its sums; 0 where there are none."""
        return next((step.work.grain for step in self.apart if step.work.chained), 0)

    def parts(self, n: int, threads: int) -> list[Step | Pass]:
        """The steps behind those of weights, in their order, those apart as one pass where that pays."""
        from cnncli.kernels.jit.runtime import Pass

        lane, portion = self._cut(n, threads, sum(value.bytes for value in self.values))
        passes: list[Step | Pass] = [Pass(self.apart, n, lane, portion)] if lane else [*self.apart]
        return [*self.before, *passes, *self.after]

    def _cut(self, n: int, threads: int, row: int) -> tuple[int, int]:
        """Rows of a lane and of a portion; 0 where the steps are better divided one by one."""
        if len(self.apart) < 2:
            return 0, 0
        # Some are quicker with more rows at a time; that may cost some room, but not too much.
        together = [step.work.grain * n // step.work.units for step in self.apart if not step.work.chained]
        portion = max(1, min(max([NEAR // row, *together]), 4 * NEAR // row))
        if self.lane == 0:  # some lanes a thread, so that none waits long for the others
            portion = max(1, min(portion, n // (4 * threads)))
            return (portion, portion) if n >= threads else (0, 0)
        lanes = -(-n // self.lane)
        full = lanes / (threads * -(-lanes // threads))
        return (self.lane, min(self.lane, portion)) if full >= FULL else (0, 0)


def segments(calls: Sequence[Call], steps: Sequence[Sequence[Step]], n: int, within: Sequence[Span]) -> list[Segment]:
    """The steps of a program's calls on n rows in segments, none of which reaches beyond those of the spans `within`.

    What a call does before its steps on rows reads no batched value, and what it does after them makes none: it may be
    done before, or after, all of a segment.
    """
    found, bound, made = [Segment()], 0, set[Value]()
    for call, own, span in zip(calls, steps, within, strict=True):
        if span.first != bound:
            found.append(Segment())
        batched = {value for value in (*call.inputs, *call.outputs) if value.batched}
        phases = list(_phases(own, n if batched and not call.op.as_whole else 0))
        for number, (before, apart, after) in enumerate(phases):
            last = found[-1]
            lanes = {step.work.grain for step in (*last.apart, *apart) if step.work.chained}
            if number or len(lanes) > 1 or (last.apart and batched and not apart):
                last = Segment()
                found.append(last)
            if number == 0 and made.isdisjoint(call.inputs) and (apart or not batched):
                last.weights += before
            else:
                last.before += before
            last.apart += apart
            last.after += after
            last.values |= batched if apart else set()
        if (len(phases) < 2 and span.first < span.last) or (phases and phases[-1][2] and call.output.batched):
            found.append(Segment())
        bound = span.last
        if batched or not made.isdisjoint(call.inputs):
            made |= {value for value in call.outputs if not value.batched}
    return found


def _phases(steps: Sequence[Step], n: int) -> Iterator[tuple[list[Step], list[Step], list[Step]]]:
    """The steps of a call as at most two groups of (before, apart, after); none are apart where n is 0."""
    kinds = [n > 0 and step.work.rows == n for step in steps]
    if not any(kinds):
        if steps:
            yield list(steps), [], []
        return
    start, stop = kinds.index(True), len(kinds) - kinds[::-1].index(True)
    if False in kinds[start:stop]:
        end, begin = kinds.index(False, start), stop - kinds[stop - 1 :: -1].index(False)
        yield list(steps[:start]), list(steps[start:end]), []
        start, steps, stop = begin - end, steps[end:], stop - end
    yield list(steps[:start]), list(steps[start:stop]), list(steps[stop:])
