"""Static memory: every buffer's place is known before the first batch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from cnncli.ops.ir import Call, Value

ALIGNMENT = 64


@dataclass(frozen=True)
class Lives:
    """Which memory values need, and when: the `owners` of others share theirs, `spans` are the first and the last time.

    Placed values are not among the spans. The `brief` ones are batched, gone at the time at which they are ready, and
    no operation takes the batch of them as a whole.
    """

    owners: dict[Value, Value]
    spans: dict[Value, tuple[int, int]]
    brief: list[Value]


@dataclass(frozen=True)
class Layout:
    """Where buffers lie: `offsets` in bytes within one block of `total` bytes; `owner` of a value shares its memory."""

    owners: dict[Value, Value]
    offsets: dict[Value, int]
    total: int

    def owner(self, value: Value) -> Value:
        """The value whose memory `value` is: itself, or the one it views or overwrites."""
        return find(self.owners, value)


def layout(found: Lives, size: Callable[[Value], int], without: Collection[Value] = ()) -> Layout:
    """Place values largest first, at the lowest offset free for their whole lives (Pisarchyk & Lee 2020).

    `size` is in bytes. Values `without` a place have it elsewhere.
    """
    offsets, total = pack({value: life for value, life in found.spans.items() if value not in without}, size)
    return Layout(found.owners, offsets, total)


def lives(
    calls: Sequence[Call],
    placed: Collection[Value],
    kept: Collection[Value],
    size: Callable[[Value], int],
    *,
    spans: Sequence[tuple[int, int]] | None = None,
    lasting: Collection[Value] = (),
) -> Lives:
    """When the values of `calls` live; `kept` ones outlive the program, `lasting` ones live before it, too.

    `size` is in bytes.
    `spans`: when each call begins and ends, by default one after the other; those that share a time are done together
    (see `schedule`).

    A view shares its input's memory, an elementwise operation takes that of an input nobody reads afterwards.
    """
    spans = spans or [(position, position) for position in range(len(calls))]
    owners: dict[Value, Value] = {}
    for call in calls:
        if call.op.is_view:
            source = find(owners, call.inputs[0])
            if call.output in placed:
                owners[source] = call.output
            else:
                owners[call.output] = source
    last = _last_reads(calls, owners, [*kept, *lasting])
    for position, call in enumerate(calls):
        if call.op.overwrites is None or call.output in placed:
            continue
        read = [find(owners, value) for value in call.inputs]
        source = read[call.op.overwrites]
        free = source not in placed and last[source] == position and read.count(source) == 1
        if free and call.output not in owners and size(source) == size(call.output):
            owners[call.output] = source
            last[source] = last[call.output]
    found: dict[Value, tuple[int, int]] = {}
    ready: dict[Value, int] = {}
    whole = {find(owners, value) for call in calls if call.op.as_whole for value in (*call.inputs, *call.outputs)}
    for position, call in enumerate(calls):
        for value in call.outputs:
            owner = find(owners, value)
            if owner not in placed:
                end = spans[last[owner]][1] if last[owner] < len(calls) else len(calls)
                found.setdefault(owner, (0 if value in lasting else spans[position][0], end))
                ready.setdefault(owner, spans[position][1])
    brief = [value for value, time in ready.items() if value.batched and found[value][1] == time and value not in whole]
    return Lives(owners, found, brief)


def aligned(size: int) -> int:
    """`size` rounded up to where the next array may begin."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def find(owners: dict[Value, Value], value: Value) -> Value:
    """Follow `owners` to the value whose memory it is."""
    while value in owners:
        value = owners[value]
    return value


def _last_reads(calls: Sequence[Call], owners: dict[Value, Value], kept: Collection[Value]) -> dict[Value, int]:
    last: dict[Value, int] = {}
    for position, call in enumerate(calls):
        for value in (*call.inputs, *call.outputs):
            last[find(owners, value)] = position
    for value in kept:
        last[find(owners, value)] = len(calls)
    return last


def pack(spans: Mapping[Value, tuple[int, int]], size: Callable[[Value], int]) -> tuple[dict[Value, int], int]:
    """Offsets of values that live from the first to the last of their times, and how many bytes there are in all."""
    offsets: dict[Value, int] = {}
    total = 0
    for value in sorted(spans, key=lambda value: (-size(value), spans[value])):
        first, last = spans[value]
        taken = sorted(
            (offsets[other], offsets[other] + size(other))
            for other in offsets
            if spans[other][0] <= last and first <= spans[other][1]
        )
        offset = 0
        for start, stop in taken:
            if offset + size(value) <= start:
                break
            offset = max(offset, aligned(stop))
        offsets[value] = offset
        total = max(total, offset + size(value))
    return offsets, total
