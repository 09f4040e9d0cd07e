"""The sections of a spec → declarations; every problem is reported at its place."""

import re
from typing import TypeVar

from cnncli.errors import DeclarationError
from cnncli.escaping import one_line
from cnncli.layers.declarations.declaration import REQUIRED as NO_DEFAULT
from cnncli.layers.declarations.declaration import Declaration
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.spec.validation import messages
from cnncli.spec.validation.sections import KEYS_OF, MODEL_KEYS, REQUIRED, Head, ModelSection
from cnncli.spec.yaml.mistakes import format_message
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Mapping, Place, Scalar, Sequence, Tree, is_null, plain
from cnncli.training.metrics.expectations import RULE, Expectation

D = TypeVar("D", bound=Declaration)
LONGEST_NAME = 200
"""Maximum bytes of a spec's name; file names may have 255."""


def declared(cls: type[D], tree: Mapping, owner: str, place: Place, problems: Problems) -> D | None:
    """The declaration in `tree`; None if problems were reported, under the name `owner` at `place`."""
    try:
        return cls(**plain(tree))
    except ValidationError as error:
        messages.report(error.details, tree, Scalar(place, owner), problems)
        return None


def head_of(tree: Mapping, problems: Problems) -> Head | None:
    """The top-level keys that are not sections."""
    entries = tuple(entry for entry in tree if entry.name in Head.fields)
    head = declared(Head, Mapping(tree.place, entries), "a spec", tree.place, problems)
    entry = tree.entry("name")
    name = entry.value.value if entry and isinstance(entry.value, Scalar) else None
    if entry and isinstance(name, str) and not is_plain_name(name):
        problems.add(
            entry.value.place,
            f"name must be a plain file name of at most {LONGEST_NAME} bytes, without / and not starting with a dot; "
            f"received {messages.format_value(entry.value)}",
        )
    return head


def is_plain_name(name: str) -> bool:
    """Whether a name is a valid directory name on every system."""
    plain = re.fullmatch(r"[^./\\][^/\\]*", name) is not None and one_line(name) == name
    return plain and len(name.encode()) <= LONGEST_NAME


def section_of(tree: Mapping, name: str, cls: type[D], problems: Problems) -> D | None:
    """The section `name` of a spec; None if it is missing or invalid."""
    entry = tree.entry(name)
    if entry is None:
        return cls() if name not in REQUIRED else None
    section = entry.value
    if is_null(section) and not any(field.default is NO_DEFAULT for field in cls.fields.values()):
        return cls()
    if not isinstance(section, Mapping):
        problems.add(section.place, no_mapping(name, section))
        return None
    known = Mapping(section.place, tuple(entry for entry in section if entry.name in cls.kinds()))
    return declared(cls, known, name, entry.key.place, problems)


def expectations_of(tree: Mapping, problems: Problems) -> list[tuple[Expectation, Place]]:
    """The expectations under `expect`, with their places."""
    section = tree.get("expect")
    if section is None or is_null(section):
        return []
    if not isinstance(section, Mapping):
        problems.add(section.place, 'expect must be a mapping, like {test_accuracy: ">= 0.95"}')
        return []
    found = []
    for entry in section:
        value = entry.value.value if isinstance(entry.value, Scalar) else None
        try:
            if not isinstance(value, str):
                raise DeclarationError(f"{RULE}; received {messages.format_value(entry.value)}")
            found.append((Expectation.of(entry.name, value), entry.key.place))
        except DeclarationError as error:
            problems.add(entry.value.place, str(error))
    return found


def model_section_of(tree: Mapping, problems: Problems) -> ModelSection:
    """The keys of `model` besides layers and blocks; their defaults if there are problems."""
    model = tree.get("model")
    if not isinstance(model, Mapping):
        return ModelSection()
    section = Mapping(model.place, tuple(entry for entry in model if entry.name in ModelSection.fields))
    return declared(ModelSection, section, "model", model.place, problems) or ModelSection()


def item_places(tree: Mapping, section: str, key: str, argument: str = "") -> list[Place]:
    """The place of each item of a list, or of its argument `argument` if present."""
    owner = tree.get(section)
    items = owner.get(key) if isinstance(owner, Mapping) else None
    places = []
    for item in items.items if isinstance(items, Sequence) else ():
        place = item.place
        if isinstance(item, Mapping) and item.entries:
            arguments = item.entries[0].value
            given = arguments.get(argument) if isinstance(arguments, Mapping) else None
            place = given.place if given is not None else place
        places.append(place)
    return places


def no_mapping(name: str, section: Tree) -> str:
    """The error for a section that is not a mapping."""
    keys = ", ".join(KEYS_OF.get(name, MODEL_KEYS))
    text = section.value if isinstance(section, Scalar) else None
    hint = (
        format_message(text, ((r"^(?P<key>\w+) (?P<value>\S+)", "; a colon is missing: write `{key}: {value}`"),))
        if isinstance(text, str)
        else ""
    )
    return f"{name} must be a mapping with keys among {keys}; received {messages.format_value(section)}{hint}"
