"""What the operations of a network are of images, with NumPy: each value can be seen."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnncli.interop.exports import numpy_functions
from cnncli.interop.exports.lines import Names
from cnncli.interop.exports.numpy_folder import arrays
from cnncli.interop.exports.numpy_operations import TRANSLATORS
from cnncli.interop.inference import Inference
from cnncli.ops.ir import Call, Op, Value

Array = np.ndarray[Any, Any]
Computing = Callable[..., Array]
"""From an operation and its inputs to the output; batches come first."""


class Evaluation:
    """Computes a network. `own`: how operations are computed that the format numpy does not have."""

    def __init__(self, network: Inference, own: Mapping[type[Op], Computing] | None = None) -> None:
        self.network, self.own = network, own or {}
        self.names = Names(network)
        outputs = (call.output for call in network.calls)
        self.names.names = {value: f"v{place}" for place, value in enumerate((network.input, *outputs))}
        self.known = {"np": np, **vars(numpy_functions), "w": arrays(network)}

    def of(self, call: Call, *inputs: Array) -> Array:
        """What a call makes of its batched inputs."""
        if type(call.op) in self.own:
            return self.own[type(call.op)](call.op, *inputs).reshape(-1, *call.output.shape)
        read = (self.names[value] for value in call.inputs if value.batched)
        code = TRANSLATORS[type(call.op)](self.names, call, call.op)
        with np.errstate(all="ignore"):
            return eval(code, {**self.known, **dict(zip(read, inputs, strict=True))})  # type: ignore[no-any-return]

    def run(self, x: Array, see: Callable[[Value, Array], object] = lambda value, array: None) -> Array:
        """The output for x; `see` is called with each value."""
        network, found = self.network, {self.network.input: x}
        last = {value: call for call in network.calls for value in call.inputs}
        see(network.input, x)
        for call in network.calls:
            read = [value for value in call.inputs if value.batched]
            found[call.output] = self.of(call, *(found[value] for value in read))
            see(call.output, found[call.output])
            for value in {*read} - {network.output}:
                if last[value] is call:
                    del found[value]
        return found[network.output]
