"""The schedule: which steps run together on cache-sized portions, and where threads synchronize (barriers).

Running operations one after the other would move the whole batch through memory each time. But for a row of output,
most operations read only the same row of their inputs. A *segment* is a sequence of such calls: each thread takes lanes
of the batch and runs all steps on them, portion by portion, without a barrier. A batch reduction completes at the end
of a segment; its first reader starts the next. The order does not change the arithmetic of any element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cnncli.ops.ir import Call, Value

if TYPE_CHECKING:
    from cnncli.kernels.jit.runtime import Pass, Step

NEAR = 512 << 10
"""Target bytes of a portion's arrays: half of a typical L2 cache."""
WIDE = 8 << 20
"""Maximum bytes per sample in a segment: a thread's share of a typical L3 cache.

Wide images go through a segment one by one, which is still faster than the whole batch through memory."""
FULL = 0.75
"""Minimum thread utilization of a segment with batch reductions, whose lanes have a fixed size."""


class Span(NamedTuple):
    """The first and the last segment of a call."""

    first: int
    last: int


def spans(calls: Sequence[Call]) -> list[Span]:
    """Return the segments of each call, for memory planning, without compiling any kernel.

    An operation with both a batch reduction and batched outputs, like batch normalization, extends into the next
    segment.
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
    """Groups of steps, in order: on `weights` only, `before` the rows, `per_row` (independent rows), and `after`."""

    weights: list[Step] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    per_row: list[Step] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)
    values: set[Value] = field(default_factory=set)
    """The batched values of the calls in `per_row`."""

    @property
    def lane(self) -> int:
        """Rows per lane of the segment's batch reductions; 0 if it has none."""
        return next((step.work.grain for step in self.per_row if step.work.chained), 0)

    def parts(self, n: int, threads: int) -> list[Step | Pass]:
        """Return the steps except those of weights, in order; `per_row` steps form one pass if that is faster."""
        from cnncli.kernels.jit.runtime import Pass

        lane, portion = self._cut(n, threads, sum(value.bytes for value in self.values))
        passes: list[Step | Pass] = [Pass(self.per_row, n, lane, portion)] if lane else [*self.per_row]
        return [*self.before, *passes, *self.after]

    def _cut(self, n: int, threads: int, row: int) -> tuple[int, int]:
        """Return the rows per lane and per portion; 0 if the steps are better parallelized one by one."""
        if len(self.per_row) < 2:
            return 0, 0
        # Some steps are faster with more rows at a time: allow up to four times the target size for them.
        together = [step.work.grain * n // step.work.units for step in self.per_row if not step.work.chained]
        portion = max(1, min(max([NEAR // row, *together]), 4 * NEAR // row))
        if self.lane == 0:  # several lanes per thread, for load balancing
            portion = max(1, min(portion, n // (4 * threads)))
            return (portion, portion) if n >= threads else (0, 0)
        lanes = -(-n // self.lane)
        full = lanes / (threads * -(-lanes // threads))
        return (self.lane, min(self.lane, portion)) if full >= FULL else (0, 0)


def segments(calls: Sequence[Call], steps: Sequence[Sequence[Step]], n: int, within: Sequence[Span]) -> list[Segment]:
    """Group the steps of a program's calls on n rows into segments that stay inside the spans `within`.

    Steps of a call before its per-row steps read no batched value, and steps after them write none: they can run before
    or after the whole segment.
    """
    found, bound, made = [Segment()], 0, set[Value]()
    for call, own, span in zip(calls, steps, within, strict=True):
        if span.first != bound:
            found.append(Segment())
        batched = {value for value in (*call.inputs, *call.outputs) if value.batched}
        phases = list(_phases(own, n if batched and not call.op.as_whole else 0))
        for number, (before, per_row, after) in enumerate(phases):
            last = found[-1]
            lanes = {step.work.grain for step in (*last.per_row, *per_row) if step.work.chained}
            if number or len(lanes) > 1 or (last.per_row and batched and not per_row):
                last = Segment()
                found.append(last)
            steady = number == 0 and made.isdisjoint(call.inputs)
            for step in before:
                of_weights = steady and (bool(per_row) or not batched or step.work.of_weights)
                (last.weights if of_weights else last.before).append(step)
            last.per_row += per_row
            last.after += after
            last.values |= batched if per_row else set()
        if (len(phases) < 2 and span.first < span.last) or (phases and phases[-1][2] and call.output.batched):
            found.append(Segment())
        bound = span.last
        if batched or not made.isdisjoint(call.inputs):
            made |= {value for value in call.outputs if not value.batched}
    return found


def _phases(steps: Sequence[Step], n: int) -> Iterator[tuple[list[Step], list[Step], list[Step]]]:
    """Split the steps of a call into at most two groups (before, per_row, after); none are per row if n is 0."""
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
