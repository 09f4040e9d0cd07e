"""Layer diagrams as plain data: boxes, frames around them, and edges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["TB", "BT", "LR", "RL"]
"""Where the data flows: from top to bottom, …, from right to left; graphviz's words."""
Kind = Literal[
    "input", "convolution", "pooling", "normalization", "activation", "dense", "merge", "dropout", "shape", "block"
]
"""What a box does: its color. "shape": layers that only move or rescale; "block": a folded block."""


@dataclass(frozen=True)
class DiagramOptions:
    """What a diagram shows; names and defaults are those of Keras' `plot_model`, if it has them.

    `expand_blocks`: show the layers of each block within a frame; otherwise a block is one box.
    """

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = False
    show_layer_activations: bool = False
    show_trainable: bool = False
    rankdir: Direction = "TB"
    expand_blocks: bool = False


@dataclass(frozen=True)
class Box:
    """A layer, the input, or a folded block, with the names of the `layers` in it.

    `kinds`: what its layers do, of a repeated block those of one repetition; `times`: how often a block is repeated;
    `trainable`: whether it has any trainable weights, None if it has no weights.
    """

    id: str
    title: str
    lines: Sequence[str]
    kind: Kind
    layers: Sequence[str]
    kinds: Sequence[Kind]
    trainable: bool | None = None
    times: int = 1


@dataclass(frozen=True)
class Frame:
    """An expanded block."""

    id: str
    title: str
    parts: "Sequence[Part]"


Part = Box | Frame


@dataclass(frozen=True)
class Edge:
    """The output of box `source` is an input of box `target`."""

    source: str
    target: str


@dataclass(frozen=True)
class Diagram:
    """Boxes and frames in the order of the layers; each edge leads to a later box."""

    title: str
    parts: Sequence[Part]
    edges: Sequence[Edge]
    direction: Direction = "TB"

    @property
    def boxes(self) -> list[Box]:
        """All boxes, including those in frames."""
        return list(boxes_of(self.parts))


def boxes_of(parts: Sequence[Part]) -> Iterator[Box]:
    """The boxes among the parts and in their frames, in order."""
    for part in parts:
        if isinstance(part, Box):
            yield part
        else:
            yield from boxes_of(part.parts)
