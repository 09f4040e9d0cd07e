"""One node of an ONNX graph, with the values of its inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncli.interop.incoming.draft import Array, UnsupportedError
from cnncli.interop.onnx.messages import OnnxNode
from cnncli.interop.onnx.values import Flow, Tensor

Operand = Tensor | Array


@dataclass(frozen=True)
class Call:
    """A node to be translated. `values`: of its inputs, None for one left out. Methods raise UnsupportedError."""

    flow: Flow
    node: OnnxNode
    values: Sequence[Operand | None]
    opset: int

    @property
    def elements(self) -> Array | None:
        """The order of the elements of the first input, which an operator of each element keeps."""
        return self.tensor(0).elements

    def has(self, number: int) -> bool:
        """Whether there is such an input."""
        return number < len(self.values) and self.values[number] is not None

    def operand(self, number: int) -> Operand:
        """An input, which must be there."""
        value = self.values[number] if number < len(self.values) else None
        if value is None:
            raise UnsupportedError(f"its input {number + 1} is missing")
        return value

    def tensor(self, number: int) -> Tensor:
        """An input that depends on the network's."""
        value = self.operand(number)
        if not isinstance(value, Tensor):
            raise UnsupportedError(f"its input {number + 1} is a constant")
        return value

    def constant(self, number: int) -> Array:
        """An input that is a constant of numbers."""
        value = self.operand(number)
        if isinstance(value, Tensor):
            raise UnsupportedError(f"its input {number + 1} must be a constant; it depends on the image")
        if value.dtype.kind not in "biuf":
            raise UnsupportedError(f"its input {number + 1} must be numbers")
        return value

    def integers(self, number: int) -> list[int]:
        """A constant as a list of integers."""
        return [int(one) for one in np.atleast_1d(self.constant(number)).reshape(-1)]

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, of the type of its default."""
        value = self.node.attributes.get(name, default)
        kinds = (int, float) if isinstance(default, float) else type(default)
        if default is not None and not isinstance(value, kinds):
            raise UnsupportedError(f"its {name} must be of another type; received {value!r:.40}")
        return value

    def pair(self, name: str, default: int) -> tuple[int, int]:
        """An attribute of two integers, for height and width."""
        value = self.attribute(name, []) or [default] * 2
        if len(value) != 2:
            raise UnsupportedError(f"its {name} must be two numbers; received {value}")
        return int(value[0]), int(value[1])
