"""pydantic's errors in plain words: the rule, then the value received, at the place of the value."""

from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from typing import Any

from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.declaration import Declaration, Registry, snake_case
from cnncli.layers.initializers import INITIALIZERS
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.regularizers import REGULARIZERS
from cnncli.spec.entries import MENDED
from cnncli.spec.mistakes import KEYS, NAMES, NEEDLESS, VALUES, later_name, told
from cnncli.spec.problems import Problems, suggestion
from cnncli.spec.tree import Entry, Mapping, Place, Scalar, Sequence, Tree
from cnncli.training.callbacks import CALLBACKS
from cnncli.training.metrics import METRICS
from cnncli.training.optimizers import OPTIMIZERS

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (LAYERS, INITIALIZERS, REGULARIZERS, CONSTRAINTS, LOSSES, OPTIMIZERS, METRICS, CALLBACKS)
}
Error = AnyMapping[str, Any]


def report(errors: Iterable[Error], cls: type[Declaration], tree: Mapping, owner: Scalar, problems: Problems) -> None:
    """Note every one of pydantic's `errors` of validating `tree` as `cls`. `owner` is the name it goes by."""
    for error in errors:
        _report(error, cls, tree, owner, problems)


def shown(tree: Tree) -> str:
    """A value as the user would write it, shortened."""
    text = _shown(tree)
    return text if len(text) <= 60 else text[:59] + "…"


def unknown_key(entry: Entry, owner: str, known: Iterable[str], elsewhere: AnyMapping[str, Iterable[str]]) -> str:
    """What to say of a key that `owner` does not have; `elsewhere` are the keys of the other sections."""
    name, known = entry.name, list(known)
    if name in NEEDLESS:
        return f"{owner} takes no '{name}': {NEEDLESS[name]}"
    if KEYS.get(name) in known:
        return f"unknown key '{name}' in {owner}; here it is called '{KEYS[name]}'"
    for word in (name, KEYS.get(name, name)):
        home = next((section for section, keys in elsewhere.items() if word in keys), None)
        if home is not None:
            return f"`{name}` belongs under `{home}`" + (f", where it is called `{word}`" if word != name else "")
    if elsewhere:
        for kind in ("optimizer", "callback"):
            for declared in REGISTRIES[kind]:
                word = KEYS.get(name, name)
                if word in declared.model_fields:
                    return f"`{name}` is an argument of the {kind}: like {{{declared.__name__}: {{{word}: …}}}}"
    return f"unknown key '{name}' in {owner}" + (suggestion(name, known) or _known(known))


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that the vocabulary has not."""
    known = list(known)
    registry = REGISTRIES.get(kind)
    meant = NAMES.get(name, name)
    later = later_name(kind, meant)
    if later:
        called = f" ({later} in Keras)" if later != name else ""
        return f"{kind} '{name}'{called} is not in this version; it has {', '.join(known)}"
    if registry is not None and registry.find(meant) is not None and meant != name:
        return f"unknown {kind} '{name}'; here it is called '{meant}'"
    hint = told(name, VALUES, argument=_first_argument(registry, name))
    if hint in ("write true", "write false", "leave out the quotes"):
        hint = ""
    spellings = [*known, *(registry.spellings if registry and kind != "layer" else ())]
    return f"unknown {kind} '{name}'" + (f": {hint}" if hint else suggestion(name, spellings) or _known(known))


def _report(error: Error, cls: type[Declaration], tree: Mapping, owner: Scalar, problems: Problems) -> None:
    loc, kind, context = error["loc"], error["type"], error.get("ctx", {})
    node, field, key = _locate(tree, loc)
    if isinstance(node, Scalar) and node.value == MENDED:
        return
    if kind == "missing":
        name = str(loc[-1])
        problems.add(owner.place, f"{owner.value} must have '{name}': {_rule(cls, name)}")
    elif kind == "extra_forbidden" and key is not None:
        problems.add(key.key.place, unknown_key(key, str(owner.value), cls.model_fields, {}))
    elif kind == "unknown_name":
        problems.add(_name_place(node), unknown_name(context["kind"], context["name"], context["known"]))
    elif kind == "nested":
        _report_nested(context, node, problems)
    elif not loc:
        problems.add(owner.place, error["msg"])
    else:
        problems.add(node.place, _broken(error, cls, field, node, owner))


def _report_nested(context: AnyMapping[str, Any], node: Tree, problems: Problems) -> None:
    (name,) = context["path"]
    inner = REGISTRIES[context["kind"]].find(name)
    assert inner is not None
    arguments: Tree = Mapping(node.place, ())
    owner = Scalar(_name_place(node), name)
    if isinstance(node, Mapping):
        arguments = node.entries[0].value
    if isinstance(arguments, Mapping):
        report(context["errors"], inner, arguments, owner, problems)
    elif not isinstance(arguments, Scalar) or arguments.value is not None:
        example = next(iter(inner.model_fields), "key")
        problems.add(
            arguments.place,
            f"{name}'s arguments must be a mapping; received {shown(arguments)}: "
            f"like {{{name}: {{{example}: {shown(arguments)}}}}}",
        )
    else:
        report(context["errors"], inner, Mapping(node.place, ()), owner, problems)


def _broken(error: Error, cls: type[Declaration], field: str, node: Tree, owner: Scalar) -> str:
    value = node.value if isinstance(node, Scalar) else None
    hint = told(value, VALUES, argument="value") if isinstance(value, str) else ""
    if hint.startswith("write ") and hint[6:] in ("true", "false") and _type(cls, field) != "boolean":
        hint = ""
    received = f"received {shown(node)}" + (f": {hint}" if hint else "")
    if error["type"] == "data_format":
        return f"{field}: {error['msg']}; {received}"
    if error["type"] == "rescale":
        return f"{field} {error['msg']}; {received}"
    if error["type"] == "declaration":
        return f"{field} {error['msg'].partition(' ')[2]}; {received}"
    if isinstance(value, str) and not hint and _type(cls, field) == "array":
        received += f": write [{value}]"
    choices = [str(choice) for choice in _schema(cls, field).get("enum", [])]
    if error["type"] == "literal_error" and isinstance(value, str) and not hint:
        received += suggestion(value, choices)
    return f"{field} must be {_rule(cls, field)}; {received}"


def _locate(tree: Tree, loc: tuple[str | int, ...]) -> tuple[Tree, str, Entry | None]:
    """The node at `loc` as far as the tree goes, the field's name, and the last entry on the way."""
    node, entry = tree, None
    for step in loc:
        if isinstance(node, Mapping) and isinstance(step, str):
            found = node.entry(step)
            if found is not None:
                node, entry = found.value, found
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
    return node, str(loc[0]) if loc else "", entry


