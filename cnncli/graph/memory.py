"""Static memory planning: every buffer's offset is fixed before the first batch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from cnncli.ops.ir import Call, Value

ALIGNMENT = 64


@dataclass(frozen=True)
class Lives:
    """Lifetimes of values. `owners` maps a value to the one whose memory it shares; `spans` are (first, last) times.

    Placed values have no span. `short_lived` values are batched, last used at the time at which they are complete, and
    not accessed by any operation that needs the whole batch.
    """

    owners: dict[Value, Value]
    spans: dict[Value, tuple[int, int]]
    short_lived: list[Value]


@dataclass(frozen=True)
class Layout:
    """Buffer assignment: `offsets` in bytes within one block of `total` bytes; `owners` as in `Lives`."""

    owners: dict[Value, Value]
    offsets: dict[Value, int]
    total: int

    def owner(self, value: Value) -> Value:
        """Return the value whose memory `value` uses: itself, or the one it views or overwrites."""
        return find(self.owners, value)


def layout(found: Lives, size: Callable[[Value], int], without: Collection[Value] = ()) -> Layout:
    """Assign offsets, largest value first, each the lowest one free for the whole lifetime (Pisarchyk & Lee 2020).

    `size` is in bytes. Values in `without` are allocated elsewhere.
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
    """Compute the lifetimes of the values of `calls`.

    `kept` values stay alive after the program, `lasting` ones also before it. `size` is in bytes. `spans`: first and
    last time of each call, by default its position; calls with a common time run together (see `schedule`).

    A view shares its input's memory; an elementwise operation runs in-place if the overwritten input has no later use.
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
    short_lived = [
        value for value, time in ready.items() if value.batched and found[value][1] == time and value not in whole
    ]
    return Lives(owners, found, short_lived)


def aligned(size: int) -> int:
    """Round `size` up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def find(owners: dict[Value, Value], value: Value) -> Value:
    """Follow `owners` to the value that owns the memory."""
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
    """Return the offsets of values alive from first to last time (inclusive), and the total number of bytes."""
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
