"""Slices: a value produced and consumed within one pass needs only a thread-local buffer for one portion.

An array for the whole batch would cause memory writes that are never read.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from cnncli.graph import memory
from cnncli.kernels.jit.relocation import Moved, mentions
from cnncli.kernels.jit.runtime import Pass, Step
from cnncli.ops.ir import Value


def pass_local_values(parts: Iterable[Step | Pass], values: Sequence[Value]) -> set[Value]:
    """Return those of `values` that only the steps of one pass use.

    The steps were planned with the placeholder address of each value's index.
    """
    users: dict[int, set[int]] = defaultdict(set)
    for number, part in enumerate(parts):
        steps, user = (part.steps, number) if isinstance(part, Pass) else ([part], -1)
        for step in steps:
            for mention in mentions(step.parameters):
                users[mention.number].add(user)
    return {values[number] for number, found in users.items() if len(found) == 1 and -1 not in found}


def uses(parts: Iterable[Step | Pass], values: Sequence[Value]) -> dict[Value, tuple[int, int]]:
    """Return the first and the last part that uses each of `values`, planned as for `pass_local_values`."""
    spans: dict[Value, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        for step in part.steps if isinstance(part, Pass) else [part]:
            for mention in mentions(step.parameters):
                value = values[mention.number]
                spans[value] = spans.get(value, (number, number))[0], number
    return spans


class Slices:
    """Thread-local buffers for those of `values` that a pass uses; `size` is in bytes per thread.

    The pass was planned with the placeholder address of each value's index.
    """

    def __init__(self, part: Pass, values: Sequence[Value]) -> None:
        self.part, self.values = part, values
        self.found = [(step, mention) for step, own in enumerate(part.steps) for mention in mentions(own.parameters)]
        spans: dict[Value, tuple[int, int]] = {}
        for step, (_, number, _) in self.found:
            spans[values[number]] = spans.get(values[number], (step, step))[0], step
        self.offsets, self.size = memory.pack(spans, lambda value: part.portion * value.bytes)

    def at(self, base: int, stride: int) -> Pass:
        """Return the pass with thread 0's slices at address `base` and those of thread t at `base + t · stride`."""
        return self.part._replace(
            moved=[
                Moved(step, word, base + self.offsets[value] + offset, stride, value.bytes)
                for step, (word, number, offset) in self.found
                for value in [self.values[number]]
            ]
        )
