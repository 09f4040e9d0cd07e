"""The tree of a spec → declarations and a model; every problem is noted at its place."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cnncli.datasets.describe import Description, describe
from cnncli.datasets.section import DataSection
from cnncli.errors import DeclarationError
from cnncli.graph.model import Model, Node
from cnncli.layers.declaration import REQUIRED as NO_DEFAULT
from cnncli.layers.declaration import Declaration
from cnncli.layers.kinds import RefusedError
from cnncli.layers.vocabulary import layers as known_layers
from cnncli.ops.ir import Shape
from cnncli.spec import checks, overrides, rules
from cnncli.spec.entries import MENDED
from cnncli.spec.expand import expand
from cnncli.spec.mistakes import told
from cnncli.spec.problems import Problems
from cnncli.spec.sections import KEYS_OF, MODEL_KEYS, REQUIRED, TOP_KEYS, Head, ModelSection
from cnncli.spec.tree import Entry, Mapping, Place, Scalar, Sequence, Tree, is_null, plain
from cnncli.training.expectations import Expectation
from cnncli.training.sections import CompileSection, FitSection

D = TypeVar("D", bound=Declaration)


@dataclass(slots=True)
class Parts:
    """What a valid spec holds."""

    name: str | None
    seed: int
    data: DataSection
    model: Model
    compile: CompileSection
    fit: FitSection
    expect: tuple[Expectation, ...]


def validate(
    tree: Tree, sets: Iterable[str], base: Path, problems: Problems, *, check_data: bool = True
) -> Parts | None:
    """The parts, or None where problems were noted.

    Paths are relative to `base`. Without `check_data` the dataset is not looked at unless the input's shape has to come
    from it. Raises CnncliError where the dataset can't be read.
    """
    known_layers()
    if not isinstance(tree, Mapping):
        received = "an empty file" if is_null(tree) else rules.shown(tree)
        problems.add(tree.place, f"a spec must be a mapping with the keys {', '.join(TOP_KEYS)}; received {received}")
        return None
    before = len(problems)
    flat, output = _flat(tree, problems)
    whole = len(problems) == before
    tree = overrides.apply(flat, sets, problems)
    _check_keys(tree, problems)
    return _Validation(tree, base, problems, output=output, whole=whole, check_data=check_data).parts()


def _flat(tree: Mapping, problems: Problems) -> tuple[Mapping, str | None]:
    """The spec with its blocks written out, and the name of the layer that gives the output."""
    entry = tree.entry("model")
    if entry is None or not isinstance(entry.value, Mapping):
        return tree, None
    model = entry.value
    layers = model.entry("layers")
    if layers is None:
        problems.add(entry.key.place, "model must have a list of layers under `layers`")
        return tree, None
    if not isinstance(layers.value, Sequence) or not layers.value.items:
        problems.add(
            layers.key.place, f"layers must be a list with at least one layer; received {rules.shown(layers.value)}"
        )
        return tree, None
    flat, output = expand(layers.value, model.get("blocks"), problems)
    return tree.replaced(entry.key, model.without("blocks").replaced(layers.key, flat)), output


def _check_keys(tree: Mapping, problems: Problems) -> None:
    for entry in tree:
        if entry.name not in TOP_KEYS:
            problems.add(entry.key.place, rules.unknown_key(entry, "a spec", TOP_KEYS, KEYS_OF))
    for name in REQUIRED:
        if tree.entry(name) is None:
            problems.add(tree.place, f"a spec must have the section `{name}`")
    for name, keys in KEYS_OF.items():
        section = tree.get(name)
        if not isinstance(section, Mapping):
            continue
        elsewhere = {other: known for other, known in KEYS_OF.items() if other != name}
        for entry in section:
            if entry.name not in keys:
                problems.add(entry.key.place, rules.unknown_key(entry, name, keys, elsewhere))


class _Validation:
    def __init__(
        self, tree: Mapping, base: Path, problems: Problems, *, output: str | None, whole: bool, check_data: bool
    ) -> None:
        self.tree, self.base, self.problems = tree, base, problems
        self.output, self.whole, self.check_data = output, whole, check_data
        self.places: dict[str, Place] = {}

    def parts(self) -> Parts | None:
        head = self._declared(Head, Mapping(self.tree.place, self._only(Head.fields)), "a spec", self.tree.place)
        self._check_name()
        data = self._section("data", DataSection)
        compiled = self._section("compile", CompileSection)
        fit = self._section("fit", FitSection)
        expect = self._expectations()
        given = self._input_shape()
        description = self._description(data) if data and (self.check_data or given is None) else None
        shape = given or (description.input_shape if description else None)
        model = self._model(shape, compiled, data, description)
        if compiled is not None:
            checks.check_metrics(compiled, self._item_places("compile", "metrics"), self.problems)
        if compiled is not None and data is not None and description is not None:
            self._check_figures(compiled, fit, expect, data, description)
        if self.problems or head is None or data is None or compiled is None or fit is None or model is None:
            return None
        if description is not None:
            data = data.replace(dataset=description.source)
        return Parts(head.name, head.seed, data, model, compiled, fit, tuple(expectation for expectation, _ in expect))

    def _only(self, names: Iterable[str]) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.tree if entry.name in names)

    def _declared(self, cls: type[D], tree: Mapping, owner: str, place: Place) -> D | None:
        try:
            return cls(**plain(tree))
        except RefusedError as error:
            rules.report(error.flaws, tree, Scalar(place, owner), self.problems)
            return None

    def _check_name(self) -> None:
        entry = self.tree.entry("name")
        name = entry.value.value if entry and isinstance(entry.value, Scalar) else None
        if entry and isinstance(name, str) and not is_plain_name(name):
            self.problems.add(
                entry.value.place,
                f"name must be a plain file name, without / and not beginning with a dot; received {name!r}",
            )

    def _section(self, name: str, cls: type[D]) -> D | None:
        entry = self.tree.entry(name)
        if entry is None:
            return cls() if name not in REQUIRED else None
        section = entry.value
        if is_null(section) and not any(field.default is NO_DEFAULT for field in cls.fields.values()):
            return cls()
        if not isinstance(section, Mapping):
            self.problems.add(section.place, _no_mapping(name, section))
            return None
        known = Mapping(section.place, tuple(entry for entry in section if entry.name in cls.fields))
        return self._declared(cls, known, name, entry.key.place)

    def _expectations(self) -> list[tuple[Expectation, Place]]:
        section = self.tree.get("expect")
        if section is None or is_null(section):
            return []
        if not isinstance(section, Mapping):
            self.problems.add(section.place, 'expect must be a mapping, like {test_accuracy: ">= 0.95"}')
            return []
        found = []
        for entry in section:
            value = entry.value.value if isinstance(entry.value, Scalar) else None
            try:
                if not isinstance(value, str):
                    raise DeclarationError(
                        'a condition must be one of >=, >, <=, <, == and a number, like ">= 0.95"; '
                        f"received {rules.shown(entry.value)}"
                    )
                found.append((Expectation.of(entry.name, value), entry.key.place))
            except DeclarationError as error:
                self.problems.add(entry.value.place, str(error))
        return found

    def _input_shape(self) -> Shape | None:
        model = self.tree.get("model")
        entry = model.entry("input_shape") if isinstance(model, Mapping) else None
        if entry is None or not isinstance(model, Mapping):
            return None
        section = Mapping(model.place, (entry,))
        declared = self._declared(ModelSection, section, "model", model.place)
        return declared.input_shape if declared is not None else None

    def _description(self, data: DataSection) -> Description | None:
        section = self.tree.get("data")
        assert isinstance(section, Mapping)
        try:
            description = describe(data, self.base)
        except DeclarationError as error:
            at_fault = section.get(error.key or "dataset")
            assert at_fault is not None
            self.problems.add(at_fault.place, str(error))
            return None
        model = self.tree.get("model")
        given = model.get("input_shape") if isinstance(model, Mapping) else None
        shape = plain(given) if given is not None else None
        if isinstance(shape, list) and tuple(shape) != description.input_shape and self._input_shape() is not None:
            assert given is not None
            self.problems.add(
                given.place,
                f"input_shape must be what the data has, {list(description.input_shape)}; received {shape}",
            )
        return description

    def _model(
        self,
        shape: Shape | None,
        compiled: CompileSection | None,
        data: DataSection | None,
        description: Description | None,
    ) -> Model | None:
        section = self.tree.get("model")
        if section is not None and not isinstance(section, Mapping):
            self.problems.add(section.place, _no_mapping("model", section))
        layers = section.get("layers") if isinstance(section, Mapping) else None
        if not isinstance(layers, Sequence):
            return None
        before = len(self.problems)
        nodes = [node for node in map(self._node, layers.items) if node is not None]
        if shape is None or not nodes:
            return None
        model = Model(shape, tuple(nodes))
        if self.whole and len(self.problems) == before:
            checks.check_unused(model, self.places, self.problems)
        lowered = checks.lowered_model(model, self.places, self.problems)
        if (
            lowered is not None
            and self.output == nodes[-1].name
            and self.output in lowered.outputs
            and compiled
            and data
        ):
            checks.check_output(
                model,
                lowered.output.shape,
                compiled.loss,
                data,
                description=description,
                place=self.places[self.output],
                problems=self.problems,
            )
        return model

    def _node(self, item: Tree) -> Node | None:
        """The node of a flat entry; None where its problem is noted."""
        assert isinstance(item, Mapping)
        kind, arguments = item.entries[0].key, item.entries[0].value
        assert isinstance(arguments, Mapping)
        name, inputs = plain(arguments)["name"], plain(arguments)["inputs"]
        cls = rules.REGISTRIES["layer"].find(str(kind.value))
        if cls is None or (cls.__name__ != kind.value and str(kind.value)[:1].islower()):
            known = rules.REGISTRIES["layer"].classes
            self.problems.add(kind.place, rules.unknown_name("layer", str(kind.value), known))
            return None
        layer = self._declared(cls, arguments.without("name", "inputs"), str(kind.value), kind.place)
        self.places[name] = kind.place
        return Node(name, layer, tuple(inputs)) if layer is not None and inputs else None

    def _check_figures(
        self,
        compiled: CompileSection,
        fit: FitSection | None,
        expect: list[tuple[Expectation, Place]],
        data: DataSection,
        description: Description,
    ) -> None:
        validation = data.validation_split > 0 or "validation" in description.samples
        figures = checks.Figures(compiled, validation=validation, test="test" in description.samples)
        if fit is not None:
            checks.check_callbacks(fit, figures, self._item_places("fit", "callbacks", "monitor"), self.problems)
        expectations, places = [pair[0] for pair in expect], [pair[1] for pair in expect]
        checks.check_expectations(expectations, figures, places, self.problems)

    def _item_places(self, section: str, key: str, argument: str = "") -> list[Place]:
        """Where each item of a list stands, or its argument where that is given."""
        owner = self.tree.get(section)
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


def is_plain_name(name: str) -> bool:
    """True for what can be a folder's name everywhere."""
    return bool(re.fullmatch(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}", name)) and name != MENDED


def _no_mapping(name: str, section: Tree) -> str:
    keys = ", ".join(KEYS_OF.get(name, MODEL_KEYS))
    text = section.value if isinstance(section, Scalar) else None
    hint = (
        told(text, ((r"^(?P<key>\w+) (?P<value>\S+)", "; a colon is missing: write `{key}: {value}`"),))
        if isinstance(text, str)
        else ""
    )
    return f"{name} must be a mapping with keys among {keys}; received {rules.shown(section)}{hint}"
