"""What a model computes from an image, as plain data: operations in order, names of values, and arrays of weights.

Formats translate operations rather than layers, so any layer made of known operations works, third-party ones included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cnncli.graph.model import Model, lower
from cnncli.layers.loss import Loss
from cnncli.ops.arrange import Reshape
from cnncli.ops.ir import Call, Value
from cnncli.ops.losses import Penalty

if TYPE_CHECKING:
    import numpy as np

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
    arrays: "Mapping[str, Array]" = field(default_factory=dict)

    def reads(self, value: Value) -> list[Call]:
        """The calls that read a value."""
        return [call for call in self.calls if value in call.inputs]

    def changed(self, calls: Sequence[Call], names: Mapping[Value, str], arrays: "Mapping[str, Array]") -> "Inference":
        """With other calls, and the weights that they read."""
        read = {value for call in calls for value in call.inputs}
        names = {value: name for value, name in names.items() if value in read}
        kept = {name: arrays[name] for name in names.values()} if arrays else {}
        return replace(self, calls=calls, names=names, arrays=kept)

    def title(self, call: Call) -> str:
        """The layer of a call, for messages and comments: "conv2d (Conv2D)"."""
        return f"{call.owner} ({self.layers[call.owner]})"


def inference(model: Model, weights: "Mapping[str, Array] | None" = None, *, loss: Loss | None = None) -> Inference:
    """Return the operations of a model.

    `weights`: its weights by name. `loss`: the output is the probabilities by which it was trained, also if those of
    the model are logits.
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
    return _reshaped(Inference(lowered.input, output, calls, names, layers, weights or {}))


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
    return found.changed(calls, names, arrays)