def _name_place(node: Tree) -> Place:
    return node.entries[0].key.place if isinstance(node, Mapping) and node.entries else node.place


def _shown(tree: Tree) -> str:
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{entry.name}: {_shown(entry.value)}" for entry in tree) + "}"
    if isinstance(tree, Sequence):
        return "[" + ", ".join(_shown(item) for item in tree.items) + "]"
    if tree.value is None or isinstance(tree.value, bool):
        return {None: "nothing (null)", True: "true", False: "false"}[tree.value]
    return repr(tree.value)


def _known(known: list[str]) -> str:
    return f"; known: {', '.join(known)}" if known else "; it takes none"


def _first_argument(registry: Registry[Any] | None, name: str) -> str:
    cls = registry.find(name.partition("(")[0]) if registry else None
    return next(iter(cls.model_fields), "value") if cls else "value"


def _schema(cls: type[Declaration], field: str) -> AnyMapping[str, Any]:
    schema: AnyMapping[str, Any] = cls.model_json_schema()
    found = schema["properties"].get(field, {})
    if "anyOf" in found:
        found = next((option for option in found["anyOf"] if option.get("type") != "null"), found)
    reference = found.get("$ref", "").rpartition("/")[2]
    return {**found, "reference": snake_case(reference).replace("_", " ")} if reference else found


def _type(cls: type[Declaration], field: str) -> str:
    return str(_schema(cls, field).get("type", ""))


def _rule(cls: type[Declaration], field: str) -> str:
    """What the field must be, in words, from its JSON schema."""
    whole = cls.model_json_schema()["properties"].get(field, {})
    nullable = any(option.get("type") == "null" for option in whole.get("anyOf", ()))
    numeric = [option for option in whole.get("anyOf", ()) if option.get("type") == "number"]
    text = _words(_schema(cls, field))
    if numeric and "const" in _schema(cls, field):
        text += " or a number"
    return text + (", or null" if nullable else "")


def _words(schema: AnyMapping[str, Any]) -> str:
    kind = schema.get("type")
    if schema.get("reference"):
        return f"the name of {_article(schema['reference'])}, or such a name with its arguments"
    if "enum" in schema or "const" in schema:
        choices = ", ".join(str(choice) for choice in schema.get("enum", [schema.get("const")]))
        return f"one of {choices}" if "enum" in schema else choices
    if "prefixItems" in schema:
        one = _words(schema["prefixItems"][0])
        return f"{one}, or a list of {len(schema['prefixItems'])} of them"
    if kind == "array":
        items = schema.get("items", {})
        reference = items.get("$ref", "").rpartition("/")[2]
        return f"a list of {snake_case(reference)}s" if reference else f"a list{_length(schema)}, each {_words(items)}"
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    return {"boolean": "true or false", "string": "a text"}.get(str(kind), "something else")


def _length(schema: AnyMapping[str, Any]) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if most is not None:
        return f" of {least} to {most} items"
    return f" of at least {least} item{'s' * (least > 1)}" if least else ""


def _number(schema: AnyMapping[str, Any], *, whole: bool) -> str:
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if whole and above is not None:
        least, above = above + 1, None
    bounds = [
        f"of at least {least:g}" if least is not None else "",
        f"above {above:g}" if above is not None else "",
        f"and at most {'2^63 − 1' if most == 2**63 - 1 else most}" if most is not None else "",
        f"and below {below:g}" if below is not None else "",
    ]
    return " ".join(["a whole number" if whole else "a number", *filter(None, bounds)])


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
