"""Rematerialization: what the backward pass reads of the forward one is made again rather than kept (Chen et al. 2016).

A normalization's output follows from its input, which is kept anyhow, and from numbers of its channels. Made once more
where the derivative wants it, it need not wait in memory from one pass to the other, nor be fetched from there.
"""

from collections.abc import Sequence
from dataclasses import replace

from cnncli.ops.batch_normalization import BatchNormalization, Renormalization
from cnncli.ops.ir import Call, Value


def rematerialized(calls: Sequence[Call], loss: Value | None) -> list[Call]:
    """The calls with normalizations made again for those behind the one that makes `loss`, the first to read each."""
    found: list[Call] = []
    makers: dict[Value, tuple[Call, BatchNormalization]] = {}
    again: dict[Value, Value] = {}
    behind = False
    for call in calls:
        for value in call.inputs if behind else ():
            if value in makers and value not in again:
                maker, op = makers[value]
                x, _, _, *gamma_and_beta = maker.inputs
                again[value] = value.like()
                inputs = (x, maker.outputs[1], *gamma_and_beta)
                found.append(Call(Renormalization(op), inputs, (again[value],), maker.owner))
        found.append(replace(call, inputs=tuple(again.get(value, value) for value in call.inputs)))
        if isinstance(call.op, BatchNormalization):
            makers[call.output] = call, call.op
        behind = behind or loss in call.outputs
    return found
