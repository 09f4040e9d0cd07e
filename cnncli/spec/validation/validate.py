"""The tree of a spec → declarations and a model; every problem is reported at its place."""

from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cnncli.datasets.describe import Description, describe
from cnncli.datasets.section import DataSection
from cnncli.errors import DeclarationError
from cnncli.graph.model import Lowered, Model, Node
from cnncli.layers.vocabulary import layers as known_layers
from cnncli.ops.ir import Shape
from cnncli.spec.blocks.expand import expand
from cnncli.spec.validation import checks, messages, overrides, spec_warnings, tuning
from cnncli.spec.validation.declare import (
    declared,
    expectations_of,
    head_of,
    item_places,
    model_section_of,
    no_mapping,
    section_of,
)
from cnncli.spec.validation.freezing import check_epochs, check_trainable, fine_tuned, frozen
from cnncli.spec.validation.pretrained import located, shapes
from cnncli.spec.validation.sections import IGNORED, KEYS_OF, REQUIRED, TOP_KEYS, ModelSection, Pretrained
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Mapping, Place, Sequence, Tree, is_null, plain
from cnncli.training.metrics.expectations import Expectation
from cnncli.training.phases import Unfreezing
from cnncli.training.search.section import Search, direction_of
from cnncli.training.sections import CompileSection, FitSection


@dataclass(slots=True)
class Parts:
    """The parts of a valid spec. `notes`: what was understood of the data's layout."""

    name: str | None
    seed: int
    data: DataSection
    model: Model
    compile: CompileSection
    fit: FitSection
    expect: tuple[Expectation, ...]
    notes: tuple[str, ...] = ()
    weights: Pretrained | None = None
    unfreezing: Unfreezing | None = None
    search: Search | None = None


def validate(
    tree: Tree,
    sets: Iterable[str],
    base: Path,
    problems: Problems,
    *,
    check_data: bool = True,
    check_weights: bool = True,
) -> Parts | None:
    """The parts, or None if problems were reported.

    Paths are relative to `base`. Without `check_data` the dataset is read only if the spec has no input_shape; without
    it or `check_weights`, the file of `weights` need not exist. Raises CnncliError if the dataset can't be read.
    """
    known_layers()
    if not isinstance(tree, Mapping):
        received = "an empty file" if is_null(tree) else messages.format_value(tree)
        problems.add(tree.place, f"a spec must be a mapping with the keys {', '.join(TOP_KEYS)}; received {received}")
        return None
    before = len(problems)
    flat, output = _flat(tree, problems)
    whole = len(problems) == before
    tree = overrides.apply(flat, sets, problems)
    _check_keys(tree, problems)
    validation = _Validation(tree, base, problems, output=output, whole=whole, check_data=check_data)
    return validation.parts(check_weights=check_data and check_weights)


def _flat(tree: Mapping, problems: Problems) -> tuple[Mapping, str | None]:
    """The spec with blocks expanded, and the name of the output layer."""
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
            layers.key.place,
            f"layers must be a list with at least one layer; received {messages.format_value(layers.value)}",
        )
        return tree, None
    flat, output = expand(layers.value, model.get("blocks"), problems)
    return tree.replaced(entry.key, model.without("blocks").replaced(layers.key, flat)), output


def _check_keys(tree: Mapping, problems: Problems) -> None:
    for entry in tree:
        if entry.name not in TOP_KEYS:
            problems.add(entry.key.place, messages.unknown_key(entry, "a spec", TOP_KEYS, KEYS_OF))
    for name in REQUIRED:
        if tree.entry(name) is None:
            problems.add(tree.place, f"a spec requires the section `{name}`")
    for name, keys in KEYS_OF.items():
        section = tree.get(name)
        if not isinstance(section, Mapping):
            continue
        elsewhere = {
            other: (*known, *IGNORED.get(other, ())) for other, known in KEYS_OF.items() if other not in (name, "tune")
        }
        for entry in section:
            if entry.name in (*keys, *IGNORED.get(name, ())) or (name == "tune" and "." in entry.name):
                continue
            whole = name == "tune" and entry.name in TOP_KEYS
            message = tuning.no_parameter(entry) if whole else messages.unknown_key(entry, name, keys, elsewhere)
            problems.add(entry.key.place, message)


