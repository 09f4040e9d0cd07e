"""Blocks of a model, which its flat list of layers shows only in their names: "stage1_2/conv2d"."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from cnncli.graph.model import Node
from cnncli.layers.layer import Layer


@dataclass(frozen=True)
class Block:
    """Consecutive layers whose names begin with the name of a block."""

    name: str
    nodes: Sequence[Node]

    @cached_property
    def names(self) -> set[str]:
        """The names of its layers."""
        return {node.name for node in self.nodes}

    @property
    def sources(self) -> list[str]:
        """The names of the layers outside that it reads."""
        return list(dict.fromkeys(name for node in self.nodes for name in node.inputs if name not in self.names))

    def structure(self) -> list[tuple[Layer, list[int]]]:
        """Its layers, with the places of their inputs among them; -1 for what comes from outside."""
        places = {node.name: place for place, node in enumerate(self.nodes)}
        return [(node.layer, [places.get(name, -1) for name in node.inputs]) for node in self.nodes]


def grouped(nodes: Sequence[Node], depth: int) -> Iterator[Node | Block]:
    """Layers and blocks in order, within `depth` blocks. A block with a single layer is no more than that layer."""

    def block_of(node: Node) -> str:
        path = node.name.split("/")
        return "/".join(path[: depth + 1]) if len(path) > depth + 1 else ""

    for name, run in groupby(nodes, block_of):
        found = list(run)
        if name and len(found) > 1:
            yield Block(name, found)
        else:
            yield from found
