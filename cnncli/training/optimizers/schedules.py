"""Schedules: learning rates that change with every update (keras/src/optimizers/schedules/)."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from itertools import pairwise
from math import ceil, cos, floor, inf, pi
from typing import Annotated, Any, Literal

from cnncli.layers.declarations.declaration import Declaration, Named, NonNegative, Registry
from cnncli.layers.declarations.field_types import Kind, Number, Schema
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError

Steps = float | str
"""A number of updates or epochs, such as "80 epochs", as written in the spec."""

EPOCHS = re.compile(r"\d{1,9}(\.\d{1,9})? epochs|1 epoch", re.ASCII)
NEARLY = re.compile(r"\s*(?P<number>\d{1,9}(\.\d{1,9})?)\s*(e|ep|epochs?)\s*", re.ASCII | re.IGNORECASE)


def updates(steps: Steps, batches: int) -> float:
    """Convert `steps` to updates, with `batches` batches per epoch; epochs are rounded up."""
    if not isinstance(steps, str):
        return steps
    whole, _, digits = steps.split()[0].partition(".")
    return -(-int(whole + digits) * batches // int(10 ** len(digits)))


class StepCount(Kind):
    """Field type: a number of updates, or a number of epochs."""

    sample = "10 epochs"

    def __init__(self, updates: Number) -> None:
        self.updates = updates
        self.rule = f"{updates.rule}, or a number of epochs like 80 epochs"

    def read(self, value: Any) -> Steps:
        epochs = _epochs_meant(value)
        if epochs and not (isinstance(value, str) and EPOCHS.fullmatch(value)):
            raise ValidationError(
                [ErrorDetail((), "sentence", f"a number of epochs is written like this: {epochs} epochs")]
            )
        try:
            self.updates.read(updates(value, 1) if epochs else value)
        except ValidationError:
            raise self.refuse() from None
        found: Steps = value
        return found

    def schema(self) -> Schema:
        return {"anyOf": [self.updates.schema(), {"type": "string", "pattern": f"^({EPOCHS.pattern})$"}]}


class Increasing(ListOf):
    """Field type: a list of step counts that never decrease, all in updates or all in epochs."""

    def __init__(self) -> None:
        super().__init__(StepCount(Number(0)), 1)

    def read(self, value: Any) -> tuple[Steps, ...]:
        steps = super().read(value)
        if len({isinstance(step, str) for step in steps}) > 1:
            raise ValidationError(
                [ErrorDetail((), "sentence", "all must be numbers of updates, or all of them epochs")]
            )
        counts = [updates(step, 10**9) for step in steps]
        for index, (before, after) in enumerate(pairwise(counts), 1):
            if after < before:
                raise ValidationError([ErrorDetail((index,), "sentence", "none may be less than the one before")])
        return steps


def _epochs_meant(value: Any) -> str:
    """The number in a value such as "80 epochs"; empty if it is not in epochs."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((unit, number),) = value.items()
        value = f"{number} {unit}"
    match = NEARLY.fullmatch(value) if isinstance(value, str) else None
    return match["number"] if match else ""


class Schedule(Declaration):
    """A learning rate that changes with every update: `learning_rate: {CosineDecay: {…}}`.

    Steps and boundaries are numbers of updates or epochs: `80 epochs`, `0.5 epochs`.
    """

    name: str | None = None
    """Accepted without effect."""

    def rate(self, step: int, batches: int) -> float:
        """The learning rate after `step` updates, with `batches` batches per epoch."""
        raise NotImplementedError

    def with_highest(self, rate: float) -> tuple[str, object]:
        """The argument that makes `rate` its highest rate, as `--set` takes it: key (perhaps dotted) and value."""
        return "initial_learning_rate", rate


SCHEDULES = Registry("schedule", Schedule)


class Rate(Kind):
    """Field type of a learning rate: a number or a schedule."""

    sample = 0.001

    def __init__(self) -> None:
        self.number, self.schedule = Number(0), Named(SCHEDULES)
        self.rule = f"{self.number.rule}, or a schedule"

    def read(self, value: Any) -> Any:
        if isinstance(value, Schedule | Mapping) or (isinstance(value, str) and value.isidentifier()):
            return self.schedule.read(value)
        try:
            return self.number.read(value)
        except ValidationError:
            raise self.refuse() from None

    def schema(self) -> Schema:
        return {"anyOf": [self.number.schema(), self.schedule.schema()]}


