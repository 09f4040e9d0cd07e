"""Memory of a network in C: one static array, in which each value has its place while it is needed."""

from dataclasses import replace

from cnncli.graph.memory import find, lives, pack
from cnncli.interop.inference import Inference
from cnncli.ops.ir import Call, Value


class Buffers:
    """The places of values: those of the input and of the output are the caller's, others are in an array.

    `prefix`: what the array's name begins with. `bytes`: its size. With `pixels`, it has a place for an image, too.
    """

    def __init__(self, network: Inference, prefix: str, *, pixels: bool = False) -> None:
        calls = [replace(call, outputs=call.outputs[:1]) for call in network.calls]
        found = lives(calls, [network.input], [network.output], _bytes)
        if find(found.owners, network.output) is not network.input:
            found = lives(calls, [network.input, network.output], [], _bytes)
        self.owners, self.array = found.owners, f"{prefix}_memory"
        self.names = {network.output: "output", network.input: "image"}
        spans = dict(found.spans)
        if pixels:
            spans[network.input] = (
                0,
                max((place for place, call in enumerate(calls) if self._of_image(call)), default=0),
            )
        self.offsets, self.bytes = pack(spans, _bytes)

    def _of_image(self, call: Call) -> bool:
        return any(self.names.get(find(self.owners, value)) == "image" for value in call.inputs)

    def __getitem__(self, value: Value) -> str:
        """The pointer to a value."""
        return self.names[find(self.owners, value)]

    def place(self, value: Value) -> str:
        """The place of a value in the array."""
        offset = self.offsets[value] // _bytes_of_number(value)
        array = self.array if value.dtype == "float32" else f"({_kind(value)} *){self.array}"
        return f"{array} + {offset}" if offset else array

    def declared(self, value: Value) -> str:
        """The declaration of the pointer to a value; empty if there is one."""
        owner = find(self.owners, value)
        if owner in self.names:
            return ""
        self.names[owner] = f"x{len(self.names) - 2}"
        return self.declaration(owner)

    def declaration(self, value: Value) -> str:
        """The declaration of a pointer to a place in the array."""
        return f"{_kind(value)} *{self.names[value]} = {self.place(value)};"


def _bytes(value: Value) -> int:
    return value.size * _bytes_of_number(value)


def _bytes_of_number(value: Value) -> int:
    return 1 if value.dtype == "int8" else value.bytes // value.size


def _kind(value: Value) -> str:
    return "float" if value.dtype == "float32" else f"{value.dtype}_t"
