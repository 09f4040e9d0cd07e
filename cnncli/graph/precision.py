"""Mixed precision: a rewrite of the finished operations that stores activations and their gradients as bfloat16.

Nothing before it knows: layers, derivatives and fusion work on float32 values. Weights, their gradients, statistics,
losses, the network's input and outputs stay float32. An operation whose kernels take bfloat16 (`Op.narrow`) reads and
writes it; any other computes in float32, with casts around it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cnncli.graph.memory import find
from cnncli.ops.cast import Cast
from cnncli.ops.ir import Call, Value

FLOAT32, MIXED = POLICIES = ("float32", "mixed_bfloat16")
"""Keras' names of the policies."""
NARROW = "bfloat16"


def narrowed(calls: Sequence[Call], wide: Collection[Value]) -> list[Call]:
    """Return the calls with batched float32 values stored as bfloat16, except `wide` ones and views of these."""
    rewriting = _Rewriting(stored(calls, wide))
    for call in calls:
        rewriting.add(call)
    return rewriting.calls


def stored(calls: Sequence[Call], wide: Collection[Value]) -> dict[Value, Value]:
    """The values that `narrowed` stores as bfloat16, with those that replace them."""
    views = {call.output: call.inputs[0] for call in calls if call.op.is_view}
    exact = {value for call in calls if call.op.reads_exactly for value in call.inputs}
    kept = {find(views, value) for value in (*wide, *exact)}
    made = (value for call in calls for value in call.outputs)
    return {value: value.like(dtype=NARROW) for value in made if _real(value) and find(views, value) not in kept}


def _real(value: Value) -> bool:
    return value.batched and value.dtype == "float32"


@dataclass
class _Rewriting:
    """`stored` maps values to those that replace them; `cast` holds what the calls of one layer have cast so far."""

    stored: Mapping[Value, Value]
    calls: list[Call] = field(default_factory=list)
    cast: dict[Value, Value] = field(default_factory=dict)
    owner: str = ""

    def add(self, call: Call) -> None:
        """Append a call, with the casts that it needs before and after it."""
        if call.owner != self.owner:  # what is cast is used at once: kept for the backward pass it would take memory
            self.cast, self.owner = {}, call.owner
        if call.op.is_view:
            self._append(call, call.inputs, call.outputs)
            return
        narrow = self._narrow(call)
        inputs = [self._read(value, narrow=narrow) if _real(value) else value for value in call.inputs]
        if narrow:
            self._append(call, inputs, call.outputs)
            return
        outputs = [value.like() if value in self.stored else value for value in call.outputs]
        self.calls.append(replace(call, inputs=tuple(inputs), outputs=tuple(outputs)))
        for value, output in zip(call.outputs, outputs, strict=True):
            if output is not value:
                self.calls.append(Call(Cast(NARROW), (output,), (self.stored[value],), call.owner))

    def _append(self, call: Call, inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        own = self.stored
        replaced = (tuple(own.get(value, value) for value in values) for values in (inputs, outputs))
        self.calls.append(replace(call, inputs=next(replaced), outputs=next(replaced)))

    def _narrow(self, call: Call) -> bool:
        """Whether a call reads bfloat16."""
        outputs = [value in self.stored for value in call.outputs if _real(value)]
        return call.op.narrow(call) and (all(outputs) or (call.op.widens and not any(outputs)))

    def _read(self, value: Value, *, narrow: bool) -> Value:
        """Return a value as bfloat16 or not, cast if it is stored as the other."""
        source = self.stored.get(value, value)
        dtype = NARROW if narrow else value.dtype
        if source.dtype == dtype:
            return source
        if value not in self.cast:
            self.cast[value] = source.like(dtype=dtype)
            self.calls.append(Call(Cast(dtype), (source,), (self.cast[value],), self.owner))
        return self.cast[value]
