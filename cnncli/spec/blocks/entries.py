"""One entry of a list of layers: a layer or a block with its name, its inputs and its repetitions."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from cnncli.hints import suggestion
from cnncli.layers.declarations.declaration import REQUIRED
from cnncli.layers.layer import LAYERS
from cnncli.spec.yaml.mistakes import ENTRIES, KEYS, LONGEST, told
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree, is_null

OF_ENTRIES = ("name", "inputs", "repeat")
"""The keys that any entry may carry."""
RESERVED = ("input", "previous")
MOST_REPEATS = 1000
MOST_COMPARED = 50
"""Names above that one is compared with: all of thousands of layers would take minutes."""
LAYER_NAME = re.compile(r"[A-Z]\w*")
"""Of a layer, as an entry calls it: what begins with a small letter is a block."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(/[A-Za-z_][A-Za-z0-9_-]*)*")


@dataclass(slots=True)
class LayerEntry:
    """A layer or a block in its place. `name` and `inputs` are None where they are left out."""

    kind: Scalar
    arguments: Mapping
    name: Scalar | None = None
    inputs: tuple[Scalar, ...] | None = None
    repeat: int | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.kind.place


def parse_entry(item: Tree, problems: Problems, resolve: Callable[[Tree], Tree]) -> LayerEntry | None:
    """The entry, or None if a problem was noted. `resolve` puts the values in for `$parameter`."""
    found = _kind_and_arguments(item, problems)
    if found is None:
        return None
    kind, arguments = found
    resolved = resolve(_mended(arguments, problems))
    assert isinstance(resolved, Mapping)
    entry = LayerEntry(kind, resolved.without(*OF_ENTRIES))
    for key in OF_ENTRIES:
        value = resolved.get(key)
        if value is not None:
            _SETTERS[key](entry, value, problems)
    return entry


def flat(entry: LayerEntry, name: str, inputs: list[str]) -> Mapping:
    """The entry as a resolved spec has it: `{Kind: {name, inputs, …arguments}}`."""
    place = entry.place
    own = (
        Entry(Scalar(place, "name"), Scalar(entry.name.place if entry.name else place, name)),
        Entry(Scalar(place, "inputs"), Sequence(place, tuple(Scalar(place, text) for text in inputs))),
    )
    return Mapping(place, (Entry(entry.kind, Mapping(place, (*own, *entry.arguments.entries))),))


def example_arguments(layer: str, received: str = "") -> str:
    """`{filters: 32, kernel_size: 3}`: what a user may have meant by `Conv2D(32, 3)` or `Dropout: 0.5`."""
    cls = LAYERS.find(layer)
    if cls is None:
        return "{…}"
    parts = re.split(r",(?![^(\[]*[)\]])", received[:LONGEST].strip("(){} "))
    values = [part.strip() for part in parts if part.strip()]
    keys, pairs = list(cls.fields), []
    for key, value in zip(keys, values, strict=False):
        named = re.fullmatch(r"(\w+)\s*[=:]\s*(.+)", value)
        name, text = named.groups() if named else (key, value)
        pairs.append(f"{name}: {text.strip(chr(39) + chr(34)).replace('(', '[').replace(')', ']')}")
    required = [key for key, field in cls.fields.items() if field.default is REQUIRED]
    return "{" + ", ".join(pairs or [f"{key}: …" for key in required or keys[:1]]) + "}"


def _kind_and_arguments(item: Tree, problems: Problems) -> tuple[Scalar, Mapping] | None:
    if isinstance(item, Scalar) and isinstance(item.value, str):
        return None if _mistaken(item, problems) else (item, Mapping(item.place, ()))
    if isinstance(item, Mapping) and len(item.entries) == 1:
        return _named(item.entries[0], problems)
    if isinstance(item, Mapping) and item.entries:
        _several(item, problems)
    else:
        received = "nothing" if is_null(item) else "something else"
        problems.add(item.place, f"each entry must be a layer, like `- Dense: {{units: 10}}`; received {received}")
    return None


def _named(first: Entry, problems: Problems) -> tuple[Scalar, Mapping] | None:
    after = str(first.value.value) if isinstance(first.value, Scalar) else ""
    if _mistaken(first.key, problems, after):
        return None
    if isinstance(first.value, Mapping):
        return first.key, first.value
    if is_null(first.value):
        return first.key, Mapping(first.key.place, ())
    received = str(first.value.value) if isinstance(first.value, Scalar) else "a list"
    example = example_arguments(first.name, received if isinstance(first.value, Scalar) else "")
    problems.add(
        first.value.place,
        f"{first.name}'s arguments must be a mapping; received {received}: write `- {first.name}: {example}`",
    )
    return None


