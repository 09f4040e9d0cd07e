"""Slices: a value that one pass makes and uses up needs no more memory than each thread's portion of it.

Written to an array of the whole batch, it would go out to memory though nobody reads it from there.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from cnncli.graph import memory
from cnncli.kernels.jit.relocation import Moved, mentions
from cnncli.kernels.jit.runtime import Pass, Step
from cnncli.ops.ir import Value


def passing(parts: Iterable[Step | Pass], values: Sequence[Value]) -> set[Value]:
    """Those of `values`, planned at the stand-ins of their numbers, that only the steps of one pass use."""
    users: dict[int, set[int]] = defaultdict(set)
    for number, part in enumerate(parts):
        steps, user = (part.steps, number) if isinstance(part, Pass) else ([part], -1)
        for step in steps:
            for mention in mentions(step.parameters):
                users[mention.number].add(user)
    return {values[number] for number, found in users.items() if len(found) == 1 and -1 not in found}


class Slices:
    """A thread's memory for those of `values`, planned at the stand-ins of their numbers, that a pass uses.

    `size` is in bytes.
    """

    def __init__(self, part: Pass, values: Sequence[Value]) -> None:
        self.part, self.values = part, values
        self.found = [(step, mention) for step, own in enumerate(part.steps) for mention in mentions(own.parameters)]
        spans: dict[Value, tuple[int, int]] = {}
        for step, (_, number, _) in self.found:
            spans[values[number]] = spans.get(values[number], (step, step))[0], step
        self.offsets, self.size = memory.pack(spans, lambda value: part.portion * value.bytes)

    def at(self, base: int, stride: int) -> Pass:
        """The pass with the slices of thread 0 from address `base` on, those of the next one `stride` bytes behind."""
        return self.part._replace(
            moved=[
                Moved(step, word, base + self.offsets[value] + offset, stride, value.bytes)
                for step, (word, number, offset) in self.found
                for value in [self.values[number]]
            ]
        )