RateField = Annotated[float | Schedule, Rate()]
PositiveSteps = Annotated[Steps, StepCount(Number(above=0))]
Floor = Annotated[float, Number(0, why="otherwise the rate would end below 0")]


class Decay(Schedule):
    """Base class: a rate that falls by `decay_rate` every `decay_steps`."""

    initial_learning_rate: NonNegative
    decay_steps: PositiveSteps
    decay_rate: NonNegative
    staircase: bool = False

    def periods(self, step: int, batches: int) -> float:
        """How many times `decay_steps` have passed; whole ones with `staircase`."""
        passed = step / updates(self.decay_steps, batches)
        return floor(passed) if self.staircase else passed


@SCHEDULES.register
class ExponentialDecay(Decay):
    """initial · decay_rate^(step / decay_steps); `staircase`: the exponent is rounded down."""

    def rate(self, step: int, batches: int) -> float:
        return self.initial_learning_rate * _power(self.decay_rate, self.periods(step, batches))


@SCHEDULES.register
class PiecewiseConstantDecay(Schedule):
    """Piecewise constant: `values[0]` up to and including the first boundary, then `values[1]`, and so on."""

    boundaries: Annotated[tuple[Steps, ...], Increasing()]
    values: Annotated[tuple[float, ...], ListOf(Number(0), 2)]

    def contradiction(self) -> str:
        boundaries, values = len(self.boundaries), len(self.values)
        if values == boundaries + 1:
            return ""
        return (
            "PiecewiseConstantDecay must have one value more than boundaries, because the first one holds up to the "
            f"first boundary; received {values} for {boundaries}"
        )

    def rate(self, step: int, batches: int) -> float:
        return self.values[bisect_left([updates(boundary, batches) for boundary in self.boundaries], step)]

    def with_highest(self, rate: float) -> tuple[str, object]:
        factor = rate / (max(self.values) or 1.0)
        return "values", [float(f"{value * factor:.3g}") for value in self.values]


@SCHEDULES.register
class PolynomialDecay(Schedule):
    """(initial − end) · (1 − step / decay_steps)^power + end; `cycle`: restarts with a longer period at the end."""

    initial_learning_rate: NonNegative
    decay_steps: PositiveSteps
    end_learning_rate: NonNegative = 0.0001
    power: NonNegative = 1.0
    cycle: bool = False

    def rate(self, step: int, batches: int) -> float:
        decay_steps = updates(self.decay_steps, batches)
        if self.cycle:
            decay_steps *= max(1, ceil(step / decay_steps))
        rest = _power(1 - min(step, decay_steps) / decay_steps, self.power)
        return (self.initial_learning_rate - self.end_learning_rate) * rest + self.end_learning_rate


@SCHEDULES.register
class InverseTimeDecay(Decay):
    """initial / (1 + decay_rate · step / decay_steps); `staircase`: the quotient is rounded down."""

    def rate(self, step: int, batches: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self.periods(step, batches))


@SCHEDULES.register
class CosineDecay(Schedule):
    """Half a cosine from the initial rate down to `alpha` times the initial rate (Loshchilov, Hutter 2016).

    With `warmup_target`, a linear warmup to it in `warmup_steps`, then the cosine from there in `decay_steps`.
    """

    initial_learning_rate: NonNegative
    decay_steps: PositiveSteps
    alpha: Floor = 0.0
    warmup_target: NonNegative | None = None
    warmup_steps: Annotated[Steps, StepCount(Number(0))] = 0
    """Without effect if there is no `warmup_target`, as in Keras."""

    def rate(self, step: int, batches: int) -> float:
        initial, target, warmup_steps = self.initial_learning_rate, self.warmup_target, 0.0
        if target is not None:
            initial, warmup_steps = target, updates(self.warmup_steps, batches)
            if step < warmup_steps:
                return _between(self.initial_learning_rate, target, step / warmup_steps)
        decay_steps = updates(self.decay_steps, batches)
        return initial * _cosine(min(step - warmup_steps, decay_steps) / decay_steps, self.alpha)

    def with_highest(self, rate: float) -> tuple[str, object]:
        return "initial_learning_rate" if self.warmup_target is None else "warmup_target", rate


