"""The JSON Schema of a spec, generated from the declarations, for completion and checks in editors.

It accepts every spec that `check` accepts. Rules it can't express (shapes, names of inputs) are left to `check`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from cnncli.layers.declarations.declaration import Declaration, one_of_keys
from cnncli.layers.declarations.field_types import Schema
from cnncli.layers.layer import LAYERS
from cnncli.layers.vocabulary import layers
from cnncli.spec.blocks.entries import LAYER_NAME, MOST_REPEATS
from cnncli.spec.blocks.signatures import NAME as BLOCK_NAME
from cnncli.spec.blocks.signatures import PARAMETER
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.validation.sections import REQUIRED, SECTIONS, Head, ModelSection
from cnncli.spec.validation.tuning import RANGES
from cnncli.training.metrics.expectations import CONDITION
from cnncli.version import __version__

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VALUE: Schema = {"type": "string", "pattern": rf"^\$({PARAMETER.pattern})$"}
"""$name: the value of a block parameter."""
IN_BLOCKS = ("activation", "initializer", "regularizer", "constraint")
"""Kinds of declarations used in layers, which may therefore contain $name."""
NAMES: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def schema() -> dict[str, Any]:
    """The schema of a spec, including layers of installed packages."""
    sections = {name: cls.schema() for name, cls in SECTIONS.items()}
    return {
        "$schema": DIALECT,
        "title": f"cnncli {__version__} spec",
        "type": "object",
        "properties": {
            **Head.schema()["properties"],
            "data": sections["data"],
            "model": _model(),
            "compile": sections["compile"],
            "fit": sections["fit"],
            "expect": _expect(),
            "tune": _tune(sections["tune"]),
        },
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": _definitions(),
    }


def _definitions() -> dict[str, Any]:
    known = layers()
    found: dict[str, Any] = {}
    for kind, registry in REGISTRIES.items():
        if registry is not LAYERS:
            defined = registry.definitions()
            found |= _with_values(defined) if kind in IN_BLOCKS else defined
    return found | {f"layer.{name}": _layer(cls) for name, cls in known.items()} | {"layer": _entry(known.values())}


def _layer(cls: type[Declaration]) -> dict[str, Any]:
    """The arguments of a layer and the keys of every entry."""
    own = cls.schema()
    return {**own, "properties": _with_values({**own["properties"], **_entry_keys()})}


def _entry_keys() -> dict[str, Any]:
    return {
        "name": {"description": "name of the layer, used in the inputs of other entries", "type": "string"},
        "inputs": {
            "description": "names of earlier entries; previous is the entry above, input is the model's input",
            "anyOf": [{"type": "string"}, NAMES],
        },
        "repeat": {
            "description": "number of copies in sequence",
            **{"type": "integer", "minimum": 1, "maximum": MOST_REPEATS},
        },
    }


def _entry(known: Iterable[type[Declaration]]) -> dict[str, Any]:
    """An entry of a list of layers: a layer or a block, with or without arguments."""
    spelled = {name: cls for cls in known for name in (cls.__name__, *cls.aliases) if LAYER_NAME.fullmatch(name)}
    bare = [name for name, cls in spelled.items() if not cls.needs()]
    block = {"description": "a block", "type": ["object", "null"], "properties": _with_values(_entry_keys())}
    arguments = one_of_keys({name: {"$ref": f"#/$defs/{LAYERS.kind}.{cls.__name__}"} for name, cls in spelled.items()})
    blocks = f"^({BLOCK_NAME.pattern})$"
    return {
        "anyOf": [
            {"enum": bare},
            {"type": "string", "pattern": blocks},
            {**arguments, "patternProperties": {blocks: block}},
        ]
    }


def _model() -> dict[str, Any]:
    entries = {"type": "array", "items": {"$ref": "#/$defs/layer"}}
    block = {
        "type": "object",
        "properties": {
            "parameters": {"description": "names, or {name: default}", "type": ["array", "object", "string", "null"]},
            "inputs": {"anyOf": [{"type": ["string", "null"]}, NAMES]},
            "layers": {**entries, "minItems": 1},
        },
        "required": ["layers"],
        "additionalProperties": False,
    }
    blocks = {
        "description": "reusable groups of layers; $name is replaced by the value of a parameter",
        "type": ["object", "null"],
        "patternProperties": {f"^({BLOCK_NAME.pattern})$": block},
        "additionalProperties": False,
    }
    return {
        "description": "The network: its layers from input to output.",
        "type": "object",
        "properties": {
            **ModelSection.schema()["properties"],
            "blocks": blocks,
            "layers": {**entries, "minItems": 1},
        },
        "required": ["layers"],
        "additionalProperties": False,
    }


def _expect() -> dict[str, Any]:
    return {
        "description": "what the run must reach: conditions such as test_accuracy: '>= 0.95', loss: decreasing",
        "type": ["object", "null"],
        "additionalProperties": {"type": "string", "pattern": f"^{CONDITION}$"},
    }


def _tune(section: Schema) -> dict[str, Any]:
    """The settings, and parameters under keys with dots."""
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
    ranges = one_of_keys({**dict.fromkeys(RANGES, numbers), "choice": {"type": "array", "minItems": 1}})
    return {**section, "type": ["object", "null"], "patternProperties": {r"\.": ranges}}


def _with_values(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas of `properties`, also accepting $name for each value and each list item."""
    return {key: _or_value(value) for key, value in properties.items()}


def _or_value(part: Schema) -> dict[str, Any]:
    said = {word: part[word] for word in ("description", "default") if word in part}
    rest = {word: _inside(word, value) for word, value in part.items() if word not in said}
    return {**said, "anyOf": [rest, VALUE]}


def _inside(word: str, value: Any) -> Any:
    """The value of a JSON Schema keyword, with `VALUE` added to all nested values."""
    if word == "items":
        return _or_value(value)
    if word == "properties":
        return _with_values(value)
    if word == "anyOf":
        return [{inner: _inside(inner, found) for inner, found in part.items()} for part in value]
    return value
