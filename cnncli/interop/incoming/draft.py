"""The draft of a network: layers in our vocabulary, as plain data with their weights, not yet validated."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cnncli.errors import UsageError
from cnncli.graph.model import INPUT
from cnncli.ops.ir import Shape

Array = np.ndarray[Any, Any]
MOST_LAYERS = 10_000
MOST_REFUSALS = 20
"""Refusals that a message lists."""
RESERVED = (INPUT, "previous")


@dataclass(frozen=True)
class Entry:
    """A layer: its class, arguments, the names of its inputs, and its weights by their own names ("kernel")."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """Layers in topological order, the output last. `compiled`, `data`: keys of these sections as plain data, where
    they are known. `notes`: what is not taken over, for people.
    """

    input_shape: Shape
    entries: Sequence[Entry]
    compiled: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def replaced(self, entries: Sequence[Entry]) -> "Draft":
        """The draft with other layers."""
        return replace(self, entries=entries)


class UnsupportedError(Exception):
    """Something has no counterpart here; the message says what, for the layer, node or section that has it."""


class Names:
    """Names of layers for a spec, each given once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = {*RESERVED, *taken}

    def unique(self, name: str) -> str:
        """A name like this one, of letters, digits, _ and -, with / between its parts."""
        parts: list[str] = []
        for part in (re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in name.split("/")):
            if re.match("[A-Za-z_]", part):
                parts.append(part)
            elif part:  # a number belongs to the part before it: layer1.0 → layer1_0
                parts.append(f"{parts.pop() if parts else ''}_{part}")
        stem = found = "/".join(parts) or "layer"
        number = 0
        while found in self.taken:
            number += 1
            found = f"{stem}_{number}"
        self.taken.add(found)
        return found


class Refusals:
    """What can't be said in a spec, layer by layer."""

    def __init__(self, what: str = "layer") -> None:
        self.what = what
        self.lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.lines)

    def add(self, name: str, kind: str, why: str) -> None:
        """Note that a layer or node `name` of the class or operator `kind` can't be imported, and why."""
        self.lines.append(f"  {name} ({kind}): {why}" if name else f"  {kind}: {why}")

    def raise_any(self, path: object) -> None:
        """Raise UsageError with a line for each, if there are any."""
        if not self.lines:
            return
        count = len(self.lines)
        more = [f"  and {count - MOST_REFUSALS:,} more"] if count > MOST_REFUSALS else []
        first = f"{path}: {count:,} {self.what}{'s' * (count > 1)} can't be imported:"
        raise UsageError(first, *self.lines[:MOST_REFUSALS], *more)


def needed(entries: Sequence[Entry], output: str) -> Iterator[Entry]:
    """The layers that `output` depends on, in their order."""
    by_name = {entry.name: entry for entry in entries}
    wanted, waiting = set[str](), [output]
    while waiting:
        name = waiting.pop()
        if name not in wanted and name in by_name:
            wanted.add(name)
            waiting += by_name[name].inputs
    return (entry for entry in entries if entry.name in wanted)