@SCHEDULES.register
class CosineDecayRestarts(Schedule):
    """Cosine decay with restarts (SGDR): each period is `t_mul` times as long and starts `m_mul` times as high."""

    initial_learning_rate: NonNegative
    first_decay_steps: PositiveSteps
    t_mul: Annotated[float, Number(1, why="otherwise periods shrink until the rate is NaN, as in Keras")] = 2.0
    m_mul: NonNegative = 1.0
    alpha: Floor = 0.0

    def rate(self, step: int, batches: int) -> float:
        part, length = step / updates(self.first_decay_steps, batches), 1.0
        restarts = int(part) if self.t_mul == 1 else 0
        part -= restarts
        while part >= length:
            part, length, restarts = part - length, length * self.t_mul, restarts + 1
        return self.initial_learning_rate * _cosine(part / length, self.alpha, _power(self.m_mul, restarts))


@SCHEDULES.register
class OneCycle(Schedule):
    """PyTorch's OneCycleLR: up from max/`div_factor` to the maximum, then down to that start/`final_div_factor`.

    `three_phase`: down to the start as long as up, then to the end. The optimizer's momentum does not change, whereas
    PyTorch changes it as well unless `cycle_momentum=False`. After `total_steps` the rate stays.
    """

    max_learning_rate: NonNegative
    total_steps: PositiveSteps
    pct_start: Annotated[float, Number(0, 1)] = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    div_factor: Annotated[float, Number(above=0)] = 25.0
    final_div_factor: Annotated[float, Number(above=0)] = 10000.0
    three_phase: bool = False

    def rate(self, step: int, batches: int) -> float:
        total, top = updates(self.total_steps, batches), self.max_learning_rate
        start, up = top / self.div_factor, self.pct_start * total - 1
        phases = [(up, start, top), (total - 1, top, start / self.final_div_factor)]
        if self.three_phase:
            phases = [(up, start, top), (2 * up, top, start), (total - 1, start, start / self.final_div_factor)]
        begin, at = 0.0, min(step, total - 1)
        for end, before, after in phases[:-1]:
            if at <= end:
                return self._annealed(before, after, at - begin, end - begin)
            begin = end
        end, before, after = phases[-1]
        return self._annealed(before, after, at - begin, end - begin)

    def with_highest(self, rate: float) -> tuple[str, object]:
        return "max_learning_rate", rate

    def _annealed(self, before: float, after: float, done: float, length: float) -> float:
        """The rate after `done` of the `length` updates of a phase."""
        part = done / length if length > 0 else 1.0
        return _between(before, after, part if self.anneal_strategy == "linear" else (1 - cos(pi * part)) / 2)


@SCHEDULES.register
class WarmUp(Schedule):
    """Linearly from `initial_learning_rate` to the first rate of `then` in `steps`; then `then`, from its beginning."""

    steps: PositiveSteps
    then: RateField
    initial_learning_rate: NonNegative = 0.0

    def rate(self, step: int, batches: int) -> float:
        steps = ceil(updates(self.steps, batches))
        if step < steps:
            return _between(self.initial_learning_rate, rate_of(self.then, 0, batches), step / steps)
        return rate_of(self.then, step - steps, batches)

    def with_highest(self, rate: float) -> tuple[str, object]:
        if not isinstance(self.then, Schedule):
            return "then", rate
        key, value = self.then.with_highest(rate)
        return f"then.{type(self.then).__name__}.{key}", value


def rate_of(rate: float | Schedule, step: int, batches: int) -> float:
    """The learning rate after `step` updates, with `batches` batches per epoch."""
    return rate.rate(step, batches) if isinstance(rate, Schedule) else rate


def _between(start: float, end: float, part: float) -> float:
    """`start` at 0, `end` at 1, linearly between them."""
    return (end - start) * part + start


def _cosine(part: float, alpha: float, height: float = 1.0) -> float:
    """Half a cosine from `height` at 0 down to `alpha` at 1."""
    return (1 - alpha) * (0.5 * height * (1 + cos(pi * part))) + alpha


def _power(base: float, exponent: float) -> float:
    """base^exponent for base ≥ 0 and exponent ≥ 0; ∞ on overflow."""
    try:
        return float(base**exponent)
    except OverflowError:
        return inf
