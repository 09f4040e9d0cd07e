"""Rematerialization: what the backward pass reads of the forward one is made again rather than kept (Chen et al. 2016).

A normalization's output follows from its input, which is kept anyhow, and from numbers of its channels. Made once more
where the derivative wants it, it need not wait in memory from one pass to the other, nor be fetched from there. Which
operations are of that kind, they say themselves (`Op.remade`).
"""

from collections.abc import Sequence
from dataclasses import replace

from cnncli.ops.ir import Call, Value


def rematerialized(calls: Sequence[Call], loss: Value | None) -> list[Call]:
    """The calls with values made again for those behind the one that makes `loss`, the first to read each."""
    found: list[Call] = []
    makers: dict[Value, Call] = {}
    again: dict[Value, Value] = {}
    behind = False
    for call in calls:
        for value in call.inputs if behind else ():
            maker = makers.get(value)
            remade = maker.op.remade(maker) if maker is not None and value not in again else None
            if maker is not None and remade is not None:
                again[value] = value.like()
                found.append(Call(*remade, (again[value],), maker.owner))
        found.append(replace(call, inputs=tuple(again.get(value, value) for value in call.inputs)))
        makers[call.output] = call
        behind = behind or loss in call.outputs
    return found
