"""Static memory: every buffer's place is known before the first batch."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cnncli.ops.ir import Call, Value

ALIGNMENT = 64


@dataclass(frozen=True)
class Layout:
    """Where buffers lie: `offsets` in bytes within one block of `total` bytes; `owner` of a value shares its memory."""

    owners: dict[Value, Value]
    offsets: dict[Value, int]
    total: int

    def owner(self, value: Value) -> Value:
        """The value whose memory `value` is: itself, or the one it views or overwrites."""
        return find(self.owners, value)


def plan(
    calls: Sequence[Call],
    placed: Collection[Value],
    kept: Collection[Value],
    size: Callable[[Value], int],
    spans: Sequence[tuple[int, int]] | None = None,
) -> Layout:
    """Place all values of `calls` but the `placed` ones; the `kept` ones outlive the program. `size` is in bytes.

    `spans`: when each call begins and ends, by default one after the other; those that share a time are done together
    (see `schedule`).

    A view shares its input's memory, an elementwise operation takes that of an input nobody reads afterwards. The rest
    is placed largest first, at the lowest offset free for the value's whole life (Pisarchyk & Lee 2020).
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
    last = _last_reads(calls, owners, kept)
    for position, call in enumerate(calls):
        if call.op.overwrites is None or call.output in placed:
            continue
        read = [find(owners, value) for value in call.inputs]
        source = read[call.op.overwrites]
        free = source not in placed and last[source] == position and read.count(source) == 1
        if free and call.output not in owners and size(source) == size(call.output):
            owners[call.output] = source
            last[source] = last[call.output]
    lives: dict[Value, tuple[int, int]] = {}
    for position, call in enumerate(calls):
        for value in call.outputs:
            owner = find(owners, value)
            if owner not in placed:
                end = spans[last[owner]][1] if last[owner] < len(calls) else len(calls)
                lives.setdefault(owner, (spans[position][0], end))
    offsets, total = _pack(lives, size)
    return Layout(owners, offsets, total)


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


def _pack(lives: dict[Value, tuple[int, int]], size: Callable[[Value], int]) -> tuple[dict[Value, int], int]:
    offsets: dict[Value, int] = {}
    total = 0
    for value in sorted(lives, key=lambda value: (-size(value), lives[value])):
        first, last = lives[value]
        taken = sorted(
            (offsets[other], offsets[other] + size(other))
            for other in offsets
            if lives[other][0] <= last and first <= lives[other][1]
        )
        offset = 0
        for start, stop in taken:
            if offset + size(value) <= start:
                break
            offset = max(offset, -(-stop // ALIGNMENT) * ALIGNMENT)
        offsets[value] = offset
        total = max(total, offset + size(value))
    return offsets, total
