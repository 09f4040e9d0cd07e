"""Broadcasting in kernels: an operation that merges values reads what was broadcast for it from before the broadcast.

The derivative of a mean, and so of global pooling, is one number for many elements. Where it is added to other
gradients or multiplied, it is not copied in memory first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cnncli.ops.ir import Call, Value
from cnncli.ops.merging import Broadcast, Merge, common_shape


def broadcast_in_kernels(calls: Sequence[Call], kept: Collection[Value]) -> list[Call]:
    """Return the calls with merges that read the inputs of broadcasts, and without broadcasts that are not needed then.

    `kept` values have uses outside the calls.
    """
    sources = {call.output: call.inputs[0] for call in calls if isinstance(call.op, Broadcast)}
    found = [_reading(call, sources) for call in calls]
    read = {value for call in found for value in call.inputs}.union(kept)
    return [call for call in found if call.output not in sources or call.output in read]


def _reading(call: Call, sources: Mapping[Value, Value]) -> Call:
    """Return a merge that reads `sources` instead of inputs of its output's shape, if it still has that shape."""
    inputs = tuple(sources.get(x, x) if x.shape == call.output.shape else x for x in call.inputs)
    fits = isinstance(call.op, Merge) and call.op.broadcasts(len(inputs)) and common_shape(inputs) == call.output.shape
    return replace(call, inputs=inputs) if fits else call
