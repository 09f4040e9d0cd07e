"""Reference of all names in specs: by kind, with arguments and an example entry."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from cnncli.datasets.describe import EMBEDDED
from cnncli.datasets.sources.catalogue import KNOWN
from cnncli.hints import suggestion
from cnncli.layers.declarations.declaration import Declaration, Field
from cnncli.layers.declarations.field_docs import field_docs, one_line_doc
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.layer import LAYERS, Layer
from cnncli.layers.vocabulary import layers
from cnncli.spec.blocks.entries import LAYER_NAME
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.validation.sections import SECTIONS
from cnncli.spec.yaml.mistakes import ENTRIES, NAME_SYNONYMS, format_message, unsupported_name, why_unsupported
from cnncli.spec.yaml.writer import flow
from cnncli.training.search.section import TuneSection

IN_LAYER = "model:\n  layers:\n    - Dense: {units: 10, %s}"
PLACES: Mapping[str, tuple[str, str]] = {
    "layer": ("Layers", "model:\n  layers:\n    - %s"),
    "activation": ("Activations", IN_LAYER % "activation: %s"),
    "initializer": ("Initializers", IN_LAYER % "kernel_initializer: %s"),
    "regularizer": ("Regularizers", IN_LAYER % "kernel_regularizer: %s"),
    "constraint": ("Constraints", IN_LAYER % "kernel_constraint: %s"),
    "loss": ("Losses", "compile:\n  loss: %s"),
    "optimizer": ("Optimizers", "compile:\n  optimizer: %s"),
    "schedule": ("Learning-rate schedules", "compile:\n  optimizer: {SGD: {learning_rate: %s}}"),
    "metric": ("Metrics", "compile:\n  metrics: [%s]"),
    "callback": ("Callbacks", "fit:\n  callbacks:\n    - %s"),
    "logger": ("Loggers", "fit:\n  log:\n    - %s"),
    "dataset": ("Datasets with arguments", "data:\n  dataset: %s"),
    "augmentation": ("Augmentations", "data:\n  augment:\n    - %s"),
    "section": ("Sections of a spec", "%s"),
}
"""Of each kind its chapter's title, and where in a spec such a word stands."""

BARE = ("layer", "callback", "logger", "augmentation", "section")
"""Kinds whose words begin an item or a line, so that a mapping needs no braces."""


class Word(NamedTuple):
    """A name in specs. `others`: aliases. `about`: description. `family`: description of its kind.

    `declaration` is what it declares.
    """

    kind: str
    name: str
    others: tuple[str, ...]
    about: str
    declaration: type[Declaration]
    family: str = ""

    @property
    def fields(self) -> Mapping[str, Field]:
        """The arguments by name."""
        return self.declaration.fields

    @property
    def notes(self) -> Mapping[str, str]:
        """Descriptions of arguments."""
        return field_docs(self.declaration)

    @property
    def rules(self) -> Mapping[str, str]:
        """Valid values and description of each argument."""
        notes = self.notes
        rules = {name: field.kind.rule for name, field in self.fields.items()}
        return {name: f"{rule}. {notes[name]}" if name in notes else rule for name, rule in rules.items()}

    @property
    def example(self) -> str:
        """An entry as a spec has it."""
        arguments = self._sample()
        entry = f"{self.name}: {flow(arguments)}" if arguments or self.kind == "section" else self.name
        if arguments and self.kind not in BARE:
            entry = f"{{{entry}}}"
        return PLACES[self.kind][1] % entry

    def document(self) -> dict[str, Any]:
        """All details, for JSON."""
        notes = self.notes
        arguments = [
            {
                "name": name,
                "required": field.required,
                "default": None if field.required else field.plain_default(),
                "rule": field.kind.rule,
                "about": notes.get(name, ""),
            }
            for name, field in self.fields.items()
        ]
        return {
            "kind": self.kind,
            "name": self.name,
            "aliases": list(self.others),
            "about": self.about,
            "arguments": arguments,
            "example": self.example,
        }

    def _sample(self) -> dict[str, Any]:
        """Arguments that it accepts: the first that its tests try, or as few as it can do with, or the first of all."""
        if issubclass(self.declaration, TuneSection):
            return dict(self.declaration.example)
        if issubclass(self.declaration, Layer) and self.declaration.examples:
            return dict(self.declaration.examples[0].arguments)
        arguments = {name: self.fields[name].kind.sample for name in self.declaration.needs()}
        for name, field in self.fields.items():
            with suppress(ValidationError):
                self.declaration(**arguments)
                break
            arguments.setdefault(name, field.kind.sample)
        if not arguments:
            first = {name: field.plain_default() for name, field in list(self.fields.items())[:1]}
            return {name: value for name, value in first.items() if value is not None}
        return arguments


def words() -> list[Word]:
    """All of them, in the order of PLACES."""
    return [word for kind in PLACES for word in _of_kind(kind)]


def find(name: str, known: list[Word]) -> list[Word]:
    """The words that are called `name`; if none is, those that are but for capitals.

    What another framework calls `name` is for `unknown` to tell: Linear is no `linear`.
    """
    exact = [word for word in known if name in (word.name, *word.others)]
    folded = name.casefold()
    if exact or name in NAME_SYNONYMS:
        return exact
    return [word for word in known if folded in (said.casefold() for said in (word.name, *word.others))]


def unknown(name: str, known: list[Word]) -> str:
    """What to say of a name that no word has."""
    meant = NAME_SYNONYMS.get(name, name)
    for kind in PLACES:
        later = unsupported_name(kind, meant)
        if later:
            called = "" if later == name else f" ({later} in Keras)"
            why = f": {reason}" if (reason := why_unsupported(later)) else "; `cnncli layers` lists what there is"
            return f"{kind} '{name}'{called} is not supported{why}"
    if find(meant, known):
        return f"there is no '{name}'; here it is called '{meant}'"
    if name in (*EMBEDDED, *KNOWN):
        return f"'{name}' is a dataset: `cnncli datasets info {name}` tells about it"
    takers = [word.name for word in known if name in word.fields]
    if takers:
        more = f" and {len(takers) - 3} more" if len(takers) > 3 else ""
        return f"'{name}' is an argument of {', '.join(takers[:3])}{more}: `cnncli layers {takers[0]}` explains it"
    spellings = [spelling for word in known for spelling in (word.name, *word.others)]
    mistake = format_message(name, ENTRIES, example="{…}")
    return mistake or f"there is no '{name}'{suggestion(name, spellings) or '; `cnncli layers` lists what there is'}"


def _of_kind(kind: str) -> Iterator[Word]:
    if kind == "section":
        for name, section in SECTIONS.items():
            yield Word(kind, name, (), one_line_doc(section), section)
    else:
        registry = REGISTRIES[kind]
        family = "" if registry is LAYERS else one_line_doc(registry.base)
        for cls in layers().values() if registry is LAYERS else registry:
            yield Word(kind, cls.__name__, _others(kind, cls), one_line_doc(cls), cls, family)


def _others(kind: str, cls: type[Declaration]) -> tuple[str, ...]:
    """The other names that a spec may use for it."""
    others = dict.fromkeys((REGISTRIES[kind].spell(cls.__name__), *cls.aliases))
    others.pop(cls.__name__, None)
    return tuple(name for name in others if kind != "layer" or LAYER_NAME.fullmatch(name))
