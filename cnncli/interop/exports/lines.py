"""Code of a network, one line for each operation, with short names of values."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cnncli.escaping import one_line
from cnncli.interop.inference import Inference
from cnncli.interop.refusal import no_counterpart
from cnncli.ops.ir import Call, Op, Value

Translator = Callable[["Names", Call, Any], str]
"""From a call and its operation to an expression."""


class Names:
    """The variables of a network. A value that only the next operation reads is `x`; others have their layer's name."""

    def __init__(self, network: Inference) -> None:
        self.network = network
        self.names = {network.input: "x"}
        self.taken = {"x"}

    def __getitem__(self, value: Value) -> str:
        return self.names[value]

    def name(self, place: int, call: Call) -> str:
        """Name the output of the call at a place."""
        network, value = self.network, call.output
        following = network.calls[place + 1 : place + 2]
        if network.reads(value) == list(following) or value is network.output:
            self.names[value] = "x"
        else:
            self.names[value] = self._free(
                "_" * call.owner[:1].isdigit() + re.sub(r"\W", "_", call.owner, flags=re.ASCII) + "_out"
            )
        return self.names[value]

    def _free(self, name: str) -> str:
        number, found = 1, name
        while found in self.taken:
            number += 1
            found = f"{name}{number}"
        self.taken.add(found)
        return found


def lines(network: Inference, translators: Mapping[type[Op], Translator], format_name: str) -> Iterator[str]:
    """Yield assignments, with a comment before those of each layer. Raises UsageError for an unknown operation."""
    names, owner = Names(network), None
    first = [call for call in network.calls if network.input in call.inputs]
    if first != list(network.calls[:1]):
        names.names[network.input] = "image"
        yield "image = x"
    for place, call in enumerate(network.calls):
        if type(call.op) not in translators:
            raise no_counterpart(format_name, network.title(call), "--format")
        if call.owner != owner:
            owner = call.owner
            yield f"# {one_line(network.title(call))}"
        made = translators[type(call.op)](names, call, call.op)
        yield f"{names.name(place, call)} = {made}"
    if names[network.output] != "x":
        yield f"x = {names[network.output]}"
