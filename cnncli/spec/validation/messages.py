"""Error messages for invalid declarations: the rule, then the received value, at the value's place."""

from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from typing import Any

from cnncli.datasets.augment.augmentation import AUGMENTATIONS
from cnncli.datasets.sources.synthetic import SOURCES
from cnncli.hints import suggestion
from cnncli.layers.activation_functions import ACTIVATIONS
from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.declarations.declaration import Registry
from cnncli.layers.declarations.field_types import Boolean, Maybe
from cnncli.layers.declarations.validation_errors import ErrorDetail
from cnncli.layers.initializers import INITIALIZERS
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.regularizers import REGULARIZERS
from cnncli.spec.blocks.entries import REPORTED
from cnncli.spec.yaml.mistakes import (
    KEY_SYNONYMS,
    NAME_SYNONYMS,
    REJECTED_KEYS,
    UNNEEDED_CALLBACKS,
    VALUES,
    format_message,
    unsupported_name,
    why_unsupported,
)
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree
from cnncli.training.callbacks.vocabulary import CALLBACKS
from cnncli.training.loggers.vocabulary import LOGGERS
from cnncli.training.metrics.vocabulary import METRICS
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.schedules import SCHEDULES

MOST_SHOWN = 60
"""Maximum characters of a value in an error message."""
REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        LAYERS,
        ACTIVATIONS,
        INITIALIZERS,
        REGULARIZERS,
        CONSTRAINTS,
        LOSSES,
        OPTIMIZERS,
        SCHEDULES,
        METRICS,
        CALLBACKS,
        LOGGERS,
        SOURCES,
        AUGMENTATIONS,
    )
}


def report(details: Iterable[ErrorDetail], tree: Mapping, owner: Scalar, problems: Problems) -> None:
    """Report every validation error of the declaration in `tree`; `owner` is its name with its place."""
    for detail in details:
        _report(detail, tree, owner, problems)


def format_value(tree: Tree) -> str:
    """A value in YAML notation, shortened."""
    text = _format(tree)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def unknown_key(entry: Entry, owner: str, known: Iterable[str], elsewhere: AnyMapping[str, Iterable[str]]) -> str:
    """The error for a key that `owner` does not have; `elsewhere`: the keys of the other sections."""
    name, known = entry.name, list(known)
    if name in REJECTED_KEYS:
        return f"{owner} does not accept '{name}': {REJECTED_KEYS[name]}"
    if KEY_SYNONYMS.get(name) in known:
        return f"unknown key '{name}' in {owner}; use '{KEY_SYNONYMS[name]}'"
    for word in (name, KEY_SYNONYMS.get(name, name)):
        home = next((section for section, keys in elsewhere.items() if word in keys), None)
        if home is not None:
            return f"`{name}` belongs under `{home}`" + (f" as `{word}`" if word != name else "")
    if elsewhere:
        for kind in ("optimizer", "callback"):
            for declared in REGISTRIES[kind]:
                word = KEY_SYNONYMS.get(name, name)
                if word in declared.fields:
                    return f"`{name}` is an argument of the {kind}, like {{{declared.__name__}: {{{word}: …}}}}"
    return f"unknown key '{name}' in {owner}" + (suggestion(name, known) or _known(known))


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The error for a name that is not in the vocabulary."""
    known = sorted(known)
    registry = REGISTRIES.get(kind)
    meant = NAME_SYNONYMS.get(name, name)
    if kind == "callback" and name in UNNEEDED_CALLBACKS:
        return f"callback '{name}' is not needed: {UNNEEDED_CALLBACKS[name]}"
    unsupported = unsupported_name(kind, name) or unsupported_name(kind, meant)
    if unsupported:
        called = f" ({unsupported} in Keras)" if unsupported != name else ""
        reason = why_unsupported(unsupported)
        return f"{kind} '{name}'{called} is not supported" + (f": {reason}" if reason else _known(known))
    if registry is not None and registry.find(meant) is not None and meant != name:
        return f"unknown {kind} '{name}'; use '{meant}'"
    function = _activation(name) if kind == "layer" else ""
    if function:
        return f"{name} is an activation, not a layer: write `- Activation: {{activation: {function}}}`"
    hint = format_message(name, VALUES, argument=_first_argument(registry, name))
    if hint in ("write true", "write false", "remove the quotes"):
        hint = ""
    spellings = [*known, *(registry.spellings if registry and kind != "layer" else ())]
    return f"unknown {kind} '{name}'" + (f": {hint}" if hint else suggestion(name, spellings) or _known(known))


def _activation(name: str) -> str:
    """The activation with this name but for capitals and underscores, such as PyTorch's LogSigmoid; "" for none."""
    bare = name.lower().replace("_", "")
    return next((known for known in ACTIVATIONS.spellings if known.replace("_", "") == bare), "")


