"""The `tune` section: its settings and parameters, which must give a valid spec at both ends of every range."""

import json
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as AnySequence
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from cnncli.hints import suggestion
from cnncli.spec.validation import messages
from cnncli.spec.validation.checks import Figures
from cnncli.spec.validation.declare import section_of
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Entry, Mapping, Place, Sequence, Tree, is_null, plain
from cnncli.training.search.section import FIGURES, TUNED, TuneSection
from cnncli.training.search.space import Choice, Numbers, Option, Parameter, flat, label, shown

RANGES = {"uniform": (2, 3), "log_uniform": (2, 2), "int": (2, 3), "log_int": (2, 2)}
"""How many numbers the list of a range has."""
RULE = "must be a range, like {log_uniform: [1e-4, 1e-1]}, or {choice: [16, 32]}"
OPTION_KEYS = ("value", "with")
G = TypeVar("G")
R = TypeVar("R")


class Declared(NamedTuple):
    """A `tune` section as it is written. `places`: of each parameter, by its name."""

    settings: TuneSection
    parameters: tuple[Parameter, ...]
    places: dict[str, Place]

    @property
    def metrics(self) -> list[str]:
        """The names of the objectives."""
        return [objective.metric for objective in self.settings.objectives]


def declared(tree: Mapping, problems: Problems) -> Declared | None:
    """The `tune` section of a spec; None without one, or if problems were reported."""
    section = tree.get("tune")
    if section is None or is_null(section):
        return None
    before = len(problems)
    settings = section_of(tree, "tune", TuneSection, problems)
    if settings is None or not isinstance(section, Mapping):
        return None
    reader = _Reader(section, problems)
    entries = tuple(entry for entry in section if "." in entry.name)
    parameters = reader.parameters(entries, "")
    if not entries and all(entry.name in TuneSection.fields for entry in section):
        problems.add(
            section.place,
            "tune requires a parameter, like compile.optimizer.learning_rate: {log_uniform: [1e-4, 1e-1]}",
        )
    _check_settings(settings, parameters, section, reader.places, problems)
    return Declared(settings, parameters, reader.places) if len(problems) == before else None


def _check_settings(
    settings: TuneSection,
    parameters: AnySequence[Parameter],
    section: Mapping,
    places: dict[str, Place],
    problems: Problems,
) -> None:
    """Check sampler and pruner against objectives and parameters."""
    several = len(settings.objectives) > 1
    for key, given, refused in (
        ("sampler", settings.sampler, ("cmaes",)),
        ("pruner", settings.pruner, ("median", "hyperband")),
    ):
        at = section.get(key)
        if several and given in refused and at is not None:
            problems.add(at.place, f"{key} {given} needs a single objective; received {len(settings.objectives)}")
    _check_cmaes(settings, parameters, section, problems)
    for parameter in flat(parameters):
        place = places[parameter.name]
        if settings.sampler == "grid" and isinstance(parameter, Numbers) and parameter.grid() is None:
            problems.add(
                place,
                f"sampler grid needs values that can be listed; received {parameter.kind}: use choice, int, or "
                "uniform: [low, high, step]",
            )
        if (only := _only_value(parameter)) is not None:
            problems.warn(place, f"{parameter.path} has a single value, {only}: nothing is searched")
    for number, later in enumerate(parameters):
        for parameter in flat(parameters[:number]):
            if parameter.path.startswith(f"{later.path}."):
                problems.warn(
                    places[parameter.name], f"{later.path} comes later and replaces {parameter.path}: put it first"
                )


def _check_cmaes(
    settings: TuneSection, parameters: AnySequence[Parameter], section: Mapping, problems: Problems
) -> None:
    """Check that the sampler cmaes, which knows only numbers that there always are, has some to choose."""
    at = section.get("sampler")
    if settings.sampler != "cmaes" or at is None:
        return
    ranges = sum(isinstance(parameter, Numbers) for parameter in parameters)
    if not any(isinstance(parameter, Numbers) for parameter in flat(parameters)):
        problems.add(at.place, "sampler cmaes needs ranges of numbers; received only choices: use tpe or grid")
    elif ranges < 2:
        problems.warn(
            at.place,
            f"sampler cmaes draws at random unless there are two ranges outside of choices; received {ranges}: "
            "tpe learns from any parameters",
        )


def _only_value(parameter: Parameter) -> str | None:
    """The value of a parameter that has no other; None if it has several."""
    if isinstance(parameter, Numbers):
        return shown(parameter.low) if len(parameter.corners()) == 1 else None
    alone = len(parameter.options) == 1 and not parameter.options[0].parameters
    return parameter.options[0].label if alone else None