def _several(item: Mapping, problems: Problems) -> None:
    first, second = item.entries[:2]
    typed = next((entry for entry in item if entry.name in ("type", "class", "class_name", "layer")), None)
    if typed is not None and isinstance(typed.value, Scalar):
        problems.add(
            typed.key.place, f"a layer is written by its name: `- {typed.value.value}: {{…}}`, not with '{typed.name}'"
        )
    elif is_null(first.value):
        problems.add(
            second.key.place,
            f"'{second.name}' must be indented under {first.name}: two more spaces, or "
            f"`- {first.name}: {{{second.name}: …}}`",
        )
    else:
        problems.add(
            second.key.place,
            f"one entry holds one layer; '{second.name}' needs a line of its own that begins with `- `, "
            f"or more indentation if it belongs to {first.name}",
        )


def _mistaken(kind: Scalar, problems: Problems, after: str = "") -> bool:
    """Whether the name is one of the likely mistakes, which is then noted. `after` is what its colon is followed by."""
    text = str(kind.value)
    if LAYERS.find(text) is not None and text[:1].isupper():
        return False
    layer, _, received = text.partition("(") if "(" in text else text.partition("{")
    if after and received:
        received = f"{received}: {after}"
    message = told(text, ENTRIES, example=example_arguments(layer.split()[0] if layer.split() else "", received))
    if message:
        problems.add(kind.place, message)
    return bool(message)


def _mended(arguments: Mapping, problems: Problems) -> Mapping:
    """Without the keys that `{size: (3, 3)}` and `{activation='relu'}` leave behind; each is noted."""
    kept: list[Entry] = []
    for entry in arguments:
        assigned = re.fullmatch(r"(\w+)\s*=\s*['\"]?([^'\"]*)['\"]?", entry.name)
        if re.fullmatch(r"[\w.]+\)", entry.name) and is_null(entry.value) and kept:
            opened = kept[-1]
            first = str(opened.value.value).lstrip("(") if isinstance(opened.value, Scalar) else "…"
            problems.add(
                opened.value.place,
                f"a list is written in square brackets: write `{opened.name}: [{first}, {entry.name[:-1]}]`",
            )
            kept[-1] = Entry(opened.key, Scalar(opened.value.place, MENDED))
        elif assigned and is_null(entry.value):
            problems.add(
                entry.key.place,
                f"arguments are written with a colon, not with =: write `{assigned[1]}: {assigned[2]}`",
            )
            key = Scalar(entry.key.place, KEYS.get(assigned[1], assigned[1]))
            kept.append(Entry(key, Scalar(entry.key.place, MENDED)))
        else:
            kept.append(entry)
    return Mapping(arguments.place, tuple(kept))


MENDED = "\0"
"""Stands for a value whose problem is noted already: nothing more is said of it."""


def _set_name(entry: LayerEntry, value: Tree, problems: Problems) -> None:
    text = value.value if isinstance(value, Scalar) else None
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        problems.add(
            value.place,
            "name must be a text of letters, digits, _ and -, beginning with a letter; received "
            + (repr(text) if isinstance(value, Scalar) else "something else"),
        )
    elif text in RESERVED:
        problems.add(value.place, f"the name '{text}' is reserved; it says what an entry reads")
    else:
        entry.name = Scalar(value.place, text)


def _set_inputs(entry: LayerEntry, value: Tree, problems: Problems) -> None:
    items = value.items if isinstance(value, Sequence) else (value,)
    names = tuple(item for item in items if isinstance(item, Scalar) and isinstance(item.value, str))
    if not names or len(names) != len(items):
        problems.add(value.place, "inputs must be the name of an earlier entry, or a list of such names")
    else:
        entry.inputs = names


def _set_repeat(entry: LayerEntry, value: Tree, problems: Problems) -> None:
    number = value.value if isinstance(value, Scalar) else None
    if type(number) is not int or not 1 <= number <= MOST_REPEATS:
        received = repr(number) if isinstance(value, Scalar) else "something else"
        problems.add(value.place, f"repeat must be an integer from 1 to {MOST_REPEATS}; received {received}")
    else:
        entry.repeat = number


_SETTERS = {"name": _set_name, "inputs": _set_inputs, "repeat": _set_repeat}


def near(name: str, known: list[str]) -> str:
    """The suggestion among `known`, or all of them where none is near."""
    return suggestion(name, known[-MOST_COMPARED:]) or (f"; known here: {', '.join(known[-8:])}" if known else "")