def _report(detail: ErrorDetail, tree: Mapping, owner: Scalar, problems: Problems) -> None:
    path, kind, text, declared = detail
    node, key = _locate(tree, path)
    if isinstance(node, Scalar) and node.value == REPORTED:
        return
    names = path[:-1] if kind in ("missing", "unknown_key") else path
    if names and kind in ("missing", "unknown_key", "contradiction"):  # further in, under a name of its own
        around = _locate(tree, names[:-1])[0]
        named = around.entry(str(names[-1])) if isinstance(around, Mapping) else None
        owner = Scalar(named.key.place if named else _name_place(around), names[-1])
    if kind == "missing":
        problems.add(owner.place, f"{owner.value} requires '{path[-1]}': {text}")
    elif kind == "unknown_key":
        assert key is not None
        problems.add(key.key.place, unknown_key(key, str(owner.value), declared.fields, {}))
    elif kind == "unknown_name":
        known = declared.classes if isinstance(declared, Registry) else declared.choices
        problems.add(_name_place(node), unknown_name(declared.kind, text, known))
    elif kind == "arguments":
        example = next(iter(declared.fields), "key")
        problems.add(
            node.place,
            f"{path[-1]}'s arguments must be a mapping; received {format_value(node)}: "
            f"like {{{path[-1]}: {{{example}: {format_value(node)}}}}}",
        )
    elif kind == "contradiction":
        problems.add(owner.place, text)
    else:
        problems.add(node.place, _broken(detail, node))


def _broken(detail: ErrorDetail, node: Tree) -> str:
    """The error for a field with an invalid value."""
    field = next(str(step) for step in reversed(detail.path) if isinstance(step, str))
    kind = detail.owner.kinds()[field]
    kind = kind.kind if isinstance(kind, Maybe) else kind
    value = node.value if isinstance(node, Scalar) else None
    sentence = detail.kind == "sentence"
    hint = format_message(value, VALUES, argument="value") if isinstance(value, str) and not sentence else ""
    if hint.startswith("write ") and hint[6:] in ("true", "false") and not isinstance(kind, Boolean):
        hint = ""
    received = f"received {format_value(node)}" + (f": {hint}" if hint else "")
    if sentence:
        return f"{field}: {detail.text}; {received}"
    if isinstance(value, str) and not hint:
        received += f": write [{value}]" if kind.is_list else suggestion(value, kind.choices)
    return f"{field} must be {detail.text}; {received}"


def _locate(tree: Tree, path: Iterable[str | int]) -> tuple[Tree, Entry | None]:
    """The node at `path`, or the deepest existing one, and the last entry on the path."""
    node, entry = tree, None
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str):
            found = node.entry(step)
            if found is not None:
                node, entry = found.value, found
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
    return node, entry


def _name_place(node: Tree) -> Place:
    return node.entries[0].key.place if isinstance(node, Mapping) and node.entries else node.place


def _format(tree: Tree) -> str:
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{entry.name}: {_format(entry.value)}" for entry in tree) + "}"
    if isinstance(tree, Sequence):
        return "[" + ", ".join(_format(item) for item in tree.items) + "]"
    if tree.value is None or isinstance(tree.value, bool):
        return {None: "null", True: "true", False: "false"}[tree.value]
    return repr(tree.value)


def _known(known: list[str]) -> str:
    return f"; available: {', '.join(known)}" if known else "; it has no keys"


def _first_argument(registry: Registry[Any] | None, name: str) -> str:
    cls = registry.find(name.partition("(")[0]) if registry else None
    return next(iter(cls.fields), "value") if cls else "value"