MOST_VALUES = 100
"""Values of a metric that may be named where the number of outputs is not known."""


class _Validation:
    def __init__(
        self, tree: Mapping, base: Path, problems: Problems, *, output: str | None, whole: bool, check_data: bool
    ) -> None:
        self.tree, self.base, self.problems = tree, base, problems
        self.output, self.whole, self.check_data = output, whole, check_data
        self.places: dict[str, Place] = {}
        self.lowered: Lowered | None = None
        self.unfreezing: Unfreezing | None = None
        self.file: AnyMapping[str, Shape] | None = None
        self.described: Description | None = None
        self.tune = tuning.declared(tree, problems)

    def parts(self, *, check_weights: bool) -> Parts | None:
        head = head_of(self.tree, self.problems)
        data = section_of(self.tree, "data", DataSection, self.problems)
        compiled = section_of(self.tree, "compile", CompileSection, self.problems)
        fit = section_of(self.tree, "fit", FitSection, self.problems)
        expect = expectations_of(self.tree, self.problems)
        section = model_section_of(self.tree, self.problems)
        given = section.input_shape
        seed = head.seed if head is not None else 0
        description = self._description(data, given, seed) if data and (self.check_data or given is None) else None
        shape = given or (description.input_shape if description else None)
        weights = None if section.weights is None else located(section.weights, self.base)
        if weights is not None and (check_weights or section.fine_tune is not None):
            self.file = self._shapes(weights, check=check_weights)
        model = self._model(section, shape, compiled, data, description, initial=fit.initial_epoch if fit else 0)
        if fit is not None:
            check_epochs(section, self.unfreezing, fit, self._of_model, self.problems)
        if shape is not None and data is not None:
            places = item_places(self.tree, "data", "augment")
            checks.check_augmentations(data, shape, fit, places, self.problems, description=description)
        if compiled is not None:
            places = item_places(self.tree, "compile", "metrics")
            checks.check_metrics(compiled, self._outputs(), places, self.problems, description)
        if compiled is not None and data is not None and data.targets == "input":
            self._check_input_as_target(compiled)
        if compiled is not None and data is not None and data.targets == "values":
            places = item_places(self.tree, "compile", "metrics")
            checks.check_values_as_target(compiled, self._compiled_place("loss"), places, self.problems)
        if compiled is not None and self.lowered is not None:
            checks.check_optimizer(compiled.optimizer, self.lowered, self._of_optimizer, self.problems)
        if fit is not None and fit.class_weight is not None and data is not None:
            self._check_class_weight(fit, data, compiled, description)
        if compiled is not None and data is not None and description is not None:
            self._check_figures(compiled, fit, expect, data, description)
        if self.problems or head is None or data is None or compiled is None or fit is None or model is None:
            return None
        search = self._search(compiled, description)
        if self.problems:
            return None
        self._warn(model, compiled, data, description)
        places = item_places(self.tree, "fit", "callbacks")
        spec_warnings.warn_about_stopping(fit, self.unfreezing, places, self.problems)
        spec_warnings.warn_about_epochs(fit, description, self._fit_place(), self.problems)
        if description is not None:
            data = data.replace(dataset=description.source)
        expected = tuple(expectation for expectation, _ in expect)
        notes = description.notes if description is not None else ()
        return Parts(
            head.name, head.seed, data, model, compiled, fit, expected, notes, weights, self.unfreezing, search
        )

    def _search(self, compiled: CompileSection, description: Description | None) -> Search | None:
        """The search of a spec without problems; its values are checked."""
        section = self.tree.entry("tune")
        if self.tune is None or section is None:
            return None
        check = partial(self._problems_with, description=description)
        tuning.check_values(self.tune, section.key.place, check, self.problems)
        outputs = self._outputs() or MOST_VALUES
        better = {name: metric.better for metric in compiled.metrics for name in metric.names(outputs)}
        settings = self.tune.settings
        directions = tuple(direction_of(objective, better) for objective in settings.objectives)
        return Search(settings, self.tune.parameters, directions)

    def _problems_with(self, sets: list[str], description: Description | None) -> list[str]:
        """What is wrong with the spec with these changes. Data are read again only if one of them is about data."""
        problems = Problems(self.problems.filename, self.problems.text)
        tree = overrides.apply(self.tree.without("tune"), sets, problems)
        _check_keys(tree, problems)
        if not problems:
            output, whole, check_data = self.output, self.whole, self.check_data
            changed = _Validation(tree, self.base, problems, output=output, whole=whole, check_data=check_data)
            changed.described = None if any(text.startswith("data.") for text in sets) else description
            changed.parts(check_weights=False)
        return [message for _, _, _, message in sorted(problems.found, key=lambda found: not found[0])]

    def _shapes(self, weights: Pretrained, *, check: bool) -> AnyMapping[str, Shape] | None:
        """The shapes of the weights to start from; None if they can't be read, which is reported if they must be."""
        try:
            return shapes(weights)
        except DeclarationError as error:
            if check:
                self.problems.add(self._of_model("weights"), str(error))
            return None

    def _description(self, data: DataSection, given: Shape | None, seed: int) -> Description | None:
        if self.described is not None:
            return self.described
        section = self.tree.get("data")
        assert isinstance(section, Mapping)
        try:
            description = describe(data, self.base, given, seed)
        except DeclarationError as error:
            at_fault = section.get(error.key or "dataset")
            assert at_fault is not None
            self.problems.add(at_fault.place, str(error))
            return None
        if given is not None and given != description.input_shape:
            model = self.tree.get("model")
            at_fault = model.get("input_shape") if isinstance(model, Mapping) else None
            assert at_fault is not None
            self.problems.add(
                at_fault.place,
                f"input_shape must match the data, {list(description.input_shape)}; received {list(given)}",
            )
        return description

    def _model(
        self,
        keys: ModelSection,
        shape: Shape | None,
        compiled: CompileSection | None,
        data: DataSection | None,
        description: Description | None,
        *,
        initial: int,
    ) -> Model | None:
        section = self.tree.get("model")
        if section is not None and not isinstance(section, Mapping):
            self.problems.add(section.place, no_mapping("model", section))
        layers = section.get("layers") if isinstance(section, Mapping) else None
        if not isinstance(layers, Sequence):
            return None
        before = len(self.problems)
        nodes = [node for node in map(self._node, layers.items) if node is not None]
        if shape is None or not nodes:
            return None
        model, self.unfreezing = frozen(keys, Model(shape, tuple(nodes)), self._of_model, self.problems)
        if self.whole and len(self.problems) == before:
            checks.check_unused(model, self.places, self.problems)
        lowered = self.lowered = checks.lowered_model(model, self.places, self.problems)
        if lowered is not None:
            tuned = fine_tuned(
                *(keys, model, lowered, self.file), initial=initial, place=self._of_model, problems=self.problems
            )
            self.unfreezing = tuned or self.unfreezing
            check_trainable(keys, lowered, self.unfreezing, self._of_model, self.problems)
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
        """The node of a flat entry; None if a problem was reported."""
        assert isinstance(item, Mapping)
        kind, arguments = item.entries[0].key, item.entries[0].value
        assert isinstance(arguments, Mapping)
        name, inputs = plain(arguments)["name"], plain(arguments)["inputs"]
        cls = messages.REGISTRIES["layer"].find(str(kind.value))
        if cls is None or (cls.__name__ != kind.value and str(kind.value)[:1].islower()):
            known = messages.REGISTRIES["layer"].classes
            self.problems.add(kind.place, messages.unknown_name("layer", str(kind.value), known))
            return None
        layer = declared(cls, arguments.without("name", "inputs"), str(kind.value), kind.place, self.problems)
        self.places[name] = kind.place
        return Node(name, layer, tuple(inputs)) if layer is not None and inputs else None

    def _warn(self, model: Model, compiled: CompileSection, data: DataSection, description: Description | None) -> None:
        """Add warnings to a spec without problems."""
        assert self.lowered is not None
        loss, metrics, last = compiled.loss, compiled.metrics, self.places[model.nodes[-1].name]
        spec_warnings.warn_about_output(self.lowered, loss, last, self._compiled_place("loss"), self.problems)
        places = item_places(self.tree, "compile", "metrics")
        spec_warnings.warn_about_metrics(self.lowered, loss, metrics, places, self.problems)
        spec_warnings.warn_about_schedule(compiled.optimizer, self._compiled_place("optimizer"), self.problems)
        spec_warnings.warn_about_merges(model, self.places, self.problems)
        spec_warnings.warn_about_regularizers(model, self.places, self.problems)
        if description is not None:
            spec_warnings.warn_about_rescaling(model, data, description, self.places, self.problems)

    def _outputs(self) -> int | None:
        """The number of outputs of the model, on its last axis; None if it is not known."""
        return self.lowered.output.shape[-1] if self.lowered is not None else None

    def _of_model(self, key: str) -> Place:
        """The place of the value of a key of `model`."""
        section = self.tree.get("model")
        given = section.get(key) if isinstance(section, Mapping) else None
        assert given is not None
        return given.place

    def _compiled_place(self, key: str) -> Place:
        section = self.tree.get("compile")
        given = section.get(key) if isinstance(section, Mapping) else None
        assert given is not None
        return given.place

    def _fit_place(self) -> Place:
        """The place of the section `fit`, or of the whole spec."""
        entry = self.tree.entry("fit")
        return self.tree.place if entry is None else entry.key.place

    def _of_optimizer(self, argument: str) -> Place:
        """The place of an argument's value."""
        section = self.tree.get("compile")
        given = section.get("optimizer") if isinstance(section, Mapping) else None
        arguments = given.entries[0].value if isinstance(given, Mapping) else None
        value = arguments.get(argument) if isinstance(arguments, Mapping) else None
        return self._compiled_place("optimizer") if value is None else value.place

    def _check_input_as_target(self, compiled: CompileSection) -> None:
        places = item_places(self.tree, "compile", "metrics")
        checks.check_input_as_target(compiled, self._compiled_place("loss"), places, self.problems)

    def _check_class_weight(
        self, fit: FitSection, data: DataSection, compiled: CompileSection | None, description: Description | None
    ) -> None:
        section = self.tree.get("fit")
        given = section.get("class_weight") if isinstance(section, Mapping) else None
        assert given is not None
        loss = None if compiled is None else compiled.loss
        checks.check_class_weight(fit, data, description, given.place, self.problems, loss=loss)

    def _check_figures(
        self,
        compiled: CompileSection,
        fit: FitSection | None,
        expect: list[tuple[Expectation, Place]],
        data: DataSection,
        description: Description,
    ) -> None:
        validation = data.validation_split > 0 or "validation" in description.samples
        outputs = self._outputs() or MOST_VALUES
        figures = checks.Figures(compiled, outputs, validation=validation, test="test" in description.samples)
        if fit is not None:
            checks.check_callbacks(fit, compiled, figures, self.tree, self.problems)
        expectations = [expectation for expectation, _ in expect]
        checks.check_expectations(expectations, figures, [place for _, place in expect], self.problems)
        section = self.tree.get("tune")
        if self.tune is not None and isinstance(section, Mapping):
            tuning.check_objectives(self.tune, section, figures, self.problems)