def no_parameter(entry: Entry) -> str:
    """The error for a top-level key of a spec in `tune`."""
    name, inner = entry.name, entry.value.names()[:1] if isinstance(entry.value, Mapping) else []
    if name not in TUNED:
        return f"'{name}' can't be a parameter, which begins with one of {', '.join(TUNED)}, like fit.batch_size"
    example = f"{name}.{inner[0]}" if inner and inner[0] not in (*RANGES, "choice") else "fit.batch_size"
    return f"'{name}' is a section; a parameter is the dotted key of a value, like `{example}: {{choice: [16, 32]}}`"


def check_objectives(tune: Declared, section: Mapping, figures: Figures, problems: Problems) -> None:
    """Check that objectives are figures of a run that are known without its test images."""
    known = [*figures.each_epoch(), *FIGURES]
    written = section.get("objectives")
    items = written.items if isinstance(written, Sequence) else ()
    for number, objective in enumerate(tune.settings.objectives):
        place = items[number].place if number < len(items) else section.place
        name = objective.metric
        message = figures.missing(name, known)
        if name.startswith("test_") and name.removeprefix("test_") in figures.own:
            message = f"choosing by test images makes their metrics worthless; use 'val_{name[5:]}' instead of '{name}'"
        if name in tune.metrics[:number]:
            message = f"duplicate objective '{name}'"
        if message:
            problems.add(place, message)


