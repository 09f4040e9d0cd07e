"""What a model computes from an image, as plain data: operations in order, names of values, and arrays of weights.

Formats translate operations rather than layers, so any layer made of known operations works, third-party ones included.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cnncli.graph.fusion import folded, fuse
from cnncli.graph.model import Model, lower
from cnncli.layers.losses import Loss
from cnncli.ops.arrange import Reshape
from cnncli.ops.batch_normalization import FixedNormalization, FoldNormalization
from cnncli.ops.ir import Call, Value
from cnncli.ops.losses import Penalty

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Inference:
    """`calls`: operations, in order; each reads `input`, outputs of earlier calls, and weights. They are not fused with
    activations.

    `names`: the name of each weight that is read ("conv2d/kernel"). `arrays`: the weights by name, float32; none if
    only the structure is wanted. `layers`: the class of each layer, by name.
    """

    input: Value
    output: Value
    calls: Sequence[Call]
    names: Mapping[Value, str]
    layers: Mapping[str, str]
    arrays: Mapping[str, Array] = field(default_factory=dict)

    def reads(self, value: Value) -> list[Call]:
        """The calls that read a value."""
        return [call for call in self.calls if value in call.inputs]

    def title(self, call: Call) -> str:
        """The layer of a call, for messages and comments: "conv2d (Conv2D)"."""
        return f"{call.owner} ({self.layers[call.owner]})"


def inference(
    model: Model, weights: Mapping[str, Array] | None = None, *, fold: bool = False, loss: Loss | None = None
) -> Inference:
    """Return the operations of a model.

    `weights`: its weights by name. `fold`: fold normalizations into the products before them, which needs `weights`.
    `loss`: the output is the probabilities by which it was trained, also if those of the model are logits.
    """
    lowered = lower(model)
    output = lowered.output
    if loss is not None:
        last = model.nodes[-1].name
        with lowered.builder.owned_by(last):
            output = loss.probabilities(lowered.builder, output)
    calls = [call for call in lowered.builder.calls if not isinstance(call.op, Penalty)]
    layers = {node.name: type(node.layer).__name__ for node in model.nodes}
    names = {parameter.value: parameter.name for parameter in lowered.parameters}
    found = _reshaped(Inference(lowered.input, output, calls, names, layers, weights or {}))
    return _folded(found) if fold else found


def _reshaped(found: Inference) -> Inference:
    """With weights of the shape in which they are used, instead of operations that reshape them."""
    names, arrays, calls = dict(found.names), dict(found.arrays), []
    for call in found.calls:
        source = call.inputs[0]
        if not isinstance(call.op, Reshape) or source.batched:
            calls.append(call)
            continue
        name = names[source]
        if len(found.reads(source)) > 1:
            name += f"/{'x'.join(map(str, call.op.shape))}"
        if arrays:
            arrays[name] = arrays[names[source]].reshape(call.op.shape)
        names[call.output] = name
    return _without_unread(found, calls, names, arrays)


def _without_unread(
    found: Inference, calls: Sequence[Call], names: Mapping[Value, str], arrays: Mapping[str, Array]
) -> Inference:
    """With these calls, and the weights that they read."""
    read = {value for call in calls for value in call.inputs}
    names = {value: name for value, name in names.items() if value in read}
    kept = {name: arrays[name] for name in names.values()} if arrays else {}
    return replace(found, calls=calls, names=names, arrays=kept)


def _folded(found: Inference) -> Inference:
    """With new kernels and biases instead of normalizations behind products whose outputs nothing else reads."""
    uses = Counter(value for call in found.calls for value in call.inputs)
    names, arrays, calls = dict(found.names), dict(found.arrays), []
    for call in fuse(found.calls, [folded], [found.output]):
        if not isinstance(call.op, FoldNormalization):
            calls.append(call)
            continue
        kernel = names[call.inputs[0]]
        bias = f"{kernel.rpartition('/')[0]}/bias"
        if uses[call.inputs[0]] > 1 or (bias in arrays and bias not in map(names.get, call.inputs)):
            kernel, bias = f"{call.owner}/folded_kernel", f"{call.owner}/folded_bias"
        made = fold_normalization(call.op, *(found.arrays[names[value]] for value in call.inputs))
        for name, value, array in zip((kernel, bias), call.outputs, made, strict=True):
            names[value], arrays[name] = name, array
    return _without_unread(found, calls, names, arrays)


def fold_normalization(op: FoldNormalization, kernel: Array, mean: Array, variance: Array, *others: Array) -> Any:
    """The kernel and bias with the normalization folded in, computed in float64. `others`: gamma, beta and bias."""
    given = op.of.scale + op.of.center
    scale, offset = scale_and_offset(op.of, mean, variance, *others[:given])
    bias = others[given] if len(others) > given else 0.0
    rows = kernel.reshape(-1, len(mean), op.inner) * scale[:, None]
    return rows.reshape(kernel.shape).astype(np.float32), (bias * scale + offset).astype(np.float32)


def scale_and_offset(op: FixedNormalization, mean: Array, variance: Array, *gamma_and_beta: Array) -> Any:
    """The normalization as scale · x + offset of each channel, float64."""
    given = iter(gamma_and_beta)
    gamma = next(given).astype(np.float64) if op.scale else 1.0
    beta = next(given).astype(np.float64) if op.center else 0.0
    scale = gamma / np.sqrt(variance.astype(np.float64) + op.epsilon)
    return scale, beta - mean * scale
