"""Signatures of blocks: parameters, inputs, layers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cnncli.hints import suggestion
from cnncli.spec.blocks.entries import ENTRY_KEYS
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree, is_null

PARAMETER = re.compile(r"[A-Za-z_]\w*")
NAME = re.compile(r"[a-z_][a-z0-9_]*")
"""The name of a block."""


@dataclass(slots=True)
class Block:
    """The signature of a block: parameters with defaults (None: required) and places, input names, layers."""

    name: Scalar
    parameters: dict[str, Tree | None]
    places: dict[str, Place]
    inputs: list[str]
    layers: Sequence
    used: set[str] = field(default_factory=set)


def declared(blocks: Tree, problems: Problems) -> dict[str, Block]:
    """The blocks by name; invalid ones are reported and omitted."""
    found: dict[str, Block] = {}
    if not isinstance(blocks, Mapping):
        problems.add(blocks.place, "blocks must be a mapping of names to blocks")
        return found
    for entry in blocks:
        if not NAME.fullmatch(entry.name) or entry.name in ENTRY_KEYS:
            problems.add(
                entry.key.place,
                f"block names must be snake_case; received '{entry.name}' (layer names are CamelCase)",
            )
            continue
        block = _block(entry, problems)
        if block is not None:
            found[entry.name] = block
    return found


def _block(entry: Entry, problems: Problems) -> Block | None:
    body, layers = entry.value, None
    if isinstance(body, Mapping):
        layers = body.get("layers")
        for other in body:
            if other.name not in ("parameters", "inputs", "layers"):
                known = suggestion(other.name, ("parameters", "inputs", "layers"))
                problems.add(other.key.place, f"unknown key '{other.name}' in block '{entry.name}'{known}")
    if not isinstance(body, Mapping) or not isinstance(layers, Sequence) or not layers.items:
        place = layers.place if layers is not None else entry.key.place
        problems.add(place, f"block '{entry.name}' must have a list of layers under `layers`")
        return None
    inputs = []
    for item in _items(body.get("inputs")):
        if isinstance(item, Scalar) and isinstance(item.value, str) and PARAMETER.fullmatch(item.value):
            inputs.append(item.value)
        else:
            problems.add(item.place, "inputs of a block must be names, like [below, skip]")
    return Block(entry.key, *_parameters(body.get("parameters"), problems), inputs, layers)


def _parameters(tree: Tree | None, problems: Problems) -> tuple[dict[str, Tree | None], dict[str, Place]]:
    """The default and the place of each parameter."""
    parameters: dict[str, Tree | None] = {}
    places: dict[str, Place] = {}
    items: Iterable[Tree] = _items(tree)
    if isinstance(tree, Mapping):
        items = [Mapping(entry.key.place, (entry,)) for entry in tree]
    for item in items:
        default = None
        key = item
        if isinstance(item, Mapping) and len(item.entries) == 1:
            key, default = item.entries[0].key, item.entries[0].value
        name = key.value if isinstance(key, Scalar) else None
        if not isinstance(name, str) or not PARAMETER.fullmatch(name):
            problems.add(item.place, "parameters must be names, like [filters, strides: 1]")
        elif name in ENTRY_KEYS or name in parameters:
            why = "is declared twice" if name in parameters else "is a reserved key"
            problems.add(key.place, f"the parameter '{name}' {why}; choose another name")
        else:
            parameters[name], places[name] = default, key.place
    return parameters, places


def _items(tree: Tree | None) -> Iterable[Tree]:
    if tree is None or is_null(tree):
        return ()
    return tree.items if isinstance(tree, Sequence) else (tree,)
