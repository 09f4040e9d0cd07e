"""One entry of a list of layers: a layer or a block with its name, inputs and repeats."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from cnncli.hints import suggestion
from cnncli.layers.declarations.declaration import REQUIRED
from cnncli.layers.layer import LAYERS
from cnncli.spec.yaml.mistakes import ENTRIES, KEY_SYNONYMS, LONGEST, format_message, unsupported_name
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Scalar, Sequence, Tree, is_null

ENTRY_KEYS = ("name", "inputs", "repeat")
"""Keys that every entry may have."""
RESERVED = ("input", "previous")
MOST_REPEATS = 1000
MOST_COMPARED = 50
"""Earlier names to search for suggestions: comparing with thousands of names would take minutes."""
LAYER_NAME = re.compile(r"[A-Z]\w*")
"""The name of a layer in an entry; lower-case names are blocks."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(/[A-Za-z_][A-Za-z0-9_-]*)*")


@dataclass(slots=True)
class LayerEntry:
    """A layer or a block with its place. `name` and `inputs` are None if omitted."""

    kind: Scalar
    arguments: Mapping
    name: Scalar | None = None
    inputs: tuple[Scalar, ...] | None = None
    repeat: int | None = None

    @property
    def place(self) -> Place:
        """The place of the entry."""
        return self.kind.place


def parse_entry(item: Tree, problems: Problems, resolve: Callable[[Tree], Tree]) -> LayerEntry | None:
    """The entry, or None if a problem was reported. `resolve` substitutes the values of `$parameter`."""
    found = _kind_and_arguments(item, problems)
    if found is None:
        return None
    kind, arguments = found
    resolved = resolve(_repaired(arguments, problems))
    assert isinstance(resolved, Mapping)
    entry = LayerEntry(kind, resolved.without(*ENTRY_KEYS))
    for key in ENTRY_KEYS:
        value = resolved.get(key)
        if value is not None:
            _SETTERS[key](entry, value, problems)
    return entry


def flat(entry: LayerEntry, name: str, inputs: list[str]) -> Mapping:
    """The entry in the form of a resolved spec: `{Kind: {name, inputs, …arguments}}`."""
    place = entry.place
    own = (
        Entry(Scalar(place, "name"), Scalar(entry.name.place if entry.name else place, name)),
        Entry(Scalar(place, "inputs"), Sequence(place, tuple(Scalar(place, text) for text in inputs))),
    )
    return Mapping(place, (Entry(entry.kind, Mapping(place, (*own, *entry.arguments.entries))),))


def example_arguments(layer: str, received: str = "") -> str:
    """`{filters: 32, kernel_size: 3}`: the likely meaning of `Conv2D(32, 3)` or `Dropout: 0.5`."""
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
        return None if _report_mistake(item, problems) else (item, Mapping(item.place, ()))
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
    if _report_mistake(first.key, problems, after):
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
            typed.key.place, f"write a layer by its name, `- {typed.value.value}: {{…}}`, not with '{typed.name}'"
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
            f"an entry must contain one layer; put '{second.name}' on its own line starting with `- `, "
            f"or indent it if it belongs to {first.name}",
        )


def _report_mistake(kind: Scalar, problems: Problems, after: str = "") -> bool:
    """Report a name that is a common mistake; whether it was one. `after`: the text after its colon."""
    text = str(kind.value)
    if (LAYERS.find(text) is not None and text[:1].isupper()) or unsupported_name("augmentation", text):
        return False
    layer, _, received = text.partition("(") if "(" in text else text.partition("{")
    if after and received:
        received = f"{received}: {after}"
    example = example_arguments(layer.split()[0] if layer.split() else "", received)
    message = format_message(text, ENTRIES, example=example)
    if message:
        problems.add(kind.place, message)
    return bool(message)


def _repaired(arguments: Mapping, problems: Problems) -> Mapping:
    """The arguments without the keys that `{size: (3, 3)}` and `{activation='relu'}` produce; each is reported."""
    kept: list[Entry] = []
    for entry in arguments:
        assigned = re.fullmatch(r"(\w+)\s*=\s*['\"]?([^'\"]*)['\"]?", entry.name)
        if re.fullmatch(r"[\w.]+\)", entry.name) and is_null(entry.value) and kept:
            opened = kept[-1]
            first = str(opened.value.value).lstrip("(") if isinstance(opened.value, Scalar) else "…"
            problems.add(
                opened.value.place,
                f"write lists in square brackets: `{opened.name}: [{first}, {entry.name[:-1]}]`",
            )
            kept[-1] = Entry(opened.key, Scalar(opened.value.place, REPORTED))
        elif assigned and is_null(entry.value):
            problems.add(
                entry.key.place,
                f"use a colon, not =: write `{assigned[1]}: {assigned[2]}`",
            )
            key = Scalar(entry.key.place, KEY_SYNONYMS.get(assigned[1], assigned[1]))
            kept.append(Entry(key, Scalar(entry.key.place, REPORTED)))
        else:
            kept.append(entry)
    return Mapping(arguments.place, tuple(kept))


REPORTED = "\0"
"""Replaces a value whose problem has been reported, so that it is not reported again."""


def _set_name(entry: LayerEntry, value: Tree, problems: Problems) -> None:
    text = value.value if isinstance(value, Scalar) else None
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        problems.add(
            value.place,
            "name must be a string of letters, digits, _ and - that starts with a letter; received "
            + (repr(text) if isinstance(value, Scalar) else "something else"),
        )
    elif text in RESERVED:
        problems.add(value.place, f"the name '{text}' is reserved for `inputs`")
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


def suggest(name: str, known: list[str]) -> str:
    """The closest of `known` names as a suggestion, or a list of them if none is close."""
    return suggestion(name, known[-MOST_COMPARED:]) or (f"; available: {', '.join(known[-8:])}" if known else "")
