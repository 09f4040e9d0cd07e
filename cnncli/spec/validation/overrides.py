"""`--set KEY=VALUE`: changes the value at a dotted path of the resolved spec before validation."""

from collections.abc import Iterable
from collections.abc import Sequence as AnySequence

from cnncli.hints import suggestion
from cnncli.layers.declarations.declaration import REQUIRED, Declaration, snake_case
from cnncli.layers.layer import LAYERS
from cnncli.spec.blocks.entries import ENTRY_KEYS
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.validation.sections import MODEL_KEYS, SECTIONS, TOP_KEYS
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.reader import read
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree, is_null

LONGEST = 200
"""Maximum characters of an override in an error message."""


def apply(tree: Mapping, overrides: Iterable[str], problems: Problems) -> Mapping:
    """The flat tree with all overrides applied; later ones win."""
    for text in overrides:
        place = Place(override=f"--set {text if len(text) <= LONGEST else text[:LONGEST] + '…'}")
        path, equals, value = text.partition("=")
        if not equals or not path:
            problems.add(place, "an override must be KEY=VALUE, like fit.epochs=3")
            continue
        if path.startswith("expect."):
            new: Tree | None = Scalar(place, value)
        else:
            new = read(value, problems, place)
        if new is not None:
            tree = _top(tree, path.split("."), new, problems)
    return tree


def _top(tree: Mapping, path: list[str], value: Tree, problems: Problems) -> Mapping:
    name, rest = path[0], path[1:]
    place = value.place
    if name not in TOP_KEYS:
        owners = [f"{section}.{name}" for section, cls in SECTIONS.items() if name in cls.fields]
        hint = f"; did you mean '{'.'.join([owners[0], *rest])}'?" if owners else suggestion(name, TOP_KEYS)
        problems.add(place, f"unknown key '{name}' in a spec{hint}")
        return tree
    old = tree.get(name)
    if rest:
        if old is None or is_null(old):
            old = Mapping(place, ())
        if name == "model" and rest[0] in ("layers", "blocks"):
            new = _model(old, rest, value, problems)
        elif not isinstance(old, Mapping):
            problems.add(place, f"'{name}' has no keys, so '{'.'.join(path)}' can't be set")
            return tree
        else:
            new = _into(old, rest, value, SECTIONS.get(name), problems, owner=name)
    else:
        if name in ("model", "expect") or name in SECTIONS:
            keys = SECTIONS[name].fields if name in SECTIONS else {"model": MODEL_KEYS}.get(name, ["loss"])
            example = f"{name}.{next(iter(keys))}"
            problems.add(place, f"'{name}' is a section; set one of its keys, like {example}")
            return tree
        new = value
    return tree.replaced(Scalar(place, name), new)


def _model(model: Tree, path: list[str], value: Tree, problems: Problems) -> Tree:
    layers = model.get("layers") if isinstance(model, Mapping) else None
    if not isinstance(model, Mapping) or not isinstance(layers, Sequence) or path[0] != "layers" or len(path) < 3:
        problems.add(value.place, "a layer must be addressed as model.layers.NAME.KEY or model.layers.INDEX.KEY")
        return model
    names = [_layer_name(item) for item in layers.items]
    target = path[1]
    index = int(target) if target.isascii() and target.isdigit() and len(target) < 6 else -1
    if target in names:
        index = names.index(target)
    if not 0 <= index < len(names):
        problems.add(
            value.place, f"unknown layer '{target}'{suggestion(target, names) or '; available: ' + ', '.join(names)}"
        )
        return model
    item = layers.items[index]
    assert isinstance(item, Mapping)
    kind, arguments = item.entries[0].key, item.entries[0].value
    keys = path[3:] if path[2] == kind.value and len(path) > 3 else path[2:]
    if keys[0] in ENTRY_KEYS:
        problems.add(value.place, f"--set can't change a layer's {keys[0]}; change it in the file")
        return model
    changed = _into(arguments, keys, value, LAYERS.find(str(kind.value)), problems, owner=target)
    items = list(layers.items)
    items[index] = Mapping(item.place, (Entry(kind, changed),))
    key_scalar = model.entry("layers")
    assert key_scalar is not None
    return model.replaced(key_scalar.key, Sequence(layers.place, tuple(items)))


