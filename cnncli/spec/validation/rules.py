"""What declarations refuse, in plain words: the rule, then the value received, at the place of the value."""

from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from typing import Any

from cnncli.datasets.augment.augmentation import AUGMENTATIONS
from cnncli.datasets.sources.synthetic import SOURCES
from cnncli.hints import suggestion
from cnncli.layers.constraints import CONSTRAINTS
from cnncli.layers.declarations.declaration import Registry
from cnncli.layers.declarations.field_types import Boolean, Maybe
from cnncli.layers.declarations.validation_errors import ErrorDetail
from cnncli.layers.initializers import INITIALIZERS
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.regularizers import REGULARIZERS
from cnncli.spec.blocks.entries import MENDED
from cnncli.spec.yaml.mistakes import KEYS, NAMES, NEEDLESS, VALUES, later_name, told
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree
from cnncli.training.callbacks.vocabulary import CALLBACKS
from cnncli.training.metrics.metrics import METRICS
from cnncli.training.optimizers.optimizers import OPTIMIZERS
from cnncli.training.optimizers.schedules import SCHEDULES

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        LAYERS,
        INITIALIZERS,
        REGULARIZERS,
        CONSTRAINTS,
        LOSSES,
        OPTIMIZERS,
        SCHEDULES,
        METRICS,
        CALLBACKS,
        SOURCES,
        AUGMENTATIONS,
    )
}


def report(details: Iterable[ErrorDetail], tree: Mapping, owner: Scalar, problems: Problems) -> None:
    """Note every detail of what was made from `tree`; `owner` is the name that goes by, and its place."""
    for detail in details:
        _report(detail, tree, owner, problems)


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
                if word in declared.fields:
                    return f"`{name}` is an argument of the {kind}: like {{{declared.__name__}: {{{word}: …}}}}"
    return f"unknown key '{name}' in {owner}" + (suggestion(name, known) or _known(known))


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that the vocabulary has not."""
    known = sorted(known)
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


def _report(detail: ErrorDetail, tree: Mapping, owner: Scalar, problems: Problems) -> None:
    path, kind, text, declared = detail
    node, key = _locate(tree, path)
    if isinstance(node, Scalar) and node.value == MENDED:
        return
    names = path[:-1] if kind in ("missing", "unknown_key") else path
    if names and kind in ("missing", "unknown_key", "contradiction"):  # further in, under a name of its own
        owner = Scalar(_name_place(_locate(tree, names[:-1])[0]), names[-1])
    if kind == "missing":
        problems.add(owner.place, f"{owner.value} must have '{path[-1]}': {text}")
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
            f"{path[-1]}'s arguments must be a mapping; received {shown(node)}: "
            f"like {{{path[-1]}: {{{example}: {shown(node)}}}}}",
        )
    elif kind == "contradiction":
        problems.add(owner.place, text)
    else:
        problems.add(node.place, _broken(detail, node))


def _broken(detail: ErrorDetail, node: Tree) -> str:
    """What to say of a field whose value is not what it must be."""
    field = next(str(step) for step in reversed(detail.path) if isinstance(step, str))
    kind = detail.owner.fields[field].kind
    kind = kind.kind if isinstance(kind, Maybe) else kind
    value = node.value if isinstance(node, Scalar) else None
    hint = told(value, VALUES, argument="value") if isinstance(value, str) else ""
    if hint.startswith("write ") and hint[6:] in ("true", "false") and not isinstance(kind, Boolean):
        hint = ""
    received = f"received {shown(node)}" + (f": {hint}" if hint else "")
    if detail.kind == "sentence":
        return f"{field}: {detail.text}; {received}"
    if isinstance(value, str) and not hint:
        received += f": write [{value}]" if kind.is_list else suggestion(value, kind.choices)
    return f"{field} must be {detail.text}; {received}"


def _locate(tree: Tree, path: Iterable[str | int]) -> tuple[Tree, Entry | None]:
    """The node at `path` as far as the tree goes, and the last entry on the way."""
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
    return next(iter(cls.fields), "value") if cls else "value"
