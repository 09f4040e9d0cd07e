"""Parallel coordinates of the trials of a search."""

from collections.abc import Callable, Sequence
from math import log
from typing import Any

from cnncli.report.pictures.axes import Axis, log_ticks, tick_texts
from cnncli.report.pictures.figures import ParallelCoordinates, Scale, Strand
from cnncli.report.terminal.figures import figure
from cnncli.training.search.section import Search
from cnncli.training.search.space import Choice, Numbers, Parameter, flat, short_names, shown
from cnncli.training.search.trials import Found, TrialFacts

BEST = 0.1
"""The share of trials that stand out."""
TICKS = 6
NONE = -0.1
"""The height of a trial that does not have the parameter."""
Height = Callable[[Any], float]


def parallel_coordinates(found: Found) -> ParallelCoordinates:
    """A scale for each parameter and objective, a line for each complete trial; the best, or the Pareto front, stand
    out.
    """
    search, ordered = found.search, found.ordered[::-1]
    names = short_names(search.parameters)
    parameters = list(flat(search.parameters))
    scales, heights = [], []
    for parameter in parameters:
        ticks, height = _of_choice(parameter) if isinstance(parameter, Choice) else _of_numbers(parameter)
        if any(parameter.name not in trial.params for trial in ordered):
            ticks = [*ticks, (NONE, "none")]
        scales.append(Scale(names[parameter.name], ticks))
        heights.append(height)
    for number, metric in enumerate(search.metrics):
        ticks, height = _of_values([trial.values[number] for trial in ordered])
        scales.append(Scale(metric, ticks))
        heights.append(height)
    count = max(1, round(BEST * len(ordered)))
    wide = found.best if len(search.metrics) > 1 else [trial.number for trial in ordered[-count:]]
    best = "the best" if count == 1 else f"the best {count}"
    what = "the Pareto front" if len(search.metrics) > 1 else f"{best} by {search.metrics[0]}"
    lines = sorted(ordered, key=lambda trial: trial.number in wide)
    strands = [
        Strand(_heights(trial, parameters, heights), _tip(trial, search, names), trial.number in wide)
        for trial in lines
    ]
    note = f"{len(ordered)} complete trials; wide: {what}"
    return ParallelCoordinates(f"Trials of {found.name}", scales, strands, note)


def _heights(trial: TrialFacts, parameters: Sequence[Parameter], heights: Sequence[Height]) -> list[float]:
    values = [*(trial.params.get(parameter.name) for parameter in parameters), *trial.values]
    return [NONE if value is None else height(value) for value, height in zip(values, heights, strict=True)]


def _tip(trial: TrialFacts, search: Search, names: dict[str, str]) -> str:
    params = [f"{names[name]} {shown(value)}" for name, value in trial.params.items() if name in names]
    values = [f"{metric} {figure(value)}" for metric, value in zip(search.metrics, trial.values, strict=True)]
    return f"trial {trial.number}: {', '.join([*params, *values])}"


def _of_numbers(parameter: Numbers) -> tuple[list[tuple[float, str]], Height]:
    if parameter.log:
        low, high = log(parameter.low), log(parameter.high)
        inner = log_ticks(parameter.low, parameter.high, TICKS)
        found = sorted({parameter.low, *inner, parameter.high})

        def height(value: float) -> float:
            return (log(value) - low) / (high - low or 1)

        return _apart([(height(tick), f"{tick:g}") for tick in found]), height
    return _linear(parameter.low, parameter.high)


def _linear(low: float, high: float) -> tuple[list[tuple[float, str]], Height]:
    ticks = Axis(low, high, 0, 1).ticks(TICKS) if high > low else [low]

    def height(value: float) -> float:
        return (value - low) / (high - low) if high > low else 0.5

    return [(height(tick), text) for tick, text in zip(ticks, tick_texts(ticks), strict=True)], height


def _of_values(values: Sequence[float]) -> tuple[list[tuple[float, str]], Height]:
    return _linear(min(values), max(values))


def _of_choice(parameter: Choice) -> tuple[list[tuple[float, str]], Height]:
    labels = [option.label for option in parameter.options]
    places = {label: (number + 0.5) / len(labels) for number, label in enumerate(labels)}
    return [(place, label) for label, place in places.items()], places.__getitem__


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those that have room."""
    kept: list[tuple[float, str]] = []
    for tick in ticks:
        if not kept or tick[0] - kept[-1][0] > 0.06:
            kept.append(tick)
    return kept