def _into(
    tree: Tree, path: AnySequence[str], value: Tree, cls: type[Declaration] | None, problems: Problems, *, owner: str
) -> Tree:
    """`tree`, the arguments of `cls`, with `value` set at `path`."""
    name, rest = path[0], path[1:]
    if not isinstance(tree, Mapping):
        problems.add(value.place, f"'{owner}' has no keys, so '{name}' can't be set")
        return tree
    if not rest:
        return tree.replaced(Scalar(value.place, name), value)
    old = tree.get(name)
    if old is None:
        old = _default(cls, name, value.place)
    if old is None:
        known = suggestion(name, cls.fields if cls else tree.names())
        problems.add(value.place, f"unknown key '{name}' in {owner}{known}")
        return tree
    new = _into_list(old, rest, value, problems, name) if isinstance(old, Sequence) else None
    if new is None:
        new = _into_declaration(old, rest, value, problems, name)
    return tree.replaced(Scalar(_key_place(tree, name, value.place), name), new)


def _into_list(old: Sequence, path: AnySequence[str], value: Tree, problems: Problems, owner: str) -> Tree:
    names = [_name_of(item) for item in old.items]
    target = path[0]
    spelled = {spelling: i for i, name in enumerate(names) for spelling in (name, snake_case(name))}
    index = int(target) if target.isascii() and target.isdigit() and len(target) < 6 else spelled.get(target, -1)
    if not 0 <= index < len(names):
        hint = suggestion(target, names) or (f"; available: {', '.join(names)}" if names else f"; '{owner}' is empty")
        problems.add(value.place, f"unknown item '{target}' in {owner}{hint}")
        return old
    items = list(old.items)
    items[index] = value if len(path) == 1 else _into_declaration(items[index], path[1:], value, problems, target)
    return Sequence(old.place, tuple(items))


def _into_declaration(old: Tree, path: AnySequence[str], value: Tree, problems: Problems, owner: str) -> Tree:
    """`old` is a name, or a name with arguments; the path may omit the name."""
    if isinstance(old, Scalar) and isinstance(old.value, str):
        old = Mapping(old.place, (Entry(old, Mapping(old.place, ())),))
    if not isinstance(old, Mapping) or len(old.entries) != 1:
        problems.add(value.place, f"'{owner}' has no keys, so '{path[0]}' can't be set")
        return old
    (entry,) = old.entries
    cls = next((found for r in REGISTRIES.values() if (found := r.find(entry.name)) is not None), None)
    if len(path) > 1 and cls is not None and path[0] in (entry.name, cls.__name__, snake_case(cls.__name__)):
        path = path[1:]
    arguments = Mapping(entry.value.place, ()) if is_null(entry.value) else entry.value
    return Mapping(old.place, (Entry(entry.key, _into(arguments, path, value, cls, problems, owner=entry.name)),))


def _default(cls: type[Declaration] | None, name: str, place: Place) -> Tree | None:
    """The default of a field as a tree that an override can modify."""
    field = cls.fields.get(name) if cls is not None else None
    if field is None:
        return None
    default = None if field.default is REQUIRED else field.default
    if isinstance(default, Declaration):
        return Scalar(place, type(default).__name__)
    return Sequence(place, ()) if default == () else Scalar(place, None)


def _key_place(tree: Mapping, name: str, place: Place) -> Place:
    entry = tree.entry(name)
    return place if entry is None else entry.key.place


def _layer_name(item: Tree) -> str:
    arguments = item.entries[0].value if isinstance(item, Mapping) else None
    name = arguments.get("name") if isinstance(arguments, Mapping) else None
    return str(name.value) if isinstance(name, Scalar) else ""


def _name_of(item: Tree) -> str:
    if isinstance(item, Mapping) and item.entries:
        return item.entries[0].name
    return str(item.value) if isinstance(item, Scalar) else ""
