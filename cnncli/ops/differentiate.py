"""Reverse-mode differentiation: appends to a tape the calls that compute the objective's gradient."""

from collections.abc import Iterable, Mapping

from cnncli.ops.ir import Tape, Value
from cnncli.ops.merging import Add


def differentiate(
    tape: Tape, wanted: Iterable[Value], cotangents: Mapping[Value, Value] | None = None
) -> Mapping[Value, Value | None]:
    """The gradient of the objective with respect to each of `wanted`; None for one without influence on it.

    The objective is the sum of all roots on `tape`, and of Σ value·cotangent for each pair in `cotangents`. A value
    read several times gets the sum of its gradients, added in reverse program order.
    """
    wanted = list(wanted)
    active = set(wanted)
    forward = list(tape.calls)
    for call in forward:
        if any(value in active for value in call.inputs):
            active.update(call.outputs)
    parts = {value: [cotangent] for value, cotangent in (cotangents or {}).items()}

    def total(value: Value) -> Value | None:
        grads = parts.get(value, [])
        if len(grads) > 1:
            grads[:] = [tape.emit(Add(), *grads)]
        return grads[0] if grads else None

    for call in reversed(forward):
        if call.output not in active:
            continue
        with tape.owned_by(call.owner):
            grad = total(call.output)
            if grad is None and not call.op.is_root:
                continue
            needed = [value in active for value in call.inputs]
            for value, part in zip(call.inputs, call.op.gradient(tape, call, grad, needed), strict=True):
                if part is not None:
                    parts.setdefault(value, []).append(part)
    return {value: total(value) for value in wanted}
