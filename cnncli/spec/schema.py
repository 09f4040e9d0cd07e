"""The JSON Schema of a spec, made from the declarations: what editors complete and check while a spec is written.

It takes every spec that `check` takes. What it can't say (that shapes fit, that an input is there) `check` says.
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
from cnncli.spec.validation.rules import REGISTRIES
from cnncli.spec.validation.sections import REQUIRED, SECTIONS, Head, ModelSection
from cnncli.training.metrics.expectations import CONDITION
from cnncli.version import __version__

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VALUE: Schema = {"type": "string", "pattern": rf"^\$({PARAMETER.pattern})$"}
"""$name: the value of a block's parameter."""
IN_BLOCKS = ("initializer", "regularizer", "constraint")
"""Kinds of declarations that stand in layers, so that $name may stand in them."""
NAMES: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def schema() -> dict[str, Any]:
    """The schema of a whole spec; the layers of other packages are part of it."""
    sections = {name: cls.schema() for name, cls in SECTIONS.items()}
    return {
        "$schema": DIALECT,
        "title": f"A spec of cnncli {__version__}",
        "type": "object",
        "properties": {
            **Head.schema()["properties"],
            "data": sections["data"],
            "model": _model(),
            "compile": sections["compile"],
            "fit": sections["fit"],
            "expect": _expect(),
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
    """The arguments of a layer, and what any entry may carry."""
    own = cls.schema()
    return {**own, "properties": _with_values({**own["properties"], **_of_entries()})}


def _of_entries() -> dict[str, Any]:
    return {
        "name": {"description": "what other entries read it by", "type": "string"},
        "inputs": {
            "description": "the earlier entries it reads; previous is the one above, input what the model receives",
            "anyOf": [{"type": "string"}, NAMES],
        },
        "repeat": {
            "description": "how many copies, one after the other",
            **{"type": "integer", "minimum": 1, "maximum": MOST_REPEATS},
        },
    }


def _entry(known: Iterable[type[Declaration]]) -> dict[str, Any]:
    """An entry of a list of layers: a layer or a block, alone or with its arguments."""
    spelled = {name: cls for cls in known for name in (cls.__name__, *cls.aliases) if LAYER_NAME.fullmatch(name)}
    bare = [name for name, cls in spelled.items() if not cls.needs()]
    block = {"description": "a block", "type": ["object", "null"], "properties": _with_values(_of_entries())}
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
        "description": "layers under a name of your own; $name stands for the value of a parameter",
        "type": ["object", "null"],
        "patternProperties": {f"^({BLOCK_NAME.pattern})$": block},
        "additionalProperties": False,
    }
    return {
        "description": "The layers, from the images to the answer.",
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
        "description": "what the run must reach: a figure and a condition, like test_accuracy: '>= 0.95'",
        "type": ["object", "null"],
        "additionalProperties": {"type": "string", "pattern": f"^{CONDITION}$"},
    }


def _with_values(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas of some keys, in which $name may stand for each value and for each item of a list."""
    return {key: _or_value(value) for key, value in properties.items()}


def _or_value(part: Schema) -> dict[str, Any]:
    said = {word: part[word] for word in ("description", "default") if word in part}
    rest = {word: _inside(word, value) for word, value in part.items() if word not in said}
    return {**said, "anyOf": [rest, VALUE]}


def _inside(word: str, value: Any) -> Any:
    """The value of a word of JSON Schema, with `VALUE` added wherever it speaks of values further in."""
    if word == "items":
        return _or_value(value)
    if word == "properties":
        return _with_values(value)
    if word == "anyOf":
        return [{inner: _inside(inner, found) for inner, found in part.items()} for part in value]
    return value
