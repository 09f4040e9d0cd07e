"""Which value of a training step was the first not to be finite."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnncli.graph.network import Network
from cnncli.graph.objective import Objective
from cnncli.ops.ir import Call, Value
from cnncli.ops.losses import Penalty

Array = np.ndarray[Any, Any]


def is_finite(array: Array) -> bool:
    """Whether all elements are finite. As a rule the sum of squares says so, in a fast pass; else it overflowed."""
    flat = array.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat))) or bool(np.isfinite(array).all())


def first_weight(weights: Mapping[str, Array]) -> str:
    """The first weight that is not finite, with a value: "dense/kernel has nan"; "" if all are."""
    broken = (f"{name} has {_example(tensor)}" for name, tensor in weights.items() if not is_finite(tensor))
    return next(broken, "")


def first_of_step(network: Network, n: int, memory: int) -> str:
    """What was the first not to be finite when the last `train_step` computed `n` rows: weights, the images, a layer's
    output, the loss or a gradient, with a value; "" if nothing is found, or it would take more than `memory` bytes.

    The step runs again, with the memory of no value shared; statistics that it updates are updated twice.
    """
    if weight := first_weight(network.weights.tensors()):  # the others are statistics, which this step has updated
        return f"the weight {weight}"
    if not is_finite(network.inputs[:n]):
        return f"an image has {_example(network.inputs[:n])}"
    return next(_found(network, n, memory), "")


def _found(network: Network, n: int, memory: int) -> Iterator[str]:
    """What is not finite in the order in which it is computed."""
    objective, values = network.traced(n, memory)
    forward = True
    for call in objective.calls:
        for value in call.outputs:
            if value in values and not is_finite(values[value]):
                yield f"{_name(objective, call, value, forward=forward)} has {_example(values[value])}"
        forward = forward and objective.loss not in call.outputs


def _name(objective: Objective, call: Call, value: Value, *, forward: bool) -> str:
    """What a value is to the user."""
    weight = next((name for name, gradient in objective.gradients.items() if gradient is value), None)
    if weight is not None:
        return f"the gradient of the weight {weight}"
    if value is objective.loss:
        return "the loss itself"
    if isinstance(call.op, Penalty):
        return f"the regularization of {call.owner}"
    return f"the output of {call.owner or 'the loss'}" if forward else f"the gradient in {call.owner or 'the loss'}"


def _example(array: Array) -> str:
    """One of its elements that are not finite."""
    return str(array[~np.isfinite(array)][0])
