"""Runs side by side: what differs between their specs, and their figures over seeds and folds."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from string import ascii_uppercase
from typing import Any

from cnncli.errors import UsageError
from cnncli.hints import suggestion
from cnncli.training.metrics.mcnemar import McNemar
from cnncli.training.metrics.spread import Spread

MOST = len(ascii_uppercase)
"""Groups at most: each has a letter."""
ABSENT, UNKNOWN = "–", "?"
ENVIRONMENT = ("cnncli", "python", "numpy", "numba", "llvmlite", "platform", "cpu", "processes", "threads", "commit")
USUAL = {"processes": 1}
"""What an environment has that does not say otherwise."""
"""What figures, or their times, may depend on besides the spec."""
OFF: tuple[Any, ...] = (None, False, [], {})
"""Values of options without an effect."""
TOLERANCE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(%|pp|)")
SLACK = 1e-9
"""Share of a tolerance that rounding may add: 0.97 − 0.965 is a little more than 0.005."""


@dataclass(frozen=True)
class Trial:
    """A run: its facts (those of `runs --json`), the epochs, the resolved spec (empty if unknown), and the digests.

    `parameters`: of its model, if known. `directions`: of its metrics, "min" or "max". `environment`: as in
    environment.json.
    """

    facts: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    spec: Mapping[str, Any]
    digest: str | None
    data_digest: str | None
    parameters: int | None
    directions: Mapping[str, str]
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Its directory."""
        return str(self.facts["run"])

    @cached_property
    def figures(self) -> dict[str, float]:
        """Figures by name: of the test, of validation and training at the best epoch, then time and size."""
        own = self.facts["figures"]
        seconds = [line["seconds"] for line in self.history if isinstance(line.get("seconds"), int | float)]
        more = {
            "epochs": self.facts["epochs"],
            "best_epoch": self.facts["epoch"],
            "seconds": sum(seconds) if seconds else None,
            "parameters": self.parameters,
        }
        return {
            **{f"test_{name}": value for name, value in (self.facts["test"] or {}).items()},
            **{name: value for name, value in own.items() if name.startswith("val_")},
            **{name: value for name, value in own.items() if not name.startswith("val_")},
            **{name: value for name, value in more.items() if value is not None},
        }

    @property
    def part(self) -> tuple[Any, Any]:
        """Seed and fold: what differs between trials of one spec."""
        data = self.spec.get("data")
        return self.spec.get("seed"), data.get("fold") if isinstance(data, Mapping) else None

    @property
    def rest(self) -> str:
        """The spec without seed and fold; the path where it is unknown."""
        if not self.spec:
            return self.path
        data = {key: value for key, value in self.spec.get("data", {}).items() if key != "fold"}
        return json.dumps({**self.spec, "seed": None, "data": data}, sort_keys=True)


@dataclass(frozen=True)
class Group:
    """Trials of one spec, with a letter."""

    letter: str
    trials: Sequence[Trial]

    @property
    def short(self) -> str:
        """The end of the first run's path, and the number of runs of several."""
        path = "/".join(self.trials[0].path.split("/")[-2:])
        return f"{path} ×{len(self.trials)}" if len(self.trials) > 1 else path

    def spread(self, figure: str) -> Spread | None:
        """A figure over the trials; None if not all have it."""
        values = [trial.figures[figure] for trial in self.trials if figure in trial.figures]
        return Spread.of(values) if len(values) == len(self.trials) else None

    @property
    def history(self) -> list[dict[str, float]]:
        """The means of each epoch that all trials have."""
        if len(self.trials) == 1:
            return [dict(line) for line in self.trials[0].history]
        epochs = [{line["epoch"]: line for line in trial.history if "epoch" in line} for trial in self.trials]
        common = [number for number in epochs[0] if all(number in other for other in epochs)]
        return [{"epoch": number, **_means([other[number] for other in epochs])} for number in common]

    @property
    def best(self) -> int | None:
        """The epoch of the final weights, of a single trial."""
        return self.trials[0].facts["epoch"] if len(self.trials) == 1 else None


