"""Rematerialization: recompute forward values in the backward pass instead of storing them (Chen et al. 2016).

A normalization's output can be recomputed from its input, which is stored anyway, and from per-channel statistics.
Recomputing it where the derivative uses it saves memory and memory traffic. Operations declare whether they can be
recomputed (`Op.remade`).
"""

from collections.abc import Sequence
from dataclasses import replace

from cnncli.ops.ir import Call, Value


def rematerialized(calls: Sequence[Call], loss: Value | None) -> list[Call]:
    """Return the calls with each value recomputed before its first use after the producer of `loss`."""
    found: list[Call] = []
    producers: dict[Value, Call] = {}
    again: dict[Value, Value] = {}
    behind = False
    for call in calls:
        for value in call.inputs if behind else ():
            producer = producers.get(value)
            remade = producer.op.remade(producer) if producer is not None and value not in again else None
            if producer is not None and remade is not None:
                again[value] = value.like()
                found.append(Call(*remade, (again[value],), producer.owner))
        found.append(replace(call, inputs=tuple(again.get(value, value) for value in call.inputs)))
        producers[call.output] = call
        behind = behind or loss in call.outputs
    return found
