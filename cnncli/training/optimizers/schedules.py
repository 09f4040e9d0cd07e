"""Schedules: learning rates that change with every update (keras/src/optimizers/schedules/)."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from itertools import pairwise
from math import cos, inf, pi
from typing import Annotated, Any

from cnncli.layers.declarations.declaration import Declaration, Named, NonNegative, Registry
from cnncli.layers.declarations.field_types import Integer, Kind, Number, Schema
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError

Steps = int | str
"""A number of updates or epochs, such as "80 epochs", as written in the spec."""

EPOCHS = re.compile(r"\d{1,9}(\.\d{1,9})? epochs|1 epoch", re.ASCII)
NEARLY = re.compile(r"\s*(?P<number>\d{1,9}(\.\d{1,9})?)\s*(e|ep|epochs?)\s*", re.ASCII | re.IGNORECASE)


def updates(steps: Steps, batches: int) -> int:
    """Convert `steps` to updates, with `batches` batches per epoch, rounding up."""
    if isinstance(steps, int):
        return steps
    whole, _, digits = steps.split()[0].partition(".")
    return -(-int(whole + digits) * batches // int(10 ** len(digits)))


class StepCount(Kind):
    """Field type: an integer number of updates, or a number of epochs."""

    sample = "10 epochs"

    def __init__(self, least: int) -> None:
        self.whole = Integer(least)
        self.rule = f"{self.whole.rule}, or a number of epochs like 80 epochs"

    def read(self, value: Any) -> Steps:
        epochs = _epochs_meant(value)
        if epochs and not (isinstance(value, str) and EPOCHS.fullmatch(value)):
            raise ValidationError(
                [ErrorDetail((), "sentence", f"a number of epochs is written like this: {epochs} epochs")]
            )
        try:
            if updates(value if epochs else self.whole.read(value), 1) < self.whole.read(self.whole.least):
                raise self.refuse()
        except ValidationError:
            raise self.refuse() from None
        found: Steps = value
        return found

    def schema(self) -> Schema:
        return {"anyOf": [self.whole.schema(), {"type": "string", "pattern": f"^({EPOCHS.pattern})$"}]}


class Increasing(ListOf):
    """Field type: a strictly increasing list of step counts, all in updates or all in epochs."""

    def __init__(self) -> None:
        super().__init__(StepCount(0), 1)

    def read(self, value: Any) -> tuple[Steps, ...]:
        steps = super().read(value)
        if len({isinstance(step, int) for step in steps}) > 1:
            raise ValidationError(
                [ErrorDetail((), "sentence", "all must be numbers of updates, or all of them epochs")]
            )
        counts = [updates(step, 10**9) for step in steps]
        for index, (before, after) in enumerate(pairwise(counts), 1):
            if after <= before:
                raise ValidationError([ErrorDetail((index,), "sentence", "each must be larger than the one before")])
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

    def rate(self, step: int, batches: int) -> float:
        """The learning rate after `step` updates, with `batches` batches per epoch."""
        raise NotImplementedError


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
PositiveSteps = Annotated[Steps, StepCount(1)]


@SCHEDULES.register
class ExponentialDecay(Schedule):
    """initial · decay_rate^(step / decay_steps); `staircase`: the exponent is rounded down."""

    initial_learning_rate: NonNegative
    decay_steps: PositiveSteps
    decay_rate: NonNegative
    staircase: bool = False

    def rate(self, step: int, batches: int) -> float:
        decay_steps = updates(self.decay_steps, batches)
        exponent = step // decay_steps if self.staircase else step / decay_steps
        return self.initial_learning_rate * _power(self.decay_rate, exponent)


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
            decay_steps *= max(1, -(-step // decay_steps))
        rest = _power(1 - min(step, decay_steps) / decay_steps, self.power)
        return (self.initial_learning_rate - self.end_learning_rate) * rest + self.end_learning_rate


@SCHEDULES.register
class InverseTimeDecay(Schedule):
    """initial / (1 + decay_rate · step / decay_steps); `staircase`: the quotient is rounded down."""

    initial_learning_rate: NonNegative
    decay_steps: PositiveSteps
    decay_rate: NonNegative
    staircase: bool = False

    def rate(self, step: int, batches: int) -> float:
        decay_steps = updates(self.decay_steps, batches)
        quotient = step // decay_steps if self.staircase else step / decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * quotient)


@SCHEDULES.register
class CosineDecay(Schedule):
    """Half a cosine from the initial rate down to `alpha` times the initial rate (Loshchilov, Hutter 2016).

    With `warmup_target`, a linear warmup to it in `warmup_steps`, then the cosine from there in `decay_steps`.
    """

    initial_learning_rate: NonNegative
    decay_steps: PositiveSteps
    alpha: NonNegative = 0.0
    warmup_target: NonNegative | None = None
    warmup_steps: Annotated[Steps, StepCount(0)] = 0

    def contradiction(self) -> str:
        if self.warmup_target is None and self.warmup_steps:
            return "CosineDecay's warmup_steps need a warmup_target: the learning rate that they lead up to"
        return ""

    def rate(self, step: int, batches: int) -> float:
        decay_steps, warmup_steps = updates(self.decay_steps, batches), updates(self.warmup_steps, batches)
        initial, target = self.initial_learning_rate, self.warmup_target
        if target is not None and step < warmup_steps:
            return (target - initial) * (step / warmup_steps) + initial
        part = min(step - warmup_steps, decay_steps) / decay_steps
        return (initial if target is None else target) * _cosine(part, self.alpha)


@SCHEDULES.register
class CosineDecayRestarts(Schedule):
    """Cosine decay with restarts (SGDR): each period is `t_mul` times as long and starts `m_mul` times as high."""

    initial_learning_rate: NonNegative
    first_decay_steps: PositiveSteps
    t_mul: Annotated[float, Number(1)] = 2.0
    m_mul: NonNegative = 1.0
    alpha: NonNegative = 0.0

    def rate(self, step: int, batches: int) -> float:
        part, length = step / updates(self.first_decay_steps, batches), 1.0
        restarts = int(part) if self.t_mul == 1 else 0
        part -= restarts
        while part >= length:
            part, length, restarts = part - length, length * self.t_mul, restarts + 1
        return self.initial_learning_rate * _cosine(part / length, self.alpha, _power(self.m_mul, restarts))


def _cosine(part: float, alpha: float, height: float = 1.0) -> float:
    """Half a cosine from `height` at 0 down to `alpha` at 1."""
    return (1 - alpha) * (0.5 * height * (1 + cos(pi * part))) + alpha


def _power(base: float, exponent: float) -> float:
    """base^exponent for base ≥ 0 and exponent ≥ 0; ∞ on overflow."""
    try:
        return float(base**exponent)
    except OverflowError:
        return inf