@dataclass(frozen=True)
class Pair:
    """A paired test: the runs, the split, and the numbers of samples."""

    first: str
    second: str
    split: str
    counts: McNemar


@dataclass(frozen=True)
class Comparison:
    """Groups of runs. `pairs`: paired tests; `unpaired`: why there are none for some."""

    groups: Sequence[Group]
    pairs: Sequence[Pair] = ()
    unpaired: Sequence[str] = ()

    @property
    def figures(self) -> dict[str, list[Spread | None]]:
        """By name the figure of each group."""
        names = dict.fromkeys(name for group in self.groups for trial in group.trials for name in trial.figures)
        return {name: [group.spread(name) for group in self.groups] for name in names}

    @property
    def differences(self) -> dict[str, list[Any]]:
        """The keys of the specs that differ between groups, with the value of each; ABSENT where there is none, UNKNOWN
        where the spec is.

        Left out is what follows: the arguments of a layer that others lack, and options that others lack and that are
        off.
        """
        flat = [
            {key: _shared(key, group, value) for key, value in _flat(group.trials[0].spec)} for group in self.groups
        ]
        keys = dict.fromkeys(key for one in flat for key in one)
        rows = {key: [one.get(key, ABSENT) if one else UNKNOWN for one in flat] for key in keys}
        found = {key: values for key, values in rows.items() if _differ(values)}
        lacking = {key for key, values in found.items() if ABSENT in values}
        return {
            key: values
            for key, values in found.items()
            if key not in lacking
            or (key.rpartition(".")[0] not in lacking and any(value not in (ABSENT, UNKNOWN, *OFF) for value in values))
        }

    @property
    def environments(self) -> dict[str, list[Any]]:
        """What differs between the environments of the groups: versions, processor, processes, threads, commit."""
        found = [group.trials[0].environment for group in self.groups]
        rows = {key: [one.get(key, USUAL.get(key, UNKNOWN)) for one in found] for key in ENVIRONMENT}
        return {key: values for key, values in rows.items() if _differ(values)}

    @property
    def equal_weights(self) -> list[list[str]]:
        """The paths of runs whose weights are equal, bit for bit."""
        return [paths for paths in self._by("digest").values() if len(paths) > 1]

    @property
    def same_data(self) -> bool | None:
        """Whether all were trained on the same data; None if unknown of some."""
        found = self._by("data_digest")
        return None if None in found else len(found) == 1

    def _by(self, attribute: str) -> dict[str | None, list[str]]:
        found: dict[str | None, list[str]] = {}
        for group in self.groups:
            for trial in group.trials:
                found.setdefault(getattr(trial, attribute), []).append(trial.path)
        if attribute == "digest":
            found.pop(None, None)
        return found

    def main_figure(self) -> str:
        """The first metric of the test that all have, or else of the validation or training; the loss where there is no
        metric.
        """
        shared = [name for name, values in self.figures.items() if None not in values and name not in MEASURED]
        metrics = [name for name in shared if not name.endswith("loss")]
        if not shared:
            raise UsageError("the runs have no figure in common")
        return (metrics or shared)[0]

    def better(self, figure: str) -> str:
        """The direction in which a figure improves, "min" or "max"."""
        name = figure.removeprefix("test_").removeprefix("val_")
        known = (trial.directions.get(name) for group in self.groups for trial in group.trials)
        return next(filter(None, known), "min")

    def worse(self, figure: str | None, tolerance: "Tolerance") -> list[str]:
        """A sentence for each group whose figure is worse than that of the first, by more than the tolerance.

        Raises UsageError if there is no such figure in all of them.
        """
        name = figure or self.main_figure()
        spreads = self.figures.get(name)
        if spreads is None or None in spreads:
            known = [one for one, values in self.figures.items() if None not in values]
            near = suggestion(name, known) or f"; there are {', '.join(known)}"
            raise UsageError(f"not all runs have '{name}'{near}")
        (first, *others), sign = [spread.mean for spread in spreads if spread], 1 if self.better(name) == "max" else -1
        allowed = tolerance.of(first)
        return [
            f"{name} of {group.letter} is {value:.6g}, worse than {first:.6g} of {self.groups[0].letter} by "
            f"{abs(first - value):.6g}; --fail-if-worse allows {allowed:.6g}"
            for group, value in zip(self.groups[1:], others, strict=True)
            if not sign * (first - value) <= allowed * (1 + SLACK)
        ]