class _Wrong(Exception):
    """A problem at a place."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place, self.message = place, message


class _Reader:
    """Reads parameters; `places` are theirs, by name."""

    def __init__(self, section: Mapping, problems: Problems) -> None:
        self.problems = problems
        self.places: dict[str, Place] = {}
        self.seen = list(_paths(section))

    def parameters(self, entries: Iterable[Entry], within: str) -> tuple[Parameter, ...]:
        """The valid ones. `within`: the text of the option that they belong to."""
        return tuple(self._valid(entries, lambda entry: self._parameter(entry, within)))

    def _valid(self, given: Iterable[G], read: Callable[[G], R]) -> Iterator[R]:
        """What is read of each; problems are reported."""
        for one in given:
            try:
                yield read(one)
            except _Wrong as wrong:
                self.problems.add(wrong.place, wrong.message)

    def _parameter(self, entry: Entry, within: str) -> Parameter:
        path = entry.name
        top = path.split(".")[0]
        if "." not in path or top not in TUNED:
            hint = suggestion(top, TUNED) or f"; it must begin with one of {', '.join(TUNED)}"
            raise _Wrong(entry.key.place, f"a parameter is the dotted key of a value; received '{path}'{hint}")
        name = f"{path} ({within})" if within and self.seen.count(path) > 1 else path
        if name in self.places:
            raise _Wrong(entry.key.place, f"'{path}' is a parameter already")
        self.places[name] = entry.key.place
        kind = entry.value.entries[0] if isinstance(entry.value, Mapping) and len(entry.value.entries) == 1 else None
        if kind is None:
            raise _Wrong(entry.value.place, f"{path} {RULE}; received {messages.format_value(entry.value)}")
        if kind.name == "choice":
            return self._choice(path, name, kind)
        if kind.name not in RANGES:
            known = (*RANGES, "choice")
            hint = suggestion(kind.name, known) or f"; available: {', '.join(known)}"
            raise _Wrong(kind.key.place, f"unknown range '{kind.name}' of {path}{hint}")
        return self._numbers(path, name, kind)

    def _numbers(self, path: str, name: str, kind: Entry) -> Numbers:
        given = plain(kind.value)
        least, most = RANGES[kind.name]
        whole = kind.name.endswith("int")
        noun = "integers" if whole else "numbers"
        shape = "[low, high]" if most == least else "[low, high] or [low, high, step]"
        types = (int,) if whole else (int, float)
        fit = isinstance(given, list) and least <= len(given) <= most
        if not fit or any(isinstance(one, bool) or not isinstance(one, types) for one in given):
            received = messages.format_value(kind.value)
            raise _Wrong(kind.value.place, f"{kind.name} must be {noun} {shape}; received {received}")
        low, high, step = [*given, None][:3]
        wrong = "low must not be above high" if low > high else ""
        if not all(map(isfinite, given)):
            wrong = "the numbers of a range must be finite"
        if kind.name.startswith("log_") and low <= 0:
            wrong = "a logarithmic range must begin above 0"
        if step is not None and step <= 0:
            wrong = "step must be above 0"
        if wrong:
            raise _Wrong(kind.value.place, f"{wrong}; received {messages.format_value(kind.value)}")
        if not whole:
            low, high = float(low), float(high)
        return Numbers(path, name, kind.name, low, high, step)  # type: ignore[arg-type]

    def _choice(self, path: str, name: str, kind: Entry) -> Choice:
        if not isinstance(kind.value, Sequence) or not kind.value.items:
            received = messages.format_value(kind.value)
            raise _Wrong(kind.value.place, f"choice must be a list of values; received {received}")
        seen: set[str] = set()
        return Choice(path, name, tuple(self._valid(kind.value.items, lambda item: self._new_option(item, seen))))

    def _new_option(self, item: Tree, seen: set[str]) -> Option:
        """The option; its text must not be among those `seen`."""
        option = self._option(item)
        if option.label in seen:
            raise _Wrong(item.place, f"duplicate value {messages.format_value(item)}")
        seen.add(option.label)
        return option

    def _option(self, item: Tree) -> Option:
        """A value, or {value: …, with: {further parameters}}."""
        if not isinstance(item, Mapping) or item.entry("with") is None:
            return Option(plain(item), label(plain(item)))
        unknown = next((entry for entry in item if entry.name not in OPTION_KEYS), None)
        if unknown is not None:
            hint = suggestion(unknown.name, OPTION_KEYS) or f"; available: {', '.join(OPTION_KEYS)}"
            raise _Wrong(unknown.key.place, f"unknown key '{unknown.name}' in an option{hint}")
        value, further = item.get("value"), item.get("with")
        if value is None or not isinstance(further, Mapping):
            raise _Wrong(item.place, "an option with parameters must be {value: …, with: {KEY: RANGE, …}}")
        text = label(plain(value))
        return Option(plain(value), text, self.parameters(further, text))


def _paths(tree: Tree) -> Iterator[str]:
    """All keys with dots, at any depth."""
    if isinstance(tree, Mapping):
        for entry in tree:
            if "." in entry.name:
                yield entry.name
            yield from _paths(entry.value)
    elif isinstance(tree, Sequence):
        for item in tree.items:
            yield from _paths(item)


Check = Callable[[list[str]], list[str]]
"""The messages of the problems that a spec has with changes, as `--set` takes them."""


def check_values(tune: Declared, place: Place, check: Check, problems: Problems) -> None:
    """Check the spec at both ends of every range and at every option, then with all lowest and all highest values."""
    before = len(problems)
    for parameter, outer in _with_choices(tune.parameters, {}):
        at = tune.places[parameter.name]
        values = parameter.corners() if isinstance(parameter, Numbers) else [one.value for one in parameter.options]
        found = {
            value: wrong
            for value, wrong in ((_text(v), check(_set({**outer, parameter.path: v}))) for v in values)
            if wrong
        }
        said = {wrong[0] for wrong in found.values()}
        if len(said) == 1 and len(found) == len(values) and "received" not in (message := said.pop()):
            problems.add(at, message)
            continue
        for value, wrong in found.items():
            problems.add(at, f"{parameter.path} = {value} gives an invalid spec: {wrong[0]}")
    if len(problems) == before:
        for number in (0, -1):
            together = _extreme(tune.parameters, number)
            if wrong := check(_set(together)):
                shown = ", ".join(_set(together))
                problems.add(place, f"{shown} together give an invalid spec: {wrong[0]}")


def _with_choices(parameters: Iterable[Parameter], outer: dict[str, Any]) -> Iterator[tuple[Parameter, dict[str, Any]]]:
    """Every parameter with the values of the choices that it depends on."""
    for parameter in parameters:
        yield parameter, outer
        if isinstance(parameter, Choice):
            for option in parameter.options:
                yield from _with_choices(option.parameters, {**outer, parameter.path: option.value})


def _extreme(parameters: Iterable[Parameter], number: int) -> dict[str, Any]:
    """The first or the last value of every parameter."""
    made: dict[str, Any] = {}
    for parameter in parameters:
        if isinstance(parameter, Numbers):
            made[parameter.path] = parameter.corners()[number]
        else:
            option = parameter.options[number]
            made |= {parameter.path: option.value, **_extreme(option.parameters, number)}
    return made


def _set(changes: dict[str, Any]) -> list[str]:
    return [f"{path}={_text(value)}" for path, value in changes.items()]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
