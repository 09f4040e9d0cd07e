"""GELU as exporters write it for ONNX before opset 20: x · (1 + Erf(x / √2)) / 2, as one node."""

from collections.abc import Mapping
from dataclasses import replace

from cnncli.interop.incoming.draft import Array
from cnncli.interop.onnx.messages import OnnxGraph, OnnxNode

ROOT, NEAR = 2**0.5, 1e-4


def with_gelus(graph: OnnxGraph) -> list[OnnxNode]:
    """The nodes of the graph, those of each GELU as one."""
    search = _Search(graph)
    for node in graph.nodes:
        if node.operator == "Erf":
            search.join(node)
    return [search.joined.get(id(node), node) for node in graph.nodes if id(node) not in search.dropped]


class _Search:
    def __init__(self, graph: OnnxGraph) -> None:
        self.makers = {name: node for node in graph.nodes for name in node.outputs}
        self.readers: dict[str, list[OnnxNode]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
        for name in graph.outputs:
            self.readers.setdefault(name, []).append(graph.nodes[-1])
        self.constants: Mapping[str, Array] = graph.constants
        self.joined: dict[int, OnnxNode] = {}
        self.dropped: set[int] = set()

    def join(self, erf: OnnxNode) -> None:
        """Make the nodes around an Erf one, if they are a GELU and nothing else reads what is between them."""
        scaled, added = self.makers.get(next(iter(erf.inputs), "")), self._reader(erf)
        x = None if scaled is None else self._times(scaled, 1 / ROOT)
        if (
            scaled is None
            or added is None
            or x is None
            or self._reader(scaled) is not erf
            or self._plus_one(added) is None
        ):
            return
        product = self._reader(added)
        if product is None or product.operator != "Mul" or len(product.inputs) != 2:
            return
        other = next(name for name in (*product.inputs, "") if name not in added.outputs)
        between = [scaled, erf, added]
        half = self.makers.get(other)
        if other == x:
            last = self._reader(product)
            between.append(product)
            if last is None or self._times(last, 0.5) is None:
                return
        elif half is not None and self._times(half, 0.5) == x and self._reader(half) is product:
            last = product
            between.append(half)
        else:
            return
        self.joined[id(last)] = replace(last, operator="Gelu", inputs=[x], attributes={})
        self.dropped |= {id(node) for node in between}

    def _reader(self, node: OnnxNode) -> OnnxNode | None:
        """The only node that reads the output of a node."""
        found = [reader for name in node.outputs for reader in self.readers.get(name, [])]
        return found[0] if len(found) == 1 else None

    def _times(self, node: OnnxNode, factor: float) -> str | None:
        """What a node multiplies by about this factor, or divides by its inverse."""
        number = self._number(node)
        if number is None or node.operator not in ("Mul", "Div") or (node.operator == "Div" and not number[0]):
            return None
        given = number[0] if node.operator == "Mul" else 1 / number[0]
        return (
            number[1]
            if abs(given - factor) < NEAR and (node.operator == "Mul" or node.inputs[0] == number[1])
            else None
        )

    def _plus_one(self, node: OnnxNode) -> str | None:
        number = self._number(node)
        return number[1] if number is not None and node.operator == "Add" and number[0] == 1 else None

    def _number(self, node: OnnxNode) -> tuple[float, str] | None:
        """The number and the other input of a node that has one of each."""
        if len(node.inputs) != 2:
            return None
        for name, other in (node.inputs, list(reversed(node.inputs))):
            found = self.constants.get(name)
            maker = self.makers.get(name)
            if found is None and maker is not None and maker.operator == "Constant":
                found = maker.attributes.get("value")
            if found is not None and getattr(found, "size", 0) == 1 and found.dtype.kind == "f":
                return float(found.item()), other
        return None