MEASURED = ("epochs", "best_epoch", "seconds", "parameters")
"""Figures that are no metrics."""


@dataclass(frozen=True)
class Tolerance:
    """How much worse a figure may be: an amount, or (`relative`) a share of the first run's figure."""

    amount: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> "Tolerance":
        """`0.5%` (of the first run's figure), `0.5pp` (percentage points: 0.005) or `0.005`. Raises UsageError."""
        match = TOLERANCE.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"--fail-if-worse must be like 0.5%, 0.5pp or 0.005; received '{text}'")
        amount = float(match[1])
        return cls(amount / 100 if match[2] else amount, match[2] == "%")

    def of(self, figure: float) -> float:
        """The amount for a figure."""
        return self.amount * abs(figure) if self.relative else self.amount


def grouped(trials: Sequence[Trial]) -> list[Group]:
    """Trials of one spec as a group, in the order given; if all would be one group, each is one.

    A trial that has been repeated, with the same seed and fold, begins another group: of the same spec, perhaps by
    another version of cnncli. Raises UsageError for too many groups.
    """
    found: dict[tuple[str, int], list[Trial]] = {}
    seen: Counter[tuple[str, Any]] = Counter()
    for trial in trials:
        found.setdefault((trial.rest, seen[trial.rest, trial.part]), []).append(trial)
        seen[trial.rest, trial.part] += 1
    groups = list(found.values()) if len(found) > 1 else [[trial] for trial in trials]
    if len(groups) > MOST:
        raise UsageError(f"at most {MOST} runs or groups of runs are compared; received {len(groups)}")
    return [Group(letter, group) for letter, group in zip(ascii_uppercase, groups, strict=False)]


def paired_trials(first: Group, second: Group) -> list[tuple[Trial, Trial]]:
    """Trials of two groups with the same seed and fold; the first of each if there are none."""
    by_part = {trial.part: trial for trial in second.trials}
    found = [(trial, by_part[trial.part]) for trial in first.trials if trial.part in by_part]
    return found or [(first.trials[0], second.trials[0])]


def _differ(values: Sequence[Any]) -> bool:
    """Whether some of the values that are known differ."""
    known = [value for value in values if value != UNKNOWN]
    return any(value != known[0] for value in known)


def _means(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = [name for name in lines[0] if name != "epoch" and all(_is_number(line.get(name)) for line in lines)]
    return {name: Spread.of([line[name] for line in lines]).mean for name in names}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _shared(key: str, group: Group, value: Any) -> Any:
    """A value of the spec, or of seed and fold those of all trials."""
    if key not in ("seed", "data.fold"):
        return value
    parts = dict.fromkeys(trial.part[key == "data.fold"] for trial in group.trials)
    return ", ".join(map(str, parts)) if len(parts) > 1 else value


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a spec by dotted keys. Layers have their names, as in `--set model.layers.dense.units=64`; what is
    one of several kinds, such as an optimizer, is its kind, and has its arguments below its own key.
    """
    if key == "model.layers" and isinstance(value, list):
        for entry in value:
            for kind, arguments in entry.items():
                name = f"{key}.{arguments['name']}"
                yield name, kind
                yield from _flat({argument: v for argument, v in arguments.items() if argument != "name"}, name)
    elif isinstance(value, Mapping) and len(value) == 1 and key.startswith("compile."):
        ((kind, arguments),) = value.items()
        yield key, kind
        yield from _flat(arguments, key)
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    elif key:
        yield key, value
